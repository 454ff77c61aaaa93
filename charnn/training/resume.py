"""What a run needs to go on where it stopped, as files: nothing in them is ever executed."""

import json
from dataclasses import asdict

import numpy as np
import safetensors.torch
import torch

from charnn.checkpoint import TRAINING
from charnn.errors import CheckpointError
from charnn.files import to_json
from charnn.manifest import VerifiedFolder
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel, named_weights
from charnn.tensors import Layout, TensorFile, open_tensors
from charnn.training.progress import Progress

_PROGRESS, _TENSORS = "progress.json", "state.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_STATES = ("F32", "BF16", "F16")


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
    folder: VerifiedFolder,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    like: State,
) -> tuple[Progress, State]:
    """Put the optimizer back and return the rest.

    Args:
        folder: the checkpoint.
        model: its parameters are those that the optimizer learns.
        optimizer: gets its moments back.
        like: a state of the shape that was carried.

    Raises:
        CheckpointError: the checkpoint has none of it, or what does not fit the model.
    """
    if not any(name.startswith(f"{TRAINING}/") for name in folder.files):
        raise CheckpointError(
            f"{folder.path} holds no training state",
            "only what charnn train saved can be gone on with",
        )
    folder.require(f"{TRAINING}/{_TENSORS}")
    trained = _trained(model)
    try:
        progress = Progress.from_fields(json.loads(folder.read(f"{TRAINING}/{_PROGRESS}")))
        with open_tensors(folder.path / TRAINING / _TENSORS, "pt") as file:
            file.expect(_layout(trained, like, file))
            # What is mapped from the file must not change with it.
            tensors = {name: tensor.clone() for name, tensor in file.read().items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder.path} is damaged: {TRAINING}: {error}") from None
    for name, parameter in trained.items():
        optimizer.state[parameter] = {
            moment: tensors[f"optimizer.{moment}.{name}"].to(parameter.device)
            for moment in _MOMENTS
        }
    state = tuple(tensors[f"state.{n}"].to(array.device) for n, array in enumerate(like))
    return progress, state


def _layout(trained: dict[str, torch.Tensor], like: State, file: TensorFile) -> Layout:
    """The tensors that must be there. A state has the precision of the products that made it."""
    layout = {}
    for n, array in enumerate(like):
        _, kind = file.described(f"state.{n}") or ((), "")
        layout[f"state.{n}"] = (tuple(array.shape), kind if kind in _STATES else "F32")
    for name, parameter in trained.items():
        for moment in _MOMENTS:
            shape = () if moment == "step" else tuple(parameter.shape)
            layout[f"optimizer.{moment}.{name}"] = (shape, "F32")
    return layout


def _trained(model: LanguageModel) -> dict[str, torch.Tensor]:
    """The parameters that an optimizer has a state for."""
    return {name: tensor for name, tensor in named_weights(model).items() if tensor.requires_grad}


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout: the same however the run came there."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
