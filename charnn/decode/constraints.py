"""What may be written, by rule: patterns, banned texts, and the tokens that remain.

Patterns, banned texts and stop strings become one automaton over characters
(``charnn.decode.patterns``). A token is bytes, and may cut characters anywhere: it walks through
UTF-8, which gives characters and maybe half a one, and those walk through the automaton. The least
number of tokens from a state to a text that matches says what may still be written.

In shapes, B are rows, V tokens, S states, C classes of characters, K half characters (0: none),
R some of the tokens, N the beginnings that tokens share, and M what tokens do, each once.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charnn.decode.patterns import Alphabet, Automaton, Ints, build, quoted, unicode
from charnn.errors import UsageError
from charnn.step import Flags, Ids, State

#: More tokens than there ever are.
_NEVER = np.iinfo(np.int32).max

#: The state from which nothing is accepted.
_DEAD = 0

#: How many steps of tokens through the automaton are computed at a time.
_AT_A_TIME = 1 << 22

#: From how many states the moves are remembered.
_REMEMBERED = 512


class Constraint:
    """What may follow, so that the text will match: a state machine over tokens, batch first.

    The text is what all tokens before the end token spell, cut before the stop string that is
    complete first, or before the end of the last line that is wanted. It is to match every pattern
    as ``re.fullmatch`` has it, to hold no banned text, and to be whole characters. After a stop
    string anything may follow. Without an end token, a text goes on for as long as it can.

    Args:
        token_bytes: what the tokens spell; those that spell nothing are never allowed.
        max_tokens: how many may be written, the end token included.
        end_id: allowed where the text may end; what it spells does not count.
        patterns: regular expressions of ``re``.
        banned: texts that must not occur.
        stop: the stop strings; see ``charnn.text.streaming.first_stop``.
        max_lines: how many lines are wanted; 0: all.

    Raises:
        UsageError: a pattern is invalid or not regular, or no text can match.

    >>> constraint = Constraint([b"a", b"b"], max_tokens=3, patterns=["a*b"])
    >>> state = constraint.initial_state(batch=1)
    >>> for id in (0, 0):
    ...     state = constraint.advance(np.array([id]), state)
    >>> constraint.allowed_BV(state).tolist()
    [[False, True]]
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        *,
        max_tokens: int,
        end_id: int | None = None,
        patterns: Sequence[str] = (),
        banned: Sequence[str] = (),
        stop: Sequence[str] = (),
        max_lines: int = 0,
    ) -> None:
        max_tokens = min(max_tokens, _NEVER - 1)
        self._max_tokens, self._end_id = max_tokens, end_id
        tokens = _Tokens([b"" if id == end_id else token for id, token in enumerate(token_bytes)])

        def machine(
            patterns: Sequence[str], banned: Sequence[str], most: int = max_tokens
        ) -> _Machine:
            automaton = build(tokens.alphabet, patterns, banned, stop, max_lines)
            return _Machine(automaton, tokens, most)

        self._machine = machine(patterns, banned)
        if self._machine.least_tokens > max_tokens:
            least = machine(patterns, banned, _NEVER - 1).least_tokens
            most = max_tokens if least < _NEVER else _NEVER - 1
            culprits = [one for one in patterns if machine([one], (), most).least_tokens > most]
            if len(culprits) == 1:
                patterns, banned = culprits, ()
            asked = [quoted("--regex", one) for one in patterns]
            asked += [quoted("--ban", one) for one in banned]
            asked += [quoted("--stop", one) for one in stop]
            asked += [f"--max-lines {max_lines}"] if max_lines else []
            size, hint = "", "nothing does, or only what has symbols that the model lacks"
            if least < _NEVER:
                size = f" at most {max_tokens} tokens of"
                hint = f"the shortest that does has {least}: --max-tokens {least}"
            raise UsageError(
                f"no text of{size} this vocabulary satisfies {' and '.join(asked)}", hint
            )

    def initial_state(self, batch: int) -> State:
        """Of empty texts: states of the automaton, half characters, tokens that remain; all [B]."""
        return (
            np.full(batch, self._machine.initial),
            np.zeros(batch, dtype=np.int64),
            np.full(batch, self._max_tokens),
        )

    def allowed_BV(self, state: State) -> Flags:
        """Which tokens leave the text a way to match with the tokens that then remain."""
        rows = list(_rows(state))
        allowed_BV = np.empty((len(rows), self._machine.vocabulary_size), dtype=bool)
        for allowed_V, (place, half, remaining) in zip(allowed_BV, rows, strict=True):
            moves = self._machine.moves_from(place, half)
            np.take(moves.needed_M < remaining, moves.move_V, out=allowed_V)
            if self._end_id is not None:
                allowed_V[self._end_id] = remaining > 0 and self._machine.accepts(place, half)
        return allowed_BV

    def advance(self, ids_B: Ids, state: State) -> State:
        """One token more in every row; from one that was not allowed, nothing is."""
        moved = []
        for id, (place, half, remaining) in zip(ids_B.tolist(), _rows(state), strict=True):
            moves = self._machine.moves_from(place, half)
            move = moves.move_V[id]
            moved.append((moves.place_M[move], moves.half_M[move], max(remaining - 1, 0)))
        places_B, halves_B, remaining_B = np.array(moved, dtype=np.int64).reshape(-1, 3).T
        return places_B, halves_B, remaining_B

    def complete_B(self, state: State) -> Flags:
        """Which texts are done: no token is allowed."""
        return np.array([self._is_complete(*row) for row in _rows(state)], dtype=bool)

    def _is_complete(self, place: int, half: int, remaining: int) -> bool:
        if self._end_id is not None and remaining and self._machine.accepts(place, half):
            return False
        return self._machine.moves_from(place, half).least_needed >= remaining


def _rows(state: State) -> Iterator[tuple[int, int, int]]:
    places_B, halves_B, remaining_B = state
    return zip(places_B.tolist(), halves_B.tolist(), remaining_B.tolist(), strict=True)


def _utf8(complete: Ints) -> Ints:
    """UTF-8 as a table [K, 256]: what a byte does after a half character.

    Positive: a half character, which the byte begins or goes on with; negative, ``~class``: the
    byte completes a character of that class; 0: not allowed. Half characters are one if nothing
    that may follow tells them apart.

    Args:
        complete: what code points are; see ``Alphabet.classes``.
    """
    numbers: dict[bytes, int] = {b"": 0}  # number 0 is no half character

    def fold(values: Ints, first: int) -> Ints:
        """The half characters that stand for 64 values each; those before the first are none.

        That rules out spelling a character with more bytes than it needs.
        """
        blocks = values.copy()
        blocks[:first] = 0
        blocks = blocks.reshape(-1, 64)
        # Most blocks are just as the one before.
        new = np.ones(len(blocks), dtype=bool)
        new[1:] = (blocks[1:] != blocks[:-1]).any(axis=1)
        folded = np.array(
            [
                numbers.setdefault(block.tobytes(), len(numbers)) if block.any() else 0
                for block in blocks[new]
            ]
        )
        spread: Ints = folded[np.cumsum(new) - 1].astype(np.int32)
        return spread

    last = fold(complete, 0x80)
    last_two = fold(last, 0x800 >> 6)
    last_three = fold(last_two, 0x10000 >> 12)
    table = np.zeros((len(numbers), 256), dtype=np.int32)
    table[1:, 0x80:0xC0] = np.frombuffer(b"".join(numbers), dtype=np.int32).reshape(-1, 64)
    table[0, :0x80] = complete[:0x80]
    table[0, 0xC0:0xE0] = last[:32]
    table[0, 0xE0:0xF0] = last_two[:16]
    table[0, 0xF0:0xF5] = last_three
    return table


@dataclass
class _Walks:
    """What tokens do after a half character, whatever the state of the automaton."""

    levels: list[tuple[Ints, Ints]]
    """Beginnings that tokens share, by their length: the numbers of those that are one character
    shorter, and the classes they go on with. Number 0 is the empty one."""
    beginning_M: Ints
    half_M: Ints
    """The half characters behind; the last move is that of all tokens that do not fit."""
    move_V: Ints

    def follow(self, automaton: Automaton, states_S: Ints) -> Ints:
        """Where moves lead from each state, [M, S]."""
        reached = [states_S[None]]
        reached_NS = states_S[None]
        for before, classes in self.levels:
            reached.append(automaton.next_CS[classes[:, None], reached_NS[before]])
            reached_NS = reached[-1]
        at_NS = np.concatenate(reached)
        dead_1S = np.full((1, len(states_S)), _DEAD, dtype=at_NS.dtype)
        return np.concatenate((at_NS[self.beginning_M[:-1]], dead_1S))

    def __len__(self) -> int:
        return 1 + sum(len(classes) for _, classes in self.levels)


class _Tokens:
    """The bytes of a vocabulary."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self.lengths_V = np.array([len(token) for token in token_bytes], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(token_bytes), dtype=np.uint8)
        self._starts_V = np.cumsum(self.lengths_V) - self.lengths_V
        self._spelling = np.flatnonzero(self.lengths_V)
        leading = self._bytes[self._starts_V[self._spelling]]
        self._continuing = self._spelling[(leading & 0xC0) == 0x80]
        try:
            known = set("".join([token.decode() for token in token_bytes]))
        except UnicodeDecodeError:  # some are not whole characters: together they may spell any
            self.alphabet = unicode()
        else:
            self.alphabet = Alphabet("".join(sorted(known)))

    def walks(self, utf8_KX: Ints, half: int, C: int) -> _Walks:
        """What they do after a half character."""
        tokens_R = self._continuing if half else self._spelling
        half_R = np.full(len(tokens_R), half, dtype=np.int64)
        count_R = np.zeros(len(tokens_R), dtype=np.int64)
        classes_LR = np.empty((int(self.lengths_V.max(initial=0)), len(tokens_R)), dtype=np.int32)
        alive = np.arange(len(tokens_R))
        for column in range(len(classes_LR)):
            alive = alive[self.lengths_V[tokens_R[alive]] > column]
            read = self._bytes[self._starts_V[tokens_R[alive]] + column]
            target = utf8_KX[half_R[alive], read]
            half_R[alive] = np.where(target == 0, -1, np.maximum(target, 0))
            whole = alive[target < 0]
            classes_LR[count_R[whole], whole] = ~target[target < 0]
            count_R[whole] += 1
            alive = alive[target != 0]
        fits = np.flatnonzero(half_R >= 0)
        tokens_R, half_R, count_R = tokens_R[fits], half_R[fits], count_R[fits]
        levels, beginning_R = _share(classes_LR[:, fits], count_R, C)
        K = len(utf8_KX)
        moves, move_R = np.unique(beginning_R * K + half_R, return_inverse=True)
        move_V = np.full(len(self.lengths_V), len(moves))
        move_V[tokens_R] = move_R
        moves = np.append(moves, 0)
        return _Walks(levels, moves // K, moves % K, move_V)


def _share(
    classes_LR: Ints, count_R: Ints, C: int
) -> tuple[list[tuple[Ints, Ints]], NDArray[np.int64]]:
    """The beginnings that sequences of classes share, by length, and the numbers of the whole."""
    levels = []
    # Numbers within the level before, whose own numbers begin at `first`.
    within_R = np.zeros(len(count_R), dtype=np.int64)
    number_R = np.zeros(len(count_R), dtype=np.int64)
    first = 1
    for length in range(int(count_R.max(initial=0))):
        longer = np.flatnonzero(count_R > length)
        keys, inverse = np.unique(
            within_R[longer] * C + classes_LR[length, longer], return_inverse=True
        )
        levels.append((keys // C, keys % C))
        within_R[longer] = inverse
        number_R[longer] = first + inverse
        first += len(keys)
    return levels, number_R


class _Moves(NamedTuple):
    """What may be done from a state and a half character."""

    move_V: Ints
    place_M: Ints
    half_M: Ints
    needed_M: Ints
    """Tokens that a text needs after this one, at the least."""
    least_needed: int


class _Machine:
    """The automaton over tokens: its states are those over characters and half characters."""

    def __init__(self, automaton: Automaton, tokens: _Tokens, max_tokens: int) -> None:
        self._automaton, self._utf8_KX = automaton, _utf8(automaton.complete)
        self.initial = automaton.initial
        self.vocabulary_size = len(tokens.lengths_V)
        C = len(automaton.next_CS)
        self._walks: dict[int, _Walks] = {}
        unread = [0]
        while unread:
            half = unread.pop()
            if half not in self._walks:
                self._walks[half] = tokens.walks(self._utf8_KX, half, C)
                unread.extend(set(self._walks[half].half_M.tolist()))
        self._least_SK = self._count(max_tokens)
        self.least_tokens = int(self._least_SK[self.initial, 0])
        self.moves_from = functools.lru_cache(_REMEMBERED)(self._moves_from)

    def accepts(self, place: int, half: int) -> bool:
        """Whether the text may end here."""
        return half == 0 and bool(self._automaton.accepting_S[place])

    def _moves_from(self, place: int, half: int) -> _Moves:
        walks = self._walks[half]
        place_M = walks.follow(self._automaton, np.array([place]))[:, 0]
        needed_M = self._least_SK[place_M, walks.half_M]
        return _Moves(walks.move_V, place_M, walks.half_M, needed_M, int(needed_M.min()))

    def _count(self, max_tokens: int) -> Ints:
        """The least number of tokens to a text that is accepted, from everywhere."""
        S, K = len(self._automaton.accepting_S), len(self._utf8_KX)
        least = np.full(S * K, _NEVER, dtype=np.int32)
        least[np.flatnonzero(self._automaton.accepting_S) * K] = 0
        from_, to = self._edges()
        for count in range(max_tokens):
            unknown = least[from_] == _NEVER
            from_, to = from_[unknown], to[unknown]
            found = from_[least[to] == count]
            if not len(found):
                break
            least[found] = count + 1
        return least.reshape(S, K)

    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """From where to where single tokens lead, the dead state left out."""
        S, K = len(self._automaton.accepting_S), len(self._utf8_KX)
        from_, to = [], []
        for half, walks in self._walks.items():
            states_at_once = max(_AT_A_TIME // len(walks), 1)
            for begin in range(_DEAD + 1, S, states_at_once):
                states_S = np.arange(begin, min(begin + states_at_once, S))
                places_SM = walks.follow(self._automaton, states_S).T
                to_SM = np.where(places_SM == _DEAD, -1, places_SM * K + walks.half_M)
                to_SM = np.sort(to_SM, axis=1)
                new_SM = to_SM >= 0
                new_SM[:, 1:] &= to_SM[:, 1:] != to_SM[:, :-1]
                rows, columns = np.nonzero(new_SM)
                from_.append(states_S[rows] * K + half)
                to.append(to_SM[rows, columns])
        return np.concatenate([*from_, np.zeros(0, np.int64)]), np.concatenate(
            [*to, np.zeros(0, np.int64)]
        )
