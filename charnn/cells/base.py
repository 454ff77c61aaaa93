"""The contract of a recurrent cell, and the functions that cells share.

A cell reads one vector a step and a row. What it hands on (its output) and what it remembers (its
state) are separate things; but the first array of every state is the output that was handed on
last, so that a state alone determines what a model predicts.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
State = tuple[NDArray[Any], ...]


class Cell(Protocol):
    """One layer of a recurrent network, one step at a time.

    A step is cut in two, so that the input's share can be computed for a whole window in one
    matrix product, or looked up in a table: ``step(x, s) == advance(project(x), s)``.
    """

    input_size: int
    output_size: int

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        ...

    def project(self, x: Array) -> Array:
        """The input's share of the pre-activations, bias included: [..., I] -> [..., G]."""
        ...

    def project_one_hot(self) -> Array:
        """``project`` of every one-hot vector: [I, G]."""
        ...

    def advance(self, projected_BG: Array, state: State) -> tuple[Array, State]:
        """The recurrent rest of a step: the output [B, H] and the new state."""
        ...

    def step(self, x_BI: Array, state: State) -> tuple[Array, State]:
        """One whole step: the output [B, H] and the new state."""
        ...


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow: (1 + tanh(x / 2)) / 2."""
    y = np.tanh(x * x.dtype.type(0.5))
    y += 1
    y *= x.dtype.type(0.5)
    return y
