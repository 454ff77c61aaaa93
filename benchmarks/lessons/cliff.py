"""Lesson 3: what throws descent off a cliff, and whether clipping or the LSTM holds it.

    python -m benchmarks.lessons.cliff [--seeds 5] [--jobs 1]

The cliff is the loss of a linear network of one unit that reads a 1 and then zeros, 1,000 tokens in
all: ½(w^999 - 1)². Descent begins at w = 1.01, with the learning rate 1e-4. The LSTM is charnn's,
fresh, its matrix from state to state multiplied by a gain: the norm of ∂(v·s_T)/∂s_t for its whole
state s, and what one step of descent by a tenth of the gradient does to a loss
at the last token.
"""

import math
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.lessons.experiment import draw, dress, options, power, spread, table, work_through
from benchmarks.lessons.learning import descend
from benchmarks.lessons.vanishing import cell_step, geometric, norms
from charnn.nn.recurrent import Recurrent
from charnn.training.config import TrainingConfig
from charnn.training.trainer import clip_gradients

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGIN, RATE, POWER, STEPS = 1.01, 1e-4, 999, 300
CLIPS = (0.0, 1.0)
UNITS, INPUTS, LONGEST = 64, 16, 100
GAINS = (1.0, 3.0, 5.0, 10.0, 20.0)
SHOWN = (20, 50, 100)
STEP = 0.1


def surface(w: Tensor) -> Tensor:
    """The loss over the one weight."""
    return 0.5 * (w**POWER - 1) ** 2


def walk(begin: float, rate: float, clip_norm: float, steps: int) -> list[tuple[float, float]]:
    """The weight and its loss at each step, in float64; it ends where the loss overflows."""
    w = torch.nn.Parameter(torch.tensor(begin, dtype=torch.float64))
    config = TrainingConfig(clip_norm=clip_norm)
    course = []
    for _ in range(steps + 1):
        loss = surface(w)
        course.append((float(w.detach()), float(loss.detach())))
        if not math.isfinite(course[-1][1]):
            break
        w.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients([w], config)
        descend([w], rate)
    return course


@dataclass(frozen=True)
class Case:
    """One LSTM."""

    gain: float
    seed: int


@dataclass(frozen=True)
class Found:
    """What its gradient is, and does."""

    norms: list[float]
    """By distance, of h and c together."""
    whole: float
    """Of the weights."""
    before: float
    """The loss."""
    after: list[float]
    """The loss behind one step of descent, by ``CLIPS``."""


def explode(case: Case) -> Found:
    """Follow the gradient through a fresh LSTM with large weights, and take a step with it."""
    torch.manual_seed(case.seed)
    recurrent = Recurrent("lstm", INPUTS, UNITS, 1).double()
    layer = recurrent.layers[0]
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").mul_(case.gain)
    x_T1I = torch.randn(LONGEST, 1, INPUTS, dtype=torch.float64)
    zeros = recurrent.initial_state(1)
    course = norms(cell_step(layer), x_T1I, zeros, of=0, by=(0, 1))
    target_H = torch.randn(UNITS, dtype=torch.float64).tanh()

    def loss() -> Tensor:
        outputs_1TH, _ = layer(x_T1I.transpose(0, 1), zeros)
        return 0.5 * ((outputs_1TH[0, -1] - target_H) ** 2).sum()

    weights = list(layer.parameters())
    begin = [weight.detach().clone() for weight in weights]
    before = loss()
    gradients = torch.autograd.grad(before, weights)
    after, whole = [], 0.0
    for clip_norm in CLIPS:
        for weight, value, gradient in zip(weights, begin, gradients, strict=True):
            weight.data.copy_(value)
            weight.grad = gradient.clone()
        whole = clip_gradients(weights, TrainingConfig(clip_norm=clip_norm))
        descend(weights, STEP)
        with torch.no_grad():
            after.append(float(loss()))
    return Found(course, whole, float(before.detach()), after)


def picture(
    courses: dict[float, list[tuple[float, float]]],
    found: dict[float, list[Found]],
    figure: "Figure",
) -> None:
    left, right = figure.subplots(1, 2)
    w_N = torch.linspace(0.985, 1.0115, 120, dtype=torch.float64)
    left.plot(w_N.tolist(), surface(w_N).clamp_min(1e-6).tolist(), color="#777777")
    clipped = courses[CLIPS[1]][:: max(1, STEPS // 30)]
    left.plot(
        [w for w, _ in clipped],
        [max(loss, 1e-6) for _, loss in clipped],
        "o",
        color="C0",
        markersize=3,
        label="clipped to norm 1",
    )
    left.plot(BEGIN, courses[0.0][0][1], "s", color="C1", label="plain: the next is -4e7")
    left.set_yscale("log")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    dress(left, "w", "½(w^999 - 1)²", "the cliff")
    across = range(0, LONGEST + 1, LONGEST // 20)
    for n, (gain, several) in enumerate(found.items()):
        middle = [
            math.exp(fmean(math.log(max(v, 1e-300)) for v in at))
            for at in zip(*(one.norms[:: LONGEST // 20] for one in several), strict=True)
        ]
        right.plot(across, middle, color=f"C{n}", label=f"weights x {gain:g}")
    right.set_yscale("log")
    right.legend(frameon=False, fontsize=8)
    dress(right, "distance, in tokens", "norm of the gradient", "an LSTM's state")


def main() -> None:
    asked = options("cliff", __doc__).parse_args()
    courses = {clip: walk(BEGIN, RATE, clip, STEPS) for clip in CLIPS}
    rows = []
    for clip, course in courses.items():
        name = f"clipped to norm {clip:g}" if clip else "plain"
        at = {n: power(course[n][1]) for n in (0, 1, 2, 50, 100, STEPS) if n < len(course)}
        weights = ", ".join(f"{course[n][0]:.6g}" for n in (1, 2) if n < len(course))
        cells = [at.get(n, "-") for n in (0, 1, 2, 50, 100, STEPS)]
        rows.append((name, weights, *cells))
    header = ("descent", "w after steps 1, 2", "loss at 0", "1", "2", "50", "100", str(STEPS))
    print(table(header, rows), end="\n\n")
    todo = [Case(gain, seed) for gain in GAINS for seed in range(1, asked.seeds + 1)]
    found: dict[float, list[Found]] = {}
    for case, one in zip(todo, work_through(explode, todo, asked.jobs), strict=True):
        found.setdefault(case.gain, []).append(one)
    print(f"The LSTM, seeds 1 to {asked.seeds}: geometric means of norms; losses.\n")
    header = (
        "weights times",
        *(f"distance {n}" for n in SHOWN),
        "norm of the weights' gradient",
        "loss before",
        "after a plain step",
        "after a clipped one",
    )
    rows = [
        (
            f"{gain:g}",
            *(geometric([one.norms[n] for one in several]) for n in SHOWN),
            geometric([one.whole for one in several]),
            spread([one.before for one in several], 1),
            *(spread([one.after[n] for one in several], 1) for n in range(len(CLIPS))),
        )
        for gain, several in found.items()
    ]
    print(table(header, rows))
    draw(asked.output, partial(picture, courses, found))


if __name__ == "__main__":
    main()
