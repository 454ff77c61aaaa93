"""What a model has read: a prompt that is read once, kept in a file, and continued many times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from charnn.checkpoint import Checkpoint
from charnn.errors import InputError
from charnn.files import printable, sha256, write_atomically
from charnn.step import Floats, State, StepModel, pad

#: What the file's metadata says it is.
_FORMAT = "charnn state 1"

#: What logits are: the engine's, and the n-gram model's.
_LOGITS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Context:
    """What a model knows after a text, as one row."""

    logits_1V: Floats
    """What may follow."""
    state: State
    ids: tuple[int, ...] = ()
    """The ids that were read since the file, if any, that it came from."""


def read_prompt(model: StepModel, ids: list[int], after: Context | None = None) -> Context:
    """Let a model read a prompt, from nothing or after another.

    Args:
        model: reads.
        ids: the prompt; with nothing before it, none at all begins a text.
        after: what was read before.
    """
    if after is None:
        state = model.initial_state(1)
    elif not ids:
        return after
    else:
        state = after.state
    logits_1V, state = model.prefill(*pad([ids]), state)
    return Context(logits_1V, state, (*(after.ids if after else ()), *ids))


def save_context(path: Path, context: Context, checkpoint: Checkpoint) -> None:
    """Write a context to a safetensors file that only this checkpoint can go on from.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {"logits": context.logits_1V}
    tensors |= {f"state.{n}": np.ascontiguousarray(array) for n, array in enumerate(context.state)}
    metadata = {
        "format": _FORMAT,
        "checkpoint": checkpoint.digest,
        "model": printable(checkpoint.path),
        "sha256": _digest(tensors),
    }
    write_atomically(path, safetensors.numpy.save(tensors, metadata))


def load_context(path: Path, checkpoint: Checkpoint, model: StepModel) -> Context:
    """Read what ``save_context`` wrote.

    Args:
        path: the file.
        checkpoint: what goes on from it.
        model: the checkpoint's model.

    Raises:
        InputError: it is missing, damaged, or another checkpoint's.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file", "a state must be one, and no pipe")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = file.keys() if metadata.get("format") == _FORMAT else ()
            tensors: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in names}
    except (OSError, TypeError, safetensors.SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the state {path}: {why}") from None
    if not tensors:
        raise InputError(f"{path} is no state", "charnn prime --save-state makes one")
    if metadata.get("checkpoint") != checkpoint.digest:
        raise InputError(
            f"the state {path} is another checkpoint's", f"-m {metadata.get('model')} made it"
        )
    empty = {f"state.{n}": array for n, array in enumerate(model.initial_state(1))}
    wanted = {name: (array.shape, array.dtype) for name, array in empty.items()}
    found = {name: (array.shape, array.dtype) for name, array in tensors.items()}
    _, dtype = found.pop("logits", (None, None))
    if (
        metadata.get("sha256") != _digest(tensors)
        or found != wanted
        or dtype not in _LOGITS
        or tensors["logits"].shape != (1, model.vocabulary_size)
    ):
        raise InputError(f"the state {path} is damaged", "make it again")
    return Context(tensors["logits"], tuple(tensors[name] for name in empty))


def _digest(tensors: dict[str, NDArray[Any]]) -> str:
    return sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors)))
