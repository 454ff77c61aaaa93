"""The text that a model is measured on: its own corpus, or a file."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charnn.cli.console import warn
from charnn.cli.places import chunks_of, standard_input
from charnn.errors import CorpusError
from charnn.places import corpus_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charnn.data.store import TokenizedCorpus
    from charnn.models import Model
    from charnn.text.base import UnknownTally
    from charnn.text.config import InvalidPolicy


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


def read_ids(
    model: "Model", path: Path, limit: int | None = None, errors: "InvalidPolicy" = "bytes"
) -> tuple["NDArray[np.integer[Any]]", "UnknownTally"]:
    """The ids of a file (- is standard input), and what of it the model's vocabulary lacks.

    They lie in a temporary file, mapped into memory.

    Args:
        model: whose ids.
        path: the file.
        limit: reading stops soon after so many ids, if it is given.
        errors: what becomes of bytes that are no UTF-8.

    Raises:
        InputError: it cannot be read, is a device without an end, or is no UTF-8 and ``errors`` is
            "strict".
        OutputError: the temporary file cannot be written.
    """
    import numpy as np

    from charnn.data.store import dtype_for
    from charnn.files import cannot_write
    from charnn.text.base import UnknownTally

    _check_ends(path)
    tokenizer, tally = model.tokenizer, UnknownTally()
    dtype, count = dtype_for(tokenizer.vocabulary_size), 0
    pieces = tokenizer.encode_stream(_chunks(path, errors), tally, tokenizer.prompt_policy)
    with cannot_write("ids to", Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for piece in pieces:
            file.write(piece.astype(dtype).tobytes())
            count += len(piece)
            if limit is not None and count > limit:
                break
        if not count:
            return np.zeros(0, dtype), tally
        file.flush()
        return np.memmap(file, dtype, "r"), tally


def _check_ends(path: Path) -> None:
    from charnn.text.corpus import check_ends

    if str(path) == "-":
        check_ends(standard_input(), "standard input")
    elif path.is_char_device():
        with path.open("rb") as stream:
            check_ends(stream, path)


def warn_of_lost(tally: "UnknownTally") -> None:
    """Say that a text was not read as a whole, if it was not."""
    if tally.count:
        warn(f"some of the text is not in the vocabulary and was lost: {tally}")


def _chunks(path: Path, errors: "InvalidPolicy") -> Iterable[bytes]:
    from charnn.text.corpus import find_files

    files = [path] if str(path) == "-" else find_files([path])
    return (chunk for file in files for chunk in chunks_of(file, errors))
