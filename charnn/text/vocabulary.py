"""The table between tokens and ids: counted, cut off, and numbered.

Ids are laid out as: padding (word tokenizers alone, always 0), the end of a document, the unknown
token, the 256 byte symbols, and then the tokens, the most frequent first; those that other texts
added stand behind them. Whatever a corpus does not need is left out, so no unused symbol swells the
vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from charnn.errors import UsageError
from charnn.text.config import UNKNOWN_POLICIES, UnknownPolicy

#: What stands for a token that the vocabulary lacks, in decoded text.
UNKNOWN_TEXT = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and their ids.

    >>> vocabulary = Vocabulary.build({"a": 5, "b": 3, "c": 1}, min_count=2, unknown="replace")
    >>> vocabulary.tokens, vocabulary.unknown_id, vocabulary.ids["b"], len(vocabulary)
    (('a', 'b'), 0, 2, 3)
    """

    tokens: tuple[str, ...]
    """The tokens that were kept, most frequent first, then those that each extension added."""
    counts: tuple[int, ...]
    """How often each was seen, in the corpus that brought it."""
    padding: bool = False
    """Whether id 0 is padding."""
    end_text: str | None = None
    """The text that the end token stands for; None: there is no end token."""
    unknown: UnknownPolicy = "byte"
    """What becomes of a token that is not kept."""
    cut: int = 0
    """How many occurrences in the first corpus fell to the cutoff."""
    fallback: bool = False
    """Whether the symbols of ``unknown`` are there even if nothing was cut."""

    @staticmethod
    def build(
        counts: Mapping[str, int],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        padding: bool = False,
        end_text: str | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> "Vocabulary":
        """Keep the tokens that were seen at least ``min_count`` times.

        Args:
            counts: how often each token was seen.
            min_count: tokens seen less often are cut.
            max_size: the size that the whole vocabulary, specials included, is cut to.
            padding: whether id 0 is padding.
            end_text: the text of the end token, None for no such token.
            unknown: what becomes of what is cut. By default it is spelled in bytes, whose symbols
                are there only if something is cut; those of a policy that is asked for always are.

        Raises:
            UsageError: ``max_size`` leaves no room for a token, or there is no symbol at all.
        """
        kept = [token for token, count in counts.items() if count >= min_count]
        kept.sort(key=lambda token: (-counts[token], token))

        def vocabulary_of(tokens: list[str]) -> Vocabulary:
            cut = sum(counts.values()) - sum(counts[token] for token in tokens)
            token_counts = tuple(counts[token] for token in tokens)
            return Vocabulary(
                tuple(tokens),
                token_counts,
                padding,
                end_text,
                unknown or "byte",
                cut,
                unknown is not None,
            )

        whole = vocabulary_of(kept)
        if len(whole) <= padding:
            raise UsageError("nothing is left of the vocabulary", "lower --min-count")
        if max_size is None or len(whole) <= max_size:
            return whole
        specials = len(vocabulary_of([]))
        if max_size <= specials:
            raise UsageError(
                f"a vocabulary of {max_size} has no room for tokens beside its {specials} specials",
                "raise --vocab-size or choose another --unknown",
            )
        return vocabulary_of(kept[: max_size - specials])

    def extended(self, counts: Mapping[str, int], min_count: int = 1) -> "Vocabulary":
        """Add the tokens that are lacking and were seen at least ``min_count`` times.

        Nothing that is here already moves; nor do symbols for the unknown come or go.

        >>> vocabulary = Vocabulary.build({"a": 5, "b": 3}, unknown="replace")
        >>> vocabulary.extended({"a": 9, "z": 2, "y": 2, "x": 7}).tokens
        ('a', 'b', 'x', 'y', 'z')
        """
        known = self.ids
        new = [token for token, n in counts.items() if n >= min_count and token not in known]
        new.sort(key=lambda token: (-counts[token], token))
        new_counts = tuple(counts[token] for token in new)
        return replace(self, tokens=(*self.tokens, *new), counts=(*self.counts, *new_counts))

    @property
    def end_id(self) -> int | None:
        """The id of the token that ends a document."""
        return None if self.end_text is None else int(self.padding)

    @property
    def _specials(self) -> int:
        return int(self.padding) + int(self.end_text is not None)

    @property
    def _falls_back(self) -> bool:
        return self.cut > 0 or self.fallback

    @property
    def unknown_id(self) -> int | None:
        """The id of the unknown token, where one is needed."""
        return self._specials if self._falls_back and self.unknown == "replace" else None

    @property
    def first_byte_id(self) -> int | None:
        """The id of byte symbol 0, where byte symbols are needed; the other 255 follow."""
        return self._specials if self._falls_back and self.unknown == "byte" else None

    @property
    def first_id(self) -> int:
        """The id of the most frequent token; the others follow."""
        if self.unknown_id is not None:
            return self.unknown_id + 1
        return self._specials if self.first_byte_id is None else self.first_byte_id + 256

    @property
    def stand_ins(self) -> range:
        """The ids that stand for what is lacking: the unknown token, or the byte symbols."""
        return range(self._specials, self.first_id)

    def __len__(self) -> int:
        return self.first_id + len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token to id."""
        return {token: id for id, token in enumerate(self.tokens, start=self.first_id)}

    def token_bytes(self) -> tuple[bytes, ...]:
        """Id to the bytes that it stands for."""
        specials = [b""] if self.padding else []
        if self.end_text is not None:
            specials.append(self.end_text.encode())
        if self.unknown_id is not None:
            specials.append(UNKNOWN_TEXT.encode())
        if self.first_byte_id is not None:
            specials += [bytes([byte]) for byte in range(256)]
        return (*specials, *(token.encode("utf-8", "surrogateescape") for token in self.tokens))

    def to_fields(self) -> dict[str, Any]:
        """Plain values that ``from_fields`` reads back."""
        return {
            "padding": self.padding,
            "end_text": self.end_text,
            "unknown": self.unknown,
            "cut": self.cut,
            "fallback": self.fallback,
            "tokens": list(self.tokens),
            "counts": list(self.counts),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read what ``to_fields`` wrote.

        Raises:
            ValueError: it was not.
        """
        tokens, counts, end_text = fields["tokens"], fields["counts"], fields["end_text"]
        if not (
            isinstance(tokens, list)
            and all(isinstance(token, str) for token in tokens)
            and len(set(tokens)) == len(tokens)
            and isinstance(counts, list)
            and all(type(count) is int for count in counts)
            and len(counts) == len(tokens)
            and (end_text is None or isinstance(end_text, str))
            and fields["unknown"] in UNKNOWN_POLICIES
            and type(fields["cut"]) is int
        ):
            raise ValueError("the vocabulary is malformed")
        return cls(
            tuple(tokens),
            tuple(counts),
            bool(fields["padding"]),
            end_text,
            fields["unknown"],
            fields["cut"],
            bool(fields["fallback"]),
        )
