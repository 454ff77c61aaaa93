"""``python -m charnn.cli.manual FOLDER``: writes the manual pages, one for each command."""

import sys
from pathlib import Path

from charnn.cli.app import program
from charnn.cli.lazy import walk
from charnn.cli.manual.page import Page, page_of
from charnn.cli.manual.roff import manual_name, manual_page


def manual() -> dict[str, str]:
    """All manual pages by their file's name."""
    pages = [page_of(command, context) for command, context in walk(program())]
    return {
        f"{manual_name(page.command)}.1": manual_page(page, _neighbours(page, pages))
        for page in pages
    }


def _neighbours(page: Page, pages: list[Page]) -> list[Page]:
    """Those right above and below it."""
    depth = len(page.command.split())
    above = [other for other in pages if page.command.startswith(f"{other.command} ")]
    below = [other for other in pages if other.command.startswith(f"{page.command} ")]
    return above[-1:] + [other for other in below if len(other.command.split()) == depth + 1]


def main(folder: Path) -> None:
    """Write all pages, and take away those of commands that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = manual()
    for path in folder.glob("*.1"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, "ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
