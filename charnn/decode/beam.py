"""Batched beam search: all beams of all groups are rows of one batch.

A hypothesis scores the sum of its log-probabilities, divided by its length to the power of alpha
(Wu et al. 2016 divide by a similar penalty, section 7). The length counts generated tokens, the end
token included, the prompt not.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from charnn.decode.config import BeamConfig
from charnn.decode.filters import Scores
from charnn.decode.guides import UNGUIDED, Guides
from charnn.errors import GenerationError
from charnn.step import Floats, Ids, State, StepModel, log_softmax, select_rows

Finished = Literal["end", "stop", "length"]


@dataclass(frozen=True)
class Hypothesis:
    """One continuation that was found."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...] = field(repr=False)
    """Of each id under the model, nats."""
    score: float
    finished: Finished


class BeamSearch:
    """A search for the likeliest continuations of a prompt.

    Iterating searches, and yields ids as soon as they are sure to begin the best hypothesis: those
    that all live beams and the best finished hypothesis share. ``found`` then holds the best
    hypotheses, the best first, no two alike.

    Every step looks at the 2K best candidates of K beams, and at more if most of them end, so that
    those which end never starve those which live on; an end counts if it is among the K best.

    With several groups, each searches on its own, but pays for every token that beams of the
    groups before it took in the same step: Vijayakumar et al. (2018), "Diverse Beam Search",
    section 4, with the Hamming diversity of section 4.1. What it pays decides what is kept, and is
    no part of a score.

    Args:
        model: what predicts.
        logits_1V: what may follow the prompt, from ``model.prefill``.
        state: the state behind the prompt, one row.
        max_tokens: tokens at the most; what lives then is finished by its length.
        config: the search.
        guides: what steers it; they see log-probabilities.
        stopped: whether ids hold what ends a text, given that they did not one id before.
        same: hypotheses for whose ids this is equal are alike; only the best of them is kept.

    Raises:
        GenerationError: nothing that the guides allow could be found.
    """

    def __init__(
        self,
        model: StepModel,
        logits_1V: Floats,
        state: State,
        max_tokens: int,
        config: BeamConfig,
        *,
        guides: Guides = UNGUIDED,
        stopped: Callable[[Ids], bool] | None = None,
        same: Callable[[tuple[int, ...]], Hashable] = lambda ids: ids,
    ) -> None:
        self.found: list[Hypothesis] = []
        self._model, self._config, self._max_tokens = model, config, max_tokens
        self._guides, self._stopped, self._same = guides, stopped, same
        self._logits_1V, self._state = logits_1V, state
        beams, groups = max(config.beams, 1), config.beam_groups
        keys: dict[Hashable, tuple[_Group, Hypothesis]] = {}
        self._groups = [_Group(beams // groups, config, max_tokens, keys) for _ in range(groups)]
        self._sure = 0

    def run(self) -> list[Hypothesis]:
        """Search to the end."""
        for _ in self:
            pass
        return self.found

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Search once."""
        rows_K = np.zeros(len(self._groups), dtype=np.int64)
        for row, group in enumerate(self._groups):
            group.rows = slice(row, row + 1)
        beams = _Beams(
            np.zeros((len(rows_K), 0), dtype=np.int64),
            np.zeros((len(rows_K), 0)),
            np.zeros(len(rows_K)),
            self._guides.initial_state(len(rows_K)),
        )
        logits_KV, state = self._logits_1V[rows_K], select_rows(rows_K, self._state)
        for step in range(1, self._max_tokens + 1):
            beams, rows_K = self._grow(beams, log_softmax(logits_KV), step)
            yield from self._newly_sure(beams)
            if not len(rows_K):
                break
            if step < self._max_tokens:
                state = select_rows(rows_K, state)
                logits_KV, state = self._model.step(beams.ids_KT[:, -1], state)
        self._collect()
        yield self.found[0].ids[self._sure :]

    def _grow(
        self, beams: "_Beams", log_probs_KV: Scores, step: int
    ) -> tuple["_Beams", NDArray[np.int64]]:
        """One token more in every group; also from which rows the new ones come."""
        scores_KV = self._guides.apply(log_probs_KV, beams.guided)
        totals_KV = beams.totals_K[:, None] + scores_KV
        cost_V = np.zeros(totals_KV.shape[1])
        live: list[tuple[int, int]] = []
        for group in self._groups:
            first = len(live)
            taken: list[int] = []
            for rank, (row, id, complete) in enumerate(
                self._candidates(group, totals_KV - cost_V, beams)
            ):
                finished = self._finished(beams, row, id)
                if finished is None and (complete or step == self._max_tokens):
                    finished = "end" if step < self._max_tokens else "length"
                if finished is None:
                    live.append((row, id))
                elif rank < group.width:
                    if finished == "length":
                        taken.append(id)
                    hypothesis = Hypothesis(
                        (*beams.ids_KT[row].tolist(), id),
                        (*beams.log_probs_KT[row].tolist(), float(log_probs_KV[row, id])),
                        float(totals_KV[row, id]) / step**self._config.length_penalty,
                        finished,
                    )
                    group.finish(hypothesis, self._same)
                if len(live) - first == group.width:
                    break
                if step == self._max_tokens and rank + 1 == group.width:
                    break
            own = live[first:]
            if own and group.is_over(max(float(totals_KV[place]) for place in own), step):
                del live[first:]
            group.rows = slice(first, len(live))
            taken += [id for _, id in live[first:]]
            np.add.at(cost_V, taken, self._config.diversity_penalty)
        if not live and not any(group.pool for group in self._groups):
            names = self._guides.blame(log_probs_KV, beams.guided, 0)
            raise GenerationError(
                f"{names} left the beams no token to go on with after {step - 1}",
                "ask for less, or search with more beams",
            )
        rows_K, ids_K = np.array(live, dtype=np.int64).reshape(-1, 2).T
        return beams.grow(rows_K, ids_K, totals_KV, log_probs_KV, self._guides), rows_K

    def _candidates(
        self, group: "_Group", totals_KV: Scores, beams: "_Beams"
    ) -> Iterator[tuple[int, int, bool]]:
        """A group's candidates, the best first: row, id, and whether nothing may follow.

        The 2K best suffice where only one id ends a beam; the others come if they are asked for.
        """
        totals_N = totals_KV[group.rows].ravel()
        few = 2 * group.width
        for places in (_largest(totals_N, few), None):
            if places is None:
                places = _largest(totals_N, len(totals_N))[few:]  # noqa: PLW2901
            rows_N, ids_N = np.divmod(places, totals_KV.shape[1])
            rows_N += group.rows.start
            complete_N = np.zeros(len(places), dtype=bool)
            if self._guides:
                guided = self._guides.advance(ids_N, select_rows(rows_N, beams.guided))
                complete_N = self._guides.complete_B(guided, len(places))
            yield from zip(rows_N.tolist(), ids_N.tolist(), complete_N.tolist(), strict=True)

    def _finished(self, beams: "_Beams", row: int, id: int) -> Finished | None:
        if id == self._model.end_id:
            return "end"
        if self._stopped is not None and self._stopped(np.append(beams.ids_KT[row], id)):
            return "stop"
        return None

    def _newly_sure(self, beams: "_Beams") -> Iterator[tuple[int, ...]]:
        if self._config.nbest > 1 or not len(beams.ids_KT):
            return
        first_T = beams.ids_KT[0, self._sure :]
        shared_T = (beams.ids_KT[1:, self._sure :] == first_T).all(axis=0)
        if (best := self._best()) is not None:
            finished_T = np.array(best.ids[self._sure : self._sure + len(first_T)])
            shared_T[len(finished_T) :] = False
            shared_T[: len(finished_T)] &= first_T[: len(finished_T)] == finished_T
        count = len(first_T) if shared_T.all() else int(shared_T.argmin())
        if count:
            self._sure += count
            yield tuple(first_T[:count].tolist())

    def _best(self) -> Hypothesis | None:
        """The best that has finished."""
        best = [group.pool[0] for group in self._groups if group.pool]
        return max(best, key=lambda hypothesis: hypothesis.score, default=None)

    def _collect(self) -> None:
        found = [hypothesis for group in self._groups for hypothesis in group.pool]
        found.sort(key=lambda hypothesis: -hypothesis.score)
        self.found = found[: self._config.nbest]


@dataclass
class _Beams:
    """Rows of hypotheses that live."""

    ids_KT: Ids
    log_probs_KT: Scores
    totals_K: Scores
    guided: State

    def grow(
        self, rows_K: Ids, ids_K: Ids, totals_KV: Scores, log_probs_KV: Scores, guides: Guides
    ) -> "_Beams":
        """The rows ``rows_K``, each followed by an id."""
        return _Beams(
            np.concatenate((self.ids_KT[rows_K], ids_K[:, None]), axis=1),
            np.concatenate((self.log_probs_KT[rows_K], log_probs_KV[rows_K, ids_K, None]), axis=1),
            totals_KV[rows_K, ids_K],
            guides.advance(ids_K, select_rows(rows_K, self.guided)),
        )


class _Group:
    """Beams that compete with each other: where they live, and what of them has finished.

    Args:
        width: how many they are.
        config: the search.
        max_tokens: tokens at the most.
        keys: what the pools of all groups hold, by what makes hypotheses alike.
    """

    def __init__(
        self,
        width: int,
        config: BeamConfig,
        max_tokens: int,
        keys: dict[Hashable, tuple["_Group", Hypothesis]],
    ) -> None:
        self.width = width
        self.rows = slice(0, 0)
        self.pool: list[Hypothesis] = []
        self._config, self._max_tokens = config, max_tokens
        self._keys = keys

    def finish(self, hypothesis: Hypothesis, same: Callable[[tuple[int, ...]], Hashable]) -> None:
        """Keep it, if it is among the best and better than all that is like it."""
        key = same(hypothesis.ids)
        if key in self._keys:
            holder, alike = self._keys[key]
            if alike.score >= hypothesis.score:
                return
            holder.pool.remove(alike)
        self._keys[key] = self, hypothesis
        self.pool.append(hypothesis)
        self.pool.sort(key=lambda one: -one.score)
        for beaten in self.pool[self.width :]:
            del self._keys[same(beaten.ids)]
        del self.pool[self.width :]

    def is_over(self, best_live: float, step: int) -> bool:
        """Whether enough have finished and, with "never", no live one can still beat them.

        A single beam is greedy search, where the first end is the end. A live sum can only fall.
        With alpha >= 0 its score is at best that sum over the greatest length; with alpha < 0, over
        the next one.
        """
        if self._config.early_stopping == "first" or self._config.beams == 1:
            return len(self.pool) >= self.width
        wanted = min(self._config.nbest, self.width)
        if len(self.pool) < wanted:
            return False
        alpha = self._config.length_penalty
        length = self._max_tokens if alpha >= 0 else step + 1
        return self.pool[wanted - 1].score >= best_live / math.pow(length, alpha)


def _largest(values: Scores, count: int) -> NDArray[np.int64]:
    """The places of the ``count`` largest finite values, the largest first; ties: lowest place."""
    if count < len(values):
        floor = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= floor)
    else:
        places = np.arange(len(values))
    order = places[np.argsort(-values[places], kind="stable")][:count]
    return order[np.isfinite(values[order])]
