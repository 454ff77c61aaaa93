"""All help, as it is drawn at one width.

    python tests/helping.py tests/golden/help

writes what the tests compare with; ``make man`` does it, too.
"""

import sys
from pathlib import Path

from charnn.cli.app import program
from charnn.cli.lazy import walk
from charnn.cli.manual import Page, draw, page_of

WIDTHS = (40, 80, 200)


def pages() -> list[Page]:
    """The page of every command, group and subcommand."""
    return [page_of(command, context) for command, context in walk(program())]


def all_help(width: int) -> str:
    shown = (f"$ {page.command} --help\n{draw(page, width)}\n" for page in pages())
    return "\n".join(shown)


def golden(folder: Path, width: int) -> Path:
    return folder / f"{width}.txt"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for columns in WIDTHS:
        golden(place, columns).write_text(all_help(columns), "utf-8")
