"""Tables without lines, and other plain text, as Rich lays it out."""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def plain_table() -> "Table":
    """A table without any lines, two spaces between its columns; it still has none."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")


def drawn(what: Any, width: int) -> str:
    """What Rich makes of something in so many columns: text alone, no spaces at the ends."""
    from rich.console import Console

    lines = io.StringIO()
    console = Console(file=lines, width=width, color_system=None, markup=False, highlight=False)
    console.print(what)
    return "".join(line.rstrip() + "\n" for line in lines.getvalue().splitlines())
