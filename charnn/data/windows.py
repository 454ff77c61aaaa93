"""Label-shifted windows over a long sequence of ids, in parallel lanes.

The label of a position is the token that follows it: A B C D has the labels B C D D, where the
last has no successor and repeats.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.errors import CorpusError

Tokens = NDArray[np.integer[Any]]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """The training stream: ``lanes`` readers, spread evenly over a sequence that is read as a ring.

    Window ``n`` follows window ``n - 1`` in every lane, so a state carried from one to the next has
    read what stands before; the labels at a window's end are the first inputs of the next. When a
    lane comes to where the next one began it goes on into its part, so an epoch need not be a
    whole number of windows, and every token is read once an epoch. Which batch a step sees
    depends on its number alone.

    >>> inputs, labels = Windows(np.array([0, 1, 2, 3]), lanes=1, length=4)[0]
    >>> labels.tolist()
    [[1, 2, 3, 3]]
    >>> windows = Windows(np.arange(8), lanes=2, length=3)
    >>> [batch.tolist() for batch in windows[0]]
    [[[0, 1, 2], [4, 5, 6]], [[1, 2, 3], [5, 6, 7]]]
    >>> [batch.tolist() for batch in windows[1]]
    [[[3, 4, 5], [7, 0, 1]], [[4, 5, 6], [7, 1, 2]]]
    """

    tokens: Tokens
    lanes: int
    length: int

    def __post_init__(self) -> None:
        if len(self.tokens) < max(self.length, 2):
            raise CorpusError(
                f"the corpus has {len(self.tokens)} tokens, too few for one window of {self.length}"
                " and its labels",
                "use more text or a smaller --bptt",
            )

    @property
    def per_epoch(self) -> float:
        """Windows until every token was read once."""
        return len(self.tokens) / (self.lanes * self.length)

    def __getitem__(self, n: int) -> tuple[Ids, Ids]:
        """Window ``n``: ``inputs_BT`` and ``labels_BT``."""
        size = len(self.tokens)
        starts_B1 = (np.arange(self.lanes) * size // self.lanes)[:, None]
        positions_BT = (starts_B1 + n * self.length + np.arange(self.length)) % size
        labels_BT = np.minimum(positions_BT + 1, size - 1)
        return self.tokens[positions_BT].astype(np.int64), self.tokens[labels_BT].astype(np.int64)


@dataclass(frozen=True)
class EvaluationLanes:
    """A held-out sequence cut into ``lanes`` pieces, to be scored side by side.

    Every true successor is a label exactly once. A lane first reads, in a window of its own that is
    not scored, the ``warm_up`` tokens before its piece, so that it begins with a state as if
    carried. Before the first lane there is nothing: its state must be made fresh after that.
    """

    tokens: Tokens
    lanes: int
    length: int
    warm_up: int

    def __iter__(self) -> Any:
        """Yield ``inputs_BT``, ``labels_BT`` and ``scored_BT``, window after window."""
        targets = len(self.tokens) - 1
        starts_B1 = (np.arange(self.lanes) * targets // self.lanes)[:, None]
        ends_B1 = np.append(starts_B1[1:, 0], targets)[:, None]
        longest = int((ends_B1 - starts_B1).max())
        windows = [(n, min(n + self.length, longest)) for n in range(0, longest, self.length)]
        for begin, end in [(-self.warm_up, 0), *windows] if self.warm_up else windows:
            positions_BT = starts_B1 + np.arange(begin, end)
            scored_BT = (positions_BT >= starts_B1) & (positions_BT < ends_B1)
            positions_BT = positions_BT.clip(0, targets - 1)
            yield (
                self.tokens[positions_BT].astype(np.int64),
                self.tokens[positions_BT + 1].astype(np.int64),
                scored_BT,
            )
