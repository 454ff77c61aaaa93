"""What is written to standard output: as wide as the terminal, coloured if it takes colours."""

import io
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from charnn.cli.console import takes_colours, visible
from charnn.cli.inspect.palette import Scale, ink

#: Fewer colours than these would show another picture.
_ENOUGH_COLOURS = ("256", "truecolor")

_LEAST_WIDTH = 24
_LONGEST_LABEL = 12


class Page:
    """Lines of text, none wider than the terminal.

    Args:
        width: in columns; without it the terminal's.
        coloured: without it, whether the terminal takes colours.
    """

    def __init__(self, width: int | None = None, *, coloured: bool | None = None) -> None:
        self.width = max(width or shutil.get_terminal_size().columns, _LEAST_WIDTH)
        wanted = takes_colours() if coloured is None else coloured
        self._file = io.StringIO()
        self._console = Console(
            file=self._file,
            width=self.width,
            force_terminal=wanted,
            color_system=None if not wanted else "auto" if coloured is None else "truecolor",
            highlight=False,
            markup=False,
            emoji=False,
        )
        self.coloured = self._console.color_system in _ENOUGH_COLOURS

    def line(self, *parts: Text | str) -> None:
        """Write a line; what is too long is cut off."""
        line = Text.assemble(*parts)
        if not self.coloured:
            line.rstrip()
        self._console.print(line, no_wrap=True, overflow="crop", crop=True)

    def paragraph(self, text: str) -> None:
        """Write prose, in as many lines as it takes."""
        self._console.print(Text(text))

    def text(self) -> str:
        """All that was written."""
        return self._file.getvalue()

    def cell(
        self, scale: Scale, value: float, label: str, width: int, *, under: bool = False
    ) -> Text:
        """A value as a field: its colour under a label, or a digit where there are no colours.

        Args:
            scale: what colours and digits mean.
            value: the value.
            label: what stands in the field, if it is coloured.
            width: of the field, in columns.
            under: whether the label is underlined.
        """
        if not self.coloured:
            return Text(f"{scale.digits(np.array(value))}".ljust(width))
        rgb = scale.rgb(np.array(value))
        style = Style(
            color=ink(rgb), bgcolor="#" + bytes(rgb.tolist()).hex(), underline=under or None
        )
        return Text(label + " " * (width - cell_len(label)), style)

    def key(self, names: str, scale: Scale) -> None:
        """Write what the colours or digits of a scale mean."""
        values = np.linspace(scale.low, scale.high, 21)[1::2]
        sample = [self.cell(scale, value, "", 1) for value in values.tolist()]
        self.line(f"{names}  {number(scale.low)} ", *sample, f" {number(scale.high)}")


def number(value: float) -> str:
    """A number with three digits at the most.

    >>> number(1.0), number(-0.51234), number(12.3456)
    ('1', '-0.512', '12.3')
    """
    return f"{value:.3g}"


def labels(ids: NDArray[Any], token_bytes: Sequence[bytes]) -> list[str]:
    """How tokens are shown: a line end as ↵, a tab as ⇥, bytes that are no character in hex."""
    return [_label(token_bytes[id]) for id in ids.tolist()]


def _label(token: bytes) -> str:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return token.hex()[:_LONGEST_LABEL].upper()
    label = visible(text.replace("\n", "↵").replace("\t", "⇥"))
    if not cell_len(label):  # nothing, or a sign that needs a letter to stand on
        return "◌" + label
    if cell_len(label) <= _LONGEST_LABEL:
        return label
    while cell_len(label) >= _LONGEST_LABEL:
        label = label[:-1]
    return label + "…"
