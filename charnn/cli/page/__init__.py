"""A page of its own: sections of text, tables, pictures and painted text as one HTML file.

Nothing in it is fetched from elsewhere, and nothing in it runs. What it shows is data: every
character that HTML would obey is escaped.
"""

from charnn.cli.page.parts import Item, Painted, Picture, Prose, Quote, Section, Table
from charnn.cli.page.render import render

__all__ = ["Item", "Painted", "Picture", "Prose", "Quote", "Section", "Table", "render"]
