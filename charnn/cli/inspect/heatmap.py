"""Heat maps of units over tokens, in the terminal and as a picture."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.text import Text

from charnn.cells.base import Array
from charnn.cli.inspect.page import Page, number
from charnn.cli.inspect.palette import GATE, Scale, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns of a picture, as wide as a Latin letter.
_PICTURE_COLUMNS, _LEAST_COLUMNS = 72, 24

_INCHES_PER_ROW, _INCHES_PER_BLOCK, _INCHES_PER_KEY = 0.17, 0.5, 0.15
_INCHES_BELOW, _INCHES_WIDE = 1.0, 10


@dataclass(frozen=True)
class Band:
    """Some units' values of one kind, a row a unit."""

    name: str
    units: list[int]
    values_UT: NDArray[np.floating[Any]]
    scale: Scale


@dataclass(frozen=True)
class HeatMap:
    """Bands over the same tokens."""

    title: str
    labels: list[str]
    bands: list[Band]

    def scales(self) -> dict[Scale, str]:
        """Each scale, and the bands that have it."""
        names: dict[Scale, list[str]] = {}
        for band in self.bands:
            names.setdefault(band.scale, []).append(band.name)
        return {scale: ", ".join(them) for scale, them in names.items()}


def heat_map_of(
    title: str,
    labels: list[str],
    inner_TH: Mapping[str, Array],
    units: list[int],
    gates: Collection[str],
) -> HeatMap:
    """The heat map of some units: a band for each gate and value.

    Args:
        title: stands above it.
        labels: a token each.
        inner_TH: gates and values by name.
        units: those that are shown.
        gates: the names of gates, which are between 0 and 1; others have a scale about 0.
    """
    bands = []
    for name, values_TH in inner_TH.items():
        values_UT = values_TH[:, units].T
        bands.append(Band(name, units, values_UT, GATE if name in gates else signed(values_UT)))
    return HeatMap(title, labels, bands)


def blocks(labels: Sequence[str], width: int) -> Iterator[slice]:
    """Cut tokens into blocks of as many as have room in a line, one at least."""
    begin, used = 0, 0
    for n, label in enumerate(labels):
        size = cell_len(label)
        if n > begin and used + size > width:
            yield slice(begin, n)
            begin, used = n, 0
        used += size
    yield slice(begin, len(labels))


def write_heat_map(page: Page, heat_map: HeatMap) -> None:
    """Write a heat map: tokens along the top, a row a unit, in blocks as wide as the page."""
    names = max(len(band.name) for band in heat_map.bands)
    numbers = max(len(str(unit)) for band in heat_map.bands for unit in band.units)
    left = names + numbers + 2
    page.paragraph(heat_map.title)
    for block in blocks(heat_map.labels, page.width - left):
        page.line()
        page.line(Text(" " * left + "".join(heat_map.labels[block])))
        widths = [cell_len(label) for label in heat_map.labels[block]]
        for band in heat_map.bands:
            for row, unit in enumerate(band.units):
                name = "" if row else band.name
                values = band.values_UT[row, block].tolist()
                cells = (
                    page.cell(band.scale, value, "", width)
                    for value, width in zip(values, widths, strict=True)
                )
                page.line(f"{name:<{names}} {unit:>{numbers}} ", *cells)
    page.line()
    for scale, them in heat_map.scales().items():
        page.key(them, scale)


def heat_map_inches(heat_map: HeatMap) -> tuple[float, float]:
    """How large the picture is: width and height."""
    rows = sum(len(band.units) for band in heat_map.bands)
    count = len(list(blocks(heat_map.labels, _PICTURE_COLUMNS)))
    tall = count * (rows * _INCHES_PER_ROW + _INCHES_PER_BLOCK)
    return _INCHES_WIDE, tall + _INCHES_BELOW


def draw_heat_map(figure: "Figure", heat_map: HeatMap) -> None:
    """Draw a heat map: blocks of tokens below each other, and what the colours mean."""
    cut = list(blocks(heat_map.labels, _PICTURE_COLUMNS))
    figure.suptitle(heat_map.title, x=0.01, ha="left", fontsize=11)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(h_pad=0.09)  # type: ignore[call-arg]
    scales = heat_map.scales()
    tall = (heat_map_inches(heat_map)[1] - _INCHES_BELOW) / len(cut)
    grid = figure.add_gridspec(
        len(cut) + 1, len(scales), height_ratios=[*[tall] * len(cut), _INCHES_PER_KEY]
    )
    widest = max(sum(map(cell_len, heat_map.labels[block])) for block in cut)
    for row, block in enumerate(cut):
        _draw_block(figure.add_subplot(grid[row, :]), heat_map, block, max(widest, _LEAST_COLUMNS))
    for column, (scale, names) in enumerate(scales.items()):
        draw_key(figure.add_subplot(grid[len(cut), column]), scale, names)


def _draw_block(axes: "Axes", heat_map: HeatMap, block: slice, width: int) -> None:
    labels = heat_map.labels[block]
    edges = np.append(0, np.cumsum([cell_len(label) for label in labels]))
    top, ticks, units = 0, [], []
    for band in heat_map.bands:
        rgb_UT3 = band.scale.rgb(band.values_UT[:, block])
        rows = np.arange(top, top + len(band.units) + 1)
        axes.pcolormesh(edges, rows, rgb_UT3, rasterized=len(labels) * len(rows) > 200)
        axes.annotate(
            band.name, (0, top + len(band.units) / 2), (-24, 0), ("axes fraction", "data"),
            "offset points", ha="right", va="center", fontsize=9,
        )  # fmt: skip
        ticks += (rows[:-1] + 0.5).tolist()
        units += band.units
        top += len(band.units)
        axes.axhline(top, color=axes.get_facecolor(), linewidth=2)
    axes.set_xlim(0, width)
    axes.set_ylim(top, 0)
    axes.set_yticks(ticks, [str(unit) for unit in units], fontsize=7)
    axes.set_xticks((edges[:-1] + edges[1:]) / 2, labels, fontsize=8)
    axes.tick_params(length=0, pad=2, labeltop=True, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def draw_key(axes: "Axes", scale: Scale, names: str) -> None:
    """Draw what the colours of a scale mean."""
    ramp = np.linspace(scale.low, scale.high, 200)
    axes.imshow(scale.rgb(ramp)[None], aspect="auto", extent=(scale.low, scale.high, 0, 1))
    middle = (scale.low + scale.high) / 2
    ticks = [scale.low, middle, scale.high]
    axes.set_xticks(ticks, [number(tick) for tick in ticks], fontsize=8)
    axes.set_yticks([])
    axes.set_xlabel(names, fontsize=9)
