"""The contract of all tokenizers: bytes or text to ids, and back."""

import abc
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from charnn.errors import InputError, UnknownTokenError
from charnn.files import sha256, to_json
from charnn.text.config import TokenizerConfig, UnknownPolicy
from charnn.text.utf8 import INVALID, encode_utf8

Ids = NDArray[np.int64]

#: The texts of a corpus, each as a stream of bytes.
Documents = Iterable[Iterable[bytes]]

#: The bytes that go through a tokenizer at a time.
CHUNK_BYTES = 1 << 20

#: What ``fields`` may hold that does not decide how text becomes ids, or that the tokens tell.
_LEARNED = ("tokens", "counts", "cut", "fallback")


@dataclass
class UnknownTally:
    """What an encoding met that the vocabulary lacks and could not keep."""

    count: int = 0
    """How many tokens."""
    first: str = ""
    """The first of them."""
    offset: int = 0
    """Its place in the text, in characters (code points)."""
    lacking: Counter[str] | None = None
    """If given: how often each symbol was met that the vocabulary lacks, also if bytes spell it."""

    def add(self, token: str, offset: int, count: int = 1) -> None:
        """Note ``count`` tokens, the first of which is ``token`` at ``offset``."""
        if not self.count:
            self.first, self.offset = token, offset
        self.count += count

    def __str__(self) -> str:
        return f"{self.count} unknown, the first {named(self.first)} at character {self.offset}"


def named(token: str) -> str:
    r"""A token, so that it is seen what it is.

    >>> named("→"), named(" fox"), named("\udcff")
    ("U+2192 '→'", "' fox'", 'byte 0xFF, which is no UTF-8,')
    """
    if len(token) != 1:
        return repr(token)
    if INVALID[0] <= token <= INVALID[-1]:
        return f"byte 0x{ord(token) & 0xFF:02X}, which is no UTF-8,"
    return f"U+{ord(token):04X} {token!r}"


class Tokenizer(abc.ABC):
    """Text to ids and ids to bytes.

    ``decode`` looks every id up in one table, so decode(a + b) = decode(a) + decode(b).
    """

    kind: ClassVar[str]
    token_bytes: tuple[bytes, ...]
    """Id to the bytes it stands for."""
    end_id: int | None = None
    """The id that ends a document."""
    end_text: str | None = None
    """The text that this id stands for; it is made of that text wherever it stands."""
    unknown_id: int | None = None
    """The id that stands for what the vocabulary lacks."""
    stand_ins: range = range(0)
    """All ids that stand for what it lacks: the unknown token, or the byte symbols."""
    prompt_policy: UnknownPolicy | None = None
    """What becomes of unknown text in a prompt: "error" is no answer there."""
    exact: bool = True
    """Whether all known text returns byte for byte."""
    loses: str = ""
    """What it cannot keep, in words; empty if it keeps all text."""

    @classmethod
    @abc.abstractmethod
    def train(cls, documents: Documents, config: TokenizerConfig) -> Self:
        """Learn the vocabulary from a corpus.

        Args:
            documents: its texts, each as a stream of bytes; iterable more than once.
            config: what is wanted.
        """

    @abc.abstractmethod
    def extended(self, documents: Documents, min_count: int | None = None) -> Self:
        """The same tokenizer with those symbols of other texts that its vocabulary lacks.

        No id changes; the new ones follow, the most frequent first. So ``token_bytes`` of the old
        begins that of the new.

        Args:
            documents: the texts.
            min_count: how often a symbol must be seen in them; None: what the kind has by itself.

        Raises:
            UsageError: this kind cannot be extended; even without any document.
        """

    @abc.abstractmethod
    def encode_stream(
        self,
        chunks: Iterable[bytes],
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> Iterator[Ids]:
        """Encode a stream piece by piece: the ids do not depend on where it was cut.

        Bytes that are no UTF-8 are symbols like any others, each by itself, and return as they are.

        Args:
            chunks: the bytes of the text.
            tally: counts what the vocabulary lacks and cannot keep.
            unknown: what to do about that, if not what the tokenizer was trained for.

        Raises:
            UnknownTokenError: something is unknown and the policy is "error".
        """

    @abc.abstractmethod
    def fields(self) -> dict[str, Any]:
        """What ``tokenizer.json`` says, as plain values."""

    @classmethod
    @abc.abstractmethod
    def from_fields(cls, fields: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer that ``tokenizer.json`` in ``folder`` tells of."""

    @property
    def vocabulary_size(self) -> int:
        """The number of ids."""
        return len(self.token_bytes)

    @property
    def digest(self) -> str:
        """Identifies what becomes of a text: the kind, the tokens, and how text is read."""
        how = {name: told for name, told in self.fields().items() if name not in _LEARNED}
        tokens = [token.hex() for token in self.token_bytes]
        return sha256(to_json([self.kind, how, tokens]).encode())

    @cached_property
    def start_id(self) -> int:
        """What stands before a text that begins: the end token, a line end, or a common token."""
        if self.end_id is not None:
            return self.end_id
        line_end = self.encode("\n", unknown="skip")
        return line_end[0] if line_end else self._common_id

    @property
    def _common_id(self) -> int:
        """A token that training has surely seen, where the text has no line ends."""
        return 0

    def encode(
        self,
        text: bytes | str,
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> list[int]:
        """The ids of a text; see ``encode_stream``.

        Raises:
            InputError: ``text`` is a ``str`` that holds half a surrogate pair.
        """
        data = encode_utf8(text) if isinstance(text, str) else text
        pieces = self.encode_stream([data], tally, unknown)
        return [id for piece in pieces for id in piece.tolist()]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes that ids stand for.

        Raises:
            InputError: an id is not in the vocabulary.
        """
        table, ids = self.token_bytes, list(ids)
        try:
            return b"".join([table[id] if id >= 0 else table[len(table)] for id in ids])
        except (IndexError, TypeError):
            numbers = int, np.integer
            odd = next(id for id in ids if not isinstance(id, numbers) or not 0 <= id < len(table))
            raise InputError(f"{odd!s:.40} is no id; ids are from 0 to {len(table) - 1}") from None

    def save(self, folder: Path) -> None:
        """Write one file to load, ``tokenizer.json``, and one to read, ``vocabulary.tsv``."""
        folder.mkdir(parents=True, exist_ok=True)
        fields = {"kind": self.kind, **self.fields()}
        (folder / "tokenizer.json").write_text(to_json(fields), encoding="utf-8")
        known = [str(count) for count in fields.get("counts", ())]
        counts = [""] * (self.vocabulary_size - len(known)) + known
        with (folder / "vocabulary.tsv").open("w", encoding="utf-8") as file:
            file.write("id\tcount\ttoken\n")
            for id, (count, token) in enumerate(zip(counts, self.token_bytes, strict=True)):
                file.write(f"{id}\t{count}\t{token.decode('utf-8', 'backslashreplace')!r}\n")


def load_fields(folder: Path) -> dict[str, Any]:
    """Read ``tokenizer.json``.

    Raises:
        InputError: it is missing or no JSON object.
    """
    path = folder / "tokenizer.json"
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the tokenizer {path}: {error}") from None
    if not isinstance(fields, dict):
        raise InputError(f"the tokenizer {path} is damaged")
    return fields


def lower(text: str) -> str:
    """Lower case that does not depend on where a stream is cut.

    Python lowers a capital sigma by what stands around it; here each character stands alone.
    """
    return "".join(map(str.lower, text)) if "Σ" in text else text.lower()


def split_documents(texts: Iterable[str], end_text: str | None) -> Iterator[str | None]:
    """Cut text at every ``end_text``; None stands where one was.

    >>> list(split_documents(["one\\n", "\\ntwo"], "\\n\\n"))
    ['one', None, 'two']
    """
    if not end_text:
        yield from texts
        return
    held = ""
    for text in texts:
        *whole, held = (held + text).split(end_text)
        for part in whole:
            if part:
                yield part
            yield None
        keep = max((n for n in range(len(end_text)) if held.endswith(end_text[:n])), default=0)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


def unknown_error(tally: UnknownTally) -> UnknownTokenError:
    """The error of the policy "error"."""
    return UnknownTokenError(
        f"the vocabulary lacks something: {tally}",
        "tokenize with a lower --min-count or another --unknown",
    )
