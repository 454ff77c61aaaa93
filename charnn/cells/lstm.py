"""The LSTM: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000).

    i = σ(W_ii x + b_ii + W_hi h + b_hi)        input gate: how much of the new goes in
    f = σ(W_if x + b_if + W_hf h + b_hf)        forget gate: how much of the old stays
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)     what is new
    o = σ(W_io x + b_io + W_ho h + b_ho)        output gate: how much is shown
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')

On disk, as in PyTorch: ``weight_ih`` [4H, I], ``weight_hh`` [4H, H], ``bias_ih`` and ``bias_hh``
[4H], the gates stacked in the order i f g o.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from charnn.cells.base import Array, State, sigmoid

Activation = Callable[[Array], Array]


class LSTMState(NamedTuple):
    """What an LSTM remembers."""

    hidden_BH: Array
    cell_BH: Array


class LSTM:
    """One LSTM layer.

    Args:
        weight_ih, weight_hh, bias_ih, bias_hh: as above.
        gate: the gates' activation, σ.
        activation: what new and shown values go through, tanh.
    """

    tensors = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array,
        bias_hh: Array,
        *,
        gate: Activation = sigmoid,
        activation: Activation = np.tanh,
    ) -> None:
        self.input_size = weight_ih.shape[1]
        self.output_size = weight_hh.shape[1]
        # Side by side, a step is one product: W [x, h].
        self._weight_GK = np.concatenate((weight_ih, weight_hh), axis=1)
        self._bias_G = bias_ih + bias_hh
        self._gate = gate
        self._activation = activation

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros."""
        zeros = np.zeros((batch, self.output_size), self._weight_GK.dtype)
        return LSTMState(zeros, zeros)

    def project(self, x: Array) -> Array:
        """W_ih x + b, for any number of steps."""
        return x @ self._weight_GK[:, : self.input_size].T + self._bias_G

    def project_one_hot(self) -> Array:
        """The projections of all one-hot vectors, [I, 4H]: the columns of W_ih, and b."""
        return self._weight_GK[:, : self.input_size].T + self._bias_G

    def advance(self, projected_BG: Array, state: State) -> tuple[Array, LSTMState]:
        """The step from W_ih x + b on."""
        hidden_BH, cell_BH = state
        gates_BG = hidden_BH @ self._weight_GK[:, self.input_size :].T
        gates_BG += projected_BG
        return self._activate(gates_BG, cell_BH)

    def step(self, x_BI: Array, state: State) -> tuple[Array, LSTMState]:
        """One step, as one matrix product."""
        hidden_BH, cell_BH = state
        gates_BG = np.concatenate((x_BI, hidden_BH), axis=1) @ self._weight_GK.T
        gates_BG += self._bias_G
        return self._activate(gates_BG, cell_BH)

    def _activate(self, gates_BG: Array, cell_BH: Array) -> tuple[Array, LSTMState]:
        H = self.output_size
        input_and_forget = self._gate(gates_BG[:, : 2 * H])
        new_BH = self._activation(gates_BG[:, 2 * H : 3 * H])
        output_BH = self._gate(gates_BG[:, 3 * H :])
        new_BH *= input_and_forget[:, :H]
        cell_BH = input_and_forget[:, H:] * cell_BH
        cell_BH += new_BH
        hidden_BH = self._activation(cell_BH)
        hidden_BH *= output_BH
        return hidden_BH, LSTMState(hidden_BH, cell_BH)
