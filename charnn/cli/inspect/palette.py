"""Numbers as colours, and as digits where there are none."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: From dark to bright, even in print and for the colour-blind: cividis, Nuñez et al. (2018).
SEQUENTIAL = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78",
    "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838",
)  # fmt: skip

#: Blue below zero, red above, which all can tell apart: RdBu, Harrower & Brewer (2003).
DIVERGING = (
    "#053061", "#2065ab", "#4393c3", "#90c4dd", "#d1e5f0", "#f7f6f6",
    "#fddbc7", "#f3a481", "#d6604d", "#b1182b", "#67001f",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """What colours and digits mean."""

    low: float
    high: float
    colours: tuple[str, ...]

    @property
    def words(self) -> str:
        """The colours from one end to the other, in words."""
        return "(blue) to (red)" if self.colours == DIVERGING else "(dark blue) to (yellow)"

    def places(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Where values stand between the ends: 0 to 1."""
        places = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.nan_to_num(places, nan=0.5).clip(0, 1)

    def rgb(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Red, green and blue of values of any shape: [..., 3].

        >>> GATE.rgb(np.array([0, 1])).tolist()  # dark and shut, bright and open
        [[0, 34, 78], [254, 232, 56]]
        """
        places = self.places(values)
        anchors_A3 = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in self.colours])
        steps_A = np.linspace(0, 1, len(anchors_A3))
        mixed = [np.interp(places, steps_A, anchors_A3[:, n]) for n in range(3)]
        return np.stack(mixed, axis=-1).round().astype(np.uint8)

    def digits(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Which tenth of the scale values lie in: 0 to 9.

        >>> GATE.digits(np.array([0, 0.09, 0.5, 0.999, 1])).tolist()
        [0, 0, 5, 9, 9]
        """
        return np.minimum((self.places(values) * 10).astype(np.int64), 9)


#: Of gates.
GATE = Scale(0, 1, SEQUENTIAL)


def signed(values: NDArray[Any]) -> Scale:
    """A scale around zero that reaches as far as these values do."""
    finite = np.abs(values[np.isfinite(values)])
    reach = float(finite.max(initial=0)) or 1.0
    return Scale(-reach, reach, DIVERGING)


def around(middle: float, values: NDArray[Any]) -> Scale:
    """A scale around some value that reaches as far as these do."""
    reach = signed(values - middle).high
    return Scale(middle - reach, middle + reach, DIVERGING)


def rising(values: NDArray[Any]) -> Scale:
    """A scale from the least of these values to the greatest."""
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    return Scale(low, high if high > low else low + 1, SEQUENTIAL)


def ink(rgb: NDArray[Any]) -> str:
    """Black or white, whichever is easier to read on a colour: the contrast of WCAG 2, 1.4.3.

    >>> ink(np.array([254, 232, 56])), ink(np.array([0, 34, 78]))
    ('#000000', '#ffffff')
    """
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
