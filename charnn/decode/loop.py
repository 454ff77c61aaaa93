"""The one loop of generation: greedy or sampled, many streams side by side.

Random numbers come from counter-based generators keyed by (seed, sample, step): sample 7 of seed 1
draws the same numbers whatever runs beside it.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charnn.decode.config import SamplingConfig
from charnn.decode.filters import make_filter
from charnn.decode.guides import UNGUIDED, Guides
from charnn.step import Flags, Floats, Ids, State, StepModel, log_softmax, select_rows

#: Samples run in blocks of this many rows; a row that is done runs on, so that shapes stay.
BLOCK = 64

#: Random numbers that are drawn at a time, for each sample.
_DRAWN = 256

#: Scores [B, V] and the step's number -> the chosen ids [B].
Choose = Callable[[Floats, int], Ids]


@dataclass(frozen=True)
class Step:
    """What one step of a block made, row by row."""

    ids_B: Ids
    logits_BV: Floats
    """The model's own, before any filter."""
    blocked_B: Flags | None = None
    """Rows for which the guides left nothing to choose: their ids mean nothing."""
    complete_B: Flags | None = None
    """Rows that are whole texts now: nothing may follow."""
    blame: Callable[[int], str] | None = None
    """The names of the guides that left a row nothing."""

    def log_probs_B(self) -> NDArray[np.float64]:
        """Of the chosen ids, under the model alone: before temperature and filters. Nats."""
        rows_B = np.arange(len(self.ids_B))
        return log_softmax(self.logits_BV)[rows_B, self.ids_B]


def greedy() -> Choose:
    """Take the likeliest; of equals, the one with the lowest id."""

    def choose(scores_BV: Floats, step: int) -> Ids:
        ids_B: Ids = scores_BV.argmax(axis=-1)
        return ids_B

    return choose


def sampler(config: SamplingConfig, seed: int, samples: range) -> Choose:
    """Draw from the filtered distribution, by inverting its cumulative sum.

    Args:
        config: temperature and filters.
        seed: a whole number from 0 on, below 2^64.
        samples: the numbers of the samples in the block's rows.
    """
    filtered = make_filter(config)
    generators = [
        np.random.Generator(np.random.Philox(key=np.array([seed, sample], dtype=np.uint64)))
        for sample in samples
    ]
    uniforms_BS = np.empty((len(generators), 0))

    def choose(scores_BV: Floats, step: int) -> Ids:
        nonlocal uniforms_BS
        column = step % _DRAWN
        if not column:
            uniforms_BS = np.stack([generator.random(_DRAWN) for generator in generators])
        cumulative_BV = np.exp(filtered(scores_BV)).cumsum(axis=-1)
        thresholds_B1 = uniforms_BS[:, column, None] * cumulative_BV[:, -1:]
        # The first id whose cumulative probability lies above the drawn number.
        ids_B: Ids = (cumulative_BV > thresholds_B1).argmax(axis=-1)
        return ids_B

    return choose


def generate(
    model: StepModel,
    logits_1V: Floats,
    state: State,
    batch: int,
    max_tokens: int,
    choose: Choose,
    guides: Guides = UNGUIDED,
) -> Iterator[Step]:
    """Continue one prompt in ``batch`` rows.

    The caller decides when a row is done and closes the generator when all are.

    Args:
        model: what predicts.
        logits_1V: what may follow the prompt, from ``model.prefill``.
        state: the state behind the prompt, one row.
        batch: how many rows continue it.
        max_tokens: steps at the most.
        choose: picks the next ids.
        guides: what steers the choice.
    """
    rows_B = np.zeros(batch, dtype=np.int64)
    logits_BV, state = logits_1V[rows_B], select_rows(rows_B, state)
    guided = guides.initial_state(batch)
    blocked_B: Flags | None = None
    complete_B: Flags | None = None
    blame: Callable[[int], str] | None = None
    for n in range(max_tokens):
        scores_BV = logits_BV
        if guides:
            scores_BV = guides.apply(logits_BV, guided)
            blocked_B1 = np.all(np.isneginf(scores_BV), axis=-1, keepdims=True)
            # Rows that are done run on, and must have something to choose.
            scores_BV = np.where(blocked_B1, logits_BV, scores_BV)
            blocked_B = blocked_B1[:, 0]
        ids_B = choose(scores_BV, n)
        if guides:
            blame = functools.partial(guides.blame, logits_BV, guided)
            guided = guides.advance(ids_B, guided)
            complete_B = guides.complete_B(guided, batch)
        yield Step(ids_B, logits_BV, blocked_B, complete_B, blame)
        if n + 1 < max_tokens:
            logits_BV, state = model.step(ids_B, state)
