"""Tables without lines, and other plain text, as Rich lays it out."""

import io
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def plain_table() -> "Table":
    """A table without any lines, two spaces between its columns; it still has none."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")


def widths(table: "Table") -> tuple[int, int]:
    """The columns that a table takes where whatever may be wrapped is, and where nothing is."""
    from rich.console import Console

    measured = Console(width=1 << 16).measure(table)
    return measured.minimum, measured.maximum


def room() -> int | None:
    """The columns that lines may have; whoever reads a pipe wants a line for each row."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return shutil.get_terminal_size().columns if known else None


def drawn(what: Any, width: int) -> str:
    """What Rich makes of something in so many columns: text alone, no spaces at the ends."""
    from rich.console import Console

    lines = io.StringIO()
    console = Console(file=lines, width=width, color_system=None, markup=False, highlight=False)
    console.print(what)
    return "".join(line.rstrip() + "\n" for line in lines.getvalue().splitlines())
