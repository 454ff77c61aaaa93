"""Where things lie by default: runs, tokenized corpora, and the texts that come with charnn.

All is looked for from the working directory on. Imports nothing heavy before it is needed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charnn.data.config import SourceConfig
from charnn.errors import CheckpointError, CorpusError, UsageError
from charnn.text.config import InvalidPolicy, TokenizerConfig

if TYPE_CHECKING:
    from charnn.checkpoint import Checkpoint
    from charnn.data.store import TokenizedCorpus
    from charnn.text.base import Tokenizer

CHECKPOINTS = Path("checkpoints")
CORPORA = Path("corpora")
#: Public texts as they were fetched; in ``corpora/`` they would stand among what is made of them.
TEXTS = Path("texts")


def bundled(name: str) -> Path:
    """A text that comes with charnn: in the wheel beside the code, in a checkout above it."""
    package = Path(__file__).parent
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


def find_run(path: Path | None, *, recurrent: bool = False) -> Path:
    """The run or checkpoint that is meant; the newest run if none is named.

    Args:
        path: how it is named.
        recurrent: whether, if none is, one that counts is passed over for one that does not.

    Raises:
        CheckpointError: there is none.
    """
    from charnn.checkpoint import runs

    if path is not None:
        return _inside(CHECKPOINTS, path)
    found = runs(CHECKPOINTS, recurrent=recurrent) or runs(CHECKPOINTS)
    if not found:
        raise CheckpointError(
            f"no checkpoint in {CHECKPOINTS}/", "train one with charnn train, or name one"
        )
    return found[0]


def find_tokenizer(path: Path) -> "Tokenizer":
    """The tokenizer of a tokenized corpus, a run or a checkpoint.

    Raises:
        CorpusError: the corpus is damaged.
        CheckpointError: there is none, or it is damaged.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    for place in (path, CORPORA / path):
        if is_corpus(place):
            return TokenizedCorpus.open(place).tokenizer
    from charnn.checkpoint import read_checkpoint

    return read_checkpoint(find_run(path)).tokenizer


def newest_corpus() -> Path | None:
    """The tokenized corpus that was made last."""
    from charnn.data.store import HEADER

    headers = [path for path in CORPORA.glob(f"*/{HEADER}") if not path.parent.name.startswith(".")]
    return max(headers, key=lambda path: path.stat().st_mtime_ns).parent if headers else None


def find_corpus(path: Path | None) -> Path:
    """The tokenized corpus or the text that is meant.

    If none is named, that is the newest tokenized corpus, or else the bundled text.
    """
    return _inside(CORPORA, path or newest_corpus() or bundled("fables.txt"))


#: Tokenizes text into a folder, as ``_tokenize`` does.
MakeCorpus = Callable[..., "TokenizedCorpus"]


def _tokenize(
    sources: SourceConfig,
    config: TokenizerConfig,
    target: Path,
    /,
    *,
    like: "Tokenizer | None",
    extend: bool,
) -> "TokenizedCorpus":
    from charnn.data.prepare import tokenize_corpus

    return tokenize_corpus(sources, config, target, like=like, extend=extend)[0]


def open_corpus(
    path: Path,
    name: str = "",
    *,
    begin: "Checkpoint | None" = None,
    extend: bool = False,
    errors: InvalidPolicy = "bytes",
    make: MakeCorpus = _tokenize,
) -> "TokenizedCorpus":
    """Open a tokenized corpus; or tokenize a text into ``corpora/NAME``.

    Args:
        path: of the one or the other.
        name: what a corpus that is made is called; the text's own name, if none is given.
        begin: the model that training begins with, whose tokenizer is taken.
        extend: whether that gets the symbols that it lacks.
        errors: what becomes of bytes that are no UTF-8.
        make: what tokenizes.

    Raises:
        CorpusError: there is neither, or the corpus is damaged.
        CorpusExistsError: ``corpora/NAME`` holds another corpus.
        UsageError: a tokenized corpus is to be extended, or read otherwise.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    if is_corpus(path):
        check_tokenized(path, extend=extend, errors=errors)
        return TokenizedCorpus.open(path)
    if not path.exists():
        raise CorpusError(f"no such corpus or text: {path}", "charnn tokenize makes one of a text")
    like = None if begin is None else begin.tokenizer
    target = CORPORA / (name or corpus_name(path))
    source = SourceConfig((path,), errors=errors)
    return make(source, TokenizerConfig(), target, like=like, extend=extend)


def check_tokenized(path: Path, *, extend: bool, errors: InvalidPolicy) -> None:
    """Refuse what a tokenized corpus would have needed before.

    Raises:
        UsageError: it is to be extended, or read otherwise.
    """
    late = "--extend-vocabulary" if extend else "--errors" if errors != "bytes" else ""
    if late:
        raise UsageError(
            f"{path} is tokenized already, so {late} comes too late",
            f"give it to charnn tokenize{' --like' * extend}",
        )


def corpus_of(known: Mapping[str, Any], run: Path) -> "TokenizedCorpus":
    """The corpus that a model was trained on, found again and checked.

    Args:
        known: what the checkpoint knows of it.
        run: the run's folder: where it lies, ``corpora/`` may lie as well.

    Raises:
        CorpusError: it is not where it was, nor in ``corpora/``, or not the same any more.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus
    from charnn.files import printable

    path = Path(str(known.get("path")))
    parents = run.resolve().parents
    places = [path, CORPORA / str(known.get("name")), *(parent / path for parent in parents[:2])]
    # What a checkpoint knows is text; a name need not be.
    places += [
        one for one in CORPORA.glob("*") if printable(Path(one.name)) == path.name != one.name
    ]
    for place in places:
        if is_corpus(place):
            corpus = TokenizedCorpus.open(place)
            if corpus.digest == known.get("digest"):
                return corpus
    raise CorpusError(
        f"the corpus that the model was trained on is not in {places[0]}",
        "go to where corpora/ lies",
    )


def run_place(output: Path | None, corpus: "TokenizedCorpus") -> tuple[Path, str]:
    """Where a new run goes: the folder and the name; by default ``checkpoints/``, the corpus's.

    Raises:
        UsageError: ``output`` has no name.
    """
    if output is None:
        return CHECKPOINTS, corpus.header.name
    if output.name in ("", ".."):
        raise UsageError(f"-o {output} is no name for a run")
    return output.parent, output.name


def _inside(folder: Path, path: Path) -> Path:
    """A path, or what is so called in a folder, if that alone is there."""
    inside = folder / path
    return inside if not path.exists() and inside.exists() else path
