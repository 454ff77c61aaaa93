"""What steers decoding beside the model: it remembers what was written, row by row.

A guide has a state of its own, a tuple of arrays, batch first, that follows the rows wherever
sampling or beam search puts them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from charnn.decode.filters import no_repeat_ngram, repetition_penalty
from charnn.step import Flags, Floats, Ids, State

if TYPE_CHECKING:  # it takes time to import, and few ask for it
    from charnn.decode.constraints import Constraint


class Guide(Protocol):
    """Changes what may follow, given what was written."""

    name: str
    """The option that asks for it."""

    def initial_state(self, batch: int) -> State:
        """Of ``batch`` rows in which nothing was written."""
        ...

    def apply(self, scores_BV: Floats, state: State) -> Floats:
        """The scores of what may follow, changed; what may not has -inf."""
        ...

    def advance(self, ids_B: Ids, state: State) -> State:
        """One id more in every row."""
        ...

    def complete_B(self, state: State) -> Flags | None:
        """Which rows are whole texts that nothing may follow; None: the guide never says so."""
        ...


class RepetitionPenalty:
    """Makes less likely what occurred before, the prompt included.

    Args:
        penalty: what positive logits are divided by.
        vocabulary: V.
        prompt: the ids before.
    """

    name = "--repetition-penalty"

    def __init__(self, penalty: float, vocabulary: int, prompt: Sequence[int] = ()) -> None:
        self._penalty = penalty
        self._seen_V = np.zeros(vocabulary, dtype=bool)
        self._seen_V[list(prompt)] = True

    def initial_state(self, batch: int) -> State:
        """What was seen, [B, V]."""
        return (np.tile(self._seen_V, (batch, 1)),)

    def apply(self, scores_BV: Floats, state: State) -> Floats:
        """The logits, penalised."""
        return repetition_penalty(scores_BV, state[0], self._penalty)

    def advance(self, ids_B: Ids, state: State) -> State:
        """Now these were seen, too."""
        seen_BV = state[0].copy()
        seen_BV[np.arange(len(ids_B)), ids_B] = True
        return (seen_BV,)

    def complete_B(self, state: State) -> None:
        """Nothing is ever complete."""


class NoRepeatNgram:
    """Lets no n ids in a row occur twice, the prompt included.

    Args:
        n: their number.
        prompt: the ids before.
    """

    name = "--no-repeat-ngram"

    def __init__(self, n: int, prompt: Sequence[int] = ()) -> None:
        self._n = n
        self._prompt_1T = np.array([prompt], dtype=np.int64).reshape(1, len(prompt))

    def initial_state(self, batch: int) -> State:
        """The ids so far, [B, T]."""
        return (np.repeat(self._prompt_1T, batch, axis=0),)

    def apply(self, scores_BV: Floats, state: State) -> Floats:
        """Without what would repeat."""
        return no_repeat_ngram(scores_BV, state[0], self._n)

    def advance(self, ids_B: Ids, state: State) -> State:
        """One id longer."""
        return (np.column_stack((state[0], ids_B)),)

    def complete_B(self, state: State) -> None:
        """Nothing is ever complete."""


class Mask:
    """Lets through what a constraint allows.

    Args:
        constraint: says what may follow.
        name: the options that ask for it.
    """

    def __init__(self, constraint: "Constraint", name: str = "--regex") -> None:
        self._constraint, self.name = constraint, name
        self.initial_state = constraint.initial_state
        self.advance = constraint.advance
        self.complete_B = constraint.complete_B

    def apply(self, scores_BV: Floats, state: State) -> Floats:
        """Without what is not allowed."""
        return np.where(self._constraint.allowed_BV(state), scores_BV, -np.inf)


class Guides:
    """Several guides as one: first those that change scores, then those that forbid.

    Its state is theirs in one flat tuple.
    """

    def __init__(self, guides: Sequence[Guide] = ()) -> None:
        self._guides = tuple(guides)
        ends = np.cumsum([0, *(len(guide.initial_state(0)) for guide in guides)]).tolist()
        self._parts = [slice(*ends[n : n + 2]) for n in range(len(guides))]

    def __bool__(self) -> bool:
        return bool(self._guides)

    def initial_state(self, batch: int) -> State:
        """Of all of them."""
        return tuple(array for guide in self._guides for array in guide.initial_state(batch))

    def apply(self, scores_BV: Floats, state: State) -> Floats:
        """What all of them leave."""
        for guide, part in zip(self._guides, self._parts, strict=True):
            scores_BV = guide.apply(scores_BV, state[part])
        return scores_BV

    def advance(self, ids_B: Ids, state: State) -> State:
        """One id more in every row."""
        return tuple(
            array
            for guide, part in zip(self._guides, self._parts, strict=True)
            for array in guide.advance(ids_B, state[part])
        )

    def complete_B(self, state: State, batch: int) -> Flags:
        """Which rows are whole texts that nothing may follow."""
        complete_B = np.zeros(batch, dtype=bool)
        for guide, part in zip(self._guides, self._parts, strict=True):
            if (found_B := guide.complete_B(state[part])) is not None:
                complete_B |= found_B
        return complete_B

    def blame(self, scores_BV: Floats, state: State, row: int) -> str:
        """The names of those that together left a row nothing to go on with."""
        names = []
        left = -1
        for guide, part in zip(self._guides, self._parts, strict=True):
            before = np.isfinite(scores_BV[row]).sum()
            scores_BV = guide.apply(scores_BV, state[part])
            left = np.isfinite(scores_BV[row]).sum()
            if left < before:
                names.append(guide.name)
        assert left == 0
        return " and ".join(names)


#: What steers nothing.
UNGUIDED = Guides()
