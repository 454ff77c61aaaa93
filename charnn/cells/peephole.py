"""LSTMs whose gates see the cell: Gers & Schmidhuber (2000), "Recurrent nets that time and count".

    i = σ(W_ii x + W_hi h + w_ci ⊙ c + b_i)         input gate: sees the old cell
    f = σ(W_if x + W_hf h + w_cf ⊙ c + b_f)         forget gate: likewise
    g = tanh(W_ig x + W_hg h + b_g)
    c' = f ⊙ c + i ⊙ g
    o = σ(W_io x + W_ho h + w_co ⊙ c' + b_o)        output gate: sees the new cell
    h' = o ⊙ tanh(c')

On disk: ``weight_ih`` [4H, I], ``weight_hh`` [4H, H], ``bias`` [4H], in the order i f g o, and
``weight_ch`` [3H], in the order i f o.

Some lectures draw it otherwise: all of i, f, g and o see [x, h, c], the old cell, through full
matrices. That is ``PeepholeFull``; its ``weight_ch`` is [4H, H]. The state of both is h and c, and
without their weight_ch both are the LSTM.
"""

import numpy as np

from charnn.cells.arithmetic import multiply, sigmoid
from charnn.cells.base import Activation, Array, Cell, Inner, State


class Peephole(Cell):
    """One LSTM layer with peepholes.

    Args:
        weight_ih, weight_hh, weight_ch, bias: as above.
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
        weight_ch: Array,
        bias: Array,
        *,
        gate: Activation = sigmoid,
        activation: Activation = np.tanh,
    ) -> None:
        super().__init__(weight_ih, bias, weight_hh.shape[1])
        self._weight_hh_GH, self._weight_ch = weight_hh, weight_ch
        self._gate, self._activation = gate, activation

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As above."""
        return {
            "weight_ih": (4 * hidden, inputs),
            "weight_hh": (4 * hidden, hidden),
            "weight_ch": (3 * hidden,),
            "bias": (4 * hidden,),
        }

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """An LSTM's, and a peephole for each gate of each unit."""
        return 4 * ((inputs + hidden) * hidden + hidden) + 3 * hidden

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The gates, what is new, and c' and h'."""
        hidden_BH, cell_BH = state
        H = self.output_size
        gates_BG = projected_BG + multiply(hidden_BH, self._weight_hh_GH)
        seen_BG = self._weight_ch[: 2 * H] * np.concatenate((cell_BH, cell_BH), axis=1)
        input_and_forget = self._gate(gates_BG[:, : 2 * H] + seen_BG)
        new_BH = self._activation(gates_BG[:, 2 * H : 3 * H])
        cell_BH = input_and_forget[:, H:] * cell_BH + input_and_forget[:, :H] * new_BH
        output_BH = self._gate(gates_BG[:, 3 * H :] + self._weight_ch[2 * H :] * cell_BH)
        return self._named(input_and_forget, new_BH, output_BH, cell_BH)

    def _named(self, in_and_forget: Array, new: Array, output: Array, cell: Array) -> Inner:
        H = self.output_size
        return {
            "input": in_and_forget[:, :H],
            "forget": in_and_forget[:, H:],
            "new": new,
            "output": output,
            "cell": cell,
            "hidden": output * self._activation(cell),
        }


class PeepholeFull(Peephole):
    """One LSTM layer that sees its input, its output and its cell through full matrices."""

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As above."""
        return {**Peephole.shapes(inputs, hidden), "weight_ch": (4 * hidden, hidden)}

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """Four gates, each of which sees x, h and c."""
        return 4 * ((inputs + 2 * hidden) * hidden + hidden)

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The gates, what is new, and c' and h'."""
        hidden_BH, cell_BH = state
        H = self.output_size
        gates_BG = projected_BG + multiply(hidden_BH, self._weight_hh_GH)
        gates_BG += multiply(cell_BH, self._weight_ch)
        input_and_forget = self._gate(gates_BG[:, : 2 * H])
        new_BH = self._activation(gates_BG[:, 2 * H : 3 * H])
        cell_BH = input_and_forget[:, H:] * cell_BH + input_and_forget[:, :H] * new_BH
        output_BH = self._gate(gates_BG[:, 3 * H :])
        return self._named(input_and_forget, new_BH, output_BH, cell_BH)
