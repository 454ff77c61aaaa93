"""Lesson 6: what it does to teach a sequence's last token as its own successor.

    python -m benchmarks.lessons.last_label [--seeds 5] [--jobs 1] [--steps 400]

A B C D with the labels B C D D, in place of leaving the last position out. First on copies of three
short sequences, of which one begins as another does: an LSTM learns A B C D, A B C D E F and
G H I J, each as often, the last label repeated, masked, or the end token $. Then on windows of 16
characters of the bundled fables, each read from a fresh state: the last label repeated, masked,
or the true successor, which stands behind the window and which charnn's training stream reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.lessons.experiment import draw, dress, options, spread, table, work_through
from benchmarks.lessons.learning import make, updater
from benchmarks.lessons.texts import text
from charnn.architecture import ModelConfig
from charnn.decode.config import SamplingConfig
from charnn.decode.loop import generate, greedy, sampler
from charnn.engine import Engine
from charnn.nn.language_model import LanguageModel, export_weights
from charnn.training.loss import costs, loss
from charnn.training.schedule import learning_share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Way = Literal["repeat", "mask", "end", "next"]

SEQUENCES = ("ABCD", "ABCDEF", "GHIJ")
SYMBOLS = "ABCDEFGHIJ$"
END = SYMBOLS.index("$")
TOY = ModelConfig(cell="lstm", layers=1, hidden=16, embedding=8)
TOY_STEPS, WRITTEN = 300, 8

WINDOW, LANES, SAMPLES, SAMPLED = 16, 32, 64, 64
FABLES = ModelConfig(cell="lstm", layers=1, hidden=64, embedding=32)
FABLES_WAYS: tuple[Way, ...] = ("repeat", "mask", "next")
TOY_WAYS: tuple[Way, ...] = ("repeat", "mask", "end")

Batch = tuple[Tensor, Tensor, Tensor]


def toy_batch(way: Way) -> Batch:
    """Inputs, labels and which of them count, [B, T] each: all sequences once."""
    longest = max(map(len, SEQUENCES))
    inputs_BT = torch.zeros(len(SEQUENCES), longest, dtype=torch.long)
    labels_BT, counted_BT = inputs_BT.clone(), inputs_BT.bool()
    for b, sequence in enumerate(SEQUENCES):
        ids = [SYMBOLS.index(symbol) for symbol in sequence]
        last = END if way == "end" else ids[-1]
        inputs_BT[b, : len(ids)] = torch.tensor(ids)
        labels_BT[b, : len(ids)] = torch.tensor([*ids[1:], last])
        counted_BT[b, : len(ids)] = True
        counted_BT[b, len(ids) - 1] = way != "mask"
    return inputs_BT, labels_BT, counted_BT


def text_batch(tokens: NDArray[Any], starts_B: NDArray[Any], way: Way) -> Batch:
    """Windows of a text that begin here."""
    positions_BT = starts_B[:, None] + np.arange(WINDOW)
    inputs_BT = torch.from_numpy(tokens[positions_BT].astype(np.int64))
    labels_BT = torch.from_numpy(tokens[positions_BT + 1].astype(np.int64))
    counted_BT = torch.ones_like(labels_BT, dtype=torch.bool)
    if way == "repeat":
        labels_BT[:, -1] = inputs_BT[:, -1]
    elif way == "mask":
        counted_BT[:, -1] = False
    return inputs_BT, labels_BT, counted_BT


@dataclass(frozen=True)
class Run:
    """One training."""

    way: Way
    seed: int
    steps: int


@dataclass(frozen=True)
class Toy:
    """What came of the short sequences."""

    repeats: float
    """P(D | A B C D)."""
    goes_on: float
    """P(E | A B C D)."""
    repeats_alone: float
    """P(J | G H I J), which nothing ever follows."""
    nats: float
    """Per label that has a true successor, end tokens not counted."""
    written: tuple[str, str]
    """What is likeliest behind A, and behind G."""


@dataclass(frozen=True)
class Written:
    """What came of the fables."""

    repeats_T: list[float]
    """The mean chance that the model gives to the token it has just read, by position."""
    inside: float
    """Nats per token of held-out windows, the last position left out."""
    behind: float
    """Nats of the true successor at the last position."""
    doubled: float
    """The share of tokens in generated text that repeat the one before."""


def engine(model: LanguageModel, config: ModelConfig) -> Engine:
    return Engine(config, export_weights(model), start_id=0, end_id=None)


def likeliest(model: Engine, first: str) -> str:
    """A symbol, and what is likeliest to follow."""
    one = np.array([[SYMBOLS.index(first)]])
    logits_1V, state = model.prefill(one, np.array([1]), model.initial_state(1))
    steps = generate(model, logits_1V, state, 1, WRITTEN, greedy())
    return first + "".join(SYMBOLS[int(step.ids_B[0])] for step in steps)


def learn_sequences(run: Run) -> Toy:
    model = make(TOY, len(SYMBOLS), run.seed)
    update = updater(model, 1e-2)
    batch = toy_batch(run.way)
    state = model.initial_state(len(SEQUENCES))
    for _ in range(run.steps):
        nats, count, _ = loss(model, batch, state)
        update(nats / count, 1.0)
    inputs_BT, labels_BT, true_BT = toy_batch("mask")
    with torch.no_grad():
        chances_BTV = model(inputs_BT, state)[0].softmax(2)
        nats_BT, _ = costs(model, inputs_BT, labels_BT, state)
    d, e, j = (SYMBOLS.index(symbol) for symbol in "DEJ")
    runner = engine(model, TOY)
    return Toy(
        float(chances_BTV[0, 3, d]),
        float(chances_BTV[0, 3, e]),
        float(chances_BTV[2, 3, j]),
        float(nats_BT[true_BT].mean()),
        (likeliest(runner, "A"), likeliest(runner, "G")),
    )


def doubled(ids_NT: NDArray[Any]) -> float:
    """The share of tokens that repeat the one before."""
    return float(np.mean(ids_NT[:, 1:] == ids_NT[:, :-1]))


def learn_windows(run: Run) -> Written:
    fables = text("fables.txt")
    model = make(FABLES, fables.vocabulary, run.seed)
    update = updater(model, 1e-2)
    rng = np.random.default_rng(run.seed)
    state = model.initial_state(LANES)
    for step in range(run.steps):
        starts_B = rng.integers(0, len(fables.train) - WINDOW, LANES)
        nats, count, _ = loss(model, text_batch(fables.train, starts_B, run.way), state)
        update(nats / count, learning_share(step, run.steps, run.steps))
    starts_B = np.arange(0, len(fables.held_out) - WINDOW, WINDOW)
    inputs_BT, labels_BT, _ = text_batch(fables.held_out, starts_B, "next")
    state = model.initial_state(len(starts_B))
    with torch.no_grad():
        chances_BTV = model(inputs_BT, state)[0].softmax(2)
        nats_BT, _ = costs(model, inputs_BT, labels_BT, state)
    repeats_BT = chances_BTV.gather(2, inputs_BT[:, :, None])[:, :, 0]
    return Written(
        repeats_BT.mean(0).tolist(),
        float(nats_BT[:, :-1].mean()),
        float(nats_BT[:, -1].mean()),
        doubled(sample(engine(model, FABLES), run.seed)),
    )


def sample(model: Engine, seed: int) -> NDArray[Any]:
    """Texts drawn from the model as it is, [SAMPLES, SAMPLED]."""
    logits_1V, state = model.prefill(
        np.zeros((1, 0), dtype=np.int64), np.array([0]), model.initial_state(1)
    )
    choose = sampler(SamplingConfig(temperature=1.0), seed, range(SAMPLES))
    steps = generate(model, logits_1V, state, SAMPLES, SAMPLED, choose)
    return np.stack([step.ids_B for step in steps], axis=1)


def written(several: Sequence[Toy], which: int) -> str:
    """What the seeds wrote, and how many of them each.

    >>> one, two = (Toy(0, 0, 0, 0, (text, "")) for text in ("AB", "AC"))
    >>> written([one, one, two], 0)
    'AB (2), AC (1)'
    """
    texts = [one.written[which] for one in several]
    kinds = sorted(set(texts), key=lambda one: (-texts.count(one), one))
    return ", ".join(f"{kind} ({texts.count(kind)})" for kind in kinds)


def picture(found: dict[Way, list[Written]], truth_T: list[float], figure: "Figure") -> None:
    axes = figure.add_subplot()
    across = range(1, WINDOW + 1)
    for n, (way, several) in enumerate(found.items()):
        middle = [100 * fmean(at) for at in zip(*(one.repeats_T for one in several), strict=True)]
        axes.plot(across, middle, marker="osD"[n], markersize=4, color=f"C{n}", label=way)
    truth = [100 * value for value in truth_T]
    axes.plot(across, truth, ":", color="#777777", label="in the text")
    dress(axes, "position in the window of 16", "chance of a repeated character, %")
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def main() -> None:
    asked = options("last_label", __doc__, steps=400).parse_args()
    seeds = range(1, asked.seeds + 1)
    toy_steps = min(TOY_STEPS, asked.steps)
    todo = [Run(way, seed, toy_steps) for seed in seeds for way in TOY_WAYS]
    toys: dict[Way, list[Toy]] = {}
    for run, toy in zip(todo, work_through(learn_sequences, todo, asked.jobs), strict=True):
        toys.setdefault(run.way, []).append(toy)
    rows = [
        (
            way,
            spread([one.repeats for one in several]),
            spread([one.goes_on for one in several]),
            spread([one.repeats_alone for one in several]),
            spread([one.nats for one in several]),
            written(several, 0),
            written(several, 1),
        )
        for way, several in toys.items()
    ]
    sizes = f"mean ± standard deviation over seeds 1 to {asked.seeds}"
    print(f"Copies of {', '.join(SEQUENCES)}; {toy_steps} steps; {sizes}.\n")
    header = ("P(D given ABCD)", "P(E given ABCD)", "P(J given GHIJ)", "nats of true successors")
    print(table(("last label", *header, "likeliest from A", "from G"), rows), end="\n\n")

    todo = [Run(way, seed, asked.steps) for seed in seeds for way in FABLES_WAYS]
    found: dict[Way, list[Written]] = {}
    for run, one in zip(todo, work_through(learn_windows, todo, asked.jobs), strict=True):
        found.setdefault(run.way, []).append(one)
    fables = text("fables.txt")
    starts_B = np.arange(0, len(fables.held_out) - WINDOW, WINDOW)
    inputs_BT, labels_BT, _ = text_batch(fables.held_out, starts_B, "next")
    truth_T = (inputs_BT == labels_BT).double().mean(0).tolist()
    rows = [
        (
            way,
            spread([100 * fmean(one.repeats_T[:-1]) for one in several], 2),
            spread([100 * one.repeats_T[-1] for one in several], 2),
            spread([one.inside for one in several]),
            spread([one.behind for one in several]),
            spread([100 * one.doubled for one in several], 2),
        )
        for way, several in found.items()
    ]
    share = 100 * doubled(fables.held_out[None])
    print(f"Windows of {WINDOW} characters of the fables; {asked.steps} steps of {LANES}; {sizes}.")
    print(f"Of the held-out text, {share:.2f} % of the characters repeat the one before.\n")
    header = (
        f"chance of repeating, positions 1 to {WINDOW - 1}, %",
        f"position {WINDOW}, %",
        f"nats, positions 1 to {WINDOW - 1}",
        f"nats, position {WINDOW}",
        "repeated characters in what is generated, %",
    )
    print(table(("last label", *header), rows))
    draw(asked.output, partial(picture, found, truth_T))


assert set(TOY_WAYS) | set(FABLES_WAYS) == set(get_args(Way))

if __name__ == "__main__":
    main()
