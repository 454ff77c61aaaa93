"""Layers on top of each other, trainable: fused kernels where PyTorch has them."""

import torch
from torch import Tensor, nn

#: The layers' states, in the order of the NumPy stack: h, c of layer 0, h, c of layer 1, ...
State = tuple[Tensor, ...]


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


class StackedLSTM(nn.Module):
    """LSTM layers with locked dropout between them.

    Each layer is an ``nn.LSTM`` of its own, which runs a whole window in one fused kernel (oneDNN,
    cuDNN). Equations: ``charnn.cells.lstm``. The forget gate's bias starts at 1 in all, so that a
    new network remembers (Jozefowicz et al. 2015, section 3.2).
    """

    def __init__(self, input_size: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = nn.ModuleList(
            nn.LSTM(hidden if n else input_size, hidden, batch_first=True) for n in range(layers)
        )
        self.dropout = LockedDropout(dropout)
        for layer in self.layers:
            for name, parameter in layer.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    nn.init.ones_(parameter[hidden : 2 * hidden])

    def initial_state(self, batch: int) -> State:
        """Zeros, [B, H] each."""
        weight = next(self.parameters())
        return tuple(weight.new_zeros(batch, self.hidden) for _ in range(2 * len(self.layers)))

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a window: outputs [B, T, H] and the state behind it."""
        new_state: State = ()
        for n, layer in enumerate(self.layers):
            if n:
                x_BTI = self.dropout(x_BTI)
            hidden_1BH, cell_1BH = (array[None] for array in state[2 * n : 2 * n + 2])
            x_BTI, (hidden_1BH, cell_1BH) = layer(x_BTI, (hidden_1BH, cell_1BH))
            new_state += (hidden_1BH[0], cell_1BH[0])
        return x_BTI, new_state


def detach(state: State) -> State:
    """Cut a state from the graph: here truncated backpropagation through time stops.

    It is carried in full precision, whatever the window was computed in.
    """
    return tuple(
        array.detach().to(torch.promote_types(array.dtype, torch.float32)) for array in state
    )
