"""The folder that holds a model: readable without charnn, checked when it is read, never pickled.

checkpoints/NAME/              a run
    metrics.jsonl              what was measured on the way, a line each
    step-1000/                 a checkpoint
        config.json            what the model is and where it comes from
        model.safetensors      its weights, named and laid out as PyTorch does
        tokenizer/             how text becomes ids
        training/              what resuming needs
        manifest.json          the format's version; every file's size and SHA-256
    best -> step-1000          relative links
    last -> step-1000
"""

import json
import re
import shutil
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import safetensors.numpy

from charnn.architecture import (
    Architecture,
    ModelConfig,
    NgramConfig,
    count_parameters,
    expected_shapes,
)
from charnn.data.store import TokenizedCorpus
from charnn.errors import CheckpointError
from charnn.files import (
    cannot_write,
    hidden_name,
    numbered,
    printable,
    staged_folder,
    sync,
    to_json,
)
from charnn.manifest import MANIFEST, VerifiedFolder, write_manifest
from charnn.tensors import Tensors, open_tensors
from charnn.text.base import Tokenizer
from charnn.text.tokenizers import load_tokenizer
from charnn.typed import check_types

CONFIG, WEIGHTS, TRAINING = "config.json", "model.safetensors", "training"

#: A checkpoint's name: its step, and a number where a link holds that name already.
_STEP = re.compile(r"step-(\d+)(?:-(\d+))?")

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

    folder: VerifiedFolder
    config: CheckpointConfig
    weights: Tensors
    tokenizer: Tokenizer

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def digest(self) -> str:
        """Tells it from all others."""
        return self.folder.digest

    @property
    def parameters(self) -> dict[str, int]:
        """How many it has, part by part; of counts, how many different n-grams."""
        model = self.config.model
        if isinstance(model, NgramConfig):
            orders = range(1, model.order + 1)
            return {f"{k}-grams": len(self.weights[f"grams.{k}.counts"]) for k in orders}
        return count_parameters(model, self.config.vocabulary)


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
        OutputError: it cannot be written; what may be left of it, no link leads to.
    """
    # What a link may lead to is never touched.
    target = next(path for path in numbered(run / f"step-{config.step}") if not path.exists())
    with staged_folder(target, what="checkpoint") as folder:
        (folder / CONFIG).write_text(to_json(asdict(config)), encoding="utf-8")
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}
        (folder / WEIGHTS).write_bytes(safetensors.numpy.save(contiguous))
        tokenizer.save(folder / "tokenizer")
        if training is not None:
            (folder / TRAINING).mkdir()
            for name, data in training.items():
                (folder / TRAINING / name).write_bytes(data)
        write_manifest(folder)
    return target


def link(run: Path, name: Link, target: Path) -> None:
    """Let ``run/name`` point to a checkpoint of the run, by one rename."""
    with hidden_name(run / name) as temporary:
        try:
            with cannot_write("link", run / name):
                temporary.unlink(missing_ok=True)
                temporary.symlink_to(target.name)
                temporary.replace(run / name)
                sync(run)
        finally:
            temporary.unlink(missing_ok=True)


def target(run: Path, name: Link) -> Path | None:
    """The checkpoint of this run that a link leads to; None if it leads nowhere, or elsewhere."""
    path = run / name
    if not path.is_symlink() or not (path / MANIFEST).is_file():
        return None
    found = path.resolve()
    inside = found.parent == run.resolve() and _STEP.fullmatch(found.name)
    return run / found.name if inside else None


def linked(run: Path) -> set[Path]:
    """The checkpoints of the run that its links lead to."""
    return {path for name in get_args(Link) if (path := target(run, name)) is not None}


def checkpoints(run: Path) -> set[Path]:
    """All checkpoints of the run."""
    return {path for path in run.glob("step-*") if _STEP.fullmatch(path.name)}


def remove(paths: Set[Path]) -> None:
    """Remove checkpoints."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


# --- reading ---------------------------------------------------------------------------------


def resolve(path: Path, name: Link = "best") -> Path:
    """The checkpoint folder that a path means: itself, or the one that a run's link names.

    A run that has lost its links, as some ways of copying do it, is read from its last step.

    Raises:
        CheckpointError: there is none.
    """
    if (path / MANIFEST).is_file():
        return path.resolve()
    by_step = sorted(checkpoints(path), key=_place, reverse=True)
    for candidate in (path / name, path / "last", *by_step):
        if (candidate / MANIFEST).is_file():
            return candidate.resolve()
    if path.is_file():
        why = ": a pickle file can run code when it is read, so charnn never does"
        raise CheckpointError(
            f"{path} is a file{why if _is_pickle(path) else ''}", "a checkpoint is a folder"
        )
    what = f"no checkpoint in {path}" if path.exists() else f"no such checkpoint: {path}"
    inside = min(path.glob("*/last"), default=None)
    hint = "train one with charnn train" if inside is None else f"name one, as {inside.parent} is"
    raise CheckpointError(what, hint)


def _place(checkpoint: Path) -> tuple[int, int]:
    """The step of a checkpoint, and which of that step it is."""
    match = _STEP.fullmatch(checkpoint.name)
    assert match is not None
    return int(match[1]), int(match[2] or 1)


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or the archive of one that PyTorch writes."""
    with suppress(OSError), path.open("rb") as file:
        begin = file.read(256)
        if re.match(rb"\x80[\x01-\x05]", begin) or b"data.pkl" in begin:
            return True
    return path.suffix in (".pt", ".pth", ".pkl", ".bin", ".ckpt")


def runs(folder: Path, *, recurrent: bool = False) -> list[Path]:
    """The runs in a folder that have a checkpoint, the newest first.

    Args:
        folder: where they lie.
        recurrent: leave out those that count.
    """
    found = []
    for run in folder.glob("*"):
        with suppress(CheckpointError):
            last = resolve(run, "last")
            if not recurrent or (last / TRAINING).is_dir():
                found.append(((last / MANIFEST).stat().st_mtime_ns, run))
    return [run for _, run in sorted(found, reverse=True)]


def read_checkpoint(path: Path, name: Link = "best") -> Checkpoint:
    """Read a checkpoint, or the one that a run's link names, and check every part of it.

    Raises:
        CheckpointError: it is missing, damaged, or from a newer charnn.
    """
    folder = VerifiedFolder.open(resolve(path, name))
    try:
        config = _config(json.loads(folder.read(CONFIG)))
        folder.require(WEIGHTS)
        for file in (folder.path / "tokenizer").iterdir():
            folder.require(f"tokenizer/{file.name}")
        weights = _weights(folder.path / WEIGHTS, config)
        tokenizer = load_tokenizer(folder.path / "tokenizer")
        if tokenizer.vocabulary_size != config.vocabulary:
            raise ValueError("the tokenizer and the model have different vocabularies")
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged file may cause
        raise CheckpointError(f"{folder.path} is damaged: {error}") from None
    return Checkpoint(folder, config, weights, tokenizer)


def _config(fields: Any) -> CheckpointConfig:
    counts = fields["model"].get("cell") == "ngram"
    model = (NgramConfig if counts else ModelConfig)(**fields["model"])
    config = CheckpointConfig(**{**fields, "model": model})
    check_types(config)
    check_types(model)
    for id in (config.start_id, config.end_id):
        if id is not None and not 0 <= id < config.vocabulary:
            raise ValueError(f"id {id} is not in the vocabulary")
    return config


def _weights(path: Path, config: CheckpointConfig) -> Tensors:
    """The tensors, once their header was found to fit the config."""
    with open_tensors(path) as file:
        if isinstance(config.model, NgramConfig):
            if set(file.names) != ngram_names(config.model.order):
                raise ValueError(f"{WEIGHTS}: these are not the tensors of its orders")
            tensors = file.read()
            check_ngrams(tensors, config.vocabulary, config.model.order)
            return tensors
        if config.model.layers > len(file.names):
            raise ValueError(f"{WEIGHTS} has too few tensors for {config.model.layers} layers")
        shapes = expected_shapes(config.model, config.vocabulary)
        file.expect({name: (shape, "F32") for name, shape in shapes.items()})
        tensors = file.read()
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError(f"{WEIGHTS} holds what is no number")
        return tensors


def ngram_names(order: int) -> set[str]:
    """The tensors of a model that counts."""
    counts = {f"grams.{k}.counts" for k in range(1, order + 1)}
    return {"discounts"} | counts | {f"grams.{k}.keys" for k in range(2, order + 1)}


def check_ngrams(tensors: Tensors, vocabulary: int, order: int) -> None:
    """Check what ``charnn.ngram`` wrote: every key in its place, no share above 1 or below 0.

    Raises:
        ValueError: it is not so.
    """
    if tensors.keys() != ngram_names(order):
        raise ValueError(f"{WEIGHTS}: these are not the tensors of {order} orders")
    discounts = tensors["discounts"]
    if discounts.shape != (order, 3) or discounts.dtype != np.float64:
        raise ValueError(f"{WEIGHTS}: discounts have another shape")
    if not ((discounts >= 0) & (discounts <= (1, 2, 3))).all():
        raise ValueError(f"{WEIGHTS}: discounts are not between 0 and the count")
    contexts = 1
    for k in range(1, order + 1):
        counts = tensors[f"grams.{k}.counts"]
        shape = tensors[f"grams.{k}.keys"].shape if k > 1 else (vocabulary,)
        if counts.ndim != 1 or counts.shape != shape:
            raise ValueError(f"{WEIGHTS}: grams.{k}: the keys and counts do not fit each other")
        keys = tensors[f"grams.{k}.keys"] if k > 1 else np.arange(vocabulary)
        if not counts.dtype == keys.dtype == np.int64 or (counts < 0).any():
            raise ValueError(f"{WEIGHTS}: grams.{k}: these are no counts")
        limit = contexts * vocabulary
        if len(keys) and not (keys[0] >= 0 and keys[-1] < limit and (keys[1:] > keys[:-1]).all()):
            raise ValueError(f"{WEIGHTS}: grams.{k}.keys are not in order")
        contexts = len(keys)
