"""What the lessons that learn share: equal sizes, an update, and a loop."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charnn.architecture import CellName, ModelConfig, count_parameters
from charnn.data.windows import Windows
from charnn.nn.language_model import LanguageModel
from charnn.nn.recurrent import detach
from charnn.training.config import TrainingConfig
from charnn.training.loss import loss
from charnn.training.optimizer import Optimizer
from charnn.training.schedule import learning_share
from charnn.training.trainer import clip_gradients

Rule = Literal["sgd", "adamw"]

torch.set_num_threads(1)


def parameters(config: ModelConfig, vocabulary: int) -> int:
    return sum(count_parameters(config, vocabulary).values())


def equal_size(cell: CellName, like: ModelConfig, vocabulary: int) -> ModelConfig:
    """The cell with as many units as bring its model nearest in parameters to that of ``like``."""
    configs = (replace(like, cell=cell, hidden=hidden) for hidden in range(2, 4 * like.hidden + 1))
    wanted = parameters(like, vocabulary)
    return min(configs, key=lambda config: abs(parameters(config, vocabulary) - wanted))


def make(config: ModelConfig, vocabulary: int, seed: int) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(config, vocabulary)


@torch.no_grad()
def descend(weights: Sequence[Tensor], rate: float) -> None:
    """One step of plain gradient descent."""
    for weight in weights:
        assert weight.grad is not None
        weight.sub_(weight.grad, alpha=rate)


def updater(
    model: LanguageModel, rate: float, rule: Rule = "adamw", clip_norm: float = 1.0
) -> Callable[[Tensor, float], float]:
    """What takes a loss and a share of the rate, goes one step down, and tells the norm.

    The norm is the gradient's before it was clipped (0: it never is).
    """
    config = TrainingConfig(
        optimizer="adamw", lr=rate, clip_norm=clip_norm, weight_decay=0.0, precision="float32"
    )
    weights: list[Tensor] = list(model.parameters())
    optimizer = Optimizer(model, config) if rule == "adamw" else None

    def update(nats: Tensor, share: float = 1.0) -> float:
        model.zero_grad()
        nats.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(weights, config)
        if optimizer is not None:
            optimizer.step(share)
            return norm
        descend(weights, share * rate)
        return norm

    return update


def read(
    model: LanguageModel,
    tokens: NDArray[Any],
    update: Callable[[Tensor, float], float],
    steps: int,
    *,
    lanes: int = 16,
    length: int = 32,
    constant: bool = False,
) -> list[float]:
    """Learn from a text as ``charnn train`` does, and give back each step's nats per token.

    It ends early once the loss is no number. The rate rises for a tenth of the steps and then falls
    to zero, unless it is ``constant``.
    """
    windows = Windows(tokens, lanes, length)
    state = model.initial_state(lanes)
    course = []
    for step in range(steps):
        inputs_BT, labels_BT = (torch.from_numpy(array) for array in windows[step])
        nats, count, state = loss(model, (inputs_BT, labels_BT, None), state)
        course.append(float(nats.detach()) / count)
        if not np.isfinite(course[-1]):
            break
        update(nats / count, 1.0 if constant else learning_share(step, steps, steps))
        state = detach(state)
    return course
