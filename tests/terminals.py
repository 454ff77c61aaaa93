"""The real program with a pseudo-terminal where its streams go."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

#: Seconds that a program may be silent for.
_PATIENCE = 60

#: What would decide for a test how a terminal is drawn on.
_DECIDING = ("COLUMNS", "LINES", "NO_COLOR", "TERM", "FORCE_COLOR", "CLICOLOR_FORCE")


def on_a_terminal(
    arguments: Sequence[str],
    cwd: Path | None = None,
    streams: Sequence[str] = ("stdin", "stdout", "stderr"),
    columns: int = 80,
    **environment: str,
) -> str:
    """Run ``charnn`` with a terminal as some of its streams; nobody types anything.

    Returns:
        What the terminal was sent, with plain line ends; the program ended well.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in _DECIDING}
    run = subprocess.Popen(
        [sys.executable, "-m", "charnn", *arguments],
        cwd=cwd,
        env={**known, "TERM": "xterm", **environment},
        **{
            name: follower if name in streams else subprocess.DEVNULL
            for name in ("stdin", "stdout", "stderr")
        },
    )
    os.close(follower)
    sent = b""
    try:
        while select.select([leader], [], [], _PATIENCE)[0] and (piece := os.read(leader, 1 << 16)):
            sent += piece
    except OSError:  # what Linux says when the other end is closed
        pass
    try:
        assert run.wait(timeout=_PATIENCE) == 0, sent
    finally:
        run.kill()
        os.close(leader)
    return sent.decode().replace("\r\n", "\n")
