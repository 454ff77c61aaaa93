"""The bundled texts as ids, by characters."""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lessons.experiment import ROOT
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.text.config import TokenizerConfig


@dataclass(frozen=True)
class Text:
    """A text as ids: nine tenths to learn from, and the last."""

    train: NDArray[Any]
    held_out: NDArray[Any]
    symbols: tuple[bytes, ...]

    @property
    def vocabulary(self) -> int:
        """The number of symbols."""
        return len(self.symbols)

    @property
    def ids(self) -> NDArray[Any]:
        """All of it."""
        return np.concatenate((self.train, self.held_out))


@cache
def text(name: str) -> Text:
    """Of ``corpora/NAME``."""
    with tempfile.TemporaryDirectory() as folder:
        source = SourceConfig((ROOT / "corpora" / name,))
        corpus, _ = tokenize_corpus(source, TokenizerConfig(), Path(folder) / "text")
        train, held_out = (np.array(corpus.tokens(split)) for split in ("train", "validation"))
        return Text(train, held_out, corpus.tokenizer.token_bytes)
