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
from charnn.errors import UsageError
from charnn.places import corpus_name

if TYPE_CHECKING:
    from charnn.text.base import Tokenizer

_CHUNK_BYTES = 1 << 16


def find_run(path: Path | None) -> Path:
    """The run or checkpoint that is meant; the newest run if none is named, which is said.

    Raises:
        CheckpointError: there is none.
    """
    found = places.find_run(path)
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


def chunks_of(file: Path | None) -> Iterator[bytes]:
    """A file, or standard input (``-`` or None), as it comes: a pipe is not waited for.

    Raises:
        InputError: it cannot be read.
    """
    if file is None or str(file) == "-":
        stdin = cast(BufferedReader, sys.stdin.buffer)
        return iter(lambda: stdin.read1(_CHUNK_BYTES), b"")
    from charnn.text.corpus import read_file

    return read_file(file)


class Inputs:
    """Sources that can be read more than once: what cannot is copied, until the block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._copies: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def path(self, source: str | Path) -> Path:
        """The source itself, or a copy of standard input (``-``) or of a pipe."""
        path, is_stdin = Path(source), str(source) == "-"
        if not is_stdin and (path.is_file() or path.is_dir() or not path.exists()):
            return path
        from charnn.data.prepare import keep_stream

        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="charnn-")))
        if is_stdin and any(copy.name == "-" for copy in self._copies):
            raise UsageError("standard input can be read once only")
        copy = folder / ("-" if is_stdin else path.name)
        with sys.stdin.buffer if is_stdin else path.open("rb") as stream:
            self._copies.append(keep_stream(stream, copy))
        return copy

    def name(self, path: Path) -> str:
        """What a corpus made of this source is called."""
        return "stdin" if path in self._copies else corpus_name(path)
