"""The two streams: stdout carries the payload as bytes, stderr the talk."""

import contextlib
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, cast
from unicodedata import category

if TYPE_CHECKING:
    from rich.console import Console

_FLUSH_SECONDS = 0.05

#: What words and emoji are made with, and a terminal does not obey: the non-joiner, the joiner, and
#: the soft hyphen.
_JOINERS = "\u200c\u200d\u00ad"


class _Talk:
    quiet = False


def be_quiet(quiet: bool) -> None:
    """Whether ``say`` keeps silent."""
    _Talk.quiet = quiet


def say(message: str = "", *, painted: bool = False) -> None:
    """Tell the user something, on stderr.

    Args:
        message: one line.
        painted: whether it holds colours; otherwise there is nothing in it that a terminal obeys.
    """
    if not _Talk.quiet:
        _write_stderr(message if painted else visible(message))


def say_facts(rows: Mapping[str, object], width: int = 0) -> None:
    """Tell the user names and values, as ``facts`` has them."""
    for line in facts(rows, width).split("\n"):
        say(line)


def warn(message: str) -> None:
    """Tell the user about something that may be wrong."""
    say(f"charnn: warning: {' '.join(message.splitlines())}")


def fail(message: str) -> None:
    """Say what went wrong: one line, also when quiet."""
    _write_stderr("charnn: " + visible(" ".join(message.splitlines())))


def visible(text: str) -> str:
    r"""The text without what a terminal would obey: a name may hold it. All spaces stay.

    >>> visible("a\x1b\u3000b")
    'a�\u3000b'
    """
    return "".join(
        c if c.isprintable() or c in _JOINERS or category(c) == "Zs" else "�" for c in text
    )


def _write_stderr(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        # Whatever a file name or a locale holds, talking never fails.
        encoding = sys.stderr.encoding or "utf-8"
        text = message.encode(encoding, "backslashreplace").decode(encoding)
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class ReaderGoneError(Exception):
    """Whoever read stdout has what they wanted; Typer would call a broken pipe a failure."""


class Payload:
    """Writes text to stdout as UTF-8 bytes, whatever the locale; soon, but not byte by byte."""

    def __init__(self) -> None:
        self._flushed = 0.0
        self._last = b"\n"

    def write(self, text: str | bytes) -> None:
        """Write a piece."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        if not data:
            return
        self._last = data[-1:]
        now = time.monotonic()
        try:
            sys.stdout.buffer.write(data)
        except BrokenPipeError as error:
            raise ReaderGoneError from error
        if now - self._flushed >= _FLUSH_SECONDS:
            self.flush()
            self._flushed = now

    def flush(self) -> None:
        """Let whoever reads have everything."""
        try:
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def end_line(self) -> None:
        """Begin a new line, unless one just began."""
        if self._last != b"\n":
            self.write(b"\n")

    def json(self, value: Mapping[str, Any]) -> None:
        """Write an object on a line of its own; what is not finite becomes null."""
        self.write(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def quoted(path: object) -> str:
    """A path as a shell takes it.

    >>> quoted("my run"), quoted("-x"), quoted("run")
    ("'my run'", './-x', 'run')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def facts(rows: Mapping[str, object], width: int = 0) -> str:
    """Names and values in two columns, the first at least ``width`` wide; a name may be hostile.

    >>> print(facts({"cell": "lstm", "parameters": 12}))
    cell        lstm
    parameters  12
    """
    width = max(width, *map(len, rows))
    return "\n".join(f"{name:<{width}}  {visible(str(value))}" for name, value in rows.items())


def stderr_console() -> "Console":
    """Rich's view of stderr."""
    from rich.console import Console, ConsoleDimensions

    class Narrower(Console):
        """Leaves room for the ^C that a terminal shows, or a bar's line would be broken by it."""

        @property  # type: ignore[misc]
        def size(self) -> ConsoleDimensions:
            width, height = super().size
            return ConsoleDimensions(max(width - 4, 1), height)

    return Narrower(file=cast(IO[str], _Unfailing(sys.stderr)), highlight=False, markup=False)


class _Unfailing:
    """A stream that swallows what it cannot write: a terminal may go away while it is drawn on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def draws() -> bool:
    """Whether bars may be drawn: stderr is a terminal that can, and the user is not told off."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not _Talk.quiet


def takes_colours() -> bool:
    """Whether stdout is a terminal with colours, and the user wants them."""
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not refused


@contextlib.contextmanager
def byte_bars() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Bars that count bytes, stage by stage, on a terminal; elsewhere nothing."""
    if not draws():
        yield lambda stage, size: lambda done: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=stderr_console(),
        transient=True,
    ) as progress:

        def watch(stage: str, size: int) -> Callable[[int], None]:
            task = progress.add_task(stage, total=size or None)

            def advance(done: int) -> None:
                progress.advance(task, done)

            return advance

        yield watch


@contextlib.contextmanager
def token_bar(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar that counts tokens on a terminal; elsewhere nothing."""
    if not draws():
        yield lambda tokens: None
        return
    from rich.progress import Progress

    with Progress(console=stderr_console(), transient=True) as progress:
        task = progress.add_task(what, total=size)
        yield lambda tokens: progress.advance(task, tokens)
