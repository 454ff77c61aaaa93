"""Source texts: files, folders, compressed files and standard input, read as streams.

A corpus is its files' bytes one after the other. Splits are ranges of these bytes, cut before
anything is tokenized, so that every tokenizer is judged on the same text.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, cast

from charnn.errors import InputError
from charnn.text.base import CHUNK_BYTES
from charnn.text.config import InvalidPolicy
from charnn.text.utf8 import InvalidTally, read_utf8

#: How the names of files end that are unpacked when they are read.
PACKED = (".gz", ".bz2", ".xz")

#: The bytes of one file.
Chunks = Iterator[bytes]

#: Called with the number of bytes that were just read.
Advance = Callable[[int], None]


def find_files(sources: Sequence[Path]) -> list[Path]:
    """The files that are meant: files as they are, folders with all they hold, in order of name.

    Of a folder hidden files are left out, and what is no file, such as pipes; links to folders are
    not followed.

    Raises:
        InputError: something is not there, a folder holds no file, cannot be read, or is one that
            charnn made.
    """
    files: list[Path] = []
    for source in sources:
        if not source.exists():
            raise InputError(f"no such file or folder: {source}")
        if not source.is_dir():
            files.append(source)
            continue
        if made := _made_by_charnn(source):
            raise InputError(f"{source} is {made}, and no text", "name the text itself")
        inside = sorted(path for path in _inside(source) if path.is_file())
        if not inside:
            raise InputError(f"the folder {source} holds no file")
        files += inside
    return files


def _made_by_charnn(folder: Path) -> str:
    """What a folder is that holds no text, though it could be read as such."""
    if (folder / "corpus.json").is_file() and (folder / "train.ids").is_file():
        return "a tokenized corpus"
    manifests = [folder / "manifest.json", *folder.glob("step-*/manifest.json")]
    if any(one.is_file() and one.with_name("model.safetensors").is_file() for one in manifests):
        return "a model"
    return ""


def _inside(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def read_file(path: Path, advance: Advance | None = None) -> Chunks:
    """The bytes of a file, unpacked if its name ends in .gz, .bz2 or .xz.

    Raises:
        InputError: it cannot be read or unpacked.
    """
    try:
        with _open(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                if advance:
                    advance(len(chunk))
                yield chunk
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise InputError(f"cannot read {path}: {reason}") from error


def _open(path: Path) -> IO[bytes]:
    match path.suffix:
        case ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        case ".bz2":
            return cast(IO[bytes], bz2.open(path, "rb"))
        case ".xz":
            return cast(IO[bytes], lzma.open(path, "rb"))
        case _:
            # Without a buffer, what a pipe has is read as it comes.
            return path.open("rb", buffering=0)


def check_ends(stream: BinaryIO, name: object) -> None:
    """Refuse to wait for the end of a device, such as /dev/zero; terminals and /dev/null have one.

    Raises:
        InputError: it is such a device.
    """
    try:
        described = os.fstat(stream.fileno())
    except io.UnsupportedOperation:  # no file, but an object of a program's
        return
    if stat.S_ISCHR(described.st_mode) and not (
        stream.isatty() or described.st_rdev == os.stat(os.devnull).st_rdev
    ):
        raise InputError(f"{name} is a device, which has no end", "take a part of it with head -c")


def spool(stream: BinaryIO, path: Path) -> Path:
    """Keep what can be read only once in a file."""
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, CHUNK_BYTES)
    return path


def _names(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files[:3])) + (", ..." if len(files) > 3 else "")


@dataclass(frozen=True)
class Corpus:
    """Files whose sizes and contents are known."""

    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    """Bytes of each file, unpacked."""
    digest: str
    """SHA-256 over the SHA-256 of every file, in order."""
    sha256: str
    """Of all bytes in a row."""
    invalid: "Invalid | None" = None
    """The bytes that are no UTF-8, if they were looked for and there are some."""
    policy: InvalidPolicy = "bytes"
    """What becomes of these."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.sizes)

    @property
    def names(self) -> str:
        """Its files, or the first of them."""
        return _names(self.files)

    def whole(self) -> "Slice":
        """All of it."""
        return Slice(self, 0, self.size)

    def split(self, share: float) -> tuple["Slice", "Slice"]:
        """Cut at floor(share · size) bytes, moved back to the start of a UTF-8 character."""
        cut = int(share * self.size)
        around = b"".join(Slice(self, max(cut - 3, 0), min(cut + 1, self.size)))
        before = min(cut, 3)
        while before and before < len(around) and around[before] & 0xC0 == 0x80:
            before -= 1
            cut -= 1
        return Slice(self, 0, cut), Slice(self, cut, self.size)


@dataclass(frozen=True)
class Slice:
    """The bytes ``begin`` to ``end`` of a corpus; iterates over them, as often as needed."""

    corpus: Corpus
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.end - self.begin

    def __iter__(self) -> Chunks:
        for part in self.parts():
            yield from part.chunks

    def parts(self, advance: Advance | None = None) -> Iterator["Part"]:
        """What lies in the slice, file by file."""
        offset = 0
        for path, size in zip(self.corpus.files, self.corpus.sizes, strict=True):
            begin, end = max(self.begin - offset, 0), min(self.end - offset, size)
            if begin < end:
                chunks = _range(path, begin, end, self.corpus.policy, advance)
                yield Part(path, chunks, reaches_end=end == size)
            offset += size


@dataclass(frozen=True)
class Part:
    """What a slice takes of one file."""

    path: Path
    chunks: Chunks
    reaches_end: bool
    """Whether the file's end is in it."""


def _range(
    path: Path, begin: int, end: int, policy: InvalidPolicy, advance: Advance | None
) -> Chunks:
    position = 0
    chunks = read_file(path)
    for chunk in read_utf8(chunks, policy) if policy == "replace" else chunks:
        part = chunk[max(begin - position, 0) : max(end - position, 0)]
        position += len(chunk)
        if part:
            if advance:
                advance(len(part))
            yield part
        if position >= end:
            break
    if position < end:
        raise InputError(f"{path} became shorter while it was read", "try again")


@dataclass(frozen=True)
class Invalid:
    """Bytes of a corpus that are no UTF-8."""

    bytes: int
    """How many."""
    file: Path
    """Where the first of them is."""
    offset: int
    """Its place there (unpacked, if the file is packed)."""


def survey(
    files: Sequence[Path],
    advance: Advance | None = None,
    *,
    policy: InvalidPolicy = "bytes",
    text: bool = True,
) -> Corpus:
    """Read every file once, for its size and what identifies it.

    Args:
        files: the files.
        advance: is told of the bytes that were read.
        policy: what becomes of bytes that are no UTF-8.
        text: whether such bytes are counted, if they are kept.

    Raises:
        InputError: a file cannot be read, is no UTF-8 and the policy "strict", or there is not a
            byte in all of them.
    """
    sizes: list[int] = []
    digests, row = hashlib.sha256(), hashlib.sha256()
    invalid: Invalid | None = None
    for path in files:
        size, digest, tally = 0, hashlib.sha256(), InvalidTally()
        chunks = read_file(path, advance)
        if text or policy != "bytes":
            chunks = read_utf8(chunks, policy, tally, name=path)
        for chunk in chunks:
            size += len(chunk)
            digest.update(chunk)
            row.update(chunk)
        if tally.count:
            first = invalid or Invalid(0, path, tally.first)
            invalid = replace(first, bytes=first.bytes + tally.count)
        sizes.append(size)
        digests.update(digest.digest())
    if not sum(sizes):
        raise InputError(f"the corpus is empty: {_names(files)}")
    return Corpus(tuple(files), tuple(sizes), digests.hexdigest(), row.hexdigest(), invalid, policy)
