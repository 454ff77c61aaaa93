"""``charnn encode`` and ``charnn decode``: text to ids to text, in a pipe."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from charnn.cli.console import Payload, be_quiet, warn
from charnn.cli.options import Errors, Model, Quiet
from charnn.cli.places import chunks_of, find_tokenizer
from charnn.errors import InputError

Input = Annotated[
    Path | None, typer.Argument(help="A file; - or nothing is stdin.", show_default=False)
]


#: An id has no more.
_DIGITS = 10


def encode(
    file: Input = None, errors: Errors = "bytes", model: Model = None, quiet: Quiet = False
) -> None:
    """Turn text into ids: decimal numbers between spaces.

    -m also takes a tokenized corpus.

    Examples:
        echo "The fox" | charnn encode

        charnn encode -m corpora/fables letter.txt
    """
    from charnn.text.base import UnknownTally

    be_quiet(quiet)
    tokenizer = find_tokenizer(model)
    payload = Payload()
    tally = UnknownTally()
    for ids in tokenizer.encode_stream(chunks_of(file, errors), tally):
        payload.write("".join(f"{id} " for id in ids.tolist()))
    payload.write("\n")
    if tally.count:
        warn(f"some of the text is not in the vocabulary and was lost: {tally}")


def decode(file: Input = None, model: Model = None, quiet: Quiet = False) -> None:
    """Turn ids, decimal numbers between white space, into text.

    -m also takes a tokenized corpus.

    Examples:
        echo "The fox" | charnn encode | charnn decode
    """
    be_quiet(quiet)
    tokenizer = find_tokenizer(model)
    payload = Payload()
    for numbers in _numbers(chunks_of(file)):
        payload.write(tokenizer.decode(numbers))


def _numbers(chunks: Iterable[bytes]) -> Iterator[list[int]]:
    """Decimals between white space, wherever the bytes are cut."""
    held = b""
    for chunk in itertools.chain(chunks, [b"\n"]):
        words = (held + chunk).split()
        held = b"" if chunk[-1:].isspace() or not words else words.pop()
        if len(held) > _DIGITS:
            _number(held)  # is none, so the rest of it need not be kept
        yield [_number(word) for word in words]


def _number(word: bytes) -> int:
    if not (word.isdigit() and len(word) <= _DIGITS):
        shown = word[:20].decode("utf-8", "backslashreplace")
        raise InputError(f"not an id: {shown!r}", "decode reads decimal numbers")
    return int(word)
