"""Gates, cells and hidden values while a model reads, and how long each unit remembers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.cells.base import Array, Inner
from charnn.engine import Engine

Ids = NDArray[np.integer[Any]]
Advance = Callable[[int], None]

#: Steps that are read at a time: bounds the memory that it takes.
_WINDOW = 512

#: A gate above is open, one below is shut: Karpathy, Johnson & Fei-Fei (2015), section 4.2.
OPEN, SHUT = 0.9, 0.1


def read(
    engine: Engine, ids_T: Ids, advance: Advance = lambda tokens: None
) -> Iterator[list[Inner]]:
    """Read a text from nothing on, the state carried: what goes on inside, window by window.

    Args:
        engine: the model that reads.
        ids_T: the text.
        advance: is told how many tokens were read.

    Yields:
        Of each layer the gates and values of its cell by name, [T', H] each, in the model's type.
    """
    state = engine.initial_state(1)
    for begin in range(0, len(ids_T), _WINDOW):
        ids_1T = ids_T[None, begin : begin + _WINDOW].astype(np.int64)
        layers, state = engine.trace(ids_1T, state)
        yield [{name: values[0] for name, values in inner.items()} for inner in layers]
        advance(ids_1T.shape[1])


def activations(engine: Engine, ids_T: Ids) -> list[Inner]:
    """What goes on inside a model while it reads a text of at least one token.

    Returns:
        Of each layer the gates and values of its cell by name, [T, H] each, in the model's type.
    """
    windows = list(read(engine, ids_T))
    return [
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*windows, strict=True)
    ]


def most_varied(values_TH: Array, count: int) -> list[int]:
    """The units whose values vary most (standard deviation over the text), in their order."""
    spread_H = values_TH.std(axis=0, dtype=np.float64)
    return sorted(np.argsort(-spread_H, kind="stable")[:count].tolist())


@dataclass(frozen=True)
class GateUse:
    """How a gate was used over a text, unit by unit: [H] each."""

    mean_H: NDArray[np.float64]
    open_H: NDArray[np.float64]
    """The share of steps in which it was above ``OPEN``."""
    shut_H: NDArray[np.float64]
    """The share of steps in which it was below ``SHUT``."""


@dataclass(frozen=True)
class LayerUse:
    """How the gates of a layer were used over a text."""

    gates: dict[str, GateUse]
    memory_H: NDArray[np.float64] | None
    """How long each unit remembers, in tokens; None where no gate keeps anything."""


def summarize(engine: Engine, ids_T: Ids, advance: Advance = lambda tokens: None) -> list[LayerUse]:
    """How a model's gates are used over a text of at least one token, layer by layer.

    Memory does not grow with the text. The arguments are those of ``read``.
    """
    sums: list[dict[str, list[NDArray[np.float64]]]] = [{} for _ in engine.layers]
    for window in read(engine, ids_T, advance):
        for cell, inner, kept in zip(engine.layers, window, sums, strict=True):
            for name in cell.gates:
                gate_TH = inner[name].astype(np.float64)
                counted = [x_TH.sum(axis=0) for x_TH in (gate_TH, gate_TH > OPEN, gate_TH < SHUT)]
                before = kept.get(name, [np.zeros(cell.output_size)] * 3)
                kept[name] = [a + b for a, b in zip(before, counted, strict=True)]
    uses = []
    for cell, kept in zip(engine.layers, sums, strict=True):
        gates = {name: GateUse(*(s / len(ids_T) for s in kept[name])) for name in cell.gates}
        memory_H = time_constant(gates[cell.keeps].mean_H) if cell.keeps else None
        uses.append(LayerUse(gates, memory_H))
    return uses


def time_constant(gate: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many steps it takes until 1/e is left of what a unit remembers: -1 / ln f.

    With nothing new, a gate that stays at f leaves f^t after t steps, which is exp(-t / T) for
    T = -1 / ln f: the timescale of Mahto et al. (2021), "Multi-timescale representation learning in
    LSTM language models", who take f as the mean over a text. Tallec & Ollivier (2018), "Can
    recurrent neural networks warp time?", have its first order, 1 / (1 - f). Half is left after
    T ln 2 steps. A real unit also forgets by being written over, and not at one pace.

    >>> time_constant(np.array([0.0, 0.5, 0.9, 0.99, 1.0])).round(2).tolist()
    [0.0, 1.44, 9.49, 99.5, inf]
    """
    with np.errstate(divide="ignore"):
        constant: NDArray[np.float64] = -1 / np.log(gate)
    return np.abs(constant)  # no -0
