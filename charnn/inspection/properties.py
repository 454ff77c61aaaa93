"""Properties of a text, character by character: what a unit of a network may have learned to track.

What holds at a character is what is known once it was read, so an opening quotation mark is
inside, and a closing one outside.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.errors import UsageError

Floats = NDArray[np.float64]

_OPENING, _CLOSING = "“「『", "”」』"
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Property:
    """What holds at each character of a text."""

    name: str
    values_C: Floats
    """1 or 0, or a number; NaN at characters that it is not asked of."""
    is_number: bool


def quote(text: str) -> Floats:
    """Whether a character is inside quotation marks: " toggles, “ ” and 「 」 『 』 nest.

    The end of a line closes nothing. An empty line ends a paragraph and closes what is open, as
    speech over several paragraphs opens each of them anew.

    >>> quote('a"b“c”d"e').tolist()
    [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """
    inside = np.zeros(len(text))
    toggled, depth = False, 0
    for place, character in enumerate(text):
        if character == '"':
            toggled = not toggled
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(depth - 1, 0)
        elif character == "\n" and text[place - 1 : place] == "\n":
            toggled, depth = False, 0
        inside[place] = toggled or depth > 0
    return inside


def indent(text: str) -> Floats:
    r"""How much white space begins the line, in characters, as far as it was read.

    >>> indent("a\n  b\nc").tolist()
    [0.0, 0.0, 1.0, 2.0, 2.0, 0.0, 0.0]
    """
    depths = np.zeros(len(text))
    depth, begins = 0, True
    for place, character in enumerate(text):
        if character == "\n":
            depth, begins = 0, True
        elif begins and character.isspace():
            depth += 1
        else:
            begins = False
        depths[place] = depth
    return depths


def line_position(text: str) -> Floats:
    r"""How many characters of the line were read; 0 at its end, where the next begins.

    >>> line_position("ab\nc").tolist()
    [1.0, 2.0, 0.0, 1.0]
    """
    positions = np.zeros(len(text))
    position = 0
    for place, character in enumerate(text):
        position = 0 if character == "\n" else position + 1
        positions[place] = position
    return positions


def word_end(text: str) -> Floats:
    r"""Whether a word ends here: what follows is no letter, digit or _. Asked inside words only.

    It looks ahead: a unit that tracks it predicts. At the text's end nobody knows.

    >>> word_end("an ox.").tolist()
    [0.0, 1.0, nan, 0.0, 1.0, nan]
    """
    is_word = np.array([_WORD.match(character) is not None for character in text], dtype=bool)
    ends = np.full(len(text), np.nan)
    ends[:-1] = np.where(is_word[:-1], ~is_word[1:], np.nan)
    return ends


def inside_match(pattern: str, text: str) -> Floats:
    """Whether a character is in a match of a regular expression, as Python's ``re`` finds them.

    >>> inside_match("o.", "fox").tolist()
    [0.0, 1.0, 1.0]

    Raises:
        UsageError: it is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{pattern!r} is no regular expression: {error}", f"or one of {', '.join(NAMED)}"
        ) from None
    inside = np.zeros(len(text))
    for match in compiled.finditer(text):
        inside[match.start() : match.end()] = 1
    return inside


#: The properties that have names, and whether they are numbers.
NAMED: dict[str, tuple[Callable[[str], Floats], bool]] = {
    "quote": (quote, False),
    "indent": (indent, True),
    "line-position": (line_position, True),
    "word-end": (word_end, False),
}


def find_property(name: str, text: str) -> Property:
    """A property of a text: one that has a name, or being inside a match of a pattern.

    Raises:
        UsageError: the pattern is no regular expression.
    """
    if name in NAMED:
        measure, is_number = NAMED[name]
        return Property(name, measure(text), is_number)
    return Property(name, inside_match(name, text), is_number=False)


def text_of(ids_T: Sequence[int], token_bytes: Sequence[bytes]) -> tuple[str, NDArray[Any]]:
    """The text of ids, and for each the place of the last character that it reaches into, [T].

    Bytes that are no UTF-8 count as a character each. A token without any text stands at the
    character before it.

    >>> text, last_T = text_of([0, 1, 2], [b"a", "é".encode()[:1], "é".encode()[1:] + b"bc"])
    >>> text, last_T.tolist()
    ('aébc', [0, 1, 3])
    """
    pieces = [token_bytes[id] for id in ids_T]
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    sizes_C = [len(character.encode("utf-8", "surrogateescape")) for character in text]
    ends_T = np.cumsum([len(piece) for piece in pieces])
    last_T = np.searchsorted(np.cumsum(sizes_C), ends_T, side="left")
    return text, last_T.clip(0, max(len(text) - 1, 0))
