"""Layers on top of each other, trainable: fused kernels where PyTorch has them."""

import torch
from torch import Tensor, nn

#: The layers' states, in the order of the NumPy stack: h, c of layer 0, h, c of layer 1, ...
State = tuple[Tensor, ...]


class StackedLSTM(nn.Module):
    """LSTM layers with dropout between them.

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
        self.dropout = nn.Dropout(dropout)
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
    """Cut a state from the graph: here truncated backpropagation through time stops."""
    return tuple(array.detach() for array in state)


def to_device(state: State, device: torch.device) -> State:
    """The state on another device."""
    return tuple(array.to(device) for array in state)
