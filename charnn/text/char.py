"""The character tokenizer: Unicode code points, counted over the corpus."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from charnn.text.base import (
    Documents,
    Ids,
    Tokenizer,
    UnknownTally,
    lower,
    split_documents,
    unknown_error,
)
from charnn.text.config import TokenizerConfig, UnknownPolicy
from charnn.text.utf8 import decode_utf8, encode_utf8
from charnn.text.vocabulary import Vocabulary

_CODE_POINTS = 0x110000


class CharTokenizer(Tokenizer):
    """A token is a code point, or a byte that is no UTF-8.

    Known text returns exactly (in lower case, if asked so).

    With ``unknown="byte"`` a rare character becomes the symbols of its UTF-8 bytes, so nothing is
    lost.
    """

    kind = "char"

    def __init__(self, vocabulary: Vocabulary, *, lowercase: bool = False) -> None:
        self.vocabulary = vocabulary
        self.token_bytes = vocabulary.token_bytes()
        self.end_id = vocabulary.end_id
        self.end_text = vocabulary.end_text
        self.unknown_id = vocabulary.unknown_id
        self.stand_ins = vocabulary.stand_ins
        self.prompt_policy = "skip" if vocabulary.unknown == "error" else vocabulary.unknown
        self.lowercase = lowercase
        self.exact = not lowercase
        self.loses = "upper case" if lowercase else ""
        points = np.array([ord(token) for token in vocabulary.tokens], dtype=np.int64)
        self._id_of_point = np.full(int(points.max(initial=0)) + 2, -1, dtype=np.int64)
        self._id_of_point[points] = np.arange(vocabulary.first_id, len(vocabulary))

    @classmethod
    def train(cls, documents: Documents, config: TokenizerConfig) -> Self:
        """Count the code points of a corpus."""
        vocabulary = Vocabulary.build(
            _counts(documents, config.end_text, config.lowercase),
            min_count=config.min_count or 1,
            max_size=config.vocabulary_size,
            end_text=config.end_text,
            unknown=config.unknown,
        )
        return cls(vocabulary, lowercase=config.lowercase)

    def extended(self, documents: Documents, min_count: int | None = None) -> Self:
        counts = _counts(documents, self.end_text, self.lowercase)
        vocabulary = self.vocabulary.extended(counts, min_count or 1)
        return type(self)(vocabulary, lowercase=self.lowercase)

    def encode_stream(
        self,
        chunks: Iterable[bytes],
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> Iterator[Ids]:
        policy = unknown or self.vocabulary.unknown
        tally = tally or UnknownTally()
        offset = 0
        for text in split_documents(decode_utf8(chunks), self.vocabulary.end_text):
            if text is None:
                yield np.array([self.end_id], dtype=np.int64)
                offset += len(self.vocabulary.end_text or "")
                continue
            points = _code_points(lower(text) if self.lowercase else text)
            ids = self._id_of_point[np.minimum(points, len(self._id_of_point) - 1)]
            if (ids < 0).any():
                ids = self._settle_unknown(ids, points, policy, tally, offset)
            yield ids
            offset += len(text)

    def _settle_unknown(
        self, ids: Ids, points: Ids, policy: UnknownPolicy, tally: UnknownTally, offset: int
    ) -> Ids:
        first_byte_id = self.vocabulary.first_byte_id
        where = np.flatnonzero(ids < 0)
        if tally.lacking is not None:
            tally.lacking.update(map(chr, points[where].tolist()))
        if policy == "byte" and first_byte_id is not None:
            spelled = [
                first_byte_id + np.frombuffer(encode_utf8(chr(point)), np.uint8).astype(np.int64)
                for point in points[where].tolist()
            ]
            lengths = [len(piece) for piece in spelled]
            return np.insert(
                np.delete(ids, where),
                np.repeat(where - np.arange(len(where)), lengths),
                np.concatenate(spelled),
            )
        tally.add(chr(int(points[where[0]])), offset + int(where[0]), len(where))
        if policy == "error":
            raise unknown_error(tally)
        if policy == "replace" and self.unknown_id is not None:
            return np.where(ids < 0, self.unknown_id, ids)
        return np.delete(ids, where)

    @property
    def _common_id(self) -> int:
        return min(self.vocabulary.first_id, len(self.vocabulary) - 1)

    def fields(self) -> dict[str, Any]:
        return {"lowercase": self.lowercase, **self.vocabulary.to_fields()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], folder: Path) -> Self:
        vocabulary = Vocabulary.from_fields(fields)
        if any(len(token) != 1 for token in vocabulary.tokens):
            raise ValueError("a token is not one character")
        return cls(vocabulary, lowercase=bool(fields["lowercase"]))


def _counts(documents: Documents, end_text: str | None, lowercase: bool) -> dict[str, int]:
    counts = np.zeros(_CODE_POINTS, dtype=np.int64)
    for chunks in documents:
        for text in split_documents(decode_utf8(chunks), end_text):
            if text:
                points = _code_points(lower(text) if lowercase else text)
                counts[: int(points.max()) + 1] += np.bincount(points)
    return {chr(point): int(counts[point]) for point in np.flatnonzero(counts).tolist()}


def _code_points(text: str) -> Ids:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
