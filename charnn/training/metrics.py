"""``metrics.jsonl``: what was measured on the way."""

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from charnn.errors import InputError
from charnn.files import cannot_write, write_atomically
from charnn.training.events import Stepped
from charnn.training.progress import Progress

FILE = "metrics.jsonl"

EVERY_STEPS = 10


class Metrics:
    """``metrics.jsonl``: a line every few steps, cut back to where the run is.

    Args:
        run: the run's folder.
        progress: where the run is; keeps the losses that no line tells of yet.
    """

    def __init__(self, run: Path, progress: Progress) -> None:
        self._path, self._progress = run / FILE, progress
        with cannot_write("metrics", self._path):
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
            kept = [line for line in lines if _step_of(line) <= progress.step]
            write_atomically(self._path, b"".join(line + b"\n" for line in kept))
            self._file: IO[str] = self._path.open("a", encoding="utf-8")

    def add(self, stepped: Stepped, validation_nats: float | None = None) -> None:
        """Take note of a step; a line is written every few steps, and for every validation."""
        if validation_nats is None and stepped.step % EVERY_STEPS:
            return
        nats = self._progress.unlogged_nats
        line = {
            "step": stepped.step,
            "tokens_seen": stepped.tokens_seen,
            "seconds": round(stepped.seconds, 3),
            "train_nats": sum(nats) / max(len(nats), 1),
            "validation_nats": validation_nats,
            "learning_rate": stepped.learning_rate,
            "gradient_norm": stepped.gradient_norm,
        }
        nats.clear()
        with cannot_write("metrics", self._path):
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint must not be ahead of them."""
        with cannot_write("metrics", self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """What was measured in a run, a dictionary a line; its steps are finite, the rest is as it is.

    A line that is damaged, or not yet written to its end, is left out.

    Args:
        path: the run's folder, or the file itself.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    file = path / FILE if path.is_dir() else path
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read the metrics {file}: {error.strerror or error}") from error
    return [entry for line in lines if (entry := _parse(line)) is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    """What a line says; None if it is damaged."""
    try:
        entry: dict[str, Any] = json.loads(line)
        return entry if math.isfinite(float(entry["step"])) else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _step_of(line: bytes) -> float:
    entry = _parse(line)
    return math.inf if entry is None else float(entry["step"])
