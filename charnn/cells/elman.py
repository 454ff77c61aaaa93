"""The Elman network: Elman (1990), "Finding structure in time". The hidden layer is fed back.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

On disk, as in PyTorch: ``weight_ih`` [H, I], ``weight_hh`` [H, H], ``bias_ih`` and ``bias_hh`` [H].
"""

import numpy as np

from charnn.cells.arithmetic import multiply, relu
from charnn.cells.base import Activation, Array, Cell, Inner, State


class Elman(Cell):
    """One Elman layer.

    Args:
        weight_ih, weight_hh, bias_ih, bias_hh: as above.
        activation: φ; by default tanh.

    A linear network of one unit that is fed 1, 0, 0, ... shows what its weight is to the power of
    the time: it vanishes or explodes.

    >>> from charnn.cells.arithmetic import identity
    >>> one, zero = np.ones((1, 1)), np.zeros(1)
    >>> cell = Elman(one, 1.01 * one, zero, zero, activation=identity)
    >>> y, state = cell.step(one, cell.initial_state(1))
    >>> for _ in range(999):
    ...     y, state = cell.step(0 * one, state)
    >>> round(y.item())
    20752
    """

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array,
        bias_hh: Array,
        *,
        activation: Activation = np.tanh,
    ) -> None:
        super().__init__(weight_ih, bias_ih + bias_hh, len(weight_hh))
        self._weight_hh_HH = weight_hh
        self._activation = activation

    @staticmethod
    def shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """As PyTorch's ``nn.RNN`` has them."""
        return {
            "weight_ih": (hidden, inputs),
            "weight_hh": (hidden, hidden),
            "bias_ih": (hidden,),
            "bias_hh": (hidden,),
        }

    @staticmethod
    def count(inputs: int, hidden: int) -> int:
        """Weights from input and hidden layer, and a bias."""
        return (inputs + hidden) * hidden + hidden

    def activations(self, projected_BG: Array, state: State) -> Inner:
        """What is handed on, alone."""
        (hidden_BH,) = state
        fed_back_BH = multiply(hidden_BH, self._weight_hh_HH)
        return {"hidden": self._activation(projected_BG + fed_back_BH)}


class ElmanReLU(Elman):
    """An Elman layer with the rectifier max(x, 0) in place of tanh (Le et al. 2015)."""

    def __init__(self, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array) -> None:
        super().__init__(weight_ih, weight_hh, bias_ih, bias_hh, activation=relu)
