"""Ids to printable pieces: never half a character, never part of a stop string."""

import codecs
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Ids [T] -> whether their text is to be stopped.
StopTest = Callable[[NDArray[np.integer[Any]]], bool]


class TextStream:
    """Bytes in, text out as soon as it is sure to stay.

    A character is held back until it is whole, and text that may be the beginning of a stop
    string until it is not. What stands before the first stop string, or before the end of the last
    line that is wanted, is all that comes out.

    Args:
        stop: the stop strings.
        lines: how many lines come out at the most; 0: all.

    >>> stream = TextStream(stop=["END"])
    >>> stream.feed(b"caf\\xc3"), stream.feed(b"\\xa9 E"), stream.feed(b"N"), stream.feed(b"DER")
    ('caf', 'é ', '', '')
    >>> stream.stopped
    True
    """

    def __init__(self, stop: Sequence[str] = (), lines: int = 0) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop, self._lines = tuple(stop), lines
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """The text that ``data`` completes. Bytes that are no UTF-8 become U+FFFD."""
        if self.stopped:
            return ""
        text = self._decoder.decode(data)
        if not (self._stop or self._lines):
            return text
        text = self._held + text
        if (cut := first_stop(text, self._stop, self._lines)) is not None:
            self.stopped = True
            self._held = ""
            return text[:cut]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        sure, self._held = text[: len(text) - keep], text[len(text) - keep :]
        if self._lines:
            self._lines -= sure.count("\n")
        return sure

    def finish(self) -> str:
        """What was held back and is no stop string; half a character is dropped."""
        held, self._held = self._held, ""
        return "" if self.stopped else held


def first_stop(text: str, stop: Sequence[str], lines: int = 0) -> int | None:
    """Where the stop string begins that is complete first, or the given line ends, if it does.

    >>> first_stop("baa", ["a", "baa"])
    1
    >>> first_stop("one\\ntwo\\nthree", ["three"], lines=2)
    7
    """
    found = [(place + len(one), place) for one in stop if (place := text.find(one)) >= 0]
    if lines and text.count("\n") >= lines:
        end = len("\n".join(text.split("\n", lines)[:lines]))
        found.append((end + 1, end))
    return min(found)[1] if found else None


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of ``text`` that begins ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)


def stop_test(token_bytes: Sequence[bytes], stop: Sequence[str], lines: int = 0) -> StopTest:
    """A test whether ids hold what stops a text, given that they did not one id before."""
    wanted = [one.encode() for one in stop]
    reach = max(map(len, wanted), default=0)
    newlines_V = np.array([token.count(b"\n") for token in token_bytes])

    def stopped(ids_T: NDArray[np.integer[Any]]) -> bool:
        if lines and newlines_V[ids_T].sum() >= lines:
            return True
        tail = token_bytes[ids_T[-1]]
        first = len(ids_T) - 1
        needed = len(tail) + reach - 1
        while first > 0 and len(tail) < needed:
            first -= 1
            tail = token_bytes[ids_T[first]] + tail
        return any(one in tail for one in wanted)

    return stopped
