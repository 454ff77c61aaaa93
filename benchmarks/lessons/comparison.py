"""Lesson 4: whether the LSTM is always better than a simple network, and Jordan than Elman.

    python -m benchmarks.lessons.comparison [--seeds 5] [--jobs 1] [--steps 300]

One layer of each cell, at about as many parameters as an LSTM of 96 units, learns from the bundled
fables and poems, by characters, for the same number of steps of 16 windows of 32 tokens (on the
poems two fifths of them). The learning rate is each cell's best of a grid on each text, with seed
0, which is not among those that are told. Judged on the last tenth of the text.
"""

import time
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.lessons.experiment import draw, dress, options, spread, table, work_through
from benchmarks.lessons.learning import equal_size, make, parameters, read, updater
from benchmarks.lessons.texts import text
from charnn.architecture import CellName, ModelConfig
from charnn.training.validation import validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS: tuple[CellName, ...] = ("lstm", "elman", "elman-relu", "jordan")
RATES = (3e-3, 1e-2, 3e-2)
TEXTS = ("fables.txt", "poems.zh.txt")
#: Input and output share their weights, or most of the poems' would lie there.
TIED = ("poems.zh.txt",)
#: The share of the steps, for a text of 14,000 characters is soon known by heart.
SHARE = {"fables.txt": 1.0, "poems.zh.txt": 0.4}
PAIRS = (("lstm", "elman"), ("lstm", "elman-relu"), ("jordan", "elman"))


def config(cell: CellName, name: str) -> ModelConfig:
    like = ModelConfig(cell="lstm", layers=1, hidden=96, embedding=32, tied=name in TIED)
    return equal_size(cell, like, text(name).vocabulary)


@dataclass(frozen=True)
class Run:
    """One training."""

    text: str
    cell: CellName
    rate: float
    seed: int
    steps: int


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    nats: float
    """Per token of the held-out text."""
    milliseconds: float
    """A step's processor time."""


def learn(run: Run) -> Outcome:
    words = text(run.text)
    model = make(config(run.cell, run.text), words.vocabulary, run.seed)
    began = time.process_time()
    # Each seed begins elsewhere in the text, so that the batches differ, too.
    tokens = np.roll(words.train, -(run.seed * len(words.train)) // 97)
    course = read(model, tokens, updater(model, run.rate), run.steps)
    spent = 1000 * (time.process_time() - began) / len(course)
    nats = validate(model, words.held_out, torch.device("cpu"))
    assert nats is not None
    return Outcome(nats if np.isfinite(nats) else float("inf"), spent)


def key(run: Run) -> tuple[str, CellName]:
    return run.text, run.cell


def wins(one: list[float], other: list[float]) -> int:
    """In how many seeds the one has the lower loss."""
    return sum(a < b for a, b in zip(one, other, strict=True))


def picture(nats: dict[tuple[str, CellName], list[float]], figure: "Figure") -> None:
    for axes, name in zip(figure.subplots(1, len(TEXTS)), TEXTS, strict=True):
        for n, cell in enumerate(CELLS):
            values = nats[name, cell]
            across = n + np.linspace(-0.15, 0.15, len(values))
            axes.plot(across, values, "o", color=f"C{n}", markersize=5)
            axes.hlines(fmean(values), n - 0.3, n + 0.3, color=f"C{n}", linewidth=1.5)
        axes.set_xticks(range(len(CELLS)), CELLS)
        dress(axes, "", "held-out nats per character", name)


def main() -> None:
    asked = options("comparison", __doc__, steps=300).parse_args()
    seeds = range(1, asked.seeds + 1)
    kinds = [(name, cell) for name in TEXTS for cell in CELLS]
    steps = {name: max(1, round(SHARE[name] * asked.steps)) for name in TEXTS}
    tried = [Run(name, cell, rate, 0, steps[name]) for name, cell in kinds for rate in RATES]
    grid = dict(zip(tried, work_through(learn, tried, asked.jobs), strict=True))
    rates = {
        kind: min((run for run in tried if key(run) == kind), key=lambda run: grid[run].nats).rate
        for kind in kinds
    }
    runs = [Run(*kind, rates[kind], seed, steps[kind[0]]) for seed in seeds for kind in kinds]
    outcomes = dict(zip(runs, work_through(learn, runs, asked.jobs), strict=True))
    nats = {kind: [o.nats for run, o in outcomes.items() if key(run) == kind] for kind in kinds}
    spent = {
        kind: median(o.milliseconds for run, o in outcomes.items() if key(run) == kind)
        for kind in kinds
    }
    told = ", ".join(f"{name} {count} steps" for name, count in steps.items())
    print(f"{told}, of 16 x 32 each; mean ± standard deviation.\n")
    header = ("text", "cell", "units / parameters", "rate", "held-out nats")
    each = f"seeds {', '.join(map(str, seeds))}"
    rows = []
    for name, cell in kinds:
        made = config(cell, name)
        size = f"{made.hidden} / {parameters(made, text(name).vocabulary):,}"
        found = nats[name, cell]
        values = " / ".join(f"{value:.3f}" for value in found)
        step = f"{spent[name, cell]:.1f}"
        rate = f"{rates[name, cell]:g}"
        rows.append((name, f"`{cell}`", size, rate, spread(found), values, step))
    print(table((*header, each, "ms a step"), rows))
    print("\nThe rates of the grid, seed 0:\n")
    rows = [
        (name, f"`{cell}`", *(f"{grid[run].nats:.3f}" for run in tried if key(run) == (name, cell)))
        for name, cell in kinds
    ]
    print(table(("text", "cell", *(f"{rate:g}" for rate in RATES)), rows), end="\n\n")
    for name in TEXTS:
        for one, other in PAIRS:
            count = wins(nats[name, one], nats[name, other])
            print(f"{name}: {one} is below {other} in {count} of {asked.seeds} seeds.")
    draw(asked.output, lambda figure: picture(nats, figure))


if __name__ == "__main__":
    main()
