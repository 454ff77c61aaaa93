"""Lesson 2: how the gradient shrinks or grows with the distance it goes back.

    python -m benchmarks.lessons.vanishing [--seeds 5] [--jobs 1]

Simple networks: the norm of ∂(v·h_T)/∂h_t for a random unit vector v, over the distance T - t. The
matrix from state to state is random, scaled to a spectral radius; the input is noise, or nothing.
The LSTM, as charnn makes it, with other biases of the forget gate: the same for its cell, through
every path; and along the direct one, where h is fed back to no gate. Nothing learns.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.lessons.experiment import draw, dress, options, power, table, work_through
from charnn.nn.cells import LAYERS, Elman, State
from charnn.nn.recurrent import Recurrent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS, INPUTS, LONGEST = 64, 16, 100
RADII = (0.5, 0.9, 1.0, 1.5, 3.0)
KINDS = ("linear", "elman", "elman-relu")
BIASES = ("0", "1", "2", "chrono")
SHOWN = (20, 100)

Step = Callable[[Tensor, State], State]

torch.set_num_threads(1)


def norms(
    step: Step, x_T1I: Tensor, state: State, of: int = 0, by: Sequence[int] = (0,)
) -> list[float]:
    """How much the end depends on each state before, at distances 0 … T.

    Args:
        step: goes on by one token.
        x_T1I: what is read.
        state: at the beginning.
        of: which array of the last state is looked at, along a random vector v of length 1.
        by: the arrays of the states before by which that is differentiated, together.
    """
    v_H = F.normalize(torch.randn_like(state[of][0]), dim=0)
    states = [tuple(array.clone().requires_grad_() for array in state)]
    for x_1I in x_T1I:
        states.append(step(x_1I, states[-1]))
    arrays = [one[n] for one in states for n in by]
    seen = (states[-1][of] @ v_H).sum()
    gradients = torch.autograd.grad(seen, arrays, allow_unused=True, materialize_grads=True)
    together = [gradients[n : n + len(by)] for n in range(0, len(gradients), len(by))]
    return [float(torch.cat(parts).norm()) for parts in reversed(together)]


def cell_step(layer: nn.Module) -> Step:
    """One token through a layer of charnn's."""

    def step(x_1I: Tensor, state: State) -> State:
        after: State = layer(x_1I[:, None], state)[1]
        return after

    return step


def scaled(weight_HH: Tensor, radius: float) -> Tensor:
    """A random matrix whose largest eigenvalue, by absolute value, is ``radius``."""
    random_HH = torch.randn_like(weight_HH)
    return random_HH * (radius / torch.linalg.eigvals(random_HH).abs().max())


def linear_step(weight_HH: Tensor) -> Step:
    return lambda _, state: (state[0] @ weight_HH.T,)


@dataclass(frozen=True)
class Case:
    """What is measured once."""

    kind: str
    setting: str
    """The radius; or the forget bias."""
    noise: bool
    seed: int


def simple_norms(case: Case) -> list[float]:
    """Of a linear network, a tanh or a rectified one, in float64."""
    torch.manual_seed(case.seed)
    layer = LAYERS["elman" if case.kind == "linear" else case.kind](INPUTS, UNITS).double()
    assert isinstance(layer, Elman)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(scaled(layer.weight_hh_l0, float(case.setting)))
        layer.bias_ih_l0.zero_()
        layer.bias_hh_l0.zero_()
        layer.weight_ih_l0.normal_(std=INPUTS**-0.5)
    x_T1I = case.noise * torch.randn(LONGEST, 1, INPUTS, dtype=torch.float64)
    # What small noise there is at the beginning lets no rectified unit sit at its corner.
    state = (1e-3 * torch.randn(1, UNITS, dtype=torch.float64),)
    step = linear_step(layer.weight_hh_l0) if case.kind == "linear" else cell_step(layer)
    return norms(step, x_T1I, state)


def lstm_norms(case: Case) -> list[float]:
    """Of an LSTM's cell; ``direct``: without what h adds to the gates."""
    torch.manual_seed(case.seed)
    recurrent = Recurrent("lstm", INPUTS, UNITS, 1).double()
    layer = recurrent.layers[0]
    with torch.no_grad():
        bias_G = layer.get_parameter("bias_ih_l0")
        bias_G[UNITS : 2 * UNITS] = forget_bias(case.setting)
        if case.setting == "chrono":
            bias_G[:UNITS] = -bias_G[UNITS : 2 * UNITS]
        if case.kind == "direct":
            layer.get_parameter("weight_hh_l0").zero_()
    x_T1I = case.noise * torch.randn(LONGEST, 1, INPUTS, dtype=torch.float64)
    zeros = tuple(array.double() for array in recurrent.initial_state(1))
    return norms(cell_step(layer), x_T1I, zeros, of=1, by=(1,))


def forget_bias(setting: str) -> Tensor:
    """The same for all units, or for times from 1 to ``LONGEST`` (Tallec & Ollivier 2018)."""
    if setting == "chrono":
        return torch.empty(UNITS, dtype=torch.float64).uniform_(1, LONGEST - 1).log()
    return torch.full((UNITS,), float(setting), dtype=torch.float64)


def measure(case: Case) -> list[float]:
    return lstm_norms(case) if case.kind in ("direct", "whole") else simple_norms(case)


def geometric(values: Sequence[float]) -> str:
    """The geometric mean, and the factor that one standard deviation of the logarithm is.

    >>> geometric([1.0, 100.0])
    '10 ×/÷ 26'
    """
    if not min(values) > 0:
        return "0" if not max(values) > 0 else "0 to " + power(max(values))
    logs = [math.log(value) for value in values]
    mean = power(math.exp(fmean(logs)))
    return mean if len(logs) == 1 else f"{mean} ×/÷ {power(math.exp(stdev(logs)))}"


#: What is told of simple networks: the kind, and whether there is input.
NETWORKS = (("linear", True), ("elman", True), ("elman", False), ("elman-relu", True))


def cases(seeds: Sequence[int]) -> list[Case]:
    simple = [
        Case(kind, f"{radius:g}", noise, seed)
        for kind, noise in NETWORKS
        for radius in RADII
        for seed in seeds
    ]
    gated = [
        Case(kind, bias, True, seed)
        for kind in ("direct", "whole")
        for bias in BIASES
        for seed in seeds
    ]
    return simple + gated


Courses = dict[tuple[str, str, bool], list[list[float]]]


def simple_table(found: Courses) -> str:
    rows = [
        (
            kind + (", no input" if not noise else ""),
            str(distance),
            *(
                geometric([one[distance] for one in found[kind, f"{radius:g}", noise]])
                for radius in RADII
            ),
        )
        for kind, noise in NETWORKS
        for distance in SHOWN
    ]
    return table(("network", "distance", *(f"radius {radius:g}" for radius in RADII)), rows)


def lstm_table(found: Courses) -> str:
    rows = []
    for bias in BIASES:
        direct, whole = found["direct", bias, True], found["whole", bias, True]
        exact = "" if bias == "chrono" else power((1 / (1 + math.exp(-float(bias)))) ** 20)
        cells = [
            geometric([one[distance] for one in courses])
            for courses in (direct, whole)
            for distance in SHOWN
        ]
        rows.append((bias, exact, *cells))
    header = [f"{path} {n}" for path in ("direct path,", "all paths,") for n in SHOWN]
    return table(("forget bias b", "σ(b)^20", *header), rows)


def picture(found: Courses, figure: "Figure") -> None:
    left, right = figure.subplots(1, 2)
    dashes: dict[str, Literal["-", "--", ":"]] = {"linear": ":", "elman": "-", "elman-relu": "--"}
    across = range(0, LONGEST + 1, 5)
    for (kind, setting, noise), courses in found.items():
        middle = [
            math.exp(fmean(math.log(max(course[n], 1e-300)) for course in courses)) for n in across
        ]
        if kind in dashes and noise:
            colour = f"C{RADII.index(float(setting))}"
            left.plot(across, middle, dashes[kind], color=colour)
        elif kind not in dashes:
            style = "--" if kind == "direct" else "-"
            right.plot(across, middle, style, color=f"C{BIASES.index(setting)}")
    left.set_ylim(1e-30, 1e30)
    for axes in (left, right):
        axes.set_yscale("log")
    dress(left, "distance, in tokens", "norm of the gradient", "simple networks")
    dress(right, "distance, in tokens", "", "an LSTM's cell")
    tell(left, [f"radius {radius:g}" for radius in RADII], dashes)
    tell(right, [f"bias {bias}" for bias in BIASES], {"direct path": "--", "all paths": "-"})


def tell(axes: "Axes", colours: Sequence[str], dashes: Mapping[str, str]) -> None:
    """A legend of colours and of dashes."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=f"C{n}") for n in range(len(colours))]
    handles += [Line2D([], [], color="#777777", linestyle=style) for style in dashes.values()]
    axes.legend(handles, [*colours, *dashes], frameon=False, fontsize=8, loc="lower left")


def main() -> None:
    asked = options("vanishing", __doc__).parse_args()
    todo = cases(range(1, asked.seeds + 1))
    found: Courses = {}
    for case, course in zip(todo, work_through(measure, todo, asked.jobs), strict=True):
        found.setdefault((case.kind, case.setting, case.noise), []).append(course)
    print(f"Norms of the gradient, geometric means over seeds 1 to {asked.seeds};", end=" ")
    print("×/÷: one standard deviation of the logarithm.\n")
    print(simple_table(found), end="\n\n")
    print("An LSTM's cell:\n")
    print(lstm_table(found))
    draw(asked.output, lambda figure: picture(found, figure), (8, 4.5))


if __name__ == "__main__":
    main()
