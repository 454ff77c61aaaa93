"""Embeddings from elsewhere: a word2vec or GloVe text file, or another checkpoint."""

import codecs
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.checkpoint import read_checkpoint
from charnn.errors import InputError, UsageError
from charnn.text.base import Tokenizer
from charnn.text.corpus import read_file

_BINARY = (".bin", ".pt", ".pth", ".pkl", ".npy", ".npz", ".model")


@dataclass(frozen=True)
class Vectors:
    """Vectors for a vocabulary."""

    vectors_VE: NDArray[np.float32]
    found_V: NDArray[np.bool_]
    """Which tokens have one; the rows of the others are zero."""


def read_vectors(path: Path, tokenizer: Tokenizer) -> Vectors:
    """Read vectors for the tokens of a vocabulary.

    The vectors of an equal vocabulary are taken row by row; in another one's checkpoint a token is
    found by its bytes. In a text file, where a line is a word and its numbers (word2vec begins with
    a line of two counts, GloVe does not), it is found by its text without the white space around
    it, and failing that in lower case; the first line counts.

    Raises:
        InputError: the file cannot be read, or is not such a file.
        CheckpointError: the checkpoint is damaged.
        UsageError: the checkpoint has no embedding.
    """
    if path.is_dir():
        return _from_checkpoint(path, tokenizer)
    if path.suffix in _BINARY:
        raise InputError(
            f"{path} is not text, and binary vectors are not read",
            "save them as text: a line a word, the word and then its numbers",
        )
    if not path.is_file():
        raise InputError(f"no such file or checkpoint: {path}")
    return _from_text(path, tokenizer)


def _from_checkpoint(path: Path, tokenizer: Tokenizer) -> Vectors:
    checkpoint = read_checkpoint(path)
    table = checkpoint.weights.get("embedding.weight")
    if table is None:
        raise UsageError(f"{path} has no embedding: it reads one-hot vectors, or counts")
    theirs, ours = checkpoint.tokenizer.token_bytes, tokenizer.token_bytes
    if theirs == ours:
        return Vectors(table, np.ones(len(ours), dtype=np.bool_))
    rows = {token: row for row, token in enumerate(theirs)}
    numbers = [rows.get(token, -1) for token in ours]
    found_V = np.array(numbers) >= 0
    return Vectors(np.where(found_V[:, None], table[numbers], 0).astype(np.float32), found_V)


def _from_text(path: Path, tokenizer: Tokenizer) -> Vectors:
    exact: dict[bytes, list[int]] = {}
    lower: dict[bytes, list[int]] = {}
    for id, token in enumerate(tokenizer.token_bytes):
        word = token.strip()
        if word:
            exact.setdefault(word, []).append(id)
            lower.setdefault(_lower(word), []).append(id)
    # 2: found as it is; 1: found in lower case; 0: not found.
    rank_V = np.zeros(tokenizer.vocabulary_size, dtype=np.int8)
    vectors_VE: NDArray[np.float32] | None = None
    promised, lines = None, 0
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split(b" ") if b"\t" not in line else line.split(b"\t")
        if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
            promised, promised_size = map(int, fields)
            continue
        lines += 1
        if vectors_VE is None:
            if len(fields) < 2 or (promised is not None and len(fields) - 1 != promised_size):
                raise InputError(f"{path}:{number} is no word with its numbers")
            vectors_VE = np.zeros((len(rank_V), len(fields) - 1), dtype=np.float32)
        size = vectors_VE.shape[1]
        word = b" ".join(fields[:-size])  # some words hold spaces
        as_it_is = [id for id in exact.get(word, ()) if rank_V[id] < 2]
        ids = as_it_is + [id for id in lower.get(word, ()) if rank_V[id] < 1]
        if len(fields) <= size or ids:
            vectors_VE[ids] = _numbers(path, number, fields, size)
            rank_V[ids] = 1
            rank_V[as_it_is] = 2
    if vectors_VE is None:
        raise InputError(f"{path} is empty: it holds no vectors")
    if promised is not None and lines != promised:
        raise InputError(f"{path} holds {lines:,} vectors, and its first line says {promised:,}")
    return Vectors(vectors_VE, rank_V > 0)


def _numbers(path: Path, number: int, fields: list[bytes], size: int) -> Any:
    with suppress(ValueError), np.errstate(over="ignore"):
        vector = np.array(fields[-size:], dtype=bytes).astype(np.float32)
        if len(fields) > size and np.isfinite(vector).all():
            return vector
    raise InputError(f"{path}:{number} is no word with {size} numbers")


def _lines(path: Path) -> Any:
    """The lines of a file, however large, compressed or not, without white space at the end."""
    rest, begins = b"", True
    for chunk in read_file(path):
        *lines, rest = (rest + chunk).split(b"\n")
        if begins and lines:
            lines[0], begins = lines[0].removeprefix(codecs.BOM_UTF8), False
        yield from (line.rstrip() for line in lines if line.strip())
    if rest.strip():
        yield rest.rstrip()


def _lower(word: bytes) -> bytes:
    return word.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape")
