"""An error surface over two weights with paths over it, drawn: in a terminal, and as a picture."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charnn.cli.canvas import LEAST_WIDTH
from charnn.cli.inspect.columns import columns
from charnn.inspection.cliff import Descent, Surface, error_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Range = tuple[float, float]

#: The higher the error, the darker.
_SHADES = " ░▒▓█"

#: Marks of the paths on the map, and how the picture draws them.
_MARKS = "ox"
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "C1", "marker": "o", "linestyle": "--", "linewidth": 1.2, "markersize": 3},
    {"color": "#111111", "linestyle": "-", "linewidth": 1.4},
)

#: Steps that the table tells, beside the longest gradients.
_TOLD = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)

#: Points of the picture's surface along each side.
_POINTS = 301


def heat_map(
    surface: Surface,
    paths: Mapping[str, Descent],
    w_range: Range,
    b_range: Range,
    width: int,
    height: int,
) -> str:
    """The surface in shades, the paths as letters; no line is wider than ``width``, 24 or more."""
    left = max(len(f"{b:g}") for b in b_range)
    size = max(width, LEAST_WIDTH) - left - 1
    w_M, b_N = np.linspace(*w_range, size), np.linspace(b_range[1], b_range[0], height)
    errors_NM = error_map(surface, w_M, b_N)
    errors_NM = np.where(np.isfinite(errors_NM), errors_NM, np.inf)
    # As many places of each shade: what there is of relief is seen, whatever its size.
    edges = np.quantile(errors_NM, np.arange(1, len(_SHADES)) / len(_SHADES), method="lower")
    shades_NM = np.array(list(_SHADES))[np.searchsorted(edges, errors_NM)]
    for path, mark in zip(paths.values(), _MARKS, strict=True):
        inside = _inside(path.weights_NW, w_range, b_range)
        columns_P = _places(path.weights_NW[inside, 0], w_range, size)
        rows_P = height - 1 - _places(path.weights_NW[inside, 1], b_range, height)
        shades_NM[rows_P, columns_P] = mark
    lines = ["b"]
    for row, shades_M in enumerate(shades_NM):
        label = f"{b_range[1]:g}" if not row else f"{b_range[0]:g}" if row == height - 1 else ""
        lines.append(f"{label:>{left}} {''.join(shades_M)}".rstrip())
    low, high = (f"{w:g}" for w in w_range)
    lines.append(f"{'':>{left}} {low}{'w':^{size - len(low) - len(high)}}{high}")
    lines += [f"{mark} {name}" for name, mark in zip(paths, _MARKS, strict=True)]
    return "\n".join([*lines, "darker: more error", ""]) + "\n"


def _inside(weights_N2: NDArray[np.float64], *ranges: Range) -> NDArray[np.bool_]:
    """Which points are drawn."""
    low_2, high_2 = np.array(ranges).T
    with np.errstate(invalid="ignore"):
        return np.asarray(((weights_N2 >= low_2) & (weights_N2 <= high_2)).all(1))


def _places(values_P: NDArray[np.float64], ends: Range, size: int) -> NDArray[np.int64]:
    """The numbers of the columns or rows that values fall into."""
    low, high = ends
    places_P: NDArray[np.int64] = np.rint((values_P - low) / (high - low) * (size - 1)).astype(int)
    return places_P


def steps_table(paths: Mapping[str, Descent], width: int) -> str:
    """What each path found at some of its steps, in columns side by side."""
    longest = max(len(path.errors_N) for path in paths.values())
    told = {step for step in _TOLD if step < longest}
    for path in paths.values():
        norms_N = np.where(np.isnan(path.norms_N), -1, path.norms_N)
        told |= {int(norms_N.argmax()), int(norms_N.argmax()) + 1, len(path.errors_N) - 1}
    steps = sorted(step for step in told if step < longest)
    rows = [["step", *(f"{name} {what}" for name, path in paths.items() for what in _names(path))]]
    for step in steps:
        row = [f"{step}"]
        for path in paths.values():
            there = step < len(path.errors_N)
            found = (
                (*path.weights_NW[step], path.errors_N[step], path.norms_N[step])
                if there
                else (("",) * len(_names(path)))
            )
            row += [f"{value:.4g}" if there else "" for value in found]
        rows.append(row)
    ends = [
        f"{name}: overflows at step {len(path.errors_N) - 1}"
        for name, path in paths.items()
        if path.overflowed
    ]
    return "\n".join([*columns(rows, width), *ends]) + "\n"


def _names(path: Descent) -> tuple[str, ...]:
    return (*("w", "b")[: path.weights_NW.shape[1]], "error", "|g|")


def draw(
    figure: "Figure",
    surface: Surface,
    paths: Mapping[str, Descent],
    w_range: Range,
    b_range: Range,
) -> None:
    """Draw the surface in three dimensions, and beside it from above with the paths."""
    w_M, b_N = np.linspace(*w_range, _POINTS), np.linspace(*b_range, _POINTS)
    errors_NM = error_map(surface, w_M, b_N)
    errors_NM = np.where(np.isfinite(errors_NM), errors_NM, np.nan)
    solid = figure.add_subplot(1, 2, 1, projection="3d")
    grid = np.meshgrid(w_M, b_N)
    solid.plot_surface(*grid, errors_NM, cmap="cividis", rcount=80, ccount=80, linewidth=0)
    solid.set_xlabel("w")
    solid.set_ylabel("b")
    solid.view_init(elev=38, azim=-118)
    above = figure.add_subplot(1, 2, 2)
    mesh = above.pcolormesh(w_M, b_N, errors_NM, cmap="cividis", rasterized=True)
    figure.colorbar(mesh, ax=above, label="error", pad=0.02)
    for (name, path), style in zip(paths.items(), _STYLES, strict=True):
        points_N2 = path.weights_NW[np.isfinite(path.weights_NW).all(1)]
        end = ", overflows" if path.overflowed else f", ends at {path.errors_N[-1]:.3g}"
        above.plot(*points_N2.T, **style, label=name + end)
    above.plot(*next(iter(paths.values())).weights_NW[0], "*", color="white", markersize=11)
    above.set_xlim(w_range)
    above.set_ylim(b_range)
    above.set_xlabel("w")
    above.set_ylabel("b")
    above.legend(loc="upper left", framealpha=0.9, edgecolor="none", fontsize=9)
