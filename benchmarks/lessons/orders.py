"""Lesson 7: why counting long contexts does not do, and what smoothing does about it.

    python -m benchmarks.lessons.orders [--seeds 5] [--jobs 1]

For n from 1 to 6: how many texts of n symbols could be, how many different ones stand in the part
of a bundled text that is counted, how many of the held-out ones were never seen, and the perplexity
of what is held out by maximum likelihood and with Kneser-Ney smoothing. Nothing is drawn by chance:
seed s holds out the s-th tenth of the text from its end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lessons.experiment import draw, dress, options, spread, table, work_through
from benchmarks.lessons.texts import text
from charnn.architecture import Smoothing
from charnn.ngram import NgramModel, count_ngrams
from charnn.score import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDERS = range(1, 7)
TEXTS = ("fables.txt", "poems.zh.txt")


@dataclass(frozen=True)
class Split:
    """A text, an order, and which tenth of the text is held out."""

    text: str
    order: int
    tenth: int


@dataclass(frozen=True)
class Found:
    """What was counted."""

    possible: int
    seen: int
    unseen: float
    """The share of the held-out n-grams, each as often as it stands there, that were never seen."""
    likelihood: float
    """Perplexity of maximum likelihood."""
    impossible: float
    """The share of held-out tokens that maximum likelihood gives no chance."""
    smoothed: float
    """Perplexity with Kneser-Ney smoothing."""


def hold_out(ids_T: NDArray[Any], tenth: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """What is counted, and the held-out tenth: 1 is the last."""
    edges = np.linspace(0, len(ids_T), 11).astype(int)[::-1]
    begin, end = edges[tenth], edges[tenth - 1]
    return np.concatenate((ids_T[:begin], ids_T[end:])), ids_T[begin:end]


def windows(ids_T: NDArray[Any], n: int) -> NDArray[Any]:
    """All n-grams of a text, one a row."""
    return np.lib.stride_tricks.sliding_window_view(ids_T, n)


def unseen_share(counted_T: NDArray[Any], held_out_T: NDArray[Any], n: int) -> float:
    known = set(map(bytes, np.ascontiguousarray(windows(counted_T, n))))
    asked = [bytes(row) not in known for row in np.ascontiguousarray(windows(held_out_T, n))]
    return float(np.mean(asked))


def count(split: Split) -> Found:
    whole = text(split.text)
    counted_T, held_out_T = hold_out(whole.ids, split.tenth)
    V = whole.vocabulary
    perplexities, seen, impossible = {}, 0, 0.0
    smoothings: tuple[Smoothing, Smoothing] = ("maximum-likelihood", "kneser-ney")
    for smoothing in smoothings:
        tensors = count_ngrams(counted_T, V, split.order, smoothing)
        model = NgramModel(tensors, V, start_id=0, end_id=None)
        with np.errstate(over="ignore"):
            perplexities[smoothing] = evaluate(model, held_out_T, whole.symbols).perplexity
        if smoothing == "maximum-likelihood":
            seen = int((tensors[f"grams.{split.order}.counts"] > 0).sum())
            one = np.array([len(held_out_T)])
            nats_1T, _ = model.nats(held_out_T[None].astype(np.int64), one, model.initial_state(1))
            impossible = float(np.isinf(nats_1T).mean())
    return Found(
        V**split.order,
        seen,
        unseen_share(counted_T, held_out_T, split.order),
        perplexities["maximum-likelihood"],
        impossible,
        perplexities["kneser-ney"],
    )


def picture(found: dict[tuple[str, int], list[Found]], figure: "Figure") -> None:
    left, right = figure.subplots(1, 2)
    for n, name in enumerate(TEXTS):
        of_order = [found[name, order] for order in ORDERS]
        style: dict[str, Any] = {"color": f"C{n}", "marker": "os"[n]}
        left.plot(
            ORDERS, [f[0].possible for f in of_order], "--", **style, label=f"{name}: possible"
        )
        seen = [float(np.mean([one.seen for one in f])) for f in of_order]
        left.plot(ORDERS, seen, "-", **style, label=f"{name}: seen")
        unseen = [100 * float(np.mean([one.unseen for one in f])) for f in of_order]
        right.plot(ORDERS, unseen, "-", **style, label=name)
    left.set_yscale("log")
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8)
    dress(left, "symbols in a row, n", "different ones")
    dress(right, "symbols in a row, n", "held out, but never seen, %")


def main() -> None:
    asked = options("orders", __doc__).parse_args()
    splits = [
        Split(name, order, tenth)
        for name in TEXTS
        for order in ORDERS
        for tenth in range(1, asked.seeds + 1)
    ]
    found: dict[tuple[str, int], list[Found]] = {}
    for split, one in zip(splits, work_through(count, splits, asked.jobs), strict=True):
        found.setdefault((split.text, split.order), []).append(one)

    def over(several: list[Found], value: Callable[[Found], float], digits: int) -> str:
        return spread([value(one) for one in several], digits)

    rows = [
        (
            name,
            str(order),
            f"{several[0].possible:,}" if order < 4 else f"{several[0].possible:.2g}",
            f"{np.mean([one.seen for one in several]):,.0f}",
            over(several, lambda one: 100 * one.unseen, 1),
            over(several, lambda one: 100 * one.impossible, 1),
            over(several, lambda one: one.likelihood, 2),
            over(several, lambda one: one.smoothed, 2),
        )
        for (name, order), several in found.items()
    ]
    print(f"The last {asked.seeds} tenths held out in turn; mean ± standard deviation.\n")
    header = (
        "text",
        "n",
        "possible",
        "seen",
        "never seen, % of the held-out",
        "tokens without a chance, %",
        "perplexity, maximum likelihood",
        "Kneser-Ney",
    )
    print(table(header, rows))
    draw(asked.output, lambda figure: picture(found, figure))


if __name__ == "__main__":
    main()
