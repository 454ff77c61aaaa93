"""Layers on top of each other, trainable."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from charnn.cells import CELLS
from charnn.nn.cells import LAYERS, State


class LockedDropout(nn.Module):
    """Dropout whose mask is the same at every step of a window, other for every row.

    Gal & Ghahramani (2016), "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks", section 4; the name is that of Merity et al. (2018). It also needs far fewer random
    numbers than a mask for every step.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_BTI: Tensor) -> Tensor:
        """Drop features, and scale what stays to keep the mean."""
        if not self.training or not self.p:
            return x_BTI
        mask_B1I = torch.rand(len(x_BTI), 1, x_BTI.shape[2], device=x_BTI.device) >= self.p
        return x_BTI * (mask_B1I.to(x_BTI.dtype) / (1 - self.p))


class Recurrent(nn.Module):
    """Layers of a cell with locked dropout between them, one way or both ways.

    Both ways, each layer hands on both outputs side by side, [B, T, 2H], the forward half first.

    An LSTM's forget gate starts with a bias of 1 in all, so that a new network remembers
    (Jozefowicz et al. 2015, section 3.2). Other biases start at 0, and so does what a peephole sees
    of the cell: it begins as an LSTM, for a cell that reads itself at random explodes.

    Args:
        cell: the cell's name.
        inputs: I, the length of what the first layer reads.
        hidden: H.
        layers: how many.
        dropout: the share of what a layer hands to the next that is dropped in training.
        weight_dropout: the share of the weights from state to state that is dropped in training,
            others for each window. Merity et al. (2018), "Regularizing and Optimizing LSTM Language
            Models", section 2.
        bidirectional: whether a second cell in each layer reads the window backwards.
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        layers: int,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        *,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.hidden, self.arrays = hidden, CELLS[cell].arrays
        self.directions = 2 if bidirectional else 1
        read = [inputs] + [self.directions * hidden] * (layers - 1)
        self.layers = nn.ModuleList(LAYERS[cell](size, hidden) for size in read)
        self.backward_layers = nn.ModuleList(
            LAYERS[cell](size, hidden) for size in read if bidirectional
        )
        self.dropout, self.weight_dropout = LockedDropout(dropout), weight_dropout
        for name, parameter in self.named_parameters():
            kind = name.rpartition(".")[2].removesuffix("_l0")
            if kind.startswith("bias") or kind == "weight_ch":
                nn.init.zeros_(parameter)
            if self.arrays > 1 and kind in ("bias", "bias_ih"):
                nn.init.ones_(parameter[hidden : 2 * hidden])

    def initial_state(self, batch: int) -> State:
        """Zeros, [B, H] each."""
        weight = next(self.parameters())
        count = self.directions * self.arrays * len(self.layers)
        return tuple(weight.new_zeros(batch, self.hidden) for _ in range(count))

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window: outputs [B, T, H] and the state behind it."""
        new_state: State = ()
        for n, layer in enumerate(self.layers):
            if n:
                x_BTI = self.dropout(x_BTI)
            now, state = state[: self.arrays], state[self.arrays :]
            outputs_BTH, after = self._run(layer, x_BTI, now)
            new_state += after
            if self.backward_layers:
                now, state = state[: self.arrays], state[self.arrays :]
                mirrored_BTH, after = self._run(self.backward_layers[n], x_BTI.flip(1), now)
                outputs_BTH = torch.cat((outputs_BTH, mirrored_BTH.flip(1)), 2)
                new_state += after
            x_BTI = outputs_BTH
        return x_BTI, new_state

    def _run(self, layer: nn.Module, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        if not (self.training and self.weight_dropout):
            return layer(x_BTI, state)  # type: ignore[no-any-return]
        dropped = {
            name: F.dropout(weight, self.weight_dropout)
            for name, weight in layer.named_parameters()
            if weight.ndim == 2 and not name.startswith("weight_ih")
        }
        return functional_call(layer, dropped, (x_BTI, state))  # type: ignore[no-any-return]


def detach(state: State) -> State:
    """Cut a state from the graph: here truncated backpropagation through time stops.

    It is carried in full precision, whatever the window was computed in.
    """
    return tuple(
        array.detach().to(torch.promote_types(array.dtype, torch.float32)) for array in state
    )
