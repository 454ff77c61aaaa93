"""The language model that counts: order n, as maximum likelihood or with Kneser-Ney smoothing.

It looks at the n - 1 ids before. What it counted of k ids in a row, for k from 2 to n, is a sorted
list of keys: the number of the (k - 1)-gram in its own list, times V, plus the last id. So a
context's followers stand side by side, and the number of a context is found id by id.

On disk: ``grams.1.counts`` [V]; for k > 1 ``grams.K.keys`` and ``grams.K.counts`` [N_k], all int64;
``discounts`` [n, 3], float64: what is taken from counts of 1, of 2, and of 3 or more. Interpolated,

    P_k(w | context) = (count(context w) - D) / count(context ·) + λ(context) P_{k-1}(w | shorter)

where λ hands on what the discounts took, P_0 is uniform, and a context that was never seen is
skipped. Maximum likelihood takes nothing: the longest context that was seen decides alone.

Kneser-Ney counts, below the highest order, not how often a k-gram stands in the text but how many
different ids stand before it. Chen & Goodman (1999), "An empirical study of smoothing techniques
for language modeling", the section on modified Kneser-Ney; interpolated.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.architecture import Smoothing
from charnn.step import Floats, Ids, State
from charnn.tensors import Tensors

Counts = NDArray[np.int64]

#: Discounts where a text has too few different counts to estimate them.
_FALLBACK = (0.5, 1.0, 1.5)


def count_ngrams(
    ids_T: NDArray[Any], vocabulary: int, order: int, smoothing: Smoothing
) -> dict[str, NDArray[Any]]:
    """Read a text once and count: the tensors of a model.

    >>> tensors = count_ngrams(np.array([0, 1, 0, 1, 0, 2]), 3, 2, "maximum-likelihood")
    >>> tensors["grams.2.keys"].tolist(), tensors["grams.2.counts"].tolist()
    ([1, 2, 3], [2, 1, 2])
    """
    ids_T = np.asarray(ids_T, dtype=np.int64)
    counts = [np.bincount(ids_T, minlength=vocabulary)]
    tensors: dict[str, NDArray[Any]] = {}
    numbers = ids_T  # of the (k - 1)-gram that ends at each position
    for k in range(2, order + 1):
        keys, first, inverse, count = np.unique(
            numbers[:-1] * vocabulary + ids_T[k - 1 :],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        if smoothing == "kneser-ney":
            # Each k-gram counts once for the (k - 1)-gram that it ends with.
            counts[-1] = np.bincount(numbers[1:][first], minlength=len(counts[-1]))
        tensors[f"grams.{k}.keys"] = keys
        counts.append(count)
        numbers = inverse
    for k, count in enumerate(counts, start=1):
        tensors[f"grams.{k}.counts"] = count.astype(np.int64)
    zeros = (0.0, 0.0, 0.0)
    tensors["discounts"] = np.array(
        [discounts(count) if smoothing == "kneser-ney" else zeros for count in counts]
    )
    return tensors


def discounts(counts: Counts) -> tuple[float, float, float]:
    """D_1, D_2 and D_3+ of one order, estimated from how many counts are 1, 2, 3 and 4.

    Chen & Goodman (1999), on modified Kneser-Ney. Where that is undefined, or a discount would be
    negative, as in small texts: 0.5, 1 and 1.5.
    """
    n1, n2, n3, n4 = np.bincount(counts.clip(0, 5), minlength=6)[1:5].tolist()
    if not (n1 and n2 and n3):
        return _FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) >= 0 else _FALLBACK


class _Order:
    """What was counted of one order k, as shares: what P_k adds, and what it leaves to P_{k-1}."""

    def __init__(self, keys: Counts, counts: Counts, taken: Floats, contexts: int, V: int) -> None:
        self.keys, self._vocabulary = keys, V
        above = keys // V
        discount = np.concatenate(((0.0,), taken))[counts.clip(0, 3)]
        totals = np.bincount(above, counts, contexts)
        seen = totals > 0
        divisor = np.where(seen, totals, 1)
        self.share = (counts - discount) / divisor[above]
        self.rest = np.where(seen, np.bincount(above, discount, contexts) / divisor, 1.0)

    def find(self, contexts: Ids, ids: Ids) -> Counts:
        """The numbers of these contexts followed by these ids; -1 where that was never seen."""
        if not len(self.keys):
            return np.full(np.shape(ids), -1)
        wanted = contexts * self._vocabulary + ids
        at = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where((contexts >= 0) & (self.keys[at] == wanted), at, -1)

    def add(self, probabilities_V: Floats, context: int) -> None:
        """Make P_k(· | context) of P_{k-1}(· | the shorter context), in place."""
        V = self._vocabulary
        begin, end = np.searchsorted(self.keys, (context * V, (context + 1) * V))
        probabilities_V *= self.rest[context]
        probabilities_V[self.keys[begin:end] - context * V] += self.share[begin:end]


class NgramModel:
    """A counted language model: a StepModel whose state is the numbers of the contexts before it.

    Column m of the state is the number of the last m + 1 ids as one context, or -1.

    Args:
        tensors: what ``count_ngrams`` gives.
        vocabulary: V.
        start_id: what an empty prompt feeds.
        end_id: ends a document.
    """

    def __init__(
        self, tensors: Tensors, vocabulary: int, *, start_id: int, end_id: int | None
    ) -> None:
        self.vocabulary_size, self.start_id, self.end_id = vocabulary, start_id, end_id
        self.order = len(tensors["discounts"])
        keys, contexts = np.arange(vocabulary), 1
        orders = []
        for k, taken in enumerate(tensors["discounts"], start=1):
            if k > 1:
                keys, contexts = tensors[f"grams.{k}.keys"], len(keys)
            counts = tensors[f"grams.{k}.counts"]
            orders.append(_Order(keys, counts, taken, contexts, vocabulary))
        lowest, *self._orders = orders
        self._unigrams_V = np.full(vocabulary, 1 / vocabulary)
        lowest.add(self._unigrams_V, 0)

    def initial_state(self, batch: int) -> State:
        """Nothing was read: no context is known."""
        return (np.full((batch, self.order - 1), -1),)

    def step(self, ids_B: Ids, state: State) -> tuple[Floats, State]:
        """Read one id a row: log-probabilities [B, V] and the new state."""
        return self.prefill(np.asarray(ids_B)[:, None], np.ones(len(ids_B), dtype=int), state)

    def prefill(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read ragged prompts; an empty one reads ``start_id``."""
        if not ids_BT.shape[1]:
            ids_BT = np.zeros((len(lengths_B), 1), dtype=np.int64)
        ids_BT = np.where((lengths_B == 0)[:, None], self.start_id, ids_BT)
        _, state = self._read(ids_BT, np.maximum(lengths_B, 1), state)
        probabilities_BV = np.tile(self._unigrams_V, (len(ids_BT), 1))
        for probabilities_V, contexts in zip(probabilities_BV, state[0].tolist(), strict=True):
            for order, context in zip(self._orders, contexts, strict=True):
                if context >= 0:
                    order.add(probabilities_V, context)
        with np.errstate(divide="ignore"):  # maximum likelihood knows what cannot be
            return np.log(probabilities_BV), state

    def nats(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """What reading costs: -log P of every id given all before it."""
        numbers, after = self._read(ids_BT, lengths_B, state)
        probabilities_BT = self._unigrams_V[ids_BT]
        for order, (contexts, found) in zip(self._orders, pairwise(numbers), strict=True):
            if not len(order.share):
                break  # the text that was counted is shorter than this
            contexts_BT, found_BT = contexts[:, :-1], found[:, 1:]
            rest_BT = np.where(contexts_BT >= 0, order.rest[contexts_BT], 1.0)
            share_BT = np.where(found_BT >= 0, order.share[found_BT], 0.0)
            probabilities_BT = rest_BT * probabilities_BT + share_BT
        with np.errstate(divide="ignore"):
            nats_BT = -np.log(probabilities_BT)
        nats_BT[np.arange(ids_BT.shape[1]) >= lengths_B[:, None]] = 0
        return nats_BT, after

    def _read(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[list[Counts], State]:
        """The numbers [B, T + 1] of the k-grams that end before each id, and last; the new state.

        The first list is of order 1, and the last of the highest.
        """
        (before_BN,) = state
        nothing_B1 = np.full((len(ids_BT), 1), -1)
        numbers = [np.hstack((before_BN[:, :1] if self._orders else nothing_B1, ids_BT))]
        for k, order in enumerate(self._orders, start=2):
            last_B1 = before_BN[:, k - 1 : k] if k < self.order else nothing_B1
            numbers.append(np.hstack((last_B1, order.find(numbers[-1][:, :-1], ids_BT))))
        rows_B = np.arange(len(ids_BT))
        after = [number_BT[rows_B, lengths_B] for number_BT in numbers[: self.order - 1]]
        return numbers, (np.array(after, dtype=np.int64).reshape(self.order - 1, len(ids_BT)).T,)
