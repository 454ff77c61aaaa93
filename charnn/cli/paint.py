"""Text painted by how much it surprises a model, on a terminal."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from charnn.cli.console import visible
from charnn.lines import ScoredLine

#: From so many bits on a character stands on this colour, with letters in that one (of 256). Blue,
#: yellow, orange and dark red differ in lightness as well, and bring their own letters: so they
#: are told apart without seeing red or green, on light and on dark.
_LEVELS = ((2.0, 67, 16), (4.0, 220, 16), (7.0, 208, 16), (10.0, 88, 231))

_RESET = "\x1b[0m"

#: A line end that is a surprise.
_LINE_END = "↵"


def legend() -> str:
    """What the colours say."""
    bounds = [f"{bits:g}" for bits, _, _ in _LEVELS]
    names = [f"{a} to {b}" for a, b in zip(bounds, [*bounds[1:], ""], strict=True)]
    names[-1] = f"{bounds[-1]} and more"
    levels = [_paint(f" {name} ", level) for level, name in enumerate(names, start=1)]
    return " ".join([f"bits: under {bounds[0]} ", *levels])


def paint(line: ScoredLine, token_bytes: Sequence[bytes], text: str) -> str:
    """A line, each character on the colour of its surprise.

    What several tokens spell (a character in bytes) has the sum of their bits; what one token
    spells (a word) shares its bits evenly. What the model did not read of the text is the greatest
    surprise; if it read other characters, these are shown. Control characters are made visible.

    Args:
        line: scored, with details.
        token_bytes: the bytes of each id.
        text: the line as it was.
    """
    if line.ids_T is None or line.nats_T is None:
        raise ValueError("a line is painted by the cost of its tokens")
    tokens = [token_bytes[id] for id in line.ids_T.tolist()]
    bits = (line.nats_T / math.log(2)).tolist()
    painted = ""
    shown = _with_lost(characters(tokens, bits), text)
    for level, run in groupby(shown, key=lambda pair: _level(pair[1])):
        text = "".join(character for character, _ in run)
        parts = text.split("\n")
        end = f"{_paint(_LINE_END, level)}\n" if level else "\n"
        painted += end.join(_paint(harmless(part), level) for part in parts)
    return painted


def harmless(text: str) -> str:
    """The text with pictures for what a terminal would obey, but for line ends and tabs.

    >>> harmless("a\\x1b[31mb\\tc")
    'a␛[31mb\\tc'
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" else _picture(c) for c in text)


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else visible(character)


def characters(tokens: Sequence[bytes], bits: Sequence[float]) -> list[tuple[str, float]]:
    """The characters that tokens spell, and the bits of each; half a character is one of its own.

    >>> characters([b"ab", b"\\xc3", b"\\xa9"], [4, 3, 1])
    [('a', 2.0), ('b', 2.0), ('é', 4.0)]
    """
    shares: list[float] = []
    for token, cost in zip(tokens, bits, strict=True):
        begins = [byte & 0xC0 != 0x80 for byte in token]
        if token and not any(begins):
            begins[0] = True
        shares += [cost / sum(begins) if begin else 0.0 for begin in begins]
    text = b"".join(tokens).decode("utf-8", "surrogateescape")
    sizes = np.array([len(c.encode("utf-8", "surrogateescape")) for c in text], dtype=np.int64)
    if not len(sizes):
        return []
    sums = np.add.reduceat(np.array(shares), np.cumsum(sizes) - sizes)
    return list(zip(text, sums.tolist(), strict=True))


def _with_lost(read: list[tuple[str, float]], text: str) -> list[tuple[str, float]]:
    """All characters of a text, if those that were read are among them, in this order."""
    found = []
    rest = iter(read)
    pending = next(rest, None)
    # A line end that is not read is no surprise: the vocabulary has none.
    read_end = bool(read) and read[-1][0] == "\n"
    for character in text if read_end else text.removesuffix("\n"):
        if pending is not None and pending[0] == character:
            found.append(pending)
            pending = next(rest, None)
        else:
            found.append((character, math.inf))
    return found if pending is None else read


def _level(bits: float) -> int:
    return sum(bits >= least for least, _, _ in _LEVELS)


def _paint(text: str, level: int) -> str:
    if not level or not text:
        return text
    _, ground, letters = _LEVELS[level - 1]
    return f"\x1b[38;5;{letters};48;5;{ground}m{text}{_RESET}"
