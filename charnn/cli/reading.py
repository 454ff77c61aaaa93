"""The text that a model is measured on: its own corpus, or a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from charnn.cli.console import warn
from charnn.cli.places import chunks_of
from charnn.errors import CorpusError
from charnn.places import corpus_of

if TYPE_CHECKING:
    from charnn.data.store import TokenizedCorpus
    from charnn.models import Model
    from charnn.text.base import Ids, UnknownTally


def own_corpus(model: "Model", hint: str) -> "TokenizedCorpus":
    """What a model was trained on.

    Args:
        model: the model.
        hint: what to do where that is not found.

    Raises:
        CorpusError: it is not where it was, or not the same any more.
    """
    try:
        return corpus_of(model.checkpoint.config.corpus, model.checkpoint.path.parent)
    except CorpusError as error:
        raise CorpusError(error.message, hint) from None


def read_ids(model: "Model", path: Path, limit: int | None = None) -> tuple["Ids", "UnknownTally"]:
    """The ids of a file (- is standard input), and what of it the model's vocabulary lacks.

    Reading stops soon after ``limit`` ids, if there is one.

    Raises:
        InputError: it cannot be read, or is no UTF-8.
    """
    import numpy as np

    from charnn.text.base import UnknownTally

    tokenizer, tally = model.tokenizer, UnknownTally()
    pieces, count = [np.zeros(0, dtype=np.int64)], 0
    for piece in tokenizer.encode_stream(_chunks(path), tally, tokenizer.prompt_policy):
        pieces.append(piece)
        count += len(piece)
        if limit is not None and count > limit:
            break
    return np.concatenate(pieces), tally


def warn_of_lost(tally: "UnknownTally") -> None:
    """Say that a text was not read as a whole, if it was not."""
    if tally.count:
        warn(f"some of the text is not in the vocabulary and was lost: {tally}")


def _chunks(path: Path) -> Iterable[bytes]:
    from charnn.text.corpus import find_files

    files = [path] if str(path) == "-" else find_files([path])
    return (chunk for file in files for chunk in chunks_of(file))
