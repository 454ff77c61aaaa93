"""What a model has read: a prompt that is read once, kept in a file, and continued many times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from charnn.checkpoint import Checkpoint
from charnn.errors import InputError
from charnn.files import printable, sha256, write_atomically
from charnn.step import Floats, State, StepModel, pad
from charnn.tensors import open_tensors

#: What the file's metadata says it is.
_FORMAT = "charnn state 1"

#: What logits are: the engine's, and the n-gram model's.
_LOGITS = ("F32", "F64")

_TYPES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}


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
    empty = {f"state.{n}": array for n, array in enumerate(model.initial_state(1))}
    try:
        with open_tensors(path) as file:
            if file.metadata.get("format") != _FORMAT:
                raise InputError(f"{path} is no state", "charnn prime --save-state makes one")
            if file.metadata.get("checkpoint") != checkpoint.digest:
                raise InputError(
                    f"the state {path} is another checkpoint's",
                    f"-m {file.metadata.get('model')} made it",
                )
            wanted = {name: (array.shape, _TYPES[array.dtype]) for name, array in empty.items()}
            _, kind = file.described("logits") or ((), "")
            kind = kind if kind in _LOGITS else "F32"
            file.expect({**wanted, "logits": ((1, model.vocabulary_size), kind)})
            tensors = file.read()
            if file.metadata.get("sha256") != _digest(tensors):
                raise ValueError("it was altered")
            if any(np.isnan(array).any() for array in tensors.values()):
                raise ValueError("it holds what is no number")
    except OSError as error:
        raise InputError(f"cannot read the state {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is no state, or damaged: {error}", "make it again") from None
    return Context(tensors["logits"], tuple(tensors[name] for name in empty))


def _digest(tensors: dict[str, NDArray[Any]]) -> str:
    return sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors)))
