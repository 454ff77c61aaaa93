"""Batched beam search: all beams are rows of one batch.

A hypothesis scores the sum of its log-probabilities, divided by its length to the power of alpha
(Wu et al. 2016 divide by a similar penalty, section 7). The length counts generated tokens, the end
token included, the prompt not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from charnn.decode.config import BeamConfig
from charnn.step import Floats, State, StepModel, log_softmax, select_rows

Finished = Literal["end", "stop", "length"]


@dataclass(frozen=True)
class Hypothesis:
    """One continuation that was found."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...] = field(repr=False)
    """Of each id under the model, nats."""
    score: float
    finished: Finished


@dataclass(frozen=True)
class _Live:
    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    total: float


def beam_search(
    model: StepModel,
    logits_1V: Floats,
    state: State,
    max_tokens: int,
    config: BeamConfig,
    stopped: Callable[[Sequence[int]], bool] = lambda ids: False,
) -> list[Hypothesis]:
    """The ``nbest`` best continuations of a prompt, the best first, no two alike.

    Every step looks at the 2K best candidates of K beams, so that those which end never starve
    those which live on.

    Args:
        model: what predicts.
        logits_1V: what may follow the prompt, from ``model.prefill``.
        state: the state behind the prompt, one row.
        max_tokens: tokens at the most; what lives then is finished by its length.
        config: the search.
        stopped: whether a hypothesis is finished by the text it holds.
    """
    K, alpha = max(config.beams, 1), config.length_penalty
    live = [_Live((), (), 0.0)]
    log_probs_KV = log_softmax(logits_1V)
    pool: list[Hypothesis] = []

    def finish(one: _Live, how: Finished) -> None:
        score = one.total / len(one.ids) ** alpha
        pool.append(Hypothesis(one.ids, one.log_probs, score, how))
        pool.sort(key=lambda hypothesis: -hypothesis.score)
        del pool[K:]

    for step in range(1, max_tokens + 1):
        totals_K = np.array([one.total for one in live])
        totals_KV = totals_K[:, None] + log_probs_KV
        V = totals_KV.shape[1]
        grown: list[_Live] = []
        rows: list[int] = []
        for place in _best(totals_KV.ravel(), 2 * K):
            row, id = divmod(place, V)
            one = live[row]
            log_prob = float(log_probs_KV[row, id])
            child = _Live((*one.ids, id), (*one.log_probs, log_prob), one.total + log_prob)
            if id == model.end_id:
                finish(child, "end")
            elif stopped(child.ids):
                finish(child, "stop")
            elif len(grown) < K:
                grown.append(child)
                rows.append(row)
        live = grown
        if not live or _is_over(pool, live[0].total, step, max_tokens, config):
            break
        if step < max_tokens:
            last_ids_K = np.array([one.ids[-1] for one in live])
            logits_KV, state = model.step(last_ids_K, select_rows(np.array(rows), state))
            log_probs_KV = log_softmax(logits_KV)
    else:
        for one in live:
            finish(one, "length")
    return pool[: config.nbest]


def _best(values: Floats, count: int) -> list[int]:
    """The places of the ``count`` largest finite values, the largest first; ties: lowest place."""
    if count < len(values):
        floor = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= floor)
    else:
        places = np.arange(len(values))
    order = places[np.argsort(-values[places], kind="stable")][:count]
    return [int(place) for place in order if np.isfinite(values[place])]


def _is_over(
    pool: list[Hypothesis], best_live: float, step: int, max_tokens: int, config: BeamConfig
) -> bool:
    """Whether enough have finished and, with "never", no live one can still beat them.

    A live sum can only fall. With alpha >= 0 its score is at best that sum over the greatest
    length; with alpha < 0, over the next one.
    """
    if config.early_stopping == "first":
        return len(pool) >= config.beams
    if len(pool) < config.nbest:
        return False
    length = max_tokens if config.length_penalty >= 0 else min(step + 1, max_tokens)
    bound = best_live / math.pow(length, config.length_penalty)
    return pool[config.nbest - 1].score >= bound
