"""How weights learn: Muon for the matrices of the recurrent layers, AdamW for everything else."""

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from charnn.nn.language_model import LanguageModel, named_weights
from charnn.training.config import TrainingConfig

#: What an optimizer remembers of a parameter, by name.
Moments = dict[str, Tensor]

_ADAM = ("exp_avg", "exp_avg_sq", "step")
_MUON = ("momentum",)

#: Polynomials a x + b x^3 + c x^5 that, one after the other, take singular values from 0.01 to 1
#: to between 0.73 and 1.27: each has the least error on what the one before leaves. Found
#: by Remez's algorithm, as Amsel et al. (2025), "The Polar Express", section 3, has it.
_POLYNOMIALS = (
    (8.0934, -23.6204, 17.4462),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)
_MOMENTUM = 0.95


class Optimizer:
    """One update of all parameters that learn.

    Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") replaces a
    matrix's averaged gradient by the orthogonal matrix nearest to it, so that a step is as long in
    rare directions as in common ones. Here each gate's matrix is one of its own. AdamW (Loshchilov
    & Hutter 2019) has the embedding, the output and the biases. Both decay weights apart from the
    gradient.

    PyTorch's optimizer classes are not used, for they import its compiler, which takes seconds.

    Args:
        model: whose parameters learn.
        config: the rates and the weight decay.
    """

    def __init__(self, model: LanguageModel, config: TrainingConfig) -> None:
        self._config, self._hidden = config, model.recurrent.hidden
        self._products = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self._parameters = {
            name: tensor for name, tensor in named_weights(model).items() if tensor.requires_grad
        }
        self._matrices = [
            name
            for name, tensor in self._parameters.items()
            if config.optimizer == "muon"
            and name.startswith("layers.")
            and tensor.ndim == 2
            # A table of one-hot vectors sees few of its rows at a time, as an embedding does.
            and not (model.embedding is None and name == "layers.0.weight_ih")
        ]
        self._rest = [name for name in self._parameters if name not in self._matrices]
        self.moments: dict[str, Moments] = {
            name: {
                moment: tensor.new_zeros(()) if moment == "step" else torch.zeros_like(tensor)
                for moment in (_MUON if name in self._matrices else _ADAM)
            }
            for name, tensor in self._parameters.items()
        }
        """By the parameter's name in a checkpoint."""

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Update once, with this share of the peak learning rates."""
        self._step_muon(share * self._config.muon_lr)
        self._step_adamw(share * self._config.lr)

    def _step_muon(self, rate: float) -> None:
        stacks: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for name in self._matrices:
            parameter, momentum = self._parameters[name], self.moments[name]["momentum"]
            assert parameter.grad is not None
            momentum.lerp_(parameter.grad, 1 - _MOMENTUM)
            ahead = parameter.grad.lerp(momentum, _MOMENTUM)  # Nesterov's momentum
            gates_GHI = ahead.view(-1, self._hidden, ahead.shape[1])
            stacks.setdefault(gates_GHI.shape[1:], []).append((parameter, gates_GHI))
        for (rows, columns), stack in stacks.items():
            gates_NHI = torch.cat([gates_GHI for _, gates_GHI in stack])
            updates_NHI = orthogonalize(gates_NHI, self._products).to(gates_NHI.dtype)
            # A step's length is the same for every shape: that of a square matrix.
            length = rate * max(1.0, rows / columns) ** 0.5
            sizes = [len(gates_GHI) for _, gates_GHI in stack]
            updates = torch.split(updates_NHI, sizes)
            for (parameter, _), update_GHI in zip(stack, updates, strict=True):
                parameter.mul_(1 - rate * self._config.weight_decay)
                parameter.sub_(update_GHI.reshape(parameter.shape), alpha=length)

    def _step_adamw(self, rate: float) -> None:
        parameters = [self._parameters[name] for name in self._rest]
        averages, squares, steps = (
            [self.moments[name][moment] for name in self._rest] for moment in _ADAM
        )
        adamw(
            parameters,
            [gradient for parameter in parameters if (gradient := parameter.grad) is not None],
            averages,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=self._config.weight_decay,
            eps=1e-8,
            maximize=False,
        )


def orthogonalize(matrices_NRC: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The orthogonal matrices nearest to these, roughly: U V^T for U S V^T, in ``dtype``.

    By matrix products alone, as in Newton and Schulz's iteration.
    """
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.mT if tall else matrices_NRC
    # The polynomials explode above 1, and what is nearly of rank one comes there by rounding.
    x = (x / (1.01 * torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).to(dtype)
    for a, b, c in _POLYNOMIALS:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
