"""What a command reads: the newest run, which is said; files, pipes and standard input."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from charnn import places
from charnn.cli.console import say
from charnn.errors import CharnnError, InputError, UsageError
from charnn.places import corpus_name

if TYPE_CHECKING:
    from charnn.text.base import Tokenizer
    from charnn.text.config import InvalidPolicy

_CHUNK_BYTES = 1 << 16


def find_run(path: Path | None, *, recurrent: bool = False) -> Path:
    """The run or checkpoint that is meant; the newest run if none is named, which is said.

    Args:
        path: how it is named.
        recurrent: whether, if none is, one that counts is passed over for one that does not.

    Raises:
        CheckpointError: there is none.
    """
    found = places.find_run(path, recurrent=recurrent)
    if path is None:
        say(f"model: {found}")
    return found


def find_tokenizer(path: Path | None) -> "Tokenizer":
    """The tokenizer of a tokenized corpus, a run or a checkpoint; that of the newest run if None.

    Raises:
        CorpusError: the corpus is damaged.
        CheckpointError: there is none, or it is damaged.
    """
    return places.find_tokenizer(find_run(None) if path is None else path)


def standard_input() -> BufferedReader:
    """Standard input, as bytes.

    Raises:
        InputError: whoever called closed it.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return cast(BufferedReader, sys.stdin.buffer)


def chunks_of(file: Path | None, errors: "InvalidPolicy" = "bytes") -> Iterator[bytes]:
    """A file, or standard input (``-`` or None), as it comes: a pipe is not waited for.

    Args:
        file: the file.
        errors: what becomes of bytes that are no UTF-8.

    Raises:
        InputError: it cannot be read, or is no UTF-8 and ``errors`` is "strict".
    """
    from charnn.text.corpus import read_file
    from charnn.text.utf8 import read_utf8

    name: object = file
    if file is None or str(file) == "-":
        stdin, name = standard_input(), "standard input"
        if stdin.isatty():
            say("reading what is typed, until Ctrl-D")
        chunks = iter(lambda: stdin.read1(_CHUNK_BYTES), b"")
    else:
        chunks = read_file(file)
    return chunks if errors == "bytes" else read_utf8(chunks, errors, name=name)


class Inputs:
    """Sources that can be read more than once: what cannot is copied, until the block ends.

    What goes wrong with a copy is told of what it is a copy of.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._copies: dict[Path, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._stack.close()
        if isinstance(error, CharnnError):
            for copy, source in self._copies.items():
                error.message = error.message.replace(str(copy), source)

    def path(self, source: str | Path) -> Path:
        """The source itself, or a copy of standard input (``-``) or of a pipe.

        Raises:
            InputError: it is a device without an end.
        """
        path, is_stdin = Path(source), str(source) == "-"
        if not is_stdin and (path.is_file() or path.is_dir() or not path.exists()):
            return path
        from charnn.data.prepare import keep_stream
        from charnn.text.corpus import check_ends

        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="charnn-")))
        if is_stdin and any(copy.name == "-" for copy in self._copies):
            raise UsageError("standard input can be read once only")
        copy = folder / ("-" if is_stdin else path.name)
        name = "standard input" if is_stdin else str(path)
        with standard_input() if is_stdin else path.open("rb") as stream:
            check_ends(stream, name)
            self._copies[keep_stream(stream, copy)] = name
        return copy

    def name(self, path: Path) -> str:
        """What a corpus made of this source is called."""
        return "stdin" if path in self._copies else corpus_name(path)
