"""A run's folder: a name that is free, held by one process at a time. Knows nothing of torch."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import IO, Any

from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import checkpoints
from charnn.data.store import TokenizedCorpus
from charnn.errors import TrainingError
from charnn.files import UNFINISHED, cannot_write, make_folder, numbered, printable
from charnn.training.config import TrainingConfig
from charnn.training.metrics import FILE as METRICS

SETTINGS = "run.toml"
_LOCK = ".lock"
_HEADING = "# charnn train, with these settings"
_TEMPORARY = re.compile(r"\.(?:step-\d+(?:-\d+)?|best|last|metrics\.jsonl)\." + UNFINISHED)


@contextmanager
def new_run(folder: Path, name: str, settings: str) -> Iterator[Path]:
    """Make the run's folder; if the name is taken, NAME-2, NAME-3, ...

    What a killed run left without any checkpoint does not take a name. If the block ends and
    nothing was saved in the run, nothing stays.

    Raises:
        OutputError: it cannot be made.
    """
    with cannot_write("run", folder / name):
        run, lock = _make(folder, name)
    try:
        with cannot_write("settings", run / SETTINGS):
            (run / SETTINGS).write_text(settings, encoding="utf-8")
        yield run
    finally:
        unsaved = not checkpoints(run)
        if unsaved:
            _clear(run)
        _release(run, lock)
        if unsaved:
            with suppress(OSError):
                run.rmdir()


@contextmanager
def open_run(run: Path) -> Iterator[None]:
    """Hold a run that is there, and clear what a killed process left half-written.

    Raises:
        TrainingError: another process holds it.
        OutputError: nothing can be written there.
    """
    with cannot_write("run", run):
        lock = _hold(run)
    if lock is None:
        raise TrainingError(f"{run} is being trained by another process", "stop that one first")
    try:
        _clear_temporary(run)
        yield
    finally:
        _release(run, lock)


def _make(folder: Path, name: str) -> tuple[Path, IO[str]]:
    make_folder(folder)
    for run in numbered(folder / name):
        with suppress(FileExistsError):  # a file, say
            make_folder(run)
            with suppress(FileNotFoundError):  # another process just gave it up
                if _is_abandoned(run) and (lock := _hold(run)):
                    if _is_abandoned(run):
                        _clear(run)
                        return run, lock
                    _release(run, lock)
    raise AssertionError


def _is_abandoned(run: Path) -> bool:
    """Whether a folder holds nothing, or what a run leaves that was killed before it saved."""
    names = {path.name for path in run.iterdir()} - {path.name for path in _temporary(run)}
    if not names & {METRICS, SETTINGS}:
        return names <= {_LOCK}
    settings = run / SETTINGS
    ours = settings.is_file() and settings.read_bytes().startswith(_HEADING.encode())
    return ours and names <= {METRICS, SETTINGS, _LOCK}


def _clear(run: Path) -> None:
    for name in (METRICS, SETTINGS):
        (run / name).unlink(missing_ok=True)
    _clear_temporary(run)


def _temporary(run: Path) -> set[Path]:
    return {path for path in run.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)}


def _clear_temporary(run: Path) -> None:
    for path in _temporary(run):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _hold(run: Path) -> IO[str] | None:
    """Lock a run until the process ends, however it ends; None if another one has it."""
    path = run / _LOCK
    while True:
        lock = path.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        except OSError:
            pass  # this file system knows no locks
        # Whoever had it may have removed it meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()


def _release(run: Path, lock: IO[str]) -> None:
    with suppress(OSError):
        (run / _LOCK).unlink()
    lock.close()


def settings(
    corpus: TokenizedCorpus,
    model: ModelConfig | NgramConfig,
    training: TrainingConfig | None = None,
    **places: Path | None,
) -> str:
    """What repeats the run, as TOML: the options of ``charnn train``.

    Args:
        corpus: tokenized, so that a vocabulary need not be extended again.
        model: left out where it is that of another model, which training begins with.
        training: if it is trained, not counted.
        places: more options, by their names in the code.
    """
    options: dict[str, object] = {"corpus": printable(corpus.path)}
    if training is None or training.from_checkpoint is None:
        options |= _options(model)
    if training is not None:
        if not training.has_budget:
            training = replace(training, minutes=training.default_minutes)
        options |= _options(replace(training, extend_vocabulary=False))
    options |= {name.replace("_", "-"): printable(path) for name, path in places.items() if path}
    lines = [f"{key} = {_toml(value)}" for key, value in options.items() if value is not None]
    return "\n".join([_HEADING, *lines]) + "\n"


def _options(config: Any) -> dict[str, object]:
    """A config's values, by the long names of its options."""

    def name(field: Field[Any]) -> str:
        long = [flag for flag in field.metadata.get("flags", ()) if flag.startswith("--")]
        return long[0][2:].partition("/")[0] if long else field.name.replace("_", "-")

    return {name(field): getattr(config, field.name) for field in fields(config)}


def _toml(value: object) -> str:
    r"""A string, number or boolean. JSON writes them alike, but for one character.

    >>> _toml("a\x7f狐"), _toml(1e-05), _toml(True)
    ('"a\\u007f狐"', '1e-05', 'true')
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
