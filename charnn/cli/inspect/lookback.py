"""What prediction costs after shorter contexts, drawn: in a terminal, and as a picture."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from charnn.cli.canvas import Axis, Canvas, compact
from charnn.cli.inspect.columns import columns
from charnn.inspection.memory import Memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = "tokens before the target"
_UP = "nats per token"

#: The full context's line, and the losses' marks.
_FULL, _MARK = 1, "o"


def text(found: Memory, within: float, width: int, height: int, *, colour: bool) -> str:
    """The curve, a table, and what follows; no line is wider than ``width``, 24 or more."""
    lines = []
    finite = np.isfinite(found.nats_K)
    if finite.any() and math.isfinite(found.full):
        shown = np.append(found.nats_K[finite], found.full)
        margin = max(0.06 * float(np.ptp(shown)), 0.002 * found.full, 1e-6)
        up = Axis(_UP, float(shown.min()) - margin, float(shown.max()) + margin)
        contexts_K = found.contexts_K[finite].astype(np.float64)
        end = max(float(found.contexts_K[-1]), 2.0)
        canvas = Canvas(Axis(_ACROSS, 1, end, log=True), up, width, height, colour)
        canvas.line(_FULL, np.array([1.0, end]), np.full(2, found.full))
        canvas.line(0, contexts_K, found.nats_K[finite])
        canvas.marks(0, contexts_K, found.nats_K[finite], _MARK)
        lines += [*canvas.lines(), ""]
    lines += columns(_table(found), width)
    lines += ["", *textwrap.wrap(_summary(found, within), width)]
    return "\n".join(lines) + "\n"


def _table(found: Memory) -> list[list[str]]:
    rows = [["context", "nats", "bits", "over all", "±"]]
    columns_K = (found.contexts_K.tolist(), found.nats_K.tolist(), found.errors_K.tolist())
    for context, nats, error in zip(*columns_K, strict=True):
        figures = (f"{nats:.4f}", f"{nats / math.log(2):.4f}", f"{nats - found.full:+.4f}")
        rows.append([f"{context:,}", *figures, f"{error:.4f}"])
    rows.append(["all", f"{found.full:.4f}", f"{found.full / math.log(2):.4f}", "", ""])
    return rows


def _summary(found: Memory, within: float) -> str:
    effective = found.effective(within)
    known = f"over {found.contexts_K[-1]:,}" if effective is None else f"{effective:,}"
    return f"{len(found.targets_N):,} targets; effective: {known} (within {within:g} nats)"


def draw(figure: "Figure", found: Memory, within: float, name: str) -> None:
    """Draw the curve, with twice the standard error about it, and the full context's line."""
    axes = figure.add_subplot()
    effective = found.effective(within)
    contexts_K, nats_K = found.contexts_K, np.where(np.isfinite(found.nats_K), found.nats_K, np.nan)
    axes.axhspan(found.full, found.full + within, color="C2", alpha=0.15, linewidth=0)
    axes.axhline(found.full, color="C2", linewidth=1.4, linestyle=(0, (5, 2)))
    errors_K = 2 * found.errors_K
    axes.fill_between(
        contexts_K, nats_K - errors_K, nats_K + errors_K, color="C0", alpha=0.15, linewidth=0
    )
    axes.plot(contexts_K, nats_K, "o-", color="C0", linewidth=1.7, markersize=5)
    if effective is not None:
        at = int(np.flatnonzero(contexts_K == effective)[0])
        axes.annotate(
            f"effective: {effective:,} tokens",
            (effective, nats_K[at]),
            xytext=(0, 42),
            textcoords="offset points",
            ha="center",
            arrowprops={"arrowstyle": "-", "color": axes.xaxis.label.get_color()},
        )
    axes.annotate(
        f"all that stands before: {found.full:.4f}",
        (1, found.full),
        xytext=(2, -5),
        textcoords="offset points",
        va="top",
        color="C2",
    )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: compact(round(x, 9)))
    axes.set_xlabel(_ACROSS)
    axes.set_ylabel(_UP)
    axes.margins(y=0.12)
    axes.set_title(f"{name}: {len(found.targets_N):,} targets", loc="left", fontsize=11)
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
