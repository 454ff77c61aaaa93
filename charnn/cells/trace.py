"""What goes on inside a stack while it reads: every layer's gates and values, step by step."""

import numpy as np

from charnn.cells.base import Array, Cell, Inner, State
from charnn.cells.stack import Stack


def trace(stack: Stack, projected_BTG: Array, state: State) -> tuple[list[Inner], State]:
    """A window of at least one step, layer by layer, from the first layer's ``project`` on.

    Returns:
        Of each layer the inner values of its cell by name, [B, T, H] each, and the new state.
    """
    states: State = ()
    layers: list[Inner] = []
    for n, (layer, part) in enumerate(zip(stack.layers, stack.parts, strict=True)):
        if n:
            below = stack.layers[n - 1]
            projected_BTG = layer.project(layers[-1][below.remembers[0]])
        inner, new_state = _trace(layer, projected_BTG, state[part])
        layers.append(inner)
        states += new_state
    return layers, states


def _trace(cell: Cell, projected_BTG: Array, state: State) -> tuple[Inner, State]:
    inner: Inner = {}
    for t in range(projected_BTG.shape[1]):
        now = cell.activations(projected_BTG[:, t], state)
        for name, value_BH in now.items():
            if not t:
                shape = (len(value_BH), projected_BTG.shape[1], value_BH.shape[1])
                inner[name] = np.empty(shape, value_BH.dtype)
            inner[name][:, t] = value_BH
        state = tuple(now[name] for name in cell.remembers)
    return inner, state
