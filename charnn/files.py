"""Files and folders that appear whole or not at all."""

import contextlib
import glob
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charnn.errors import OutputError

#: The numbers of what this process's threads have not finished.
_in_use = set[int]()

#: One thing after the other is moved aside for another.
_moving = threading.Lock()

#: How the name goes on of what is not finished, or was moved aside; behind ``.NAME.``: the process,
#: and a number, without which it was made by an earlier version.
UNFINISHED = r"(\d+)(?:-(\d+))?(\.old)?\.tmp"


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> str:
    """JSON for people: indented, never NaN, and nothing escaped but what UTF-8 cannot hold."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def printable(path: Path) -> str:
    """A path as text that UTF-8 can hold, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take them back."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def numbered(path: Path) -> Iterator[Path]:
    """The path itself, then NAME-2, NAME-3 and so on beside it."""
    yield path
    for n in itertools.count(2):
        yield path.with_name(f"{path.name}-{n}")


def behind(path: Path) -> Path:
    """What a link leads to, so that this is replaced and not the link; of no link, the path."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextlib.contextmanager
def cannot_write(what: str, path: Path) -> Iterator[None]:
    """Turn any ``OSError`` inside into an ``OutputError`` that names ``what`` and ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {what} {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def hidden_name(target: Path) -> Iterator[Path]:
    """A name beside ``target`` for what is not finished, which nothing else takes in the block.

    By chance, for a process that was killed may have had the same number, and have done the same.
    """
    number = secrets.randbits(48)
    _in_use.add(number)
    try:
        yield target.with_name(f".{target.name}.{os.getpid()}-{number}.tmp")
    finally:
        _in_use.discard(number)


def _is_left(process: int, number: int) -> bool:
    """Whether what is so numbered is in nobody's use any more."""
    if process == os.getpid():  # or a killed one's that had the same: in containers they come again
        return number not in _in_use
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def clear_leftovers(target: Path) -> None:
    """Put right what a killed ``staged_folder(target)`` left.

    Unfinished folders go; one that was moved aside comes back if nothing took its place.
    """
    names = re.compile(re.escape(f".{target.name}.") + UNFINISHED)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        match = names.fullmatch(leftover.name)
        if not match or not _is_left(int(match[1]), int(match[2] or -1)):
            continue
        if match[3] and not target.exists():
            leftover.rename(target)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(target: Path, *, what: str) -> Iterator[Path]:
    """A folder beside ``target``, for what is not finished; it goes when the block ends.

    What a killed process left of its own goes as well.

    Args:
        target: what is being made.
        what: what it is, for error messages ("corpus", "checkpoint").

    Raises:
        OutputError: nothing can be written there.
    """
    with hidden_name(target) as scratch:
        with cannot_write(what, target):
            make_folder(target.parent)
            clear_leftovers(target)
            scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def staged_folder(target: Path, *, what: str, replace: bool = False) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` once the block ends well.

    Everything is written under another name beside it, synced, and renamed: a reader sees the
    old folder or the new one. If the block fails, nothing of it stays.

    Args:
        target: where the folder will be.
        what: what it is, for error messages ("corpus", "checkpoint").
        replace: whether a folder that is already there gives way.

    Raises:
        OutputError: nothing can be written there.
    """
    target = behind(target)
    with scratch_folder(target, what=what) as staging, cannot_write(what, target):
        yield staging
        for path in sorted(staging.rglob("*")):
            sync(path)
        sync(staging)
        old = staging.with_suffix(".old.tmp")
        with _moving:
            if replace and target.exists():
                target.rename(old)
            try:
                staging.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
        shutil.rmtree(old, ignore_errors=True)
        sync(target.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole: under another name, synced, then renamed into place."""
    path = behind(path)
    with hidden_name(path) as temporary:
        try:
            with cannot_write("file", path):
                temporary.write_bytes(data)
                sync(temporary)
                temporary.replace(path)
                sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
