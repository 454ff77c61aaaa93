"""The gated recurrent unit: Cho et al. (2014), "Learning phrase representations", arXiv 1406.1078.

    r = σ(W_ir x + b_r + W_hr h)                reset gate: how much of the old the new one sees
    z = σ(W_iz x + b_z + W_hz h)                update gate: at 1 the old stays, at 0 the new comes
    n = tanh(W_in x + b_n + W_hn (r ⊙ h))       what is new
    h' = z ⊙ h + (1 - z) ⊙ n

So it stands in version 3 of the paper (section 2.3), and here as ``GRU``. Version 1 resets after
the product, and so do cuDNN, oneDNN and ``nn.GRU``, because then all products with h are one:

    n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))

which is ``GRUResetAfter``. Many texts swap z and 1 - z; here, as in PyTorch, z = 1 keeps.

On disk, the gates stacked in the order r z n: ``weight_ih`` [3H, I] and ``weight_hh`` [3H, H], with
``bias`` [3H], or, reset after, with PyTorch's ``bias_ih`` and ``bias_hh`` [3H].
"""

import numpy as np

from charnn.cells.arithmetic import multiply, sigmoid
from charnn.cells.base import Activation, Array, Cell, Inner, State


class GRU(Cell):
    """One GRU layer that resets before the product.

    Args:
        weight_ih, weight_hh, bias: as above.
        gate: the gates' activation, σ.
        activation: what the new goes through, tanh.
    """

    gates = ("reset", "update")
    keeps = "update"

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias: Array,
        *,
        gate: Activation = sigmoid,
        activation: Activation = np.tanh,
    ) -> None:
        super().__init__(weight_ih, bias, weight_hh.shape[1])
        self._weight_hh_GH = weight_hh
        self._gate, self._activation = gate, activation

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As above."""
        return {
            "weight_ih": (3 * hidden, inputs),
            "weight_hh": (3 * hidden, hidden),
            "bias": (3 * hidden,),
        }

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """Three times an Elman layer's."""
        return 3 * ((inputs + hidden) * hidden + hidden)

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The gates, what is new, and h'."""
        (hidden_BH,) = state
        H = self.output_size
        fed_back_BG = multiply(hidden_BH, self._weight_hh_GH[: 2 * H])
        gates_BG = self._gate(projected_BG[:, : 2 * H] + fed_back_BG)
        reset_BH, update_BH = gates_BG[:, :H], gates_BG[:, H:]
        seen_BH = multiply(reset_BH * hidden_BH, self._weight_hh_GH[2 * H :])
        new_BH = self._activation(projected_BG[:, 2 * H :] + seen_BH)
        return _mix(reset_BH, update_BH, new_BH, hidden_BH)


class GRUResetAfter(GRU):
    """One GRU layer that resets after the product, as ``nn.GRU`` does."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array) -> None:
        H = weight_hh.shape[1]
        shown_before_the_reset = np.concatenate((bias_hh[: 2 * H], 0 * bias_hh[2 * H :]))
        super().__init__(weight_ih, weight_hh, bias_ih + shown_before_the_reset)
        self._bias_hn_H = bias_hh[2 * H :]

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As PyTorch's ``nn.GRU`` has them."""
        shapes = GRU.shapes(inputs, hidden)
        bias = shapes.pop("bias")
        return shapes | {"bias_ih": bias, "bias_hh": bias}

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """A GRU's, and b_hn, which the reset gate scales."""
        return GRU.count(inputs, hidden) + hidden

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The gates, what is new, and h'."""
        (hidden_BH,) = state
        H = self.output_size
        fed_back_BG = multiply(hidden_BH, self._weight_hh_GH)
        gates_BG = self._gate(projected_BG[:, : 2 * H] + fed_back_BG[:, : 2 * H])
        reset_BH, update_BH = gates_BG[:, :H], gates_BG[:, H:]
        seen_BH = reset_BH * (fed_back_BG[:, 2 * H :] + self._bias_hn_H)
        new_BH = self._activation(projected_BG[:, 2 * H :] + seen_BH)
        return _mix(reset_BH, update_BH, new_BH, hidden_BH)


def _mix(reset_BH: Array, update_BH: Array, new_BH: Array, hidden_BH: Array) -> Inner:
    mixed_BH = update_BH * hidden_BH + (1 - update_BH) * new_BH
    return {"reset": reset_BH, "update": update_BH, "new": new_BH, "hidden": mixed_BH}
