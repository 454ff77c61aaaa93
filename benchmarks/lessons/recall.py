"""Lesson 1: how far back each cell can learn to remember one symbol.

    python -m benchmarks.lessons.recall [--seeds 5] [--jobs 1] [--steps 600]

A sequence is one of four symbols, noise, and a question; the answer, wanted behind the question,
is the symbol. The lag is how many tokens after the symbol the question stands. Every cell has about
as many parameters as the LSTM; its learning rate is the best of a grid at lag 10 with seed 0, which
is not among those that are told. A run that answers everything right is stopped.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.lessons.experiment import draw, dress, options, spread, table, work_through
from benchmarks.lessons.learning import equal_size, make, parameters, updater
from charnn.architecture import CellName, ModelConfig
from charnn.cli.figure import COLOURS
from charnn.nn.language_model import LanguageModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAGS = (5, 10, 20, 50, 100)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
CHOSEN_AT = 10
SYMBOLS, NOISE = 4, 4
QUESTION = SYMBOLS + NOISE
VOCABULARY = QUESTION + 1
BATCH, HELD_OUT, CHECK_EVERY = 16, 512, 50
LIKE = ModelConfig(cell="lstm", layers=1, hidden=32, embedding=16)

#: What is compared: the cells as charnn makes them, and the LSTM told how far back to look.
VARIANTS: dict[str, tuple[CellName, bool]] = {
    **{cell: (cell, False) for cell in get_args(CellName)},
    "lstm, chrono": ("lstm", True),
}


def sequences(seed: Sequence[int], count: int, lag: int) -> tuple[Tensor, Tensor]:
    """Inputs [B, lag + 1] and answers [B]."""
    rng = np.random.default_rng(seed)
    ids_BT = rng.integers(SYMBOLS, QUESTION, (count, lag + 1))
    ids_BT[:, 0] = rng.integers(0, SYMBOLS, count)
    ids_BT[:, lag] = QUESTION
    return torch.from_numpy(ids_BT), torch.from_numpy(ids_BT[:, 0].copy())


def chrono(model: LanguageModel, longest: int) -> None:
    """Let an LSTM's units remember for up to ``longest`` steps, each for a time of its own.

    Tallec & Ollivier (2018), "Can recurrent neural networks warp time?", section 2.
    """
    layer, H = model.recurrent.layers[0], model.recurrent.hidden
    with torch.no_grad():
        bias_G = layer.get_parameter("bias_ih_l0")
        bias_G[H : 2 * H] = torch.empty(H).uniform_(1, longest - 1).log()
        bias_G[:H] = -bias_G[H : 2 * H]


@dataclass(frozen=True)
class Run:
    """One training."""

    variant: str
    lag: int
    rate: float
    seed: int
    steps: int


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    accuracy: float
    nats: float
    steps: int
    """Fewer than allowed where all answers were right before."""


def answers(model: LanguageModel, ids_BT: Tensor) -> Tensor:
    """Logits [B, V] behind the question."""
    features_BTF, _ = model.features(ids_BT, model.initial_state(len(ids_BT)))
    logits_BV: Tensor = model.output(features_BTF[:, -1])
    return logits_BV


def learn(run: Run) -> Outcome:
    cell, slow = VARIANTS[run.variant]
    model = make(equal_size(cell, LIKE, VOCABULARY), VOCABULARY, run.seed)
    if slow:
        chrono(model, run.lag)
    update = updater(model, run.rate)
    ids_BT, wanted_B = sequences((run.seed, run.lag, 1), HELD_OUT, run.lag)
    outcome = Outcome(0.0, math.inf, 0)
    for step in range(1, run.steps + 1):
        inputs_BT, labels_B = sequences((run.seed, run.lag, 0, step), BATCH, run.lag)
        update(F.cross_entropy(answers(model, inputs_BT), labels_B), 1.0)
        if step % CHECK_EVERY == 0 or step == run.steps:
            with torch.no_grad():
                logits_BV = answers(model, ids_BT)
            right_B = logits_BV.argmax(1) == wanted_B
            nats = float(F.cross_entropy(logits_BV, wanted_B))
            outcome = Outcome(float(right_B.float().mean()), nats, step)
            if right_B.all() or not math.isfinite(nats):
                break
    return outcome


def best_rates(learn: Callable[[Run], Outcome], steps: int, jobs: int) -> dict[str, float]:
    """Of each variant: most right answers, then fewest steps, then the least loss."""
    runs = [Run(variant, CHOSEN_AT, rate, 0, steps) for variant in VARIANTS for rate in RATES]
    outcomes = dict(zip(runs, work_through(learn, runs, jobs), strict=True))

    def rank(run: Run) -> tuple[float, int, float]:
        outcome = outcomes[run]
        return -outcome.accuracy, outcome.steps, outcome.nats

    return {
        variant: min((run for run in runs if run.variant == variant), key=rank).rate
        for variant in VARIANTS
    }


def picture(means: dict[str, list[float]], figure: "Figure") -> None:
    axes = figure.add_subplot()
    for n, (variant, percent) in enumerate(means.items()):
        style = "-" if n < COLOURS else "--"
        marker = "osD^vPX*h"[n]
        axes.plot(LAGS, percent, style, marker=marker, color=f"C{n % COLOURS}", label=variant)
    axes.axhline(100 / SYMBOLS, color="#777777", linewidth=1, linestyle=":", label="guessing")
    axes.set_xscale("log")
    dress(axes, "lag, in tokens", "right answers, %")
    axes.set_xticks(LAGS, [str(lag) for lag in LAGS])
    axes.minorticks_off()
    axes.set_ylim(0, 104)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)


def main() -> None:
    parser = options("recall", __doc__, steps=600)
    asked = parser.parse_args()
    seeds = range(1, asked.seeds + 1)
    rates = best_rates(learn, asked.steps, asked.jobs)
    runs = [
        Run(variant, lag, rates[variant], seed, asked.steps)
        for variant in VARIANTS
        for lag in LAGS
        for seed in seeds
    ]
    outcomes = dict(zip(runs, work_through(learn, runs, asked.jobs), strict=True))

    def right(variant: str, lag: int) -> list[float]:
        return [
            100 * o.accuracy for r, o in outcomes.items() if (r.variant, r.lag) == (variant, lag)
        ]

    rows = []
    for variant, (cell, _) in VARIANTS.items():
        config = equal_size(cell, LIKE, VOCABULARY)
        size = f"{config.hidden} / {parameters(config, VOCABULARY):,}"
        cells = [spread(right(variant, lag), 0) for lag in LAGS]
        rows.append((f"`{variant}`", size, f"{rates[variant]:g}", *cells))
    means = {variant: [fmean(right(variant, lag)) for lag in LAGS] for variant in VARIANTS}
    header = ("cell", "units / parameters", "rate", *(f"lag {lag}" for lag in LAGS))
    print(f"Right answers, %, mean ± standard deviation over seeds 1 to {asked.seeds}; ", end="")
    print(f"at most {asked.steps} steps of {BATCH} sequences; guessing gives {100 / SYMBOLS:g}.\n")
    print(table(header, rows))
    draw(asked.output, partial(picture, means))


if __name__ == "__main__":
    main()
