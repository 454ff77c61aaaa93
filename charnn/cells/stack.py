"""Layers on top of each other: each reads what the one below hands on."""

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
        sizes = [len(layer.initial_state(1)) for layer in self.layers]
        ends = np.cumsum(sizes).tolist()
        self.top = ends[-1] - sizes[-1]
        """Where in the state the top layer's output stands: every cell's state begins with it."""
        self._parts = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def initial_state(self, batch: int) -> State:
        """Zeros in every layer."""
        return tuple(array for layer in self.layers for array in layer.initial_state(batch))

    def advance(self, projected_BG: Array, state: State) -> tuple[Array, State]:
        """One step, from the first layer's ``project`` on."""
        first, *others = self.layers
        output_BH, new_state = first.advance(projected_BG, state[self._parts[0]])
        states: State = tuple(new_state)
        for layer, part in zip(others, self._parts[1:], strict=True):
            output_BH, new_state = layer.step(output_BH, state[part])
            states += tuple(new_state)
        return output_BH, states

    def unroll(
        self, projected_BTG: Array, lengths_B: NDArray[Any], state: State
    ) -> tuple[Array, State]:
        """A window, layer by layer: each layer's input products in one piece.

        Row b stops after ``lengths_B[b]`` steps: its state stays, and its later outputs mean
        nothing.

        Returns:
            The top layer's outputs [B, T, H] and the state.
        """
        states: State = ()
        outputs_BTH = projected_BTG
        for n, (layer, part) in enumerate(zip(self.layers, self._parts, strict=True)):
            if n:
                projected_BTG = layer.project(outputs_BTH)
            layer_state = state[part]
            B, T = projected_BTG.shape[:2]
            outputs_BTH = np.empty((B, T, layer.output_size), projected_BTG.dtype)
            shortest = int(lengths_B.min(initial=T))
            for t in range(T):
                outputs_BTH[:, t], new_state = layer.advance(projected_BTG[:, t], layer_state)
                if t >= shortest:
                    goes_on_B1 = (t < lengths_B)[:, None]
                    new_state = tuple(
                        np.where(goes_on_B1, new, old)
                        for new, old in zip(new_state, layer_state, strict=True)
                    )
                layer_state = new_state
            states += tuple(layer_state)
        return outputs_BTH, states
