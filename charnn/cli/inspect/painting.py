"""Text painted by what a unit shows, as Karpathy et al. (2015) have it in figure 2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.text import Text

from charnn.cli.inspect.page import Page, number
from charnn.cli.inspect.palette import Scale, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns of a picture, as wide as a Latin letter.
_PICTURE_COLUMNS = 80

_INCHES_PER_LINE, _INCHES_PER_UNIT, _INCHES_BELOW, _INCHES_WIDE = 0.2, 0.35, 0.75, 10


@dataclass(frozen=True)
class Painting:
    """What a unit showed at each token of a text."""

    name: str
    values_T: NDArray[np.floating[Any]]
    scale: Scale


@dataclass(frozen=True)
class Painted:
    """A text, and how some units paint it."""

    title: str
    labels: list[str]
    """The tokens as they are shown."""
    paintings: list[Painting]
    truth_T: NDArray[np.bool_] | None = None
    """Where the property holds that they are to track; None if it is a number."""


def lines(labels: Sequence[str], width: int) -> Iterator[slice]:
    """Cut tokens into lines as the text has them, and where they get too wide."""
    begin, used = 0, 0
    for n, label in enumerate(labels):
        size = cell_len(label)
        if n > begin and (used + size > width or labels[n - 1].endswith("↵")):
            yield slice(begin, n)
            begin, used = n, 0
        used += size
    if labels:
        yield slice(begin, len(labels))


def write_painted(page: Page, painted: Painted) -> None:
    """Write the text once for each unit, coloured, or with digits below it.

    Where the property holds it is underlined, or marked by ^.
    """
    labels, truth_T = painted.labels, painted.truth_T
    holds_T = np.zeros(len(labels), dtype=bool) if truth_T is None else truth_T
    for painting in painted.paintings:
        page.line()
        page.key(painting.name, painting.scale)
        for line in lines(labels, page.width):
            fields = [
                page.cell(painting.scale, value, label, cell_len(label), under=bool(holds))
                for value, label, holds in zip(
                    painting.values_T[line].tolist(), labels[line], holds_T[line], strict=True
                )
            ]
            if not page.coloured:
                page.line("".join(labels[line]))
            page.line(*fields)
            if not page.coloured:  # a line that is empty where nothing holds
                marks = zip(labels[line], holds_T[line], strict=True)
                page.line(Text("".join((" ^"[bool(on)]) * cell_len(label) for label, on in marks)))
    if truth_T is not None:
        if page.coloured:
            page.line()
        how = "underlined" if page.coloured else "marked by ^"
        page.line(f"{how}: where it holds")


def painted_inches(painted: Painted) -> tuple[float, float]:
    """How large the picture is: width and height."""
    rows = len(list(lines(painted.labels, _PICTURE_COLUMNS)))
    each = rows * _INCHES_PER_LINE + _INCHES_PER_UNIT
    return _INCHES_WIDE, len(painted.paintings) * each + _INCHES_BELOW


def draw_painted(figure: "Figure", painted: Painted) -> None:
    """Draw the text once for each unit; a line below a token tells that the property holds."""
    figure.suptitle(painted.title, x=0.01, ha="left", fontsize=11)
    every = figure.subplots(len(painted.paintings), 1, squeeze=False)[:, 0]
    for axes, painting in zip(every, painted.paintings, strict=True):
        _draw_text(axes, painted.labels, painting, painted.truth_T)


def _draw_text(
    axes: "Axes",
    labels: Sequence[str],
    painting: Painting,
    truth_T: NDArray[np.bool_] | None,
) -> None:
    from matplotlib.patches import Rectangle

    cut = list(lines(labels, _PICTURE_COLUMNS))
    scale = painting.scale
    rgb_T3 = scale.rgb(painting.values_T)
    for row, line in enumerate(cut):
        left = 0
        for place in range(line.start, line.stop):
            wide = cell_len(labels[place])
            face = (rgb_T3[place] / 255).tolist()
            axes.add_patch(Rectangle((left, row), wide, 0.84, facecolor=face, linewidth=0))
            axes.text(
                left + wide / 2, row + 0.42, labels[place], ha="center", va="center",
                fontsize=8, color=ink(rgb_T3[place]),
            )  # fmt: skip
            if truth_T is not None and truth_T[place]:
                axes.plot((left, left + wide), (row + 0.91,) * 2, color="black", linewidth=1.5)
            left += wide
    axes.set_xlim(0, _PICTURE_COLUMNS)
    axes.set_ylim(len(cut), 0)
    axes.set_axis_off()
    title = f"{painting.name}: {number(scale.low)} {scale.words} {number(scale.high)}"
    axes.set_title(title, loc="left", fontsize=9)
