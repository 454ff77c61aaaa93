"""Which units track a property of a text: a probe of one unit each, judged on text held out.

After Karpathy, Johnson & Fei-Fei (2015), "Visualizing and understanding recurrent networks",
section 4.1, who found such cells by eye. Here they are ranked by number, and against chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.engine import Engine
from charnn.errors import InputError
from charnn.inspection.gates import Advance, Ids, read

Floats = NDArray[np.float64]

#: Units that are ranked at a time: bounds the memory that it takes.
_RANKED_UNITS = 64

#: Labels that mean nothing, to tell what chance can do: the same ones, turned against the text.
_ROTATIONS = 100


@dataclass(frozen=True)
class Unit:
    """One value that a network shows at each step."""

    layer: int
    """From 0, the lowest."""
    kind: str
    """"hidden" or "cell"; for a Jordan network also "output"."""
    index: int


@dataclass(frozen=True)
class Values:
    """What all units showed, token by token."""

    units: list[Unit]
    values_TU: NDArray[np.floating[Any]]


def read_units(engine: Engine, ids_T: Ids, advance: Advance = lambda tokens: None) -> Values:
    """Read a text, and keep what every unit of every layer showed and remembered.

    That takes four bytes a value in float32: for two LSTM layers of 256 units 4 KiB a token.
    """
    units: list[Unit] = []
    parts: list[NDArray[Any]] = []
    for window in read(engine, ids_T, advance):
        shown = [
            (layer, name, values_TH)
            for layer, (cell, inner) in enumerate(zip(engine.layers, window, strict=True))
            for name, values_TH in inner.items()
            if name not in cell.gates and name != "new"
        ]
        units = units or [
            Unit(layer, name, index)
            for layer, name, values_TH in shown
            for index in range(values_TH.shape[1])
        ]
        parts.append(np.concatenate([values_TH for *_, values_TH in shown], axis=1))
    return Values(units, np.concatenate(parts))


def value_bytes(engine: Engine) -> int:
    """The bytes that ``read_units`` keeps for each token."""
    (values,) = (read_units(engine, np.zeros(1, dtype=np.int64)).values_TU,)
    return values.nbytes


@dataclass(frozen=True)
class Found:
    """How well one unit tells a property."""

    unit: Unit
    sign: int
    """1 if it is higher where the property holds, or grows with it; else -1."""
    fitted: float
    """On the first half of the text, where its sign was found and it was chosen by this score."""
    held_out: float
    """On the second half, with that sign."""
    threshold: float | None = None
    """Of yes or no: the value that tells them apart best on the first half."""
    balanced_accuracy: float | None = None
    """Of yes or no: how often the threshold is right on the second half, the mean over both."""


@dataclass(frozen=True)
class Probed:
    """The units that tell a property best, and what chance can do.

    Scores are, of yes or no, the area under the ROC curve: how often a position where the property
    holds is told from one where it does not, 0.5 for a constant, 1 at best. Of numbers they are
    Spearman's rank correlation, 0 for a constant, 1 at best.
    """

    best: list[Found]
    """The best first, by their fitted score."""
    chance_fitted: float
    """What the best unit got at the most where the labels were turned against the text."""
    chance_held_out: float
    """What those best units got at the most on the second half."""
    rotations: int
    positions: tuple[int, int]
    """How many tokens of either half were asked."""


def probe(
    values: Values,
    labels_T: Floats,
    *,
    is_number: bool,
    top: int = 5,
    seed: int = 0,
) -> Probed:
    """Rank all units by how well each alone tells a property, and judge them on held-out text.

    Of many units one will fit anything. So the sign (and threshold) of a unit and its rank are
    found on the first half of the text, and its second half judges. And the whole search is
    repeated with labels that are turned against the text by a random number of positions, a tenth
    of them at least, which keeps their runs as they are and nothing of what they mean.

    Args:
        values: what the units showed.
        labels_T: the property at each token; NaN where it is not asked.
        is_number: whether it is a number, not yes or no.
        top: how many units are wanted.
        seed: of the rotations.

    Raises:
        InputError: the property is the same all over one of the halves.
    """
    parts = halves(labels_T)
    labels = [_with_rotations(labels_T[half], seed) for half in parts]
    fitted_U = np.empty(len(values.units))
    held_U = np.empty_like(fitted_U)
    chance = np.full((len(labels[0]) - 1, 2), -np.inf)
    for part in _columns(len(values.units)):
        fitted_RK, held_RK = (
            _associate(values.values_TU[half, part], rotated_RN, is_number=is_number)
            for half, rotated_RN in zip(parts, labels, strict=True)
        )
        fitted_U[part], held_U[part] = fitted_RK[0], held_RK[0]
        _keep_the_best(chance, fitted_RK[1:], held_RK[1:])
    best = []
    for u in np.argsort(-np.abs(fitted_U), kind="stable")[:top].tolist():
        sign = 1 if fitted_U[u] >= 0 else -1
        scores = [_score(sign * s, is_number=is_number) for s in (fitted_U[u], held_U[u])]
        rule: tuple[float, float] | tuple[()] = ()
        if not is_number:
            first, second = (sign * values.values_TU[half, u].astype(float) for half in parts)
            cut = best_threshold(first, labels[0][0] > 0)
            rule = sign * cut, balanced_accuracy(second > cut, labels[1][0] > 0)
        best.append(Found(values.units[u], sign, *scores, *rule))
    fitted, held = (_score(float(s), is_number=is_number) for s in chance.max(axis=0))
    return Probed(best, fitted, held, len(chance), (len(parts[0]), len(parts[1])))


def halves(labels_T: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """The positions of either half of a text at which a property is asked.

    Raises:
        InputError: it is the same all over one of them.
    """
    asked = np.flatnonzero(~np.isnan(labels_T))
    middle = int(np.searchsorted(asked, len(labels_T) // 2))
    for name, half in (("first", asked[:middle]), ("second", asked[middle:])):
        if not len(half) or (labels_T[half] == labels_T[half[0]]).all():
            always = f"always {labels_T[half[0]]:g}" if len(half) else "never asked"
            raise InputError(
                f"in the {name} half of the text it is {always}, so nothing can be told",
                "take more text, another text, or another property",
            )
    return asked[:middle], asked[middle:]


def _columns(size: int) -> Iterator[slice]:
    return (slice(n, n + _RANKED_UNITS) for n in range(0, size, _RANKED_UNITS))


def _with_rotations(labels_N: Floats, seed: int) -> Floats:
    """The labels, and below them the same turned by random numbers of positions, [R + 1, N].

    By a tenth of them at least: labels that come in runs are much the same a few positions on.
    """
    N = len(labels_N)
    least = -(-N // 10)
    turns = np.random.default_rng(seed).integers(least, N - least, _ROTATIONS, endpoint=True)
    return np.stack([labels_N, *(np.roll(labels_N, int(turn)) for turn in turns)])


def _associate(values_NK: NDArray[Any], labels_RN: Floats, *, is_number: bool) -> Floats:
    """How each unit goes with each labelling, from -1 to 1: [R, K].

    Of numbers it is Spearman's correlation. Of yes or no it is twice the area under the ROC curve
    less one, which is a difference of mean ranks (Mann & Whitney 1947). Neither knows more of a
    value than its rank; equals share theirs.
    """
    ranks_NK = centred_ranks(values_NK)
    if not is_number:
        yes = labels_RN[0].sum()
        no = labels_RN.shape[1] - yes
        return np.asarray((labels_RN @ ranks_NK) * (2 / (yes * no)), dtype=np.float64)
    told_RN = centred_ranks(labels_RN.T).T
    sizes_K = np.sqrt((ranks_NK**2).sum(axis=0)) * np.sqrt((told_RN[0] ** 2).sum())
    return np.asarray(told_RN @ ranks_NK / np.where(sizes_K == 0, 1, sizes_K))


def centred_ranks(values_NK: NDArray[Any]) -> Floats:
    """The rank of each value in its column, less the mean; equals share their mean rank.

    >>> centred_ranks(np.array([[3.0], [1.0], [3.0], [7.0]])).ravel().tolist()
    [0.0, -1.5, 0.0, 1.5]
    """
    N = len(values_NK)
    order_NK = np.argsort(values_NK, axis=0, kind="stable")
    sorted_NK = np.take_along_axis(values_NK, order_NK, axis=0)
    places_N1 = np.arange(N)[:, None]
    differs_NK = np.ones(values_NK.shape, dtype=bool)
    differs_NK[1:] = sorted_NK[1:] != sorted_NK[:-1]
    first_NK = np.maximum.accumulate(np.where(differs_NK, places_N1, 0))
    is_last_NK = np.roll(differs_NK, -1, axis=0)
    last_NK = np.minimum.accumulate(np.where(is_last_NK, places_N1, N)[::-1])[::-1]
    ranks_NK = np.empty(values_NK.shape)
    np.put_along_axis(ranks_NK, order_NK, (first_NK + last_NK) / 2, axis=0)
    ranks_NK -= (N - 1) / 2
    return ranks_NK


def _keep_the_best(chance: Floats, fitted_RK: Floats, held_RK: Floats) -> None:
    """For each labelling the best fitted score so far, and the held-out score of that unit."""
    rows = np.arange(len(fitted_RK))
    best_R = np.abs(fitted_RK).argmax(axis=1)
    fitted_R = fitted_RK[rows, best_R]
    held_R = held_RK[rows, best_R] * np.where(fitted_R < 0, -1, 1)
    better_R = np.abs(fitted_R) > chance[:, 0]
    chance[better_R] = np.stack((np.abs(fitted_R), held_R), axis=1)[better_R]


def _score(association: float, *, is_number: bool) -> float:
    return float(association if is_number else (1 + association) / 2)


def best_threshold(values_N: Floats, labels_N: NDArray[np.bool_]) -> float:
    """The value above which to say yes so that the balanced accuracy is highest.

    >>> best_threshold(np.array([1.0, 2.0, 4.0, 8.0]), np.array([False, False, True, True]))
    3.0
    """
    order_N = np.argsort(values_N, kind="stable")
    sorted_N, told_N = values_N[order_N], labels_N[order_N]
    # After the first n values: how many no lie below the cut, and how many yes above it.
    right_N = np.cumsum(~told_N) / (~told_N).sum() - np.cumsum(told_N) / told_N.sum()
    right_N[:-1][sorted_N[:-1] == sorted_N[1:]] = -np.inf  # equals cannot be told apart
    n = int(right_N[:-1].argmax()) if len(right_N) > 1 else 0
    return float((sorted_N[n] + sorted_N[min(n + 1, len(sorted_N) - 1)]) / 2)


def balanced_accuracy(said_N: NDArray[np.bool_], labels_N: NDArray[np.bool_]) -> float:
    """The mean of the shares of yes and of no that were found: 0.5 for a constant answer.

    >>> balanced_accuracy(np.array([True, True, True]), np.array([True, True, False]))
    0.5
    """
    return float((said_N[labels_N].mean() + (~said_N[~labels_N]).mean()) / 2)


def telling_excerpt(labels_T: Floats, begins: NDArray[Any], length: int) -> slice:
    """The piece of a text in which a property varies most, the first of equals.

    Args:
        labels_T: the property at each token; NaN where it is not asked.
        begins: where pieces may begin.
        length: how many tokens a piece has.
    """
    length = min(length, len(labels_T))
    begins = begins[begins <= len(labels_T) - length]
    if not len(begins):
        return slice(len(labels_T) - length, len(labels_T))
    known_T = ~np.isnan(labels_T)
    filled_T = np.where(known_T, labels_T, 0)
    counts, sums, squares = (
        sums_T[begins + length] - sums_T[begins]
        for sums_T in (np.append(0, np.cumsum(x_T)) for x_T in (known_T, filled_T, filled_T**2))
    )
    counts = np.maximum(counts, 1)
    # Rounded: where sums differ by rounding alone, the first is meant.
    best = int(np.round(squares / counts - (sums / counts) ** 2, 9).argmax())
    return slice(int(begins[best]), int(begins[best]) + length)
