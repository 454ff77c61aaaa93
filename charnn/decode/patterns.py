"""Patterns, banned texts and stop strings as one deterministic automaton over characters.

Python's own parser reads a pattern, and ``re`` itself says which characters each of its
single-character parts takes, so that syntax, flags and Unicode are Python's. What becomes of the
parts is the matter of a library of automata. Its letters are classes of characters that nothing
here tells apart.
"""

import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import reduce

# Private, but stable for decades under one name or another, and nothing else reads a pattern just
# as `re` does; hypothesis builds on it, too. Typeshed leaves it out.
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import numpy as np
from automata.base import config as automata_config
from automata.fa.dfa import DFA
from automata.fa.nfa import NFA
from numpy.typing import NDArray

from charnn.errors import UsageError
from charnn.step import Flags

Ints = NDArray[np.integer[Any]]

#: Where runs of characters begin and end, in turn: a set of characters of an alphabet.
Runs = tuple[int, ...]

#: A part of a parsed pattern: what it is, and its arguments.
Part = tuple[Any, Any]

#: States that an automaton may have, and looks at states while it is made: what needs more would
#: take minutes, or forever.
_MOST_STATES, _MOST_LOOKS = 20_000, 1_000_000

_SURROGATES = slice(0xD800, 0xE000)

# The library checks what it makes itself: most of its time.
automata_config.should_validate_automata = False


class Alphabet:
    """Characters in order, and which of them ``re`` matches."""

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self._known: dict[tuple[str, int], Runs] = {}

    def matched(self, part: Part, flags: int) -> Runs:
        """The set that a part of a parsed pattern takes, if it takes single characters."""
        key = repr(part), flags
        if key not in self._known:
            self._known[key] = self._ask(part, flags)
        return self._known[key]

    def _ask(self, part: Part, flags: int) -> Runs:
        if part[0] is _parser.LITERAL and not flags & re.IGNORECASE:
            # As `re` would say, but fast.
            place = self._characters.find(chr(part[1]))
            return (place, place + 1) if place >= 0 else ()
        state = _parser.State()
        state.flags = flags
        once = _parser.SubPattern(state, [part])
        run = _parser.SubPattern(state, [(_parser.MAX_REPEAT, (1, _parser.MAXREPEAT, once))])
        found = _compiler.compile(run).finditer(self._characters)
        return tuple(edge for match in found for edge in match.span())

    def classes(self, sets: Sequence[Runs]) -> tuple[Flags, Ints]:
        """Group the characters that no set tells apart.

        Returns:
            which classes each set holds, and of every code point ``~class``, 0 where there is none;
            5 << 18 of them, so that each of the five leading bytes of UTF-8's longest characters
            has all its room.
        """
        count = len(self._characters)
        edges = np.unique(np.array([0, count, *(edge for runs in sets for edge in runs)]))
        held = np.zeros((len(sets), max(len(edges) - 1, 0)), dtype=bool)
        for row, runs in zip(held, sets, strict=True):
            # Within a set, an odd number of its edges are behind.
            row[:] = np.searchsorted(np.array(runs), edges[:-1], side="right") % 2
        held, class_of_run = np.unique(held, axis=1, return_inverse=True)
        code_points = np.frombuffer(
            self._characters.encode("utf-32-le", "surrogatepass"), dtype="<u4"
        )
        complete = np.zeros(5 << 18, dtype=np.int32)
        complete[code_points] = ~np.repeat(class_of_run.ravel(), np.diff(edges))
        complete[_SURROGATES] = 0
        return held, complete


def quoted(option: str, text: str) -> str:
    """An option as it may be typed: unlike Python's own quoting, no backslash is doubled."""
    return f"{option} '{text}'".replace("\n", "\\n")


@functools.cache
def unicode() -> Alphabet:
    """All characters; one for all, because it takes ``re`` a while to say which of them match."""
    code_points = np.arange(0x110000, dtype="<u4")
    return Alphabet(code_points.tobytes().decode("utf-32-le", "surrogatepass"))


class Automaton(NamedTuple):
    """A deterministic automaton over classes of characters; state 0 is dead."""

    initial: int
    next_CS: Ints
    accepting_S: Flags
    complete: Ints
    """The classes of code points; see ``Alphabet.classes``."""


def build(
    alphabet: Alphabet,
    patterns: Sequence[str],
    banned: Sequence[str] = (),
    stop: Sequence[str] = (),
    max_lines: int = 0,
) -> Automaton:
    """The texts that match every pattern, as ``re.fullmatch`` has it, and hold nothing banned.

    That is asked of what stands before the cut, which is where ``charnn.text.streaming.first_stop``
    has it; behind it may stand anything.

    Raises:
        UsageError: a pattern is invalid, not regular, or too large.
    """
    try:
        return _build(alphabet, patterns, banned, stop, max_lines)
    except RecursionError:
        raise UsageError("--regex is nested too deeply", "write it flatter") from None


def _build(
    alphabet: Alphabet,
    patterns: Sequence[str],
    banned: Sequence[str],
    stop: Sequence[str],
    max_lines: int,
) -> Automaton:
    trees = [_parse(pattern) for pattern in patterns]
    literals = [(_parser.LITERAL, ord(one)) for text in (*banned, *stop, "\n") for one in text]
    singles = [(part, 0) for part in literals]
    singles += [one for tree in trees for one in _singles(tree, tree.state.flags)]
    sets = list(dict.fromkeys(alphabet.matched(*single) for single in singles))
    held, complete = alphabet.classes(sets)
    languages = _Languages(alphabet, dict(zip(sets, held, strict=True)), held.shape[1])
    wanted = languages.without(banned)
    for pattern, tree in zip(patterns, trees, strict=True):
        wanted &= _dfa(_Reader(pattern, languages).sequence(tree, tree.state.flags, True, True))
    if stop or max_lines:
        wanted = _before_any_stop(languages, wanted, stop, max_lines)
    return _tables(wanted, held.shape[1], complete)


def _tables(language: DFA, classes: int, complete: Ints) -> Automaton:
    numbers = {state: number for number, state in enumerate(language.states, start=1)}
    next_CS = np.zeros((classes, len(numbers) + 1), dtype=np.int32)
    for state, moves in language.transitions.items():
        for letter, target in moves.items():
            next_CS[int(letter), numbers[state]] = numbers[target]
    accepting_S = np.zeros(len(numbers) + 1, dtype=bool)
    accepting_S[[numbers[state] for state in language.final_states]] = True
    # Where nothing is accepted any more.
    alive_S = accepting_S.copy()
    while (grown_S := alive_S | alive_S[next_CS].any(axis=0)).sum() > alive_S.sum():
        alive_S = grown_S
    next_CS[~alive_S[next_CS]] = 0
    initial = numbers[language.initial_state]
    return Automaton(initial if alive_S[initial] else 0, next_CS, accepting_S, complete)


class _Languages:
    """The simplest languages over one alphabet.

    Args:
        alphabet: the characters.
        held: which classes each set of characters holds.
        classes: how many there are.
    """

    def __init__(self, alphabet: Alphabet, held: dict[Runs, Flags], classes: int) -> None:
        self.alphabet, self._held = alphabet, held
        self.letters = {str(letter) for letter in range(classes)}
        self.character = self._chain(self.letters, 1, 1)
        self.anything = self._chain(self.letters, 0, None)
        self.empty = self._chain(set(), 0, 0)
        self.nothing = self._chain(set(), 1, 1)

    def _chain(self, letters: set[str], least: int, most: int | None) -> NFA:
        """So many letters; None: any number."""
        last = least if most is None else most
        if last > _MOST_STATES:
            raise UsageError(_TOO_LARGE, _LESS)
        transitions = {n: {letter: {n + 1} for letter in letters} for n in range(last)}
        transitions[last] = {letter: {last} for letter in letters} if most is None else {}
        return NFA(
            states=set(range(last + 1)),
            input_symbols=self.letters,
            transitions=transitions,
            initial_state=0,
            final_states=set(range(least, last + 1)),
        )

    def one_of(self, part: Part, flags: int, least: int = 1, most: int | None = 1) -> NFA:
        """So many characters that a part takes."""
        held_C = self._held[self.alphabet.matched(part, flags)]
        return self._chain({str(letter) for letter in np.flatnonzero(held_C)}, least, most)

    def text(self, text: str) -> NFA:
        """One text."""
        parts = (self.one_of((_parser.LITERAL, ord(character)), 0) for character in text)
        return reduce(NFA.concatenate, parts, self.empty)

    def without(self, texts: Sequence[str]) -> DFA:
        """Texts that hold none of these."""
        held = _either([self.text(text) for text in texts], self.nothing)
        return ~_dfa(self.anything.concatenate(held).concatenate(self.anything))

    def times(self, language: NFA, least: int, most: int | None) -> NFA:
        """So many texts of a language, one after the other; None: any number."""
        if most is None:
            return self._power(language, least).concatenate(language.kleene_star())
        return self._power(language, least).concatenate(
            self._power(language.option(), most - least)
        )

    def _power(self, language: NFA, count: int) -> NFA:
        """By squaring: every concatenation copies both sides."""
        power = self.empty
        for bit in f"{count:b}":
            if len(power.states) * 2 + len(language.states) > _MOST_STATES:
                raise UsageError(_TOO_LARGE, _LESS)
            power = power.concatenate(power)
            if bit == "1":
                power = power.concatenate(language)
        return power


def _dfa(language: NFA) -> DFA:
    """The deterministic automaton of sets of states, with few of them.

    The library's own way to make it knows no bound, and some small patterns need 2^n states.

    Raises:
        UsageError: it is too large.
    """

    @functools.cache
    def closure(state: int) -> frozenset[int]:
        """What is reached without a letter."""
        reached = {state}
        unread = [state]
        while unread:
            for target in language.transitions[unread.pop()].get("", ()):
                if target not in reached:
                    reached.add(target)
                    unread.append(target)
        return frozenset(reached)

    looks = 0
    initial = closure(language.initial_state)
    numbers = {initial: 0}
    transitions: dict[int, dict[str, int]] = {}
    for subset in (unread := [initial]):  # which grows
        targets: dict[str, set[int]] = {}
        for state in subset:
            for letter, states in language.transitions[state].items():
                if letter:
                    targets.setdefault(letter, set()).update(*map(closure, states))
        moves = transitions[numbers[subset]] = {}
        for letter, states in targets.items():
            target = frozenset(states)
            if target not in numbers:
                numbers[target] = len(numbers)
                unread.append(target)
            moves[letter] = numbers[target]
        looks += len(subset)
        if len(numbers) > _MOST_STATES or looks > _MOST_LOOKS:
            raise UsageError(_TOO_LARGE, _LESS)
    return DFA(
        states=set(numbers.values()),
        input_symbols=language.input_symbols,
        transitions=transitions,
        initial_state=0,
        final_states={n for subset, n in numbers.items() if subset & language.final_states},
        allow_partial=True,
    ).minify()


_TOO_LARGE = "these --regex, --ban and --stop are too complicated together"
_LESS = "ask for less: fewer or shorter counted repeats {m,n}"


def _either(languages: Sequence[NFA], nothing: NFA) -> NFA:
    return reduce(NFA.union, languages, nothing)


def _before_any_stop(
    languages: _Languages, wanted: DFA, stop: Sequence[str], max_lines: int
) -> DFA:
    """The texts that are wanted once they are cut as ``charnn.text.streaming.first_stop`` cuts."""
    anything = languages.anything
    # What is cut off, and the texts at whose end it is complete.
    ends = [(one, _dfa(anything.concatenate(languages.text(one)))) for one in stop]
    if max_lines:
        line = NFA.from_dfa(languages.without("\n")).concatenate(languages.text("\n"))
        ends.append(("\n", _dfa(languages.times(line, max_lines, max_lines))))
    complete = reduce(DFA.union, (end for _, end in ends))
    begun = NFA.from_dfa(complete)
    cut = _dfa(languages.nothing)
    for tail, end in ends:
        # Of two that are complete at once, the longer begins first.
        longer = [other for text, other in ends if len(text) > len(tail)]
        stopped = _dfa(NFA.from_dfa(wanted).concatenate(languages.text(tail))) & end
        cut |= reduce(DFA.difference, longer, stopped)
    cut -= _dfa(begun.concatenate(languages.character).concatenate(anything))
    unstopped = wanted - _dfa(begun.concatenate(anything))
    return unstopped | _dfa(NFA.from_dfa(cut).concatenate(anything))


#: What is no matter of a regular language, or not at any place, by the parser's name for it.
_UNSUPPORTED = {
    "ASSERT": "a lookahead or lookbehind (several --regex must all match)",
    "ASSERT_NOT": "a lookahead or lookbehind (--ban forbids a text)",
    "AT": "\\b, \\B, ^ after the start, or $ before the end",
    "ATOMIC_GROUP": "an atomic group (?>...)",
    "GROUPREF": "a backreference",
    "GROUPREF_EXISTS": "a conditional group (?(1)...)",
    "POSSESSIVE_REPEAT": "a possessive repeat",
}

_SINGLE = ("LITERAL", "NOT_LITERAL", "IN", "ANY")
_REPEAT = ("MAX_REPEAT", "MIN_REPEAT")  # greedy or not, they match the same texts


def _parse(pattern: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may once mean something else
            return _parser.parse(pattern)
    except (re.error, OverflowError) as error:
        raise UsageError(
            f"{quoted('--regex', pattern)} is no pattern: {error}", "Python's `re` has the rules"
        ) from None


def _scoped(group: Any, flags: int) -> int:
    """The flags inside a group."""
    _, added, removed, _ = group
    if added & _parser.TYPE_FLAGS:
        flags &= ~_parser.TYPE_FLAGS
    return int((flags | added) & ~removed)


def _singles(parts: Any, flags: int) -> Iterator[tuple[Part, int]]:
    """The parts that take single characters, each with its flags."""
    for part in parts:
        kind, value = part[0].name, part[1]
        if kind in _SINGLE:
            yield part, flags
        elif kind == "SUBPATTERN":
            yield from _singles(value[-1], _scoped(value, flags))
        elif kind == "BRANCH":
            for branch in value[1]:
                yield from _singles(branch, flags)
        elif kind in _REPEAT:
            yield from _singles(value[-1], flags)


class _Reader:
    """Reads one parsed pattern."""

    def __init__(self, pattern: str, languages: _Languages) -> None:
        self._pattern, self._languages = pattern, languages

    def sequence(self, parts: Any, flags: int, first: bool, last: bool) -> NFA:
        """What parts match one after the other.

        Args:
            parts: of the pattern.
            flags: of ``re``.
            first: whether nothing stands before them.
            last: whether nothing stands behind them.
        """
        whole = self._languages.empty
        for n, part in enumerate(parts):
            is_first = first and not any(_takes(other) for other in parts[:n])
            is_last = last and not any(_takes(other) for other in parts[n + 1 :])
            whole = whole.concatenate(self._part(part, flags, is_first, is_last))
        return whole

    def _part(self, part: Part, flags: int, first: bool, last: bool) -> NFA:
        languages, value = self._languages, part[1]
        match part[0].name:
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                return languages.one_of(part, flags)
            case "SUBPATTERN":
                return self.sequence(value[-1], _scoped(value, flags), first, last)
            case "BRANCH":
                branches = [self.sequence(one, flags, first, last) for one in value[1]]
                return _either(branches, languages.nothing)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inner = value
                most = None if most is _parser.MAXREPEAT else most
                if len(inner) == 1 and inner[0][0].name in _SINGLE:
                    return languages.one_of(inner[0], flags, least, most)
                once = most == 1
                return languages.times(
                    self.sequence(inner, flags, first and once, last and once), least, most
                )
            case "AT" if first and value.name in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
                return languages.empty
            case "AT" if last and value.name in ("AT_END", "AT_END_STRING"):
                return languages.empty
            case name:
                raise UsageError(
                    f"{quoted('--regex', self._pattern)} holds what charnn does not know: "
                    + _UNSUPPORTED.get(name, name),
                    "write it without",
                )


def _takes(part: Part) -> bool:
    """Whether a part may take characters."""
    return bool(part[0].name != "AT")
