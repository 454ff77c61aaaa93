"""Where things lie by default: runs, tokenized corpora, and the texts that come with charnn."""

from pathlib import Path

from charnn.cli.console import say
from charnn.errors import CheckpointError, CorpusError

CHECKPOINTS = Path("checkpoints")
CORPORA = Path("corpora")


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
            f"no checkpoint in {CHECKPOINTS}/", "train one with charnn train, or name one with -m"
        )
    say(f"model: {found[0]}")
    return found[0]


def newest_corpus() -> Path | None:
    """The tokenized corpus that was made last."""
    from charnn.data.store import HEADER

    headers = [path for path in CORPORA.glob(f"*/{HEADER}") if not path.parent.name.startswith(".")]
    return max(headers, key=lambda path: path.stat().st_mtime_ns).parent if headers else None
