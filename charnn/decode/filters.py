"""What may follow, narrowed down: pure functions over scores [B, V].

A score is a log-probability up to a constant of its row. What is filtered away becomes -inf, and
what stays keeps its score. The order is fixed: repetition penalty, no repeated n-grams, banned
texts and patterns (``charnn.decode.guides``), then temperature, top-k, typical-p, top-p, min-p.
Ties keep the lowest id.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charnn.decode.config import SamplingConfig
from charnn.step import Floats, Ids, log_softmax

Scores = NDArray[np.float64]

#: Colder than this is greedy in all but name, and would overflow.
_COLDEST = 1e-100


def repetition_penalty(logits_BV: Floats, seen_BV: NDArray[np.bool_], penalty: float) -> Floats:
    """Divide the positive logits of what was seen by the penalty, and multiply the negative ones.

    Keskar et al. (2019), "CTRL", section 4.1, with the sign that makes less likely what they left
    open for negative scores, as everyone has it.

    >>> repetition_penalty(np.array([[2.0, -1.0, 3.0]]), np.array([[1, 1, 0]], bool), 2).tolist()
    [[1.0, -2.0, 3.0]]
    """
    penalised_BV = np.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
    return np.where(seen_BV, penalised_BV, logits_BV)


def no_repeat_ngram(scores_BV: Floats, history_BT: Ids, n: int) -> Floats:
    """Forbid what would make the last n ids occur a second time: Paulus et al. (2017), section 2.5.

    >>> no_repeat_ngram(np.zeros((1, 3)), np.array([[0, 1, 2, 0]]), 2).tolist()
    [[0.0, -inf, 0.0]]
    """
    T = history_BT.shape[1]
    starts = T - n + 1
    if starts < 1:
        return scores_BV
    same_BS = np.ones((len(history_BT), starts), dtype=bool)
    for offset in range(n - 1):
        last_B1 = history_BT[:, T - n + 1 + offset, None]
        same_BS &= history_BT[:, offset : offset + starts] == last_B1
    rows, places = np.nonzero(same_BS)
    filtered = scores_BV.copy()
    filtered[rows, history_BT[rows, places + n - 1]] = -np.inf
    return filtered


def top_k(scores_BV: Scores, k: int) -> Scores:
    """Keep exactly the k likeliest (all, if there are fewer).

    >>> top_k(np.array([[-1.0, -2.0, -1.0, -1.0]]), 2).tolist()
    [[-1.0, -inf, -1.0, -inf]]
    """
    if k >= scores_BV.shape[-1]:
        return scores_BV
    kept = np.argsort(-scores_BV, axis=-1, kind="stable")[..., :k]
    filtered = np.full_like(scores_BV, -np.inf)
    np.put_along_axis(filtered, kept, np.take_along_axis(scores_BV, kept, -1), -1)
    return filtered


def typical_p(scores_BV: Scores, p: float) -> Scores:
    """Keep those of the least unexpected surprise that together reach p: locally typical sampling.

    Meister et al. (2022), "Locally Typical Sampling", section 4: in the order of the distance
    between -log p and the entropy.

    >>> np.exp(typical_p(np.log([[0.6, 0.3, 0.1]]), 0.2)).round(2).tolist()
    [[0.0, 0.3, 0.0]]
    """
    log_probs_BV = log_softmax(scores_BV)
    probs_BV = np.exp(log_probs_BV)
    # What cannot be drawn adds nothing to the entropy, and comes last.
    surprise_BV = np.where(probs_BV > 0, -log_probs_BV, 0.0)
    entropy_B1 = (probs_BV * surprise_BV).sum(axis=-1, keepdims=True)
    distance_BV = np.where(probs_BV > 0, np.abs(surprise_BV - entropy_B1), np.inf)
    return _reach(scores_BV, probs_BV, np.argsort(distance_BV, axis=-1, kind="stable"), p)


def top_p(scores_BV: Scores, p: float) -> Scores:
    """Keep the fewest likeliest whose probabilities reach p: nucleus sampling.

    Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1.

    >>> np.exp(top_p(np.log([[0.5, 0.3, 0.2]]), 0.7)).round(2).tolist()
    [[0.5, 0.3, 0.0]]
    """
    probs_BV = np.exp(log_softmax(scores_BV))
    return _reach(scores_BV, probs_BV, np.argsort(-scores_BV, axis=-1, kind="stable"), p)


def _reach(scores_BV: Scores, probs_BV: Scores, order_BV: Ids, p: float) -> Scores:
    """Keep the first of an order whose probabilities together reach p."""
    ordered = np.take_along_axis(probs_BV, order_BV, -1)
    before = np.cumsum(ordered, axis=-1) - ordered
    away = np.empty(order_BV.shape, dtype=bool)
    np.put_along_axis(away, order_BV, before >= p, -1)
    return np.where(away, -np.inf, scores_BV)


def min_p(scores_BV: Scores, p: float) -> Scores:
    """Keep what has at least p times the probability of the likeliest.

    Nguyen et al. (2024), "Turning Up the Heat: Min-p Sampling", section 3.

    >>> np.exp(min_p(np.log([[0.5, 0.3, 0.2]]), 0.5)).round(2).tolist()
    [[0.5, 0.3, 0.0]]
    """
    floor = scores_BV.max(axis=-1, keepdims=True) + np.log(p)
    return np.where(scores_BV < floor, -np.inf, scores_BV)


def make_filter(config: SamplingConfig) -> Callable[[Floats], Scores]:
    """Temperature and filters as one function: logits [B, V] to scores [B, V], the greatest 0."""
    filters: list[Callable[[Scores], Scores]] = []
    if config.top_k:
        filters.append(lambda scores_BV: top_k(scores_BV, config.top_k))
    if config.typical_p < 1:
        filters.append(lambda scores_BV: typical_p(scores_BV, config.typical_p))
    if config.top_p < 1:
        filters.append(lambda scores_BV: top_p(scores_BV, config.top_p))
    if config.min_p > 0:
        filters.append(lambda scores_BV: min_p(scores_BV, config.min_p))
    temperature = max(config.temperature, _COLDEST)

    def apply(logits_BV: Floats) -> Scores:
        scores_BV = logits_BV.astype(np.float64)
        scores_BV -= scores_BV.max(axis=-1, keepdims=True)
        scores_BV /= temperature
        for filter in filters:
            scores_BV = filter(scores_BV)
        return scores_BV

    return apply
