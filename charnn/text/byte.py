"""The byte tokenizer: 256 symbols, and whatever bytes come in come out again."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from charnn.text.base import Documents, Ids, Tokenizer, UnknownTally
from charnn.text.config import TokenizerConfig, UnknownPolicy


class ByteTokenizer(Tokenizer):
    """Id b is byte b; id 256 ends a document, where a corpus has several.

    >>> ByteTokenizer().encode("né")
    [110, 195, 169]
    """

    kind = "byte"

    def __init__(self, end_text: str | None = None) -> None:
        self.end_text = end_text
        self.token_bytes = tuple(bytes([byte]) for byte in range(256))
        if end_text is not None:
            self.end_id = 256
            self.token_bytes += (end_text.encode(),)

    @classmethod
    def train(cls, documents: Documents, config: TokenizerConfig) -> Self:
        """There is nothing to learn; the corpus is not even read."""
        return cls(config.end_text)

    def extended(self, documents: Documents, min_count: int | None = None) -> Self:
        """Nothing can be lacking."""
        return self

    def encode_stream(
        self,
        chunks: Iterable[bytes],
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> Iterator[Ids]:
        """Every byte is its own id."""
        end = (self.end_text or "").encode()
        held = b""
        for chunk in chunks:
            data = held + chunk
            if end:
                # A chunk may end inside an end text: keep back what could be its beginning.
                rest = data.split(end)[-1]
                kept = max(n for n in range(len(end)) if rest.endswith(end[:n]))
                held, data = data[len(data) - kept :], data[: len(data) - kept]
            yield self._ids(data, end)
        yield self._ids(held, end)

    def _ids(self, data: bytes, end: bytes) -> Ids:
        if not end or end not in data:
            return np.frombuffer(data, np.uint8).astype(np.int64)
        separator = np.array([256], dtype=np.int64)
        parts = [np.frombuffer(part, np.uint8).astype(np.int64) for part in data.split(end)]
        return np.concatenate([x for part in parts for x in (part, separator)][:-1])

    def fields(self) -> dict[str, Any]:
        return {"end_text": self.end_text}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], folder: Path) -> Self:
        end_text = fields["end_text"]
        if not (end_text is None or isinstance(end_text, str)):
            raise ValueError("end_text is malformed")
        return cls(end_text)
