"""What ``--help`` and the manual pages tell: a command as a page, drawn for a terminal or man."""

from charnn.cli.manual.page import Entry, Page, Section, page_of
from charnn.cli.manual.terminal import draw

__all__ = ["Entry", "Page", "Section", "draw", "page_of"]
