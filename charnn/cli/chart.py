"""Loss curves as text: lines of braille dots, letters for what was validated."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from charnn.cli.canvas import LEAST_WIDTH, Axis, Canvas, sample
from charnn.training.curves import Curve, limits

#: Curves are told apart without colours, too: validation by its mark.
_MARKS = "ox+#@%&$"
_BEST, _LONE = "*", "-"


def chart(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    width: int = 80,
    height: int = 20,
    log_x: bool = False,
    colour: bool = False,
) -> str:
    """The curves, and below them what was measured last and best; no line is wider than ``width``.

    Args:
        curves: none is empty.
        x_label: what goes across, and its unit.
        y_label: what goes up, and its unit.
        width: in columns of the terminal; at least 24 are taken.
        height: of the curves, in lines.
        log_x: whether ``x`` is drawn by its logarithm.
        colour: whether the terminal takes colours.
    """
    width = max(width, LEAST_WIDTH)
    across = Axis(x_label, *x_limits(curves, log_x), log_x)
    up = Axis(y_label, *limits(curves, whole=log_x))
    canvas = Canvas(across, up, width, height, colour)
    for run, one in enumerate(curves):
        if len(one.x_N) == 1:  # a dot would not be seen
            canvas.marks(run, one.x_N, one.smooth_N, _LONE)
        canvas.line(run, one.x_N, one.smooth_N)
        canvas.marks(run, one.x_M, one.valid_M, _mark(run))
    for run, one in enumerate(curves):
        if one.best is not None:
            at = slice(one.best, one.best + 1)
            canvas.marks(run, one.x_M[at], one.valid_M[at], _BEST)
    lines = canvas.lines()
    for run, one in enumerate(curves):
        lines += _legend(run, one, width, canvas)
    return "\n".join(lines) + "\n"


def x_limits(curves: Sequence[Curve], log_x: bool) -> tuple[float, float]:
    """Where the curves begin and end: from zero on, where that has a place."""
    x = np.concatenate([x for one in curves for x in (one.x_N, one.x_M)])
    low, high = float(x.min()) if log_x else 0.0, float(x.max())
    return low, high if high > low else 10 * low or 1.0


def value(number: float) -> str:
    """A loss with as many digits as say something.

    >>> value(1.26667), value(1.2), value(250.0)
    ('1.2667', '1.2000', '250.00')
    """
    return f"{number:#.5g}".rstrip(".")


def _mark(run: int) -> str:
    return _MARKS[run % len(_MARKS)]


def _legend(run: int, one: Curve, width: int, canvas: Canvas) -> Iterator[str]:
    """A run's name, and what was measured last and best."""
    fits = cell_len(one.name) <= width
    yield one.name if fits else set_cell_size(one.name, width - 1) + "…"
    parts = []
    if len(one.x_N):
        parts.append((sample(run), f"training {value(one.smooth_N[-1])}"))
    if one.best is not None:
        parts.append((_mark(run), f"validation {value(one.valid_M[-1])}"))
        parts.append((_BEST, f"best {value(one.valid_M[one.best])} at step {one.best_step:,}"))
    line, used = "", 0
    for drawn, text in parts:
        size = 2 + len(drawn) + 1 + len(text)
        if used and used + size > width:
            yield line
            line, used = "", 0
        line += f"  {canvas.coloured(run, drawn)} {text[: width - len(drawn) - 3]}"
        used += size
    yield line
