"""The real program with a pseudo-terminal where its streams go."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds that a program may be silent for.
_PATIENCE = 60

#: What would decide for a test how a terminal is drawn on.
_DECIDING = ("COLUMNS", "LINES", "NO_COLOR", "TERM", "FORCE_COLOR", "CLICOLOR_FORCE")


@dataclass(frozen=True)
class Seen:
    """How a program ended."""

    code: int
    terminal: str
    """What the terminal was sent, with plain line ends."""
    stdout: bytes
    """What it wrote into a file, if that was no terminal; likewise the next."""
    stderr: bytes


def on_a_terminal(
    arguments: Sequence[str],
    cwd: Path | None = None,
    streams: Sequence[str] = ("stdin", "stdout", "stderr"),
    columns: int = 80,
    **environment: str,
) -> Seen:
    """Run ``charnn`` with a terminal as some of its streams; nobody types anything."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in _DECIDING}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        others = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
        run = subprocess.Popen(
            [sys.executable, "-m", "charnn", *arguments],
            cwd=cwd,
            env={**known, "TERM": "xterm", **environment},
            **{name: follower if name in streams else other for name, other in others.items()},
        )
        os.close(follower)
        terminal = b""
        try:
            while select.select([leader], [], [], _PATIENCE)[0] and (
                piece := os.read(leader, 1 << 16)
            ):
                terminal += piece
        except OSError:  # what Linux says when the other end is closed
            pass
        try:
            code = run.wait(timeout=_PATIENCE)
        finally:
            run.kill()
        os.close(leader)
        out.seek(0)
        err.seek(0)
        return Seen(code, terminal.decode().replace("\r\n", "\n"), out.read(), err.read())
