"""A tokenized corpus: a folder with memory-mapped ids, their JSON header, and the tokenizer.

corpus.json            the header: what is in it, and what it was made from
train.ids              the ids, little-endian uint16 (or uint32 for over 65,536 symbols)
train.documents        where each document begins, little-endian uint64
validation.*, test.*   likewise
tokenizer/             the tokenizer
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.errors import CorpusError
from charnn.files import sha256, sha256_of_file, to_json
from charnn.text.base import Tokenizer
from charnn.text.tokenizers import load_tokenizer
from charnn.typed import check_types

FORMAT = 1
HEADER = "corpus.json"
SPLITS = ("train", "validation", "test")


def dtype_for(vocabulary_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest type on disk that holds every id."""
    return np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<u4")


@dataclass(frozen=True)
class SplitHeader:
    """What one split holds."""

    tokens: int
    bytes: int
    """Bytes of source text."""
    characters: int
    """Its code points (bytes that begin one)."""
    documents: int
    unknown: int
    """Tokens that the vocabulary lacks and that were lost."""
    exact: bool
    """Whether the ids decode to the source text, byte for byte in length."""
    sha256: str
    """Of the ids on disk."""

    def __post_init__(self) -> None:
        check_types(self)
        if min(self.tokens, self.bytes, self.characters, self.documents, self.unknown) < 0:
            raise ValueError("a split has fewer than none of something")


@dataclass(frozen=True)
class Lacking:
    """What a text holds that the vocabulary lacks, where that was not made for it."""

    tokens: int
    """How many tokens, whether they were lost or spelled in bytes."""
    share: float
    """Their share of all tokens, each counted once."""
    symbols: int
    """How many different ones."""
    most_common: list[list[str | int]]
    """The most frequent of them, each with its count."""

    def __post_init__(self) -> None:
        check_types(self)
        if min(self.tokens, self.symbols) < 0 or not 0 <= self.share <= 1:
            raise ValueError("it lacks fewer than none of something")
        if any([type(part) for part in pair] != [str, int] for pair in self.most_common):
            raise TypeError("most_common is malformed")


@dataclass(frozen=True)
class CorpusHeader:
    """What ``corpus.json`` says."""

    name: str
    tokenizer: str
    vocabulary: int
    """The number of ids."""
    source: Mapping[str, Any]
    """The files, their size, and the digest that identifies them."""
    options: Mapping[str, Any]
    """How they were tokenized."""
    splits: Mapping[str, SplitHeader]
    lacking: Lacking | None = None
    """What its vocabulary lacks, if that is like another's; it is left out of the file if not."""

    @property
    def held_out(self) -> int:
        """How many tokens are held out for validation."""
        return self.splits["validation"].tokens if "validation" in self.splits else 0

    def to_json(self) -> str:
        """The header as it is written."""
        fields = asdict(self)
        if self.lacking is None:
            del fields["lacking"]
        return to_json({"format": FORMAT, **fields})


@dataclass(frozen=True)
class TokenizedCorpus:
    """An opened corpus folder."""

    path: Path
    header: CorpusHeader

    @classmethod
    def open(cls, path: Path) -> "TokenizedCorpus":
        """Read the header of the corpus in ``path`` and check it against the files.

        Raises:
            CorpusError: there is none, or it is damaged or from a newer charnn.
        """
        file = path / HEADER
        try:
            fields = json.loads(file.read_bytes())
            version = fields.pop("format")
            if version != FORMAT:
                raise CorpusError(
                    f"{path} has format {version}; this charnn reads {FORMAT}",
                    "tokenize the text again",
                )
            fields["splits"] = {
                name: SplitHeader(**split) for name, split in fields["splits"].items()
            }
            if "lacking" in fields:
                fields["lacking"] = Lacking(**fields["lacking"])
            corpus = cls(path, CorpusHeader(**fields))
            header = corpus.header
            invalid = header.source.get("invalid", {})
            if not (
                isinstance(header.name, str)
                and header.name not in ("", "..")
                and "\0" not in header.name
                and Path(header.name).name == header.name
                and isinstance(header.source, dict)
                and all(isinstance(file, str) for file in header.source["files"])
                and isinstance(header.source["digests"], dict)
                and type(invalid.get("bytes", 0)) is int
                and invalid.get("bytes", 0) >= 0
                and isinstance(invalid.get("first", ""), str)
                and isinstance(header.options, dict)
                and type(header.vocabulary) is int
                and header.vocabulary > 0
                and "train" in header.splits
            ):
                raise ValueError("the header is malformed")
            header.to_json().encode()  # half a surrogate pair is no text
            item = dtype_for(corpus.header.vocabulary).itemsize
            for name, split in corpus.header.splits.items():
                size = (path / f"{name}.ids").stat().st_size
                if name not in SPLITS or size != split.tokens * item:
                    raise CorpusError(f"{path} is damaged: {name}.ids is not as its header says")
        except FileNotFoundError as error:
            missing = Path(error.filename)
            if missing == file:
                raise CorpusError(
                    f"no tokenized corpus in {path}", "make one with charnn tokenize"
                ) from None
            raise CorpusError(f"{path} is damaged: {missing.name} is missing") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorpusError(f"{path} is damaged: {error}") from None
        return corpus

    @property
    def digest(self) -> str:
        """Identifies what is in it, wherever it lies and whatever its sources were called."""
        fields = asdict(self.header)
        del fields["name"], fields["lacking"]
        for name in ("files", "invalid"):
            fields["source"].pop(name, None)
        return sha256(to_json(fields).encode())

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made it."""
        tokenizer = load_tokenizer(self.path / "tokenizer")
        if tokenizer.vocabulary_size != self.header.vocabulary:
            raise CorpusError(f"{self.path} is damaged: the tokenizer is not the one it names")
        return tokenizer

    def tokens(self, split: str) -> NDArray[np.unsignedinteger[Any]]:
        """The ids of a split, checked against their hash and mapped into memory.

        Raises:
            CorpusError: the corpus has no such split, or it is damaged.
        """
        if split not in self.header.splits:
            raise CorpusError(
                f"{self.path} has no {split} split", f"it has {', '.join(self.header.splits)}"
            )
        if not self.header.splits[split].tokens:
            return np.zeros(0, dtype=dtype_for(self.header.vocabulary))
        path = self.path / f"{split}.ids"
        if sha256_of_file(path) != self.header.splits[split].sha256:
            raise CorpusError(f"{self.path} is damaged: {path.name} was altered", "tokenize again")
        ids_T = np.memmap(path, dtype=dtype_for(self.header.vocabulary), mode="r")
        if ids_T.max() >= self.header.vocabulary:
            raise CorpusError(
                f"{self.path} is damaged: {path.name} has ids beyond its vocabulary",
                "tokenize again",
            )
        return ids_T


def is_corpus(path: Path) -> bool:
    """Whether a folder looks like a tokenized corpus."""
    return (path / HEADER).is_file()
