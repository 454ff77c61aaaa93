"""What else predicts a text, to compare a model with: compressors, counting, and a guess.

Each is measured on exactly what the model predicted: the bytes of every token but the first.
Compressors come in two kinds. On its own, one starts with nothing, and learns from the measured
text alone. After the training text it may point back into all that the model has learned from: that
is the fair comparison, and its size is what the measured text adds to the training text's.
"""

import importlib
import lzma
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.ngram import NgramModel, count_ngrams
from charnn.score import Evaluation, evaluate
from charnn.text.base import Tokenizer

#: The order of the model that counts.
ORDER = 5

#: What xz may look back over; it takes some eleven times as much memory.
_LEAST_DICTIONARY, _LARGEST_DICTIONARY = 4096, 256 << 20

#: zstd's highest level, and as far back as it looks: 2^27 bytes is what every reader takes.
_ZSTD_LEVEL, _ZSTD_WINDOW = 22, (10, 27)


@dataclass(frozen=True)
class Baseline:
    """What predicting a text cost something that is no trained network."""

    name: str
    evaluation: Evaluation
    by_tokens: bool
    """Whether it predicts tokens: a compressor knows none, and has no figures per token."""
    parameters: int | None = None
    """What it holds; of counts, how many."""


def uniform(evaluation: Evaluation, vocabulary: int) -> Baseline:
    """A guess: every token of the vocabulary is as likely as any other, log V nats each."""
    nats = evaluation.tokens * math.log(vocabulary)
    return Baseline("uniform guess", replace(evaluation, nats=nats), by_tokens=True)


def counted(
    ids_T: NDArray[Any],
    train_T: NDArray[Any],
    tokenizer: Tokenizer,
    *,
    unknown: int = 0,
    exact: bool = True,
    order: int = ORDER,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Baseline:
    """The n-gram model, modified Kneser-Ney, counted on the training tokens.

    Args:
        ids_T: the text to predict.
        train_T: the text to count.
        tokenizer: whose ids they are.
        unknown: how many tokens were lost when the text became ids.
        exact: whether the ids decode to the text.
        order: how many tokens in a row are counted.
        advance: is told how many tokens were scored.
    """
    V = tokenizer.vocabulary_size
    tensors = count_ngrams(train_T, V, order, "kneser-ney")
    model = NgramModel(tensors, V, start_id=tokenizer.start_id, end_id=tokenizer.end_id)
    table = tokenizer.token_bytes
    result = evaluate(model, ids_T, table, unknown=unknown, exact=exact, advance=advance)
    parameters = sum(len(tensors[f"grams.{k}.counts"]) for k in range(1, order + 1))
    return Baseline(f"{order}-gram", result, by_tokens=True, parameters=parameters)


def compressed(evaluation: Evaluation, data: bytes, before: bytes | None) -> list[Baseline]:
    """What compressors make of a text: xz, and zstd where it is installed.

    Args:
        evaluation: of a model on this text; its counts are taken over.
        data: the text, without its first token.
        before: the training text, if it is known.
    """
    sizes = {"xz alone": xz_size(data)}
    if before is not None:
        sizes["xz after training"] = xz_size(data, before)
    if (zstd := zstd_compressor()) is not None:
        sizes["zstd alone"] = zstd(data, b"")
        if before is not None:
            sizes["zstd after training"] = zstd(data, before)
    return [
        Baseline(name, replace(evaluation, nats=8 * size * math.log(2)), by_tokens=False)
        for name, size in sizes.items()
    ]


def xz_size(data: bytes, before: bytes = b"") -> int:
    """The bytes that ``xz -9e`` takes for a text, or that the text adds to what stands before it.

    The dictionary reaches over both, so that it may point to any place that was seen.

    >>> fox = b"The fox saw the moon in the well."
    >>> xz_size(fox) > 60, xz_size(fox, fox) < 10
    (True, True)
    """
    dictionary = min(max(len(before) + len(data), _LEAST_DICTIONARY), _LARGEST_DICTIONARY)
    preset = 9 | lzma.PRESET_EXTREME
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}]
    # A difference is of the streams alone: what .xz adds is filled up to a multiple of four.
    kind = lzma.FORMAT_RAW if before else lzma.FORMAT_XZ

    def size(text: bytes) -> int:
        return len(lzma.compress(text, kind, filters=filters))

    return size(before + data) - size(before) if before else size(data)


def zstd_compressor() -> Callable[[bytes, bytes], int] | None:
    """What gives the size of a text after another under zstd at its highest level.

    Python 3.14 brings it along; before that the package zstandard does. None where neither is.
    """
    if sys.version_info >= (3, 14):
        return _zstd_of_python
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        return None

    def size(data: bytes, before: bytes) -> int:
        raw = zstandard.DICT_TYPE_RAWCONTENT
        dictionary = zstandard.ZstdCompressionDict(before, dict_type=raw) if before else None
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _ZSTD_LEVEL, source_size=len(data), dict_size=len(before), **_windows(data, before)
        )
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        return len(compressor.compress(data))

    return size


def _zstd_of_python(data: bytes, before: bytes) -> int:
    zstd: Any = importlib.import_module("compression.zstd")
    names = zstd.CompressionParameter
    window = _windows(data, before)
    options = {
        names.compression_level: _ZSTD_LEVEL,
        names.window_log: window["window_log"],
        names.enable_long_distance_matching: int(window["enable_ldm"]),
    }
    dictionary = zstd.ZstdDict(before, is_raw=True).as_prefix if before else None
    return len(zstd.compress(data, options=options, zstd_dict=dictionary))


def _windows(data: bytes, before: bytes) -> dict[str, Any]:
    """How far zstd looks back: over both texts, if it can."""
    least, most = _ZSTD_WINDOW
    window = min(max((len(data) + len(before)).bit_length(), least), most)
    return {"window_log": window, "enable_ldm": len(data) + len(before) > 1 << window}


def text_of(ids_T: NDArray[Any], tokenizer: Tokenizer) -> bytes:
    """The bytes that ids stand for; an array of them takes no list of all."""
    parts = np.array_split(ids_T, max(1, len(ids_T) >> 16))
    return b"".join(tokenizer.decode(part.tolist()) for part in parts)
