"""The folder that holds a model: readable without charnn, checked when it is read, never pickled.

checkpoints/NAME/              a run
    metrics.jsonl              what was measured on the way, a line each
    step-1000/                 a checkpoint
        config.json            what the model is and where it comes from
        model.safetensors      its weights, named and laid out as PyTorch does
        tokenizer/             how text becomes ids
        training/              in the last one: what resuming needs
        manifest.json          the format's version; every file's size and SHA-256
    best -> step-1000          relative links
    last -> step-1000
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from charnn.architecture import Architecture, ModelConfig, NgramConfig, expected_shapes
from charnn.data.store import TokenizedCorpus
from charnn.errors import CheckpointError
from charnn.files import cannot_write, printable, sha256, staged_folder, sync, to_json
from charnn.text.base import Tokenizer
from charnn.text.tokenizers import load_tokenizer

FORMAT = 1
CONFIG, WEIGHTS, MANIFEST, TRAINING = (
    "config.json",
    "model.safetensors",
    "manifest.json",
    "training",
)

Tensors = Mapping[str, NDArray[Any]]
Link = Literal["best", "last"]


@dataclass(frozen=True)
class CheckpointConfig:
    """What ``config.json`` says."""

    model: Architecture
    vocabulary: int
    """The number of ids."""
    start_id: int
    end_id: int | None
    step: int
    validation_nats: float | None
    """Nats per token on the validation split, as training measured them."""
    corpus: Mapping[str, Any] = field(default_factory=dict)
    """The corpus it was trained on: name, path, digest."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the run."""

    @classmethod
    def of(
        cls,
        corpus: TokenizedCorpus,
        model: Architecture,
        step: int,
        validation_nats: float | None,
        training: Mapping[str, Any],
    ) -> "CheckpointConfig":
        """What a model of a corpus says."""
        return cls(
            model=model,
            vocabulary=corpus.header.vocabulary,
            start_id=corpus.tokenizer.start_id,
            end_id=corpus.tokenizer.end_id,
            step=step,
            validation_nats=validation_nats,
            corpus={
                "name": corpus.header.name,
                "path": printable(corpus.path),
                "digest": corpus.digest,
            },
            training=training,
        )


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    path: Path
    config: CheckpointConfig
    weights: Tensors
    tokenizer: Tokenizer
    digest: str
    """The SHA-256 of its manifest, which tells of every file."""


# --- writing ---------------------------------------------------------------------------------


def write_checkpoint(
    run: Path,
    config: CheckpointConfig,
    weights: Tensors,
    tokenizer: Tokenizer,
    training: Mapping[str, bytes] | None = None,
) -> Path:
    """Write ``run/step-N``: under another name, synced, then renamed.

    Args:
        run: the run's folder.
        config: what ``config.json`` will say.
        weights: the model's tensors, by the names of ``charnn.architecture``.
        tokenizer: how text becomes ids.
        training: files for ``training/``: what resuming needs.

    Raises:
        OutputError: it cannot be written; nothing is left of it.
    """
    target = run / f"step-{config.step}"
    with staged_folder(target, what="checkpoint", replace=True) as folder:
        (folder / CONFIG).write_text(to_json(asdict(config)), encoding="utf-8")
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}
        (folder / WEIGHTS).write_bytes(safetensors.numpy.save(contiguous))
        tokenizer.save(folder / "tokenizer")
        if training is not None:
            (folder / TRAINING).mkdir()
            for name, data in training.items():
                (folder / TRAINING / name).write_bytes(data)
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                files[path.relative_to(folder).as_posix()] = {
                    "size": len(data),
                    "sha256": sha256(data),
                }
        (folder / MANIFEST).write_text(to_json({"format": FORMAT, "files": files}))
    return target


def link(run: Path, name: Link, target: Path) -> None:
    """Let ``run/name`` point to a checkpoint of the run, by one rename."""
    temporary = run / f".{name}.{os.getpid()}.tmp"
    with cannot_write("link", run / name):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target.name)
        temporary.replace(run / name)
        sync(run)


def remove_old(run: Path, keep: set[Path]) -> None:
    """Remove the run's checkpoints that neither a link names nor ``keep``."""
    kept = keep | linked(run)
    for path in run.glob("step-*"):
        if re.fullmatch(r"step-\d+", path.name) and path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def linked(run: Path) -> set[Path]:
    """The checkpoints that the run's links name."""
    links = (run / name for name in ("best", "last"))
    return {run / os.readlink(path) for path in links if path.is_symlink()}


# --- reading ---------------------------------------------------------------------------------


def resolve(path: Path, name: Link = "best") -> Path:
    """The checkpoint folder that a path means: itself, or the one that a run's link names.

    Raises:
        CheckpointError: there is none.
    """
    if (path / MANIFEST).is_file():
        return path.resolve()
    for candidate in (path / name, path / "last"):
        if (candidate / MANIFEST).is_file():
            return candidate.resolve()
    if path.is_file():
        why = " (pickle files can run code, so they are never read)"
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder"
            + (why if path.suffix in (".pt", ".pth", ".pkl", ".bin", ".ckpt") else "")
        )
    what = f"no checkpoint in {path}" if path.exists() else f"no such checkpoint: {path}"
    raise CheckpointError(what, "train one with charnn train")


def runs(folder: Path) -> list[Path]:
    """The runs in a folder that have a checkpoint, the newest first."""
    found = []
    for path in folder.glob("*/last"):
        manifest = path / MANIFEST
        if manifest.is_file():
            found.append((manifest.stat().st_mtime_ns, path.parent))
    return [path for _, path in sorted(found, reverse=True)]


def read_checkpoint(path: Path, name: Link = "best") -> Checkpoint:
    """Read a checkpoint, or the one that a run's link names, and check every part of it.

    Raises:
        CheckpointError: it is missing, damaged, or from a newer charnn.
    """
    folder = resolve(path, name)
    manifest = _read_manifest(folder)
    files = manifest["files"]
    for file in files:
        if file.startswith("tokenizer/"):
            read_verified(folder, file, files)
    try:
        fields = json.loads(read_verified(folder, CONFIG, files))
        counts = fields["model"].get("cell") == "ngram"
        fields["model"] = (NgramConfig if counts else ModelConfig)(**fields["model"])
        config = CheckpointConfig(**fields)
        weights = safetensors.numpy.load(read_verified(folder, WEIGHTS, files))
        tokenizer = load_tokenizer(folder / "tokenizer")
        _check(config, weights, tokenizer)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged file may cause
        raise CheckpointError(f"{folder} is damaged: {error}") from None
    digest = sha256((folder / MANIFEST).read_bytes())
    return Checkpoint(folder, config, weights, tokenizer, digest)


def read_training(folder: Path) -> dict[str, bytes]:
    """The files of ``training/`` in a checkpoint folder.

    Raises:
        CheckpointError: they are missing or damaged.
    """
    files = _read_manifest(folder)["files"]
    prefix = f"{TRAINING}/"
    found = {
        file.removeprefix(prefix): read_verified(folder, file, files)
        for file in files
        if file.startswith(prefix)
    }
    if not found:
        raise CheckpointError(f"{folder} holds no training state", "only a run's last one does")
    return found


def read_verified(folder: Path, file: str, files: Mapping[str, Any]) -> bytes:
    """A file of a checkpoint, after its size and hash were found right."""
    try:
        wanted = files[file]
        path = folder / file
        if path.stat().st_size != wanted["size"]:
            raise CheckpointError(f"{folder} is damaged: {file} has the wrong size")
        data = path.read_bytes()
    except KeyError:
        raise CheckpointError(f"{folder} is damaged: its manifest lacks {file}") from None
    except OSError as error:
        raise CheckpointError(f"{folder} is damaged: {file}: {error.strerror}") from None
    if sha256(data) != wanted["sha256"]:
        raise CheckpointError(f"{folder} is damaged: {file} was altered")
    return data


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        version, files = manifest["format"], manifest["files"]
        if version != FORMAT:
            raise CheckpointError(
                f"{folder} has format {version}; this charnn reads {FORMAT}",
                "install the charnn that made it",
            )
        for file, entry in files.items():
            inside = re.fullmatch(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", file)
            if not (inside and type(entry["size"]) is int and isinstance(entry["sha256"], str)):
                raise ValueError(f"bad entry {file!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder} is damaged: {MANIFEST}: {error}") from None
    return dict(manifest)


def _check(config: CheckpointConfig, weights: Tensors, tokenizer: Tokenizer) -> None:
    if tokenizer.vocabulary_size != config.vocabulary:
        raise ValueError("the tokenizer and the model have different vocabularies")
    if not (
        isinstance(config.corpus, dict)
        and isinstance(config.training, dict)
        and type(config.step) is int
        and isinstance(config.validation_nats, float | int | None)
    ):
        raise ValueError(f"{CONFIG} is malformed")
    for id in (config.start_id, config.end_id):
        if id is not None and not (type(id) is int and 0 <= id < config.vocabulary):
            raise ValueError(f"id {id} is not in the vocabulary")
    if isinstance(config.model, NgramConfig):
        check_ngrams(weights, config.vocabulary, config.model.order)
        return
    expected = expected_shapes(config.model, config.vocabulary)
    for name in sorted(expected.keys() | weights.keys()):
        found = weights[name].shape if name in weights else None
        if found != expected.get(name):
            raise ValueError(f"{WEIGHTS}: {name} has shape {found}, not {expected.get(name)}")
        if weights[name].dtype != np.float32:
            raise ValueError(f"{WEIGHTS}: {name} is {weights[name].dtype}, not float32")


def check_ngrams(tensors: Tensors, vocabulary: int, order: int) -> None:
    """Check what ``charnn.ngram`` wrote: every key in its place, no share above 1 or below 0.

    Raises:
        ValueError: it is not so.
    """
    names = {"discounts", *(f"grams.{k}.counts" for k in range(1, order + 1))}
    names |= {f"grams.{k}.keys" for k in range(2, order + 1)}
    if tensors.keys() != names:
        raise ValueError(f"{WEIGHTS}: these are not the tensors of {order} orders")
    discounts = tensors["discounts"]
    if discounts.shape != (order, 3) or discounts.dtype != np.float64:
        raise ValueError(f"{WEIGHTS}: discounts have another shape")
    if not ((discounts >= 0) & (discounts <= (1, 2, 3))).all():
        raise ValueError(f"{WEIGHTS}: discounts are not between 0 and the count")
    contexts = 1
    for k in range(1, order + 1):
        counts = tensors[f"grams.{k}.counts"]
        keys = tensors[f"grams.{k}.keys"] if k > 1 else np.arange(vocabulary)
        if counts.ndim != 1 or counts.shape != keys.shape:
            raise ValueError(f"{WEIGHTS}: grams.{k}: the keys and counts do not fit each other")
        if not counts.dtype == keys.dtype == np.int64 or (counts < 0).any():
            raise ValueError(f"{WEIGHTS}: grams.{k}: these are no counts")
        limit = contexts * vocabulary
        if len(keys) and not (keys[0] >= 0 and keys[-1] < limit and (np.diff(keys) > 0).all()):
            raise ValueError(f"{WEIGHTS}: grams.{k}.keys are not in order")
        contexts = len(keys)
