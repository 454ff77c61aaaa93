"""How gradients shrink or grow with the distance that they have come: figures of many norms.

A product of D factors that are alike is an exponential of D, so norms are averaged by their
logarithms, and a straight line is fitted to these: its slope is the ratio of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decay:
    """Norms of ∂loss_T/∂state_t by the distance d = T - t, at N positions T.

    >>> one = Decay("w = 0.5", 1, "h", np.array([[1.0, 0.5, 0.25, 0.125, 0.0625]]))
    >>> one.mean_D.round(12).tolist(), one.fell_to(0.1)
    ([1.0, 0.5, 0.25, 0.125, 0.0625], 4)
    >>> round(one.ratio, 12)
    0.5
    """

    name: str
    """Whose they are."""
    layer: int
    """1 is the lowest."""
    part: str
    """Of the state: "h", what the layer hands on (the output y of Jordan's cell), or "c"."""
    norms_ND: Floats
    """From d = 0 on. What grew beyond float64 is not finite."""

    @cached_property
    def mean_D(self) -> Floats:
        """The geometric mean of what is not 0, as rectified units make it; inf beyond float64."""
        return np.exp(self._logs()[0])

    @cached_property
    def spread_D(self) -> Floats:
        """The geometric standard deviation: a factor, 1 where all are the same."""
        return np.exp(self._logs()[1])

    @cached_property
    def zero_D(self) -> Floats:
        """The share of norms that are 0."""
        return np.asarray((self.norms_ND == 0).mean(0))

    @property
    def begin(self) -> int:
        """The first distance at which there is a gradient: the loss at T reads h_T, and no c_T."""
        return int(np.argmax(self.mean_D > 0))

    @cached_property
    def ratio(self) -> float:
        """What a step multiplies by: exp of the line's slope, least squares over all d > 0.

        NaN where fewer than two means are numbers above 0.
        """
        logs_D = self._logs()[0][1:]
        at = np.flatnonzero(np.isfinite(logs_D))
        if len(at) < 2:
            return float("nan")
        return float(np.exp(np.polyfit(at, logs_D[at], 1)[0]))

    def fell_to(self, share: float) -> int | None:
        """The first distance at which the mean is at most this share of what it began with.

        None where there is none, or where the beginning is 0 or beyond float64.
        """
        if not 0 < self.mean_D[self.begin] < np.inf:
            return None
        below = np.flatnonzero(self.mean_D[self.begin :] <= share * self.mean_D[self.begin])
        return self.begin + int(below[0]) if len(below) else None

    def _logs(self) -> tuple[Floats, Floats]:
        """The mean and the standard deviation of the norms' logarithms."""
        norms_ND = np.where(np.isfinite(self.norms_ND), self.norms_ND, np.inf)
        counted_ND = norms_ND > 0
        count_D = counted_ND.sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs_ND = np.where(counted_ND, np.log(norms_ND), 0.0)
            mean_D = np.where(count_D > 0, logs_ND.sum(0) / count_D, -np.inf)
            off_ND = np.where(counted_ND, logs_ND - mean_D, 0.0)
            spread_D = np.sqrt((off_ND**2).sum(0) / count_D)
        return mean_D, spread_D


def by_layer(name: str, parts: Sequence[str], norms_LAND: Floats) -> list[Decay]:
    """The curves of a network, of each layer and part of its state.

    Args:
        name: whose they are.
        parts: what the A arrays of a state are called, at least A of them.
        norms_LAND: [layers, A, N, D].
    """
    return [
        Decay(name, layer, part, norms_ND)
        for layer, norms_AND in enumerate(norms_LAND, start=1)
        for part, norms_ND in zip(parts, norms_AND, strict=False)
    ]


@dataclass(frozen=True)
class Clipping:
    """What clipping by norm does to the gradients of N windows, by all parameters at once.

    >>> clipping = Clipping(np.array([0.5, 1.0, 2.0, 4.0]), clip_norm=1.0)
    >>> clipping.share, clipping.factor
    (0.5, 0.375)
    """

    norms_N: Floats
    clip_norm: float

    @property
    def share(self) -> float:
        """The share of windows whose gradient is longer, and so is scaled down."""
        return float((self.norms_N > self.clip_norm).mean())

    @property
    def factor(self) -> float:
        """What those are multiplied with, on average; 1 if there are none."""
        longer_M = self.norms_N[self.norms_N > self.clip_norm]
        return float((self.clip_norm / longer_M).mean()) if len(longer_M) else 1.0

    def quantiles(self) -> tuple[float, ...]:
        """The least norm, the 10th, 50th and 90th of a hundred, and the greatest."""
        quantiles = np.quantile(self.norms_N, (0, 0.1, 0.5, 0.9, 1), method="inverted_cdf")
        return tuple(map(float, quantiles))
