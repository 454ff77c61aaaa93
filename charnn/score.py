"""How well a model predicts text: nats, perplexity, bits per character and per byte."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.errors import CorpusError
from charnn.step import StepModel

#: Tokens that are read at a time: few enough that a bar moves where learning takes its time.
_CHUNK_TOKENS = 1024


@dataclass(frozen=True)
class Evaluation:
    """What predicting a text cost. Averages over its true successors: every token but the first."""

    tokens: int
    """How many were predicted."""
    characters: int
    """What they spell, in code points."""
    bytes: int
    unknown: int
    """How many tokens of the text the vocabulary lacks and lost."""
    comparable: bool
    """Whether the tokens are the text, so that figures per character and byte mean something."""
    nats: float
    """In all."""

    @property
    def nats_per_token(self) -> float:
        """The average cost."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token)."""
        return math.exp(self.nats_per_token) if self.nats_per_token < 709 else math.inf

    @property
    def bits_per_character(self) -> float | None:
        """None where the tokens are not the text."""
        return self._bits_per(self.characters)

    @property
    def bits_per_byte(self) -> float | None:
        """Comparable between tokenizers; None where the tokens are not the text."""
        return self._bits_per(self.bytes)

    def _bits_per(self, count: int) -> float | None:
        return self.nats / math.log(2) / count if self.comparable and count else None


def characters_of(token_bytes: tuple[bytes, ...]) -> NDArray[np.int64]:
    r"""How many characters each id begins: code points of UTF-8, whole or cut into tokens.

    >>> characters_of((b"bc", "é".encode(), b"\xe4", b"\xb8")).tolist()
    [2, 1, 1, 0]
    """
    begun = [sum(byte & 0xC0 != 0x80 for byte in token) for token in token_bytes]
    return np.array(begun, dtype=np.int64)


def evaluate(
    model: StepModel,
    ids_T: NDArray[Any],
    token_bytes: tuple[bytes, ...],
    *,
    unknown: int = 0,
    exact: bool = True,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Evaluation:
    """Read a text from its first token on, the state carried, and add up what the others cost.

    Args:
        model: what predicts.
        ids_T: the text.
        token_bytes: the bytes of each id.
        unknown: how many tokens were lost when the text became ids.
        exact: whether the ids decode to the text.
        advance: is told how many tokens were scored.

    Raises:
        CorpusError: the text has fewer than two tokens.
    """
    if len(ids_T) < 2:
        raise CorpusError(f"a text of {len(ids_T)} tokens has nothing to predict")
    bytes_of_id = np.array([len(token) for token in token_bytes])
    characters_of_id = characters_of(token_bytes)
    one = np.ones(1, dtype=np.int64)
    _, state = model.prefill(ids_T[None, :1].astype(np.int64), one, model.initial_state(1))
    nats = 0.0
    characters = size = 0
    for begin in range(1, len(ids_T), _CHUNK_TOKENS):
        ids_1T = ids_T[None, begin : begin + _CHUNK_TOKENS].astype(np.int64)
        nats_1T, state = model.nats(ids_1T, one * ids_1T.shape[1], state)
        nats += float(nats_1T.sum())
        characters += int(characters_of_id[ids_1T].sum())
        size += int(bytes_of_id[ids_1T].sum())
        advance(ids_1T.shape[1])
    return Evaluation(len(ids_T) - 1, characters, size, unknown, exact and not unknown, nats)
