"""Loss curves as text: lines of braille dots, letters for what was validated."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from charnn.training.curves import Curve, limits

#: Curves are told apart without colours, too: validation by its mark, training by its dashes.
_MARKS = "ox+#@%&$"
_DASHES = ("1", "111100", "1100", "11110100")
_COLOURS = (36, 33, 35, 32, 34, 31)
_BEST, _LONE = "*", "-"

#: The bits of the eight dots of a braille character, by row and column.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

_LEAST_WIDTH = 24


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
    width = max(width, _LEAST_WIDTH)
    y_low, y_high = limits(curves, whole=log_x)
    x_low, x_high = x_limits(curves, log_x)
    y_ticks = ticks(y_low, y_high, height // 3)
    labels = plain(y_ticks)
    left = max(map(len, labels), default=0)
    canvas = _Canvas(height, width - left - 3, colour)
    place = math.log10 if log_x else float

    def across(x_N: np.ndarray) -> np.ndarray:
        scaled_N = np.log10(x_N) if log_x else x_N
        return (scaled_N - place(x_low)) / (place(x_high) - place(x_low))

    def up(y_N: np.ndarray) -> np.ndarray:
        return np.clip((y_N - y_low) / (y_high - y_low), -1, 2)

    for run, one in enumerate(curves):
        if len(one.x_N) == 1:  # a dot would not be seen
            canvas.marks(run, across(one.x_N), up(one.smooth_N), _LONE)
        canvas.line(run, across(one.x_N), up(one.smooth_N))
        canvas.marks(run, across(one.x_M), up(one.valid_M), _mark(run))
    for run, one in enumerate(curves):
        if one.best is not None:
            at = slice(one.best, one.best + 1)
            canvas.marks(run, across(one.x_M[at]), up(one.valid_M[at]), _BEST)

    tick_of = {canvas.row(up(np.array(t))): label for t, label in zip(y_ticks, labels, strict=True)}
    lines = [set_cell_size(y_label, min(width, cell_len(y_label)))]
    for row in range(height):
        label = tick_of.get(row, "")
        lines.append(f"{label:>{left}} {'┤' if label else '│'}{canvas.text(row)}".rstrip())
    # A label takes ten columns or so.
    x_ticks = (log_ticks if log_x else ticks)(x_low, x_high, canvas.columns // 12)
    columns = [canvas.column(across(np.array(t))) for t in x_ticks]
    rule = "".join("┬" if c in columns else "─" for c in range(canvas.columns))
    lines.append(f"{'':>{left}} └{rule}")
    lines.append(_below(columns, list(map(compact, x_ticks)), left + 2, width))
    lines.append(f"{x_label:>{width - 1}}")
    for run, one in enumerate(curves):
        lines += _legend(run, one, width, canvas)
    return "\n".join(lines) + "\n"


def x_limits(curves: Sequence[Curve], log_x: bool) -> tuple[float, float]:
    """Where the curves begin and end: from zero on, where that has a place."""
    x = np.concatenate([x for one in curves for x in (one.x_N, one.x_M)])
    low, high = float(x.min()) if log_x else 0.0, float(x.max())
    return low, high if high > low else 10 * low or 1.0


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, at most about ``count``.

    >>> ticks(0, 2497, 5)
    [0.0, 500.0, 1000.0, 1500.0, 2000.0]
    """
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, for a logarithmic axis.

    >>> log_ticks(10, 2497, 5)
    [10.0, 100.0, 1000.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]
        if len(found) <= max(count, 1):
            return found
    return found[:: math.ceil(len(found) / max(count, 1))]


def compact(number: float) -> str:
    """A number as short as an axis wants it.

    >>> compact(500), compact(20_000), compact(2_500_000), compact(0.25)
    ('500', '20k', '2.5M', '0.25')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size and abs(number) >= 1e4:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def plain(numbers: Sequence[float]) -> list[str]:
    """Ticks with equally many decimals.

    >>> plain([1.0, 1.5, 2.0])
    ['1.0', '1.5', '2.0']
    """
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 0.0
    if step < 1e-5 or max(map(abs, numbers)) >= 1e5:
        return [f"{number:g}" for number in numbers]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{number:.{decimals}f}" for number in numbers]


def value(number: float) -> str:
    """A loss with as many digits as say something.

    >>> value(1.26667), value(1.2), value(250.0)
    ('1.2667', '1.2000', '250.00')
    """
    return f"{number:#.5g}".rstrip(".")


class _Canvas:
    """Characters of two by four dots; what lies outside is not drawn."""

    def __init__(self, rows: int, columns: int, colour: bool) -> None:
        self.rows, self.columns, self._colour = rows, columns, colour
        self._bits = np.zeros((rows, columns), dtype=int)
        self._runs = np.zeros((rows, columns), dtype=int)
        self._marks: dict[tuple[int, int], str] = {}

    def column(self, across: np.ndarray) -> int:
        """The column of a place between 0 and 1."""
        return round(float(across) * (2 * self.columns - 1)) // 2

    def row(self, up: np.ndarray) -> int:
        """The row of a place between 0 and 1."""
        return math.floor((1 - float(up)) * (4 * self.rows - 1) + 0.5) // 4

    def line(self, run: int, across_N: np.ndarray, up_N: np.ndarray) -> None:
        """Draw a line from place to place."""
        if not len(across_N):
            return
        x_N = across_N * (2 * self.columns - 1)
        xs = np.arange(round(float(x_N[0])), round(float(x_N[-1])) + 1)
        ups = np.interp(xs, x_N, up_N)
        ys = np.floor((1 - ups) * (4 * self.rows - 1) + 0.5).astype(int).tolist()
        dashes = _DASHES[run % len(_DASHES)]
        for x, before, y in zip(xs.tolist(), [ys[0], *ys], ys, strict=False):
            if dashes[x % len(dashes)] == "1":
                way = 1 if y >= before else -1
                for dot in range(before + way if y != before else y, y + way, way):
                    self._dot(run, x, dot)

    def _dot(self, run: int, x: int, y: int) -> None:
        if 0 <= y < 4 * self.rows:
            self._bits[y // 4, x // 2] |= _DOTS[y % 4, x % 2]
            self._runs[y // 4, x // 2] = run

    def marks(self, run: int, across_M: np.ndarray, up_M: np.ndarray, mark: str) -> None:
        """Put a letter at each place."""
        for across, up in zip(across_M, up_M, strict=True):
            at = self.row(up), self.column(across)
            if 0 <= at[0] < self.rows:
                self._marks[at] = mark
                self._runs[at] = run

    def text(self, row: int) -> str:
        """A row."""
        return "".join(
            self.coloured(int(self._runs[row, column]), character)
            for column in range(self.columns)
            for character in [self._marks.get((row, column)) or _braille(self._bits[row, column])]
        )

    def coloured(self, run: int, text: str) -> str:
        """Text in the colour of a run, where there are colours."""
        if not self._colour or text == " ":
            return text
        return f"\x1b[{_COLOURS[run % len(_COLOURS)]}m{text}\x1b[0m"


def _braille(bits: int) -> str:
    return chr(0x2800 + int(bits)) if bits else " "


def _mark(run: int) -> str:
    return _MARKS[run % len(_MARKS)]


def _sample(run: int) -> str:
    """A piece of a run's line."""
    dashes = _DASHES[run % len(_DASHES)]
    on = [dashes[x % len(dashes)] == "1" for x in range(8)]
    return "".join(
        _braille(sum(int(_DOTS[1, side]) for side in (0, 1) if on[x + side]))
        for x in range(0, 8, 2)
    )


def _below(columns: Sequence[int], labels: Sequence[str], left: int, width: int) -> str:
    """The labels, each below its column, where there is room for it."""
    line = ""
    for column, label in zip(columns, labels, strict=True):
        begin = min(left + column - len(label) // 2, width - len(label))
        if begin > len(line) or not line:
            line = f"{line:<{begin}}{label}"
    return line


def _legend(run: int, one: Curve, width: int, canvas: _Canvas) -> Iterator[str]:
    """A run's name, and what was measured last and best."""
    fits = cell_len(one.name) <= width
    yield one.name if fits else set_cell_size(one.name, width - 1) + "…"
    parts = []
    if len(one.x_N):
        parts.append((_sample(run), f"training {value(one.smooth_N[-1])}"))
    if one.best is not None:
        parts.append((_mark(run), f"validation {value(one.valid_M[-1])}"))
        parts.append((_BEST, f"best {value(one.valid_M[one.best])} at step {one.best_step:,}"))
    line, used = "", 0
    for sample, text in parts:
        size = 2 + len(sample) + 1 + len(text)
        if used and used + size > width:
            yield line
            line, used = "", 0
        line += f"  {canvas.coloured(run, sample)} {text[: width - len(sample) - 3]}"
        used += size
    yield line
