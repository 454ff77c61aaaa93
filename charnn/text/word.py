"""The word tokenizer: text to words, words counted, rare ones cut, each mapped to a number."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

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

Words = Literal["text", "whitespace"]

# Scripts that put no space between words: Kana, Han (all its blocks), and their iteration marks.
_CJK = (
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W{_CJK}]"

# Runs are bounded, so that no input makes a token, or the search for its end, endless.
_TEXT = re.compile(
    rf"[^\S\n]{{0,64}}(?:\n|[{_CJK}]|{_LETTER}{{1,64}}(?:['’]{_LETTER}{{1,64}})?|[^\w\s])"
    r"|[^\S\n]{1,64}"
)
_WHITESPACE = re.compile(r"[^\S\n]{0,64}(?:\n|\S{1,256})|[^\S\n]{1,64}")

#: Tokens before the last two cannot change, whatever text follows.
_UNSETTLED = 2


def words_of(texts: Iterable[str | None], words: Words = "text") -> Iterator[list[str] | None]:
    """Cut a stream of text into words, each with the white space before it; None passes through.

    In text, line ends, punctuation and CJK characters are words of their own; otherwise words are
    whatever stands between white space, and line ends. All of them joined are the text again.

    >>> list(words_of(["Don't pan", "ic, 世界!"]))
    [["Don't", ' panic', ',', ' 世'], ['界', '!']]
    """
    pattern = _TEXT if words == "text" else _WHITESPACE
    held = ""
    for text in texts:
        if text is None:
            yield pattern.findall(held)
            held = ""
            yield None
            continue
        found = pattern.findall(held + text)
        if settled := found[:-_UNSETTLED]:
            yield settled
        held = "".join(found[-_UNSETTLED:])
    yield pattern.findall(held)


class WordTokenizer(Tokenizer):
    """A token is a word; id 0 is padding.

    With ``words="text"`` known text returns exactly. With ``words="whitespace"``, for corpora that
    come tokenized (WikiText), white space only separates: a line is given back as `` a b \\n``,
    with one space before each word and before the line's end.
    """

    kind = "word"

    def __init__(
        self, vocabulary: Vocabulary, *, lowercase: bool = False, words: Words = "text"
    ) -> None:
        self.vocabulary = vocabulary
        self.end_id = vocabulary.end_id
        self.end_text = vocabulary.end_text
        self.unknown_id = vocabulary.unknown_id
        self.stand_ins = vocabulary.stand_ins
        self.prompt_policy = "skip" if vocabulary.unknown == "error" else vocabulary.unknown
        self.lowercase = lowercase
        self.words = words
        self.exact = not lowercase and words == "text"
        self.loses = "upper case" if lowercase else ""
        self.token_bytes = vocabulary.token_bytes()
        if words == "whitespace":
            self.loses = " and ".join(filter(None, [self.loses, "irregular white space"]))
            first = vocabulary.first_byte_id
            spelled = range(0) if first is None else range(first, first + 256)
            self.token_bytes = tuple(
                token if id in spelled or not token else b" " + token
                for id, token in enumerate(self.token_bytes)
            )

    @classmethod
    def train(cls, documents: Documents, config: TokenizerConfig) -> Self:
        """Count the words of a corpus."""
        default_min_count = 1 if config.vocabulary_size else _default_min_count(config.words)
        vocabulary = Vocabulary.build(
            _counts(documents, config.end_text, config.lowercase, config.words),
            min_count=config.min_count or default_min_count,
            max_size=config.vocabulary_size,
            padding=True,
            end_text=config.end_text,
            unknown=config.unknown,
        )
        return cls(vocabulary, lowercase=config.lowercase, words=config.words)

    def extended(self, documents: Documents, min_count: int | None = None) -> Self:
        counts = _counts(documents, self.end_text, self.lowercase, self.words)
        vocabulary = self.vocabulary.extended(counts, min_count or _default_min_count(self.words))
        return type(self)(vocabulary, lowercase=self.lowercase, words=self.words)

    def encode_stream(
        self,
        chunks: Iterable[bytes],
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> Iterator[Ids]:
        policy = unknown or self.vocabulary.unknown
        tally = tally or UnknownTally()
        id_of = self.vocabulary.ids
        offset = 0
        texts = _lowered(decode_utf8(chunks), self.lowercase)
        for words in words_of(split_documents(texts, self.vocabulary.end_text), self.words):
            if words is None:
                yield np.array([self.end_id], dtype=np.int64)
                offset += len(self.vocabulary.end_text or "")
                continue
            ids: list[int] = []
            for text in words:
                word = text if self.words == "text" else _bare(text)
                id = id_of.get(word)
                if id is not None:
                    ids.append(id)
                elif word:
                    ids += self._settle_unknown(word, policy, tally, offset)
                offset += len(text)
            yield np.array(ids, dtype=np.int64)

    def _settle_unknown(
        self, word: str, policy: UnknownPolicy, tally: UnknownTally, offset: int
    ) -> list[int]:
        if tally.lacking is not None:
            tally.lacking[word] += 1
        first_byte_id = self.vocabulary.first_byte_id
        if policy == "byte" and first_byte_id is not None:
            spelled = word if self.words == "text" else f" {word}"
            return [first_byte_id + byte for byte in encode_utf8(spelled)]
        tally.add(word, offset)
        if policy == "error":
            raise unknown_error(tally)
        if policy == "replace" and self.unknown_id is not None:
            return [self.unknown_id]
        return []

    @property
    def _common_id(self) -> int:
        return min(self.vocabulary.first_id, len(self.vocabulary) - 1)

    def fields(self) -> dict[str, Any]:
        return {"lowercase": self.lowercase, "words": self.words, **self.vocabulary.to_fields()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], folder: Path) -> Self:
        if fields["words"] not in ("text", "whitespace"):
            raise ValueError("words is malformed")
        return cls(
            Vocabulary.from_fields(fields),
            lowercase=bool(fields["lowercase"]),
            words=fields["words"],
        )


def _default_min_count(words: Words) -> int:
    return 1 if words == "whitespace" else 2


def _counts(
    documents: Documents, end_text: str | None, lowercase: bool, words: Words
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunks in documents:
        texts = _lowered(decode_utf8(chunks), lowercase)
        for found in words_of(split_documents(texts, end_text), words):
            counts.update(found or ())
    return _bare_counts(counts) if words == "whitespace" else counts


def _lowered(texts: Iterable[str], lowercase: bool) -> Iterator[str]:
    return map(lower, texts) if lowercase else iter(texts)


def _bare(word: str) -> str:
    """A word without the white space before it; a line end stays, other white space is nothing."""
    return "\n" if word.endswith("\n") else word.strip()


def _bare_counts(counts: Counter[str]) -> Counter[str]:
    bare: Counter[str] = Counter()
    for word, count in counts.items():
        bare[_bare(word)] += count
    del bare[""]
    return bare
