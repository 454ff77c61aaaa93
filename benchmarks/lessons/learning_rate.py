"""Lesson 5: whether a small learning rate is a safe choice for an LSTM.

    python -m benchmarks.lessons.learning_rate [--seeds 5] [--jobs 1] [--steps 150]

An LSTM of one layer learns from the bundled fables at constant rates from 1e-5 on: by plain
stochastic gradient descent, by the same with the gradient clipped to norm 1, and by AdamW, clipped
too, which also teaches a simple network of as many parameters. Too small is a rate that leaves it
no better than the frequencies of single letters; it diverges where the loss is no number, or far
above that of guessing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.lessons.experiment import draw, dress, options, spread, table, work_through
from benchmarks.lessons.learning import Rule, equal_size, make, read, updater
from benchmarks.lessons.texts import text
from charnn.architecture import CellName, ModelConfig
from charnn.ngram import NgramModel, count_ngrams
from charnn.score import evaluate
from charnn.training.validation import validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
LIKE = ModelConfig(cell="lstm", layers=1, hidden=48, embedding=16)

#: The cell, what updates it, and the norm that its gradient is clipped to (0: it is not).
WAYS: dict[str, tuple[CellName, Rule, float]] = {
    "lstm, SGD": ("lstm", "sgd", 0.0),
    "lstm, SGD, clipped": ("lstm", "sgd", 1.0),
    "lstm, AdamW": ("lstm", "adamw", 1.0),
    "elman, AdamW": ("elman", "adamw", 1.0),
}


@dataclass(frozen=True)
class Run:
    """One training."""

    way: str
    rate: float
    seed: int
    steps: int


def learn(run: Run) -> float:
    """Nats per token of the held-out text; infinite where the loss became no number."""
    fables = text("fables.txt")
    cell, rule, clip_norm = WAYS[run.way]
    model = make(equal_size(cell, LIKE, fables.vocabulary), fables.vocabulary, run.seed)
    update = updater(model, run.rate, rule, clip_norm)
    tokens = np.roll(fables.train, -(run.seed * len(fables.train)) // 97)
    course = read(model, tokens, update, run.steps, constant=True)
    if not math.isfinite(course[-1]):
        return math.inf
    nats = validate(model, fables.held_out, torch.device("cpu"))
    return nats if nats is not None and math.isfinite(nats) else math.inf


def letters() -> float:
    """What the frequencies of single letters cost, nats per token."""
    fables = text("fables.txt")
    tensors = count_ngrams(fables.train, fables.vocabulary, 1, "kneser-ney")
    model = NgramModel(tensors, fables.vocabulary, start_id=0, end_id=None)
    return evaluate(model, fables.held_out, fables.symbols).nats_per_token


def verdict(nats: Sequence[float], guessing: float, single: float) -> str:
    """Mean and spread, and what it is worth.

    What has learned nothing is about as good as guessing; only a quarter more is a divergence.

    >>> verdict([2.0, 2.0], 4.0, 3.0), verdict([3.5, 3.5], 4.0, 3.0)
    ('2.00 ± 0.00', '(3.50 ± 0.00)')
    >>> verdict([2.0, float("inf")], 4.0, 3.0)
    'diverges 1/2'
    """
    lost = sum(not one < 1.25 * guessing for one in nats)
    if lost:
        return f"diverges {lost}/{len(nats)}"
    told = spread(nats, 2)
    return told if fmean(nats) < single else f"({told})"


def picture(
    found: dict[tuple[str, float], list[float]], guessing: float, single: float, figure: "Figure"
) -> None:
    axes = figure.add_subplot()
    for n, way in enumerate(WAYS):
        middle = [fmean(found[way, rate]) for rate in RATES]
        style = "--" if way.startswith("elman") else "-"
        shown = [value if value < 8 else math.nan for value in middle]
        axes.plot(RATES, shown, style, marker="osD^v"[n], markersize=4, color=f"C{n}", label=way)
    for value, name in ((guessing, "guessing"), (single, "single letters")):
        axes.axhline(value, color="#777777", linewidth=1, linestyle=":")
        axes.annotate(name, (RATES[-1], value), ha="right", va="bottom", fontsize=8)
    axes.set_xscale("log")
    dress(axes, "learning rate", "held-out nats per character")
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def main() -> None:
    asked = options("learning_rate", __doc__, steps=150).parse_args()
    seeds = range(1, asked.seeds + 1)
    runs = [Run(way, rate, s, asked.steps) for s in seeds for way in WAYS for rate in RATES]
    found: dict[tuple[str, float], list[float]] = {}
    for run, nats in zip(runs, work_through(learn, runs, asked.jobs), strict=True):
        found.setdefault((run.way, run.rate), []).append(nats)
    guessing, single = math.log(text("fables.txt").vocabulary), letters()
    print(f"Held-out nats after {asked.steps} steps of 16 x 32, mean ± standard deviation over")
    print(f"seeds 1 to {asked.seeds}. In brackets: no better than single letters ({single:.2f}).")
    print(f"Guessing costs {guessing:.2f}.\n")
    rows = [
        (f"{rate:g}", *(verdict(found[way, rate], guessing, single) for way in WAYS))
        for rate in RATES
    ]
    print(table(("rate", *WAYS), rows))
    draw(asked.output, lambda figure: picture(found, guessing, single, figure))


if __name__ == "__main__":
    main()
