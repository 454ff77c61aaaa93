"""How gradients shrink or grow, drawn: in a terminal, and as a picture."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.cells import cell_len, set_cell_size

from charnn.cli.canvas import Axis, Canvas, sample
from charnn.cli.figure import COLOURS
from charnn.cli.inspect.columns import columns
from charnn.inspection.decay import Clipping, Decay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = "distance T - t, tokens"
_UP = "norm of ∂loss(T)/∂state(t), nats"

#: The distances that the table tells.
_TOLD = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

#: What is so much smaller or larger than the gradient at the beginning is cut off.
_REACH = 1e12

_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)))


def limits(decays: Sequence[Decay]) -> tuple[float, float]:
    """The powers of ten between which the curves are drawn."""
    means = np.concatenate([one.mean_D for one in decays])
    begin = float(np.median([one.mean_D[one.begin] for one in decays]))
    shown = means[(means >= begin / _REACH) & (means <= begin * _REACH)]
    if not len(shown) or not 0 < begin < math.inf:
        return 0.1, 10.0
    low, high = math.floor(math.log10(shown.min())), math.ceil(math.log10(shown.max()))
    return 10.0**low, 10.0 ** max(high, low + 1)


def title(decay: Decay, *, several_layers: bool) -> str:
    """What a curve is called."""
    layer = f"layer {decay.layer} " if several_layers else ""
    return f"{decay.name} {layer}{decay.part}".lstrip()


def text(
    decays: Sequence[Decay],
    clippings: Mapping[str, Clipping],
    heading: str,
    width: int,
    height: int,
    *,
    colour: bool,
) -> str:
    """The curves, and tables below them; no line is wider than ``width``, 24 or more."""
    across = Axis(_ACROSS, 0, decays[0].norms_ND.shape[1] - 1)
    canvas = Canvas(across, Axis(_UP, *limits(decays), log=True), width, height, colour)
    for run, one in enumerate(decays):
        distances_D = np.arange(len(one.mean_D))
        canvas.line(run, distances_D[one.begin :], one.mean_D[one.begin :])

    def paint(column: int, cell: str) -> str:
        return canvas.coloured(column - 1, cell) if cell == sample(column - 1) else cell

    lines = [*canvas.lines(), "", *columns(_table(decays), width, paint)]
    if clippings:
        lines += ["", *columns(_clipping_table(clippings), width)]
    fits = cell_len(heading) <= width
    lines += ["", heading if fits else set_cell_size(heading, width - 1) + "…"]
    return "\n".join(lines) + "\n"


def _table(decays: Sequence[Decay]) -> list[list[str]]:
    several = len({one.layer for one in decays}) > 1
    longest = decays[0].norms_ND.shape[1] - 1
    rows = [["", *(title(one, several_layers=several) for one in decays)]]
    rows.append(["", *(sample(run) for run in range(len(decays)))])
    for d in _TOLD:
        if d <= longest:
            rows.append([f"d = {d}", *(number(float(one.mean_D[d])) for one in decays)])
    rows.append(["per step", *(number(one.ratio) for one in decays)])
    for label, share in (("to 1/10", 0.1), ("to 1/1000", 0.001)):
        found = (one.fell_to(share) for one in decays)
        rows.append([label, *(f"> {longest}" if d is None else f"d = {d}" for d in found)])
    return rows


def _clipping_table(clippings: Mapping[str, Clipping]) -> list[list[str]]:
    """What clipping does to the gradients of windows, a column for each model."""
    (clip_norm,) = {one.clip_norm for one in clippings.values()}
    quantiles = zip(*(one.quantiles() for one in clippings.values()), strict=True)
    names = ("least", "10%", "median", "90%", "greatest")
    return [
        ["norm of all", *clippings],
        *([name, *map(number, row)] for name, row in zip(names, quantiles, strict=True)),
        [f"over {clip_norm:g}", *(f"{one.share:.0%}" for one in clippings.values())],
        ["scaled by", *(number(one.factor) for one in clippings.values())],
    ]


def number(value: float) -> str:
    """A number of any size, in at most eight columns.

    >>> number(0.88512), number(1.2e-35), number(123456.0), number(0.0)
    ('0.885', '1.2e-35', '1.2e+05', '0')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1e3 else f"{value:.0f}"
    return f"{value:.2g}"


def draw(
    figure: "Figure", decays: Sequence[Decay], clippings: Mapping[str, Clipping], heading: str
) -> None:
    """Draw the curves with their spread, and below them what clipping does to whole gradients."""
    heights = [3, 0.4 + 0.2 * len(clippings)] if clippings else [1]
    above, *below = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_decays(above, decays)
    above.set_title(heading, loc="left", fontsize=11)
    if below:
        _draw_clippings(below[0], clippings)
    for axes in (above, *below):
        axes.grid(linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _draw_decays(axes: "Axes", decays: Sequence[Decay]) -> None:
    several = len({one.layer for one in decays}) > 1
    owners = list(dict.fromkeys((one.name, one.layer) for one in decays))
    for one in decays:
        owner = owners.index((one.name, one.layer))
        dashes = 1 if one.part == "c" else 2 * (owner // COLOURS % 2)
        style: dict[str, Any] = {"color": f"C{owner % COLOURS}"}
        # What is 0 or no number has no place on a logarithmic axis.
        drawn_D = np.where((one.mean_D > 0) & np.isfinite(one.mean_D), one.mean_D, np.nan)
        distances_D = np.arange(len(drawn_D))
        with np.errstate(over="ignore", invalid="ignore"):
            band = drawn_D / one.spread_D, drawn_D * one.spread_D
        axes.fill_between(distances_D, *band, **style, alpha=0.12, linewidth=0)
        label = f"{title(one, several_layers=several)}   × {number(one.ratio)} a step"
        axes.plot(distances_D, drawn_D, **style, linestyle=_DASHES[dashes], label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda norm, _: f"{norm:g}")
    low, high = limits(decays)
    axes.set_ylim(low, high)
    axes.set_xlim(0, decays[0].norms_ND.shape[1] - 1)
    axes.set_xlabel(_ACROSS)
    axes.set_ylabel(_UP)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9, handlelength=3
    )


def _draw_clippings(axes: "Axes", clippings: Mapping[str, Clipping]) -> None:
    (clip_norm,) = {one.clip_norm for one in clippings.values()}
    for row, one in enumerate(clippings.values()):
        shown_N = np.sort(one.norms_N[np.isfinite(one.norms_N) & (one.norms_N > 0)])
        # Spread over the row's height in an order that is as good as random.
        offsets_N = (np.arange(len(shown_N)) * 0.618034 % 1 - 0.5) * 0.6
        colour = f"C{row % COLOURS}" if len(clippings) > 1 else "C0"
        axes.plot(shown_N, row + offsets_N, "o", color=colour, markersize=3, alpha=0.6)
    axes.axvline(clip_norm, color=axes.xaxis.label.get_color(), linewidth=1, linestyle=_DASHES[1])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda norm, _: f"{norm:g}")
    axes.set_yticks(range(len(clippings)))
    shares = [f"{one.share:.0%} over {clip_norm:g}" for one in clippings.values()]
    axes.set_yticklabels([f"{n}  {s}".lstrip() for n, s in zip(clippings, shares, strict=True)])
    axes.set_ylim(len(clippings) - 0.5, -0.5)
    axes.set_xlabel("norm of the gradient of a window by all parameters")
