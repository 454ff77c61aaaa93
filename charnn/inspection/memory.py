"""How far back a model looks: what the same targets cost when less and less stands before them.

Khandelwal et al. (2018), "Sharp Nearby, Fuzzy Far Away: How Neural Language Models Use Context",
section 4.1. Each target is predicted after its last k tokens, read from an empty state, and once
more with all of the text before it, the state carried.

An empty state is itself something that the model has an opinion on: it says that nothing was read,
and not that something is missing. So short contexts also pay for a cold start. Training with fresh
lanes (``--reset``) shows a model how to begin anywhere in a text, which keeps this small; a model
that never began costs more here than forgetting alone would.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.errors import CorpusError
from charnn.step import Floats, Ids, StepModel

#: Tokens that are read at a time, over all rows; and rows at most: both bound the memory.
_BATCH_TOKENS, _BATCH_ROWS = 1 << 14, 256

#: Tokens that are read at a time where the state is carried through the text.
_CHUNK_TOKENS = 1024


@dataclass(frozen=True)
class Memory:
    """What N targets cost, in nats, after each of K contexts."""

    contexts_K: Ids
    """In tokens, rising."""
    targets_N: Ids
    """Where in the text the targets stand."""
    nats_KN: Floats
    full_N: Floats
    """What they cost after all of the text before them."""

    @property
    def nats_K(self) -> NDArray[np.float64]:
        """The mean cost after each context, nats per token."""
        return np.asarray(self.nats_KN.mean(1))

    @property
    def full(self) -> float:
        """The mean cost after all of the text before, nats per token."""
        return float(self.full_N.mean())

    @property
    def errors_K(self) -> NDArray[np.float64]:
        """The standard error of how much more a context costs than all: the targets are paired."""
        if len(self.full_N) < 2:
            return np.full(len(self.contexts_K), np.nan)
        with np.errstate(invalid="ignore"):  # what is impossible either way costs infinitely much
            differences_KN = self.nats_KN - self.full_N
            return np.asarray(differences_KN.std(1, ddof=1) / np.sqrt(len(self.full_N)))

    def effective(self, within: float = 0.01) -> int | None:
        """The least context from which on the loss stays near the full one; None if none does.

        Near on both sides: a model that looks further back and is the worse for it still does.

        Args:
            within: how near, in nats per token; 0.01 is 1% of perplexity.

        >>> costs_KN = np.array([[3.0], [2.005], [2.1], [2.0], [2.0]])
        >>> contexts_K = np.array([1, 2, 4, 8, 16])
        >>> Memory(contexts_K, np.array([99]), costs_KN, np.array([2.0])).effective()
        8
        """
        with np.errstate(invalid="ignore"):
            near_K = np.abs(self.nats_K - self.full) <= within
        near_K |= self.nats_K == self.full
        far = np.flatnonzero(~near_K)
        first = int(far[-1]) + 1 if len(far) else 0
        return int(self.contexts_K[first]) if first < len(near_K) else None


def doubling(longest: int) -> Ids:
    """The contexts that are tried: 1, 2, 4, and so on, and the longest.

    >>> doubling(20).tolist()
    [1, 2, 4, 8, 16, 20]
    """
    powers = [1 << n for n in range(longest.bit_length())]
    return np.unique([*powers, longest])


def choose_targets(tokens: int, longest: int, count: int, seed: int) -> Ids:
    """Positions in a text that have ``longest`` tokens before them: ``count``, or all there are.

    Args:
        tokens: the text's length.
        longest: the longest context.
        count: how many, at random without repetition.
        seed: of the random numbers.

    Raises:
        CorpusError: the text is not longer than the context.
    """
    there = tokens - longest
    if there < 1:
        raise CorpusError(
            f"a text of {tokens:,} tokens has none with {longest:,} before it",
            "use more text or a smaller --context",
        )
    drawn = np.random.default_rng(seed).permutation(there)[:count]
    return np.sort(drawn) + longest


def measure_memory(
    model: StepModel,
    ids_T: NDArray[Any],
    targets_N: Ids,
    contexts_K: Ids,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Memory:
    """Predict the same targets after contexts of several lengths, and after the whole text.

    Args:
        model: what predicts.
        ids_T: the text.
        targets_N: positions in it, rising; each has the longest context before it.
        contexts_K: numbers of tokens, rising.
        advance: is told how many tokens were read: ``tokens_to_read`` in all.
    """
    full_N = _carried(model, ids_T, targets_N, advance)
    rows = [_cut(model, ids_T, targets_N, int(context), advance) for context in contexts_K]
    return Memory(contexts_K, targets_N, np.array(rows), full_N)


def tokens_to_read(targets_N: Ids, contexts_K: Ids) -> int:
    """How many tokens a measurement takes."""
    return int(targets_N[-1]) + 1 + int(contexts_K.sum()) * len(targets_N)


def _carried(
    model: StepModel, ids_T: NDArray[Any], targets_N: Ids, advance: Callable[[int], None]
) -> NDArray[np.float64]:
    """What the targets cost when the text is read once, from its beginning."""
    end = int(targets_N[-1]) + 1
    nats_T = np.empty(end)
    state = model.initial_state(1)
    for begin in range(0, end, _CHUNK_TOKENS):
        ids_1T = ids_T[None, begin : min(begin + _CHUNK_TOKENS, end)].astype(np.int64)
        size = ids_1T.shape[1]
        nats_1T, state = model.nats(ids_1T, np.array([size]), state)
        nats_T[begin : begin + size] = nats_1T[0]
        advance(size)
    return nats_T[targets_N]


def _cut(
    model: StepModel,
    ids_T: NDArray[Any],
    targets_N: Ids,
    context: int,
    advance: Callable[[int], None],
) -> NDArray[np.float64]:
    """What the targets cost after their last ``context`` tokens, and nothing before these."""
    rows = min(_BATCH_ROWS, max(1, _BATCH_TOKENS // context))
    nats_N = np.empty(len(targets_N))
    for begin in range(0, len(targets_N), rows):
        targets_B1 = targets_N[begin : begin + rows, None]
        B = len(targets_B1)
        window_BT = ids_T[targets_B1 - context + np.arange(context)].astype(np.int64)
        _, state = model.prefill(window_BT, np.full(B, context), model.initial_state(B))
        nats_B1, _ = model.nats(ids_T[targets_B1].astype(np.int64), np.ones(B, np.int64), state)
        nats_N[begin : begin + B] = nats_B1[:, 0]
        advance(B * context)
    return nats_N
