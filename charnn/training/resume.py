"""What a run needs to go on where it stopped, as files: nothing in them is ever executed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import safetensors.torch
import torch

from charnn.errors import CheckpointError
from charnn.files import to_json
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel, named_weights

_PROGRESS, _TENSORS = "progress.json", "state.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Progress:
    """Where a run is. The step also says which batch is next and which dropout it sees."""

    step: int
    """Steps done."""
    steps: int | None
    """Steps planned; None if the run stopped while they were still being timed."""
    seconds: float
    """Time trained."""
    best_nats: float | None
    """The best validation loss so far."""


def pack(
    progress: Progress, model: LanguageModel, optimizer: torch.optim.Optimizer, state: State
) -> dict[str, bytes]:
    """The files of ``training/``: progress, the optimizer's moments, the carried state."""
    tensors = {f"state.{n}": array.contiguous() for n, array in enumerate(state)}
    for name, parameter in _trained(model).items():
        for moment in _MOMENTS:
            tensors[f"optimizer.{moment}.{name}"] = optimizer.state[parameter][moment]
    return {
        _PROGRESS: to_json(asdict(progress)).encode(),
        _TENSORS: safetensors.torch.save(tensors),
    }


def unpack(
    files: Mapping[str, bytes],
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    lanes: int,
) -> tuple[Progress, State]:
    """Put the optimizer back and return the rest.

    Raises:
        CheckpointError: the files do not fit the model.
    """
    try:
        progress = Progress(**json.loads(files[_PROGRESS]))
        tensors = safetensors.torch.load(files[_TENSORS])
        like = model.initial_state(lanes)
        state = tuple(tensors[f"state.{n}"].to(array.device) for n, array in enumerate(like))
        if [array.shape for array in state] != [array.shape for array in like]:
            raise ValueError("the carried state has another shape")
        for name, parameter in _trained(model).items():
            moments = {m: tensors[f"optimizer.{m}.{name}"] for m in _MOMENTS}
            if any(moments[m].shape != parameter.shape for m in _MOMENTS[:2]):
                raise ValueError(f"the optimizer's state of {name} has another shape")
            optimizer.state[parameter] = {
                m: tensor.to(parameter.device) for m, tensor in moments.items()
            }
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"the training state is damaged: {error}") from None
    return progress, state


def _trained(model: LanguageModel) -> dict[str, torch.Tensor]:
    """The parameters that an optimizer has a state for."""
    return {name: tensor for name, tensor in named_weights(model).items() if tensor.requires_grad}


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout: the same however the run came there."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
