"""What a page is made of. Each part says by ``kind`` how the template shows it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar[str] = "prose"
    text: str


@dataclass(frozen=True)
class Quote:
    """A text as it is, line ends and all, with what it is."""

    kind: ClassVar[str] = "quote"
    caption: str
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of a row is its heading."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True
    """Whether all but headings are numbers, and stand on the right."""


@dataclass(frozen=True)
class Picture:
    """A picture, once for light pages and paper and once for dark ones."""

    kind: ClassVar[str] = "picture"
    alt: str
    """What it shows, for who does not see it."""
    caption: str
    light: bytes
    """SVG."""
    dark: bytes

    @property
    def light_url(self) -> str:
        """The picture itself as an address."""
        return _url(self.light)

    @property
    def dark_url(self) -> str:
        """The picture itself as an address."""
        return _url(self.dark)


@dataclass(frozen=True)
class Painted:
    """A text whose pieces lie on colours, from level 0, plain, to the last of ``legend``."""

    kind: ClassVar[str] = "painted"
    caption: str
    pieces: Sequence[tuple[str, int]]
    legend: Sequence[str]
    """What each level means."""


Item = Prose | Quote | Table | Picture | Painted


@dataclass(frozen=True)
class Section:
    """What stands under one heading."""

    name: str
    """Its address in the page."""
    title: str
    items: Sequence[Item]


def _url(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
