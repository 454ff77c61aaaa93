"""Source texts: files, folders, compressed files and standard input, read as streams.

A corpus is its files' bytes one after the other. Splits are ranges of these bytes, cut before
anything is tokenized, so that every tokenizer is judged on the same text.
"""

import bz2
import gzip
import hashlib
import lzma
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from charnn.errors import InputError
from charnn.text.base import CHUNK_BYTES, decode_utf8

#: How the names of files end that are unpacked when they are read.
PACKED = (".gz", ".bz2", ".xz")

#: The bytes of one file.
Chunks = Iterator[bytes]

#: Called with the number of bytes that were just read.
Advance = Callable[[int], None]


def find_files(sources: Sequence[Path]) -> list[Path]:
    """The files that are meant: files as they are, folders with all they hold, in order of name.

    Hidden files are left out, and links to folders are not followed.

    Raises:
        InputError: something is not there, or a folder holds no file.
    """
    files: list[Path] = []
    for source in sources:
        if not source.exists():
            raise InputError(f"no such file or folder: {source}")
        if not source.is_dir():
            files.append(source)
            continue
        inside = [
            path
            for path in sorted(source.rglob("*"))
            if path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(source).parts)
        ]
        if not inside:
            raise InputError(f"the folder {source} holds no file")
        files += inside
    return files


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
            return path.open("rb")


def spool(stream: BinaryIO, path: Path) -> Path:
    """Keep what can be read only once in a file."""
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, CHUNK_BYTES)
    return path


@dataclass(frozen=True)
class Corpus:
    """Files whose sizes and contents are known."""

    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    """Bytes of each file, unpacked."""
    digest: str
    """SHA-256 over the SHA-256 of every file, in order."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.sizes)

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
                yield Part(path, _range(path, begin, end, advance), reaches_end=end == size)
            offset += size


@dataclass(frozen=True)
class Part:
    """What a slice takes of one file."""

    path: Path
    chunks: Chunks
    reaches_end: bool
    """Whether the file's end is in it."""


def _range(path: Path, begin: int, end: int, advance: Advance | None) -> Chunks:
    position = 0
    for chunk in read_file(path):
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


def survey(files: Sequence[Path], advance: Advance | None = None, *, text: bool = True) -> Corpus:
    """Read every file once, for its size and what identifies it.

    Raises:
        InputError: a file cannot be read, is no UTF-8 where ``text`` is wanted, or there is not a
            byte in all of them.
    """
    sizes: list[int] = []
    whole = hashlib.sha256()
    for path in files:
        size, digest = 0, hashlib.sha256()

        def measured(path: Path = path) -> Chunks:
            nonlocal size
            for chunk in read_file(path, advance):
                size += len(chunk)
                digest.update(chunk)  # noqa: B023 (consumed within this round)
                yield chunk

        try:
            for _ in decode_utf8(measured()) if text else measured():
                pass
        except InputError as error:
            raise error if str(path) in error.message else error.at(path) from None
        sizes.append(size)
        whole.update(digest.digest())
    if not sum(sizes):
        names = ", ".join(map(str, files[:3])) + (", ..." if len(files) > 3 else "")
        raise InputError(f"the corpus is empty: {names}")
    return Corpus(tuple(files), tuple(sizes), whole.hexdigest())
