"""Where things lie by default: runs, tokenized corpora, and the texts that come with charnn."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from charnn.cli.console import say
from charnn.errors import CheckpointError, CorpusError, UsageError

if TYPE_CHECKING:
    from charnn.data.store import TokenizedCorpus
    from charnn.text.base import Tokenizer

CHECKPOINTS = Path("checkpoints")
CORPORA = Path("corpora")
#: Public texts as they were fetched; in ``corpora/`` they would stand among what is made of them.
TEXTS = Path("texts")

_CHUNK_BYTES = 1 << 16


def bundled(name: str) -> Path:
    """A text that comes with charnn: in the wheel beside the code, in a checkout above it."""
    package = Path(__file__).parent.parent
    for folder in (package / "corpora", package.parent / "corpora"):
        if (folder / name).is_file():
            return folder / name
    raise CorpusError(f"the bundled text {name} is missing", "install charnn again")


def corpus_name(source: Path) -> str:
    """The name that a corpus gets from its source: ``tiny.txt.gz`` becomes ``tiny``."""
    name = source.resolve().name
    for suffix in (".gz", ".bz2", ".xz", ".txt", ".md", ".tokens"):
        name = name.removesuffix(suffix)
    return name or "corpus"


def find_run(path: Path | None) -> Path:
    """The run or checkpoint that is meant; the newest run if none is named.

    Raises:
        CheckpointError: there is none.
    """
    from charnn.checkpoint import runs

    if path is not None:
        inside = CHECKPOINTS / path
        return inside if not path.exists() and inside.exists() else path
    found = runs(CHECKPOINTS)
    if not found:
        raise CheckpointError(
            f"no checkpoint in {CHECKPOINTS}/", "train one with charnn train, or name one"
        )
    say(f"model: {found[0]}")
    return found[0]


def find_tokenizer(path: Path | None) -> "Tokenizer":
    """The tokenizer of a tokenized corpus, a run or a checkpoint; that of the newest run if None.

    Raises:
        CorpusError: the corpus is damaged.
        CheckpointError: there is none, or it is damaged.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    for place in (path, CORPORA / path) if path is not None else ():
        if is_corpus(place):
            return TokenizedCorpus.open(place).tokenizer
    from charnn.checkpoint import read_checkpoint

    return read_checkpoint(find_run(path)).tokenizer


def newest_corpus() -> Path | None:
    """The tokenized corpus that was made last."""
    from charnn.data.store import HEADER

    headers = [path for path in CORPORA.glob(f"*/{HEADER}") if not path.parent.name.startswith(".")]
    return max(headers, key=lambda path: path.stat().st_mtime_ns).parent if headers else None


def corpus_of(known: Mapping[str, Any], run: Path) -> "TokenizedCorpus":
    """The corpus that a model was trained on, found again and checked.

    Args:
        known: what the checkpoint knows of it.
        run: the run's folder: where it lies, ``corpora/`` may lie as well.

    Raises:
        CorpusError: it is not where it was, nor in ``corpora/``, or not the same any more.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    path = Path(str(known.get("path")))
    parents = run.resolve().parents
    places = [path, CORPORA / str(known.get("name")), *(parent / path for parent in parents[:2])]
    for place in places:
        if is_corpus(place):
            corpus = TokenizedCorpus.open(place)
            if corpus.digest == known.get("digest"):
                return corpus
    raise CorpusError(
        f"the corpus that the model was trained on is not in {places[0]}",
        "go to where corpora/ lies",
    )


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
