"""The Jordan network: Jordan (1986), "Serial order". The network's output is fed back.

    h' = tanh(W_ih x + W_oh y + b_h)        hidden layer: sees the output of the previous step
    y' = tanh(W_ho h' + b_o)                output: handed on, and fed back

The output belongs to the cell and is as long as the hidden layer; what turns it into logits lies
outside, as for every cell. The state is y.

On disk: ``weight_ih`` [H, I], ``weight_oh`` [H, O], ``bias_h`` [H], ``weight_ho`` [O, H],
``bias_o`` [O]; O = H in a language model.
"""

import numpy as np

from charnn.cells.arithmetic import multiply
from charnn.cells.base import Activation, Array, Cell, Inner, State


class Jordan(Cell):
    """One Jordan layer.

    Args:
        weight_ih, weight_oh, bias_h, weight_ho, bias_o: as above.
        activation: φ of the hidden layer; by default tanh.
        output_activation: φ of the output; by default tanh.
    """

    remembers = ("output",)

    def __init__(
        self,
        weight_ih: Array,
        weight_oh: Array,
        bias_h: Array,
        weight_ho: Array,
        bias_o: Array,
        *,
        activation: Activation = np.tanh,
        output_activation: Activation = np.tanh,
    ) -> None:
        super().__init__(weight_ih, bias_h, len(weight_ho))
        self._weight_oh_HO, self._weight_ho_OH = weight_oh, weight_ho
        self._bias_O = bias_o
        self._activation, self._output_activation = activation, output_activation

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As above, with O = H."""
        return {
            "weight_ih": (hidden, inputs),
            "weight_oh": (hidden, hidden),
            "bias_h": (hidden,),
            "weight_ho": (hidden, hidden),
            "bias_o": (hidden,),
        }

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """An Elman layer's, and the readout."""
        return (inputs + hidden) * hidden + hidden + hidden * hidden + hidden

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """The hidden layer h' and the output y'."""
        (output_BO,) = state
        hidden_BH = self._activation(projected_BG + multiply(output_BO, self._weight_oh_HO))
        read_BO = multiply(hidden_BH, self._weight_ho_OH) + self._bias_O
        return {"hidden": hidden_BH, "output": self._output_activation(read_BO)}
