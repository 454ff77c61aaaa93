"""Layers on top of each other: each reads what the one below hands on. One way, or both ways."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.cells.base import Array, Cell, State


class Stack:
    """Cells as one deep cell; its state is the layers' states in one flat tuple."""

    def __init__(self, layers: Sequence[Cell]) -> None:
        self.layers = tuple(layers)
        self.output_size = self.layers[-1].output_size
        ends = np.cumsum([layer.arrays for layer in self.layers]).tolist()
        self.top = ends[-1] - self.layers[-1].arrays
        """Where in the state the top layer's output stands: every cell's state begins with it."""
        self.parts = [
            slice(end - layer.arrays, end) for layer, end in zip(self.layers, ends, strict=True)
        ]

    def initial_state(self, batch: int) -> State:
        """Zeros in every layer."""
        return tuple(array for layer in self.layers for array in layer.initial_state(batch))

    def advance(self, projected_BG: Array, state: State) -> tuple[Array, State]:
        """One step, from the first layer's ``project`` on."""
        first, *others = self.layers
        output_BH, new_state = first.advance(projected_BG, state[self.parts[0]])
        states: State = tuple(new_state)
        for layer, part in zip(others, self.parts[1:], strict=True):
            output_BH, new_state = layer.step(output_BH, state[part])
            states += tuple(new_state)
        return output_BH, states

    def unroll(
        self, projected_BTG: Array, lengths_B: NDArray[Any], state: State
    ) -> tuple[Array, State]:
        """A window, layer by layer, from the first layer's ``project`` on.

        Row b stops after ``lengths_B[b]`` steps: its state stays, and its later outputs mean
        nothing.

        Returns:
            The top layer's outputs [B, T, H] and the state.
        """
        states: State = ()
        outputs_BTH = projected_BTG
        for n, (layer, part) in enumerate(zip(self.layers, self.parts, strict=True)):
            if n:
                projected_BTG = layer.project(outputs_BTH)
            outputs_BTH, new_state = _unroll(layer, projected_BTG, lengths_B, state[part])
            states += new_state
        return outputs_BTH, states


class BidirectionalStack:
    """Layers that each read a text both ways: Schuster & Paliwal (1997), section II.

    For taggers and encoders, which know the whole text; a language model that read backwards would
    see what it is to predict. Layers above the first read 2H values: both outputs, side by side.

    Args:
        layers: for each layer the cell that reads forwards and the one that reads backwards.
    """

    def __init__(self, layers: Sequence[tuple[Cell, Cell]]) -> None:
        self.layers = tuple(layers)

    def initial_state(self, batch: int) -> State:
        """Zeros for every cell: in each layer the forward one comes first."""
        cells = (cell for pair in self.layers for cell in pair)
        return tuple(array for cell in cells for array in cell.initial_state(batch))

    def unroll(self, x_BTI: Array, lengths_B: NDArray[Any], state: State) -> tuple[Array, State]:
        """Read whole texts; row b is ``x_BTI[b, :lengths_B[b]]``.

        Returns:
            The top layer's outputs [B, T, 2H], forward half first, and the state. What lies behind
            a row's end means nothing.
        """
        states: State = ()
        steps_T = np.arange(x_BTI.shape[1])
        ends_B1 = lengths_B[:, None]
        mirrored_BT = np.where(steps_T < ends_B1, ends_B1 - 1 - steps_T, steps_T)
        rows_B1 = np.arange(len(x_BTI))[:, None]
        for pair in self.layers:
            halves = []
            for cell, order_BT in zip(pair, (None, mirrored_BT), strict=True):
                now, state = state[: cell.arrays], state[cell.arrays :]
                read_BTI = x_BTI if order_BT is None else x_BTI[rows_B1, order_BT]
                half_BTH, new = _unroll(cell, cell.project(read_BTI), lengths_B, now)
                halves.append(half_BTH if order_BT is None else half_BTH[rows_B1, order_BT])
                states += new
            x_BTI = np.concatenate(halves, axis=2)
        return x_BTI, states


def _unroll(
    cell: Cell, projected_BTG: Array, lengths_B: NDArray[Any], state: State
) -> tuple[Array, State]:
    B, T = projected_BTG.shape[:2]
    outputs_BTH = np.empty((B, T, cell.output_size), projected_BTG.dtype)
    shortest = int(lengths_B.min(initial=T))
    for t in range(T):
        outputs_BTH[:, t], new_state = cell.advance(projected_BTG[:, t], state)
        if t >= shortest:
            goes_on_B1 = (t < lengths_B)[:, None]
            new_state = tuple(
                np.where(goes_on_B1, new, old) for new, old in zip(new_state, state, strict=True)
            )
        state = tuple(new_state)
    return outputs_BTH, state
