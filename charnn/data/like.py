"""Text in the tokens of a vocabulary that was not made for it: that of a model."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from charnn.data.store import Lacking
from charnn.errors import UsageError
from charnn.text.base import Ids, Tokenizer, UnknownTally, split_documents
from charnn.text.config import TokenizerConfig
from charnn.text.utf8 import encode_utf8

#: How many of the symbols that a vocabulary lacks are named.
_NAMED = 10


def check_like(config: TokenizerConfig, like: Tokenizer | None, extend: bool) -> None:
    """Check that nothing is asked of ``like`` that it cannot give.

    Raises:
        UsageError: ``config`` asks for another tokenizer, or ``like`` cannot be extended.
    """
    if like is None:
        if extend:
            raise UsageError("--extend-vocabulary needs --like", "it says whose vocabulary")
        return
    if replace(config, min_count=None if extend else config.min_count) != TokenizerConfig():
        raise UsageError("--like takes a tokenizer as it is", "leave out what makes another")
    if extend:
        like.extended(())  # what cannot be extended says so before anything is read


def options_like(config: TokenizerConfig, like: Tokenizer, extend: bool) -> dict[str, Any]:
    """How a corpus is tokenized, for its header."""
    of = {"kind": like.kind, "digest": like.digest}
    return {"like": of, "extended": extend, "min_count": config.min_count}


class Met:
    """How a text meets such a vocabulary: encodes it, and counts what is lacking.

    Args:
        tokenizer: has the vocabulary.
        separator: the text between two documents, "" for none. An end token that stands for no
            text is put behind it; one that stands for a text goes where that text is.
    """

    def __init__(self, tokenizer: Tokenizer, separator: str) -> None:
        self.symbols: Counter[str] = Counter()
        """What is lacking, and how often it was met."""
        self._known = 0
        self._tokenizer = tokenizer
        self._separator = separator if tokenizer.end_text == "" else ""

    def encode_stream(self, chunks: Iterable[bytes], tally: UnknownTally) -> Iterator[Ids]:
        """The ids of a stream; what is lacking stops nothing, whatever the policy.

        Raises:
            InputError: the bytes are not UTF-8 (the byte tokenizer takes anything).
        """
        stand_ins = self._tokenizer.stand_ins
        for ids in self._documents(chunks, tally):
            in_place = (ids >= stand_ins.start) & (ids < stand_ins.stop)
            self._known += len(ids) - int(np.count_nonzero(in_place))
            yield ids

    def _documents(self, chunks: Iterable[bytes], tally: UnknownTally) -> Iterator[Ids]:
        tokenizer, policy = self._tokenizer, self._tokenizer.prompt_policy
        if not self._separator:
            yield from tokenizer.encode_stream(chunks, tally, policy)
            return
        # Latin-1 makes a character of each byte, and so cuts what is no text as well.
        pieces = split_documents((chunk.decode("latin-1") for chunk in chunks), self._separator)
        ended = True

        def document() -> Iterator[bytes]:
            nonlocal ended
            for piece in pieces:
                if piece is None:
                    ended = True
                    yield self._separator.encode()
                    return
                yield piece.encode("latin-1")

        while ended:
            ended = False
            yield from tokenizer.encode_stream(document(), tally, policy)
            if ended:
                yield np.array([tokenizer.end_id], dtype=np.int64)

    def lacking(self) -> Lacking:
        """What was lacking in all that was encoded."""
        tokens = self.symbols.total()
        share = tokens / max(self._known + tokens, 1)
        named = heapq.nsmallest(_NAMED, self.symbols.items(), key=lambda pair: (-pair[1], pair[0]))
        shown: list[list[str | int]] = [[_shown(symbol), count] for symbol, count in named]
        return Lacking(tokens, share, len(self.symbols), shown)


def _shown(symbol: str) -> str:
    r"""A symbol as text that UTF-8 can hold.

    >>> _shown("caf\udce9")
    'caf\\xe9'
    """
    return encode_utf8(symbol).decode("utf-8", "backslashreplace")
