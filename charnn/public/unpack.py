"""Texts out of archives: those that were asked for alone, and no longer than they should be."""

import contextlib
import gzip
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import IO, cast

from charnn.errors import FetchError

_PIECE_BYTES = 1 << 20

#: What a damaged archive raises.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def unpack(archive: Path, member: str | None, target: Path, size: int) -> None:
    """Write one member of an archive to a file, which the archive has no say in.

    Args:
        archive: a .zip, or without a member a .gz.
        member: its name in the .zip.
        target: the file to write.
        size: the bytes that it must have. No more are ever unpacked.

    Raises:
        FetchError: the archive is damaged, or has no such member.
        OSError: the file cannot be written.
    """
    done = 0
    with target.open("wb") as file:
        for piece in _pieces(archive, member):
            done += len(piece)
            if done > size:
                raise FetchError(f"its archive holds more than the {size:,} bytes of {target.name}")
            file.write(piece)
    if done < size:
        raise FetchError(f"its archive holds {done:,} of the {size:,} bytes of {target.name}")


def _pieces(archive: Path, member: str | None) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(_open(archive, member, stack))
        except _DAMAGED as error:
            raise FetchError("its archive is damaged") from error
        while True:
            try:
                piece = source.read(_PIECE_BYTES)
            except _DAMAGED as error:
                raise FetchError("its archive is damaged") from error
            if not piece:
                return
            yield piece


def _open(archive: Path, member: str | None, stack: contextlib.ExitStack) -> IO[bytes]:
    if member is None:
        return cast(IO[bytes], gzip.open(archive, "rb"))
    zipped = stack.enter_context(zipfile.ZipFile(archive))
    try:
        info = zipped.getinfo(member)
    except KeyError as error:
        raise FetchError(f"its archive has no {member}") from error
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise FetchError(f"{member} in its archive is not a file")
    return zipped.open(info)
