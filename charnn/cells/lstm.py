"""The LSTM: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000).

    i = σ(W_ii x + b_ii + W_hi h + b_hi)        input gate: how much of the new goes in
    f = σ(W_if x + b_if + W_hf h + b_hf)        forget gate: how much of the old stays
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)     what is new
    o = σ(W_io x + b_io + W_ho h + b_ho)        output gate: how much is shown
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')

On disk, as in PyTorch: ``weight_ih`` [4H, I], ``weight_hh`` [4H, H], ``bias_ih`` and ``bias_hh``
[4H], the gates stacked in the order i f g o. The state is h and c.
"""

import numpy as np

from charnn.cells.arithmetic import multiply, sigmoid
from charnn.cells.base import Activation, Array, Cell, Inner, State


class LSTM(Cell):
    """One LSTM layer.

    Args:
        weight_ih, weight_hh, bias_ih, bias_hh: as above.
        gate: the gates' activation, σ.
        activation: what new and shown values go through, tanh.
    """

    remembers = ("hidden", "cell")
    gates = ("input", "forget", "output")
    keeps = "forget"

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
        # The gates side by side, and both products in one: W [x, h].
        H, inputs = weight_hh.shape[1], weight_ih.shape[1]
        i_f_o_g = np.r_[: 2 * H, 3 * H : 4 * H, 2 * H : 3 * H]
        self._weight_GK = np.concatenate((weight_ih, weight_hh), axis=1)[i_f_o_g]
        super().__init__(self._weight_GK[:, :inputs], (bias_ih + bias_hh)[i_f_o_g], H)
        self._weight_hh_GH = np.ascontiguousarray(self._weight_GK[:, inputs:])
        self._gate, self._activation = gate, activation

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As PyTorch's ``nn.LSTM`` has them."""
        return {
            "weight_ih": (4 * hidden, inputs),
            "weight_hh": (4 * hidden, hidden),
            "bias_ih": (4 * hidden,),
            "bias_hh": (4 * hidden,),
        }

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """Four times an Elman layer's."""
        return 4 * ((inputs + hidden) * hidden + hidden)

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The gates, what is new, and c' and h'."""
        hidden_BH, cell_BH = state
        return self._activate(multiply(hidden_BH, self._weight_hh_GH), projected_BG, cell_BH)

    def step(self, x_BI: Array, state: State) -> tuple[Array, State]:
        """One step, as one matrix product."""
        hidden_BH, cell_BH = state
        x_BK = np.concatenate((x_BI, hidden_BH), axis=1)
        return self._hand_on(self._activate(multiply(x_BK, self._weight_GK), self._bias_G, cell_BH))

    def _activate(self, product_BG: Array, rest: Array, cell_BH: Array) -> Inner:
        H = self.output_size
        product_BG += rest
        gates_BG = self._gate(product_BG[:, : 3 * H])
        input_BH, forget_BH = gates_BG[:, :H], gates_BG[:, H : 2 * H]
        output_BH = gates_BG[:, 2 * H :]
        new_BH = self._activation(product_BG[:, 3 * H :])
        cell_BH = forget_BH * cell_BH
        cell_BH += input_BH * new_BH
        return {
            "input": input_BH,
            "forget": forget_BH,
            "new": new_BH,
            "output": output_BH,
            "cell": cell_BH,
            "hidden": output_BH * self._activation(cell_BH),
        }
