"""What may follow, narrowed down: pure functions from log-probabilities to log-probabilities.

A candidate that is filtered away has -inf; what stays keeps its value. The order is fixed:
temperature, top-k, top-p, min-p. Ties keep the lowest id.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charnn.decode.config import SamplingConfig
from charnn.step import Floats, log_softmax

Filter = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def top_k(log_probs_BV: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Keep exactly the k likeliest (all, if there are fewer).

    >>> top_k(np.array([[-1.0, -2.0, -1.0, -1.0]]), 2).tolist()
    [[-1.0, -inf, -1.0, -inf]]
    """
    if k >= log_probs_BV.shape[-1]:
        return log_probs_BV
    kept = np.argsort(-log_probs_BV, axis=-1, kind="stable")[..., :k]
    filtered = np.full_like(log_probs_BV, -np.inf)
    np.put_along_axis(filtered, kept, np.take_along_axis(log_probs_BV, kept, -1), -1)
    return filtered


def top_p(log_probs_BV: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """Keep the fewest likeliest whose probabilities reach p: nucleus sampling.

    Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1.

    >>> np.exp(top_p(np.log([[0.5, 0.3, 0.2]]), 0.7)).round(2).tolist()
    [[0.5, 0.3, 0.0]]
    """
    order = np.argsort(-log_probs_BV, axis=-1, kind="stable")
    descending = np.exp(np.take_along_axis(log_probs_BV, order, -1))
    descending /= descending.sum(axis=-1, keepdims=True)
    before = np.cumsum(descending, axis=-1) - descending
    away = np.empty(order.shape, dtype=bool)
    np.put_along_axis(away, order, before >= p, -1)
    return np.where(away, -np.inf, log_probs_BV)


def min_p(log_probs_BV: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """Keep what has at least p times the probability of the likeliest.

    Nguyen et al. (2024), "Turning Up the Heat: Min-p Sampling", section 3.

    >>> np.exp(min_p(np.log([[0.5, 0.3, 0.2]]), 0.5)).round(2).tolist()
    [[0.5, 0.3, 0.0]]
    """
    floor = log_probs_BV.max(axis=-1, keepdims=True) + np.log(p)
    return np.where(log_probs_BV < floor, -np.inf, log_probs_BV)


def make_filter(config: SamplingConfig) -> Callable[[Floats], NDArray[np.float64]]:
    """The filters of ``config`` as one function: logits [B, V] to log-probabilities [B, V]."""
    filters: list[Filter] = []
    if config.top_k:
        filters.append(lambda log_probs_BV: top_k(log_probs_BV, config.top_k))
    if config.top_p < 1:
        filters.append(lambda log_probs_BV: top_p(log_probs_BV, config.top_p))
    if config.min_p > 0:
        filters.append(lambda log_probs_BV: min_p(log_probs_BV, config.min_p))

    def apply(logits_BV: Floats) -> NDArray[np.float64]:
        # The likeliest becomes 0, so that no temperature makes it overflow.
        scores_BV = logits_BV.astype(np.float64)
        scores_BV -= scores_BV.max(axis=-1, keepdims=True)
        with np.errstate(over="ignore"):
            scores_BV /= config.temperature
        log_probs_BV = log_softmax(scores_BV)
        for filter in filters:
            log_probs_BV = filter(log_probs_BV)
        return log_probs_BV

    return apply
