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
from charnn.training.optimizer import Optimizer
from charnn.training.progress import Progress

_PROGRESS, _TENSORS = "progress.json", "state.safetensors"
_STATES = ("F32", "BF16", "F16")


def pack(
    progress: Progress, model: LanguageModel, optimizer: Optimizer, state: State, *, averaged: bool
) -> dict[str, bytes]:
    """The files of ``training/``: progress, the optimizer's moments, the carried state.

    Args:
        progress: where the run is.
        model: the one that learns.
        optimizer: of its parameters.
        state: what was carried.
        averaged: whether the checkpoint's own weights are an average; the model's are kept here.
    """
    tensors = {f"state.{n}": array.contiguous() for n, array in enumerate(state)}
    for name, moments in optimizer.moments.items():
        tensors |= {f"optimizer.{moment}.{name}": tensor for moment, tensor in moments.items()}
    if averaged:
        weights = named_weights(model).items()
        tensors |= {f"weights.{name}": tensor.detach() for name, tensor in weights}
    return {
        _PROGRESS: to_json(asdict(progress)).encode(),
        _TENSORS: safetensors.torch.save(tensors),
    }


def unpack(
    folder: VerifiedFolder,
    model: LanguageModel,
    optimizer: Optimizer,
    like: State,
    *,
    averaged: bool,
) -> tuple[Progress, State]:
    """Put the model that learns and its optimizer back and return the rest.

    Args:
        folder: the checkpoint.
        model: gets its weights back, if the checkpoint's are an average.
        optimizer: gets its moments back.
        like: a state of the shape that was carried.
        averaged: whether the checkpoint's own weights are an average.

    Raises:
        CheckpointError: the checkpoint has none of it, or what does not fit the model.
    """
    if not any(name.startswith(f"{TRAINING}/") for name in folder.files):
        raise CheckpointError(
            f"{folder.path} holds no training state",
            "only what charnn train saved can be gone on with",
        )
    folder.require(f"{TRAINING}/{_TENSORS}")
    restored = {
        f"optimizer.{moment}.{name}": tensor
        for name, moments in optimizer.moments.items()
        for moment, tensor in moments.items()
    }
    if averaged:
        restored |= {f"weights.{name}": tensor for name, tensor in named_weights(model).items()}
    try:
        progress = Progress.from_fields(json.loads(folder.read(f"{TRAINING}/{_PROGRESS}")))
        with open_tensors(folder.path / TRAINING / _TENSORS, "pt") as file:
            layout = {name: (tuple(tensor.shape), "F32") for name, tensor in restored.items()}
            file.expect({**layout, **_states(like, file)})
            tensors = file.read()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder.path} is damaged: {TRAINING}: {error}") from None
    with torch.no_grad():
        for name, tensor in restored.items():
            tensor.copy_(tensors[name])
    # What is mapped from the file must not change with it.
    state = tuple(tensors[f"state.{n}"].clone().to(array.device) for n, array in enumerate(like))
    return progress, state


def _states(like: State, file: TensorFile) -> Layout:
    """A state's tensors. They have the precision of the products that made them."""
    layout = {}
    for n, array in enumerate(like):
        _, kind = file.described(f"state.{n}") or ((), "")
        layout[f"state.{n}"] = (tuple(array.shape), kind if kind in _STATES else "F32")
    return layout


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout: the same however the run came there."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
