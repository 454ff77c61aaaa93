"""Ids to printable pieces: never half a character, never part of a stop string."""

import codecs
from collections.abc import Callable, Sequence

#: A hypothesis (generated ids) -> whether a stop string stands in its text.
StopTest = Callable[[Sequence[int]], bool]


class TextStream:
    """Bytes in, text out as soon as it is sure to stay.

    A character is held back until it is whole, and text that may be the beginning of a stop
    string until it is not. What stands before the first stop string is all that comes out.

    >>> stream = TextStream(stop=["END"])
    >>> stream.feed(b"caf\\xc3"), stream.feed(b"\\xa9 E"), stream.feed(b"N"), stream.feed(b"DER")
    ('caf', 'é ', '', '')
    >>> stream.stopped
    True
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(stop)
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """The text that ``data`` completes. Bytes that are no UTF-8 become U+FFFD."""
        if self.stopped:
            return ""
        text = self._decoder.decode(data)
        if not self._stop:
            return text
        text = self._held + text
        if (cut := first_stop(text, self._stop)) is not None:
            self.stopped = True
            self._held = ""
            return text[:cut]
        keep = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back and is no stop string; half a character is dropped."""
        held, self._held = self._held, ""
        return "" if self.stopped else held


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop string begins that is complete first, if there is one.

    >>> first_stop("baa", ["a", "baa"])
    1
    """
    found = [(place + len(one), place) for one in stop if (place := text.find(one)) >= 0]
    return min(found)[1] if found else None


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of ``text`` that begins ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)


def stop_test(token_bytes: Sequence[bytes], stop: Sequence[str]) -> StopTest:
    """A test whether the ids so far hold a stop string, given that they did not one id before."""
    wanted = [one.encode() for one in stop]
    reach = max(map(len, wanted), default=0)

    def stopped(ids: Sequence[int]) -> bool:
        tail = token_bytes[ids[-1]]
        first = len(ids) - 1
        needed = len(tail) + reach - 1
        while first > 0 and len(tail) < needed:
            first -= 1
            tail = token_bytes[ids[first]] + tail
        return any(one in tail for one in wanted)

    return stopped
