"""The StepModel contract: what any language model offers to decoding and scoring.

The engine, the n-gram model, a PyTorch model and the fakes of the tests are all StepModels, so
greedy search, sampling, beam search and scoring are written once.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

#: What a model remembers: an opaque tuple of arrays, batch first. Never changed in place.
State = tuple[NDArray[Any], ...]


class StepModel(Protocol):
    """A language model that reads ids and says what may follow.

    A state knows everything that was read so far; it alone determines the distribution of what
    comes next. So reading and scoring can be cut anywhere: ``nats(a + b)`` is ``nats(a)`` and then
    ``nats(b)`` from the state that the first returned.
    """

    vocabulary_size: int
    start_id: int
    """What an empty prompt feeds."""
    end_id: int | None
    """Ends a document; None if the model knows no ends."""

    def initial_state(self, batch: int) -> State:
        """The state of ``batch`` rows that have read nothing."""
        ...

    def step(self, ids_B: Ids, state: State) -> tuple[Floats, State]:
        """Read one id a row: the logits of what follows, and the new state."""
        ...

    def prefill(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read ragged prompts: row b is ``ids_BT[b, :lengths_B[b]]``.

        A row of length 0 reads ``start_id``. Returns the logits after each row's last id.
        """
        ...

    def nats(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """What reading costs: ``nats_BT[b, t]`` is -log P(ids_BT[b, t] | state, ids_BT[b, :t]).

        Positions from ``lengths_B[b]`` on cost 0 and leave the state alone. Computed in whole
        matrix products; float64.
        """
        ...


def map_state(f: Callable[[NDArray[Any]], NDArray[Any]], state: State) -> State:
    """Apply ``f`` to every array of a state: to reorder, widen or save it."""
    return tuple(f(array) for array in state)


def select_rows(rows_B: Ids, state: State) -> State:
    """The state whose row b is row ``rows_B[b]`` of ``state``: reorders beams, widens prompts."""
    return map_state(lambda array: array[rows_B], state)


def pad(sequences: Sequence[Sequence[int] | Ids]) -> tuple[Ids, Ids]:
    """Ragged lists of ids as ``ids_BT`` (padded on the right with 0) and ``lengths_B``.

    >>> pad([[7], [1, 2]])[0].tolist()
    [[7, 0], [1, 2]]
    """
    lengths_B = np.array([len(ids) for ids in sequences], dtype=np.int64)
    ids_BT = np.zeros((len(sequences), int(lengths_B.max(initial=0))), dtype=np.int64)
    for row, ids in zip(ids_BT, sequences, strict=True):
        row[: len(ids)] = ids
    return ids_BT, lengths_B


def log_softmax(logits_BV: Floats) -> NDArray[np.float64]:
    """Logits as log-probabilities over the last axis, in nats, float64."""
    shifted = logits_BV.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
