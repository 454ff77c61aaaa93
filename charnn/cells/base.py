"""The contract of a recurrent cell, and what cells share.

A cell reads one vector a step and a row. What it hands on (its output) and what it remembers (its
state) are separate things; but the first array of every state is the output that was handed on
last, so that a state alone determines what a model predicts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
State = tuple[NDArray[Any], ...]
Activation = Callable[[Array], Array]
#: What goes on inside a step, by name.
Inner = dict[str, Array]


class Cell(ABC):
    """One layer of a recurrent network, one step at a time.

    A step is cut in two, so that the input's share can be computed for a whole window in one
    matrix product, or looked up in a table: ``step(x, s) == advance(project(x), s)``.

    Args:
        weight_ih: [G, I], the input's weights for all G pre-activations.
        bias: [G].
        output_size: the length of what is handed on.
    """

    remembers: tuple[str, ...] = ("hidden",)
    """Which of its activations are the state, in that order; the first is the output."""
    arrays = 1
    """How many that are, each as wide as the output."""
    gates: tuple[str, ...] = ()
    """Which of its activations are gates: from 0, shut, to 1, open."""
    keeps: str | None = None
    """The gate that leaves what a unit remembers as it is where it is open."""

    def __init_subclass__(cls) -> None:
        cls.arrays = len(cls.remembers)

    def __init__(self, weight_ih: Array, bias: Array, output_size: int) -> None:
        self.input_size = weight_ih.shape[1]
        self.output_size = output_size
        self._weight_ih_GI, self._bias_G = weight_ih, bias

    @staticmethod
    @abstractmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """The names and shapes of its tensors on disk, as ``__init__`` takes them."""

    @staticmethod
    @abstractmethod
    def count(inputs: int, hidden: int) -> int:
        """The number of its parameters, as the textbooks count them.

        Two biases that only ever add up count once.
        """

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return (np.zeros((batch, self.output_size), self._weight_ih_GI.dtype),) * self.arrays

    def project(self, x: Array) -> Array:
        """The input's share of the pre-activations, bias included: [..., I] -> [..., G]."""
        return x @ self._weight_ih_GI.T + self._bias_G

    def project_one_hot(self) -> Array:
        """``project`` of every one-hot vector, [I, G]: the columns of W, and the bias."""
        return self._weight_ih_GI.T + self._bias_G

    @abstractmethod
    def activations(self, projected_BG: Array, state: State) -> Inner:
        """Every inner value of ``advance`` by its name, [B, H] each.

        ``advance`` takes its results from here, so what is looked at is what runs.
        """

    def advance(self, projected_BG: Array, state: State) -> tuple[Array, State]:
        """The recurrent rest of a step: the output [B, H] and the new state."""
        return self._hand_on(self.activations(projected_BG, state))

    def _hand_on(self, now: Inner) -> tuple[Array, State]:
        state = tuple([now[name] for name in self.remembers])
        return state[0], state

    def step(self, x_BI: Array, state: State) -> tuple[Array, State]:
        """One whole step: the output [B, H] and the new state."""
        return self.advance(self.project(x_BI), state)
