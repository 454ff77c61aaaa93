"""Loss curves as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from charnn.cli.canvas import compact
from charnn.cli.chart import value, x_limits
from charnn.cli.figure import COLOURS
from charnn.training.curves import Curve, limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX"
_DASHES: tuple[Literal["-", "--"], ...] = ("-", "--")
_TRAINING: dict[str, Any] = {"alpha": 0.3, "linewidth": 0.8}
_SMOOTHED: dict[str, Any] = {"alpha": 0.9, "linewidth": 1.7}
_VALIDATION: dict[str, Any] = {"linestyle": "", "markersize": 6}
_BEST: dict[str, Any] = {"markersize": 13}
_LONGEST_NAME = 40

#: The size of what lies between the axes, about.
_AXES_POINTS = (535, 320)


def draw_curves(
    figure: "Figure", curves: Sequence[Curve], x_label: str, y_label: str, log_x: bool = False
) -> None:
    """Draw the curves.

    Args:
        figure: has nothing in it yet.
        curves: none is empty.
        x_label: what goes across, and its unit.
        y_label: what goes up, and its unit.
        log_x: whether ``x`` is drawn by its logarithm.
    """
    axes = figure.add_subplot()
    axes.set_xscale("log" if log_x else "linear")
    for run, one in enumerate(curves):
        style: dict[str, Any] = {"color": f"C{run % COLOURS}"}
        dashes, marker = _DASHES[run // COLOURS % 2], _MARKERS[run % len(_MARKERS)]
        axes.plot(one.x_N, one.train_N, **style, **_TRAINING, zorder=2)
        axes.plot(one.x_N, one.smooth_N, dashes, **style, **_SMOOTHED, zorder=3)
        axes.plot(one.x_M, one.valid_M, marker, **style, **_VALIDATION, **_edge(axes), zorder=4)
        if len(one.x_N) == 1:  # no line goes through a point
            axes.plot(one.x_N, one.smooth_N, "_", **style, markersize=12, markeredgewidth=2)
    left, right = x_limits(curves, log_x)
    axes.set_xlim(left, right * (right / left) ** 0.02 if log_x else right * 1.02)
    low, high = limits(curves, whole=log_x)
    axes.set_ylim(low - 0.04 * (high - low), high)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(lambda x, _: compact(round(x, 9)))
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _label_the_best(axes, curves)
    _add_legend(axes, curves)
    if len(curves) == 1:
        axes.set_title(_short(curves[0].name), loc="left")


def _label_the_best(axes: "Axes", curves: Sequence[Curve]) -> None:
    """A star where each validation loss is least, and its value, where no other value stands."""
    inside = axes.transData + axes.transAxes.inverted()
    taken: list[tuple[float, float]] = []
    for run, one in enumerate(curves):
        if one.best is None:
            continue
        point = float(one.x_M[one.best]), float(one.valid_M[one.best])
        colour = f"C{run % COLOURS}"
        axes.plot(*point, "*", color=colour, **_BEST, **_edge(axes), zorder=5)
        x, y = (inside.transform(point) * _AXES_POINTS).tolist()
        up = _free_place(x, y, taken)
        taken.append((x, y + up))
        axes.annotate(
            value(point[1]),
            point,
            xytext=(0, up),
            textcoords="offset points",
            ha="right" if x > 500 else "left" if x < 30 else "center",
            va="center",
            color=colour,
            fontweight="bold",
            fontsize=9,
            zorder=6,
            bbox={"facecolor": axes.get_facecolor(), "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )


def _edge(axes: "Axes") -> dict[str, Any]:
    """Marks that lie on top of each other stay apart."""
    return {"markeredgecolor": axes.get_facecolor()}


def _free_place(x: float, y: float, taken: Sequence[tuple[float, float]]) -> float:
    """How far below or above a point its value stands; as near as others let it, in points."""
    for up in (sign * size for size in range(13, 200, 12) for sign in (-1, 1)):
        free = all(abs(y + up - b) >= 11 or abs(x - a) > 44 for a, b in taken)
        if free and 6 < y + up < _AXES_POINTS[1]:
            return up
    return 13


def _add_legend(axes: "Axes", curves: Sequence[Curve]) -> None:
    from matplotlib.lines import Line2D

    several = len(curves) > 1
    entries = []
    for run, one in enumerate(curves if several else ()):
        colour, marker = f"C{run % COLOURS}", _MARKERS[run % len(_MARKERS)]
        dashes = _DASHES[run // COLOURS % 2]
        line = Line2D([], [], color=colour, marker=marker, linestyle=dashes, markersize=5)
        found = "" if one.best is None else f", best {value(one.valid_M[one.best])}"
        entries.append((line, _short(one.name) + found))
    colour = "#777777" if several else "C0"
    entries += [
        (Line2D([], [], color=colour, **_TRAINING), "training"),
        (Line2D([], [], color=colour, **_SMOOTHED), "training, smoothed"),
    ]
    if any(len(one.x_M) for one in curves):
        at = "" if several else f", at step {curves[0].best_step:,}"
        entries += [
            (
                Line2D([], [], color=colour, marker=_MARKERS[0], **_VALIDATION, **_edge(axes)),
                "validation",
            ),
            (
                Line2D([], [], color=colour, marker="*", linestyle="", **_BEST, **_edge(axes)),
                f"best validation{at}",
            ),
        ]
    handles = [handle for handle, _ in entries]
    legend = axes.legend(
        handles,
        ["-"] * len(handles),
        loc="best",
        framealpha=0.9,
        edgecolor="none",
        fontsize=9,
    )
    # Given at once, a text that begins with an underscore would be left out.
    for text, (_, label) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(label)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
