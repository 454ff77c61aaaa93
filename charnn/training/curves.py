"""Loss curves: what ``metrics.jsonl`` holds, as plain arrays that can be drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Across = Literal["step", "tokens", "minutes"]
Up = Literal["nats", "bits", "perplexity"]

#: Losses are smoothed over this share of a run,
_SMOOTHING = 1 / 150

#: or this much of the root of how many there are, which is more in a short one.
_SMOOTHING_SHORT = 1 / 6

#: Where curves flatten, after this share of a run, is what a picture is made to fit.
_STEEP = 0.1

#: No loss is larger; a number in a file may be.
_MOST = 1e300


@dataclass(frozen=True)
class Curve:
    """A run's losses, N of training and M of validation, in the order of ``x``."""

    name: str
    x_N: np.ndarray
    train_N: np.ndarray
    smooth_N: np.ndarray
    """The training loss, smoothed."""
    x_M: np.ndarray
    valid_M: np.ndarray
    best: int | None
    """Where in ``valid_M`` the least loss is; None if nothing was validated."""
    best_step: int | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (len(self.x_N) or len(self.x_M))


def curve(
    name: str,
    entries: Sequence[Mapping[str, Any]],
    x: Across = "step",
    y: Up = "nats",
    log_x: bool = False,
) -> Curve:
    """The curve of a run's metrics; what is missing, or not finite, is left out of it.

    Args:
        name: what the run is called.
        entries: what ``charnn.training.metrics.read_metrics`` gives.
        x: steps, tokens seen, or minutes of training.
        y: nats or bits per token, or perplexity.
        log_x: whether what has no logarithm is left out, too.
    """
    key, scale = {"step": ("step", 1), "tokens": ("tokens_seen", 1), "minutes": ("seconds", 60)}[x]
    x_T = _column(entries, key) / scale
    order_T = np.argsort(x_T, kind="stable")
    x_T, step_T = x_T[order_T], _column(entries, "step")[order_T]
    train_T, valid_T = (_column(entries, f"{k}_nats")[order_T] for k in ("train", "validation"))
    placed_T = x_T > 0 if log_x else x_T >= 0
    train, valid = (placed_T & np.isfinite(nats_T) for nats_T in (train_T, valid_T))
    best = int(np.argmin(valid_T[valid])) if valid.any() else None
    return Curve(
        name,
        x_T[train],
        _in_unit(train_T[train], y),
        _in_unit(smooth(train_T[train]), y),
        x_T[valid],
        _in_unit(valid_T[valid], y),
        best,
        None if best is None else int(step_T[valid][best]),
    )


def best(entries: Sequence[Mapping[str, Any]]) -> tuple[int | None, float | None]:
    """The step with the least validation loss, and that loss, in nats per token."""
    found = curve("", entries)
    return found.best_step, None if found.best is None else float(found.valid_M[found.best])


def smooth(values_N: np.ndarray) -> np.ndarray:
    """The mean of the values around each, weighted by a bell curve.

    Losses fall fast at first, so the curve begins narrow; the first value stays as it is. Towards
    the end it reaches over what is there.

    >>> smooth(np.array([2.0, 2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    n = len(values_N)
    if not n:
        return values_N
    sigma = max(n * _SMOOTHING, math.sqrt(n) * _SMOOTHING_SHORT)
    reach = min(math.ceil(4 * sigma), n - 1)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights_N, sums_N = (
        np.convolve(array_N, bell)[reach : reach + n] for array_N in (np.ones(n), values_N)
    )
    means_N: np.ndarray = sums_N / weights_N
    means_N[0] = values_N[0]
    for i in range(1, min(math.ceil(4 * sigma), n)):
        around = values_N[: 2 * i + 1]
        bell = np.exp(-0.5 * ((np.arange(len(around)) - i) / min(i / 4, sigma)) ** 2)
        means_N[i] = around @ bell / bell.sum()
    return means_N


def limits(curves: Sequence[Curve], whole: bool = False) -> tuple[float, float]:
    """The least and the greatest loss that a picture is to show.

    The first steps' loss would squash all the rest, and so would a spike: of each run, what counts
    is what comes after its first tenth, and of that, all but the twentieth that is greatest.

    Args:
        curves: none is empty.
        whole: whether the first steps are to be seen as well.
    """
    lows, highs = [], []
    for one in curves:
        begin = 0.0 if whole else _STEEP * float(np.concatenate([one.x_N, one.x_M]).max())
        for x, y in ((one.x_N, one.train_N), (one.x_M, one.valid_M)):
            if len(late := y[x >= begin]):
                lows.append(float(np.quantile(late, 0 if whole else 0.05, method="lower")))
                highs.append(float(np.quantile(late, 1 if whole else 0.95, method="higher")))
        if one.best is not None:
            lows.append(float(one.valid_M[one.best]))
    low, high = min(lows), max(highs)
    margin = max(0.06 * (high - low), 0.002 * max(abs(low), abs(high)), 1e-6)
    return low - margin, high + margin


def _column(entries: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """A number for each entry; NaN where there is none."""
    values = (entry.get(key) for entry in entries)
    return np.array([v if _is_number(v) else math.nan for v in values], dtype=np.float64)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_MOST < value < _MOST


def _in_unit(nats_N: np.ndarray, unit: Up) -> np.ndarray:
    match unit:
        case "nats":
            return nats_N
        case "bits":
            return nats_N / math.log(2)
        case "perplexity":
            perplexity_N: np.ndarray = np.exp(np.minimum(nats_N, math.log(_MOST)))
            return perplexity_N
