"""What charts in a terminal are drawn on: dots of braille, letters, and two axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size

#: Lines are told apart without colours, too: by their dashes.
_DASHES = ("1", "111100", "1100", "11110100")
_COLOURS = (36, 33, 35, 32, 34, 31)

#: The bits of the eight dots of a braille character, by row and column.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

#: No canvas is narrower, in columns.
LEAST_WIDTH = 24


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    >>> Axis("step", 0, 200).places(np.array([0, 50])).tolist()
    [0.0, 0.25]
    >>> Axis("norm", 1e-4, 1, log=True).places(np.array([1e-4, 1e-3])).tolist()
    [0.0, 0.25]
    """

    label: str
    """What it measures, and the unit."""
    low: float
    high: float
    log: bool = False
    """Whether it is divided by logarithms; then both ends are above 0."""

    def places(self, values: np.ndarray) -> np.ndarray:
        """Where values stand: 0 at the low end, 1 at the high one."""
        low, high = self.low, self.high
        if self.log:
            low, high = math.log10(low), math.log10(high)
            with np.errstate(divide="ignore"):
                values = np.log10(values)
        return (values - low) / (high - low)

    def ticks(self, count: int) -> list[float]:
        """Round numbers on it, at most about ``count``."""
        return (log_ticks if self.log else ticks)(self.low, self.high, count)


class Canvas:
    """Characters of two by four dots between two axes; what lies outside is not drawn.

    Args:
        across, up: the axes.
        width: in columns of the terminal, axis included; at least 24 are taken.
        height: in lines, without the axis below.
        colour: whether the terminal takes colours.
    """

    def __init__(self, across: Axis, up: Axis, width: int, height: int, colour: bool) -> None:
        self._across, self._up = across, up
        self._width, self._rows, self._colour = max(width, LEAST_WIDTH), height, colour
        self._y_ticks = up.ticks(height // 3)
        self._y_labels = [f"{t:g}" for t in self._y_ticks] if up.log else plain(self._y_ticks)
        self._left = max(map(len, self._y_labels), default=0)
        self._columns = self._width - self._left - 3
        self._bits = np.zeros((height, self._columns), dtype=int)
        self._runs = np.zeros((height, self._columns), dtype=int)
        self._marks: dict[tuple[int, int], str] = {}

    def line(self, run: int, x_N: np.ndarray, y_N: np.ndarray) -> None:
        """Draw a line from point to point, ``x`` rising; its number gives dashes and colour."""
        if not len(x_N):
            return
        dots_N = self._across.places(x_N) * (2 * self._columns - 1)
        xs = np.arange(round(float(dots_N[0])), round(float(dots_N[-1])) + 1)
        ups = np.interp(xs, dots_N, self._heights(y_N))
        ys = np.floor((1 - ups) * (4 * self._rows - 1) + 0.5).astype(int).tolist()
        dashes = _DASHES[run % len(_DASHES)]
        for x, before, y in zip(xs.tolist(), [ys[0], *ys], ys, strict=False):
            if dashes[x % len(dashes)] == "1":
                way = 1 if y >= before else -1
                for dot in range(before + way if y != before else y, y + way, way):
                    self._dot(run, x, dot)

    def marks(self, run: int, x_M: np.ndarray, y_M: np.ndarray, mark: str) -> None:
        """Put a letter at each point."""
        places = zip(self._across.places(x_M), self._heights(y_M), strict=True)
        for across, up in places:
            at = self._row(up), self._column(across)
            if 0 <= at[0] < self._rows:
                self._marks[at] = mark
                self._runs[at] = run

    def lines(self) -> list[str]:
        """What was drawn, with the axes; no line is wider than the canvas."""
        tick_of = {
            self._row(self._up.places(np.array(tick))): label
            for tick, label in zip(self._y_ticks, self._y_labels, strict=True)
        }
        label = self._up.label
        drawn = [set_cell_size(label, min(self._width, cell_len(label)))]
        for row in range(self._rows):
            label = tick_of.get(row, "")
            axis = f"{label:>{self._left}} {'┤' if label else '│'}"
            drawn.append(f"{axis}{self._text(row)}".rstrip())
        # A label takes ten columns or so.
        ticks = self._across.ticks(self._columns // 12)
        columns = [self._column(self._across.places(np.array(tick))) for tick in ticks]
        rule = "".join("┬" if c in columns else "─" for c in range(self._columns))
        drawn.append(f"{'':>{self._left}} └{rule}")
        drawn.append(_below(columns, list(map(compact, ticks)), self._left + 2, self._width))
        drawn.append(f"{self._across.label:>{self._width - 1}}")
        return drawn

    def coloured(self, run: int, text: str) -> str:
        """Text in the colour of a line, where there are colours."""
        if not self._colour or text == " ":
            return text
        return f"\x1b[{_COLOURS[run % len(_COLOURS)]}m{text}\x1b[0m"

    def _heights(self, y: np.ndarray) -> np.ndarray:
        heights: np.ndarray = np.clip(self._up.places(y), -1, 2)
        return heights

    def _column(self, across: np.ndarray) -> int:
        return round(float(across) * (2 * self._columns - 1)) // 2

    def _row(self, up: np.ndarray) -> int:
        return math.floor((1 - float(up)) * (4 * self._rows - 1) + 0.5) // 4

    def _dot(self, run: int, x: int, y: int) -> None:
        if 0 <= y < 4 * self._rows:
            self._bits[y // 4, x // 2] |= _DOTS[y % 4, x % 2]
            self._runs[y // 4, x // 2] = run

    def _text(self, row: int) -> str:
        return "".join(
            self.coloured(int(self._runs[row, column]), character)
            for column in range(self._columns)
            for character in [self._marks.get((row, column)) or _braille(self._bits[row, column])]
        )


def sample(run: int) -> str:
    """A piece of the line with this number, for a legend."""
    dashes = _DASHES[run % len(_DASHES)]
    on = [dashes[x % len(dashes)] == "1" for x in range(8)]
    return "".join(
        _braille(sum(int(_DOTS[1, side]) for side in (0, 1) if on[x + side]))
        for x in range(0, 8, 2)
    )


def _braille(bits: int) -> str:
    return chr(0x2800 + int(bits)) if bits else " "


def _below(columns: Sequence[int], labels: Sequence[str], left: int, width: int) -> str:
    """The labels, each below its column, where there is room for it."""
    line = ""
    for column, label in zip(columns, labels, strict=True):
        begin = min(left + column - len(label) // 2, width - len(label))
        if begin > len(line) or not line:
            line = f"{line:<{begin}}{label}"
    return line


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
