"""What a report shows of a run, section by section."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from charnn.architecture import ModelConfig
from charnn.cli.console import say, visible
from charnn.cli.figure import picture
from charnn.cli.page import Item, Painted, Picture, Prose, Quote, Section, Table
from charnn.cli.paint import characters, harmless
from charnn.errors import CorpusError
from charnn.models import Model, open_model
from charnn.places import corpus_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.data.store import TokenizedCorpus
    from charnn.training.curves import Curve

_TEMPERATURES = (0.5, 0.8, 1.0)
_SAMPLE_TOKENS = 300

#: Held-out tokens that are read before those that are painted, and how many are.
_READ_BEFORE, _PAINTED = 256, 1200

#: Tokens and units in the heat map; tokens that are read for what is told in figures.
_SHOWN_TOKENS, _SHOWN_UNITS, _SUMMARIZED = 64, 5, 20_000

#: How far back gradients are followed, and at how many places.
_DISTANCE, _POSITIONS = 60, 64

#: The longest context that is tried, on how many targets, and what counts as no loss, in nats.
_CONTEXT, _TARGETS, _WITHIN = 128, 500, 0.01

#: Bits from which a character lies on the next darker colour.
_LEVELS = (1.0, 2.0, 4.0, 6.0, 9.0)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a report is about."""

    model: Model
    prompt: str
    seed: int

    @classmethod
    def open(cls, path: Path, prompt: str, seed: int) -> Self:
        """A run, or a checkpoint.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        return cls(open_model(path), prompt, seed)

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.model.checkpoint.path.parent

    @property
    def name(self) -> str:
        """What the run is called."""
        return visible(self.run.resolve().name)

    @cached_property
    def corpus(self) -> "TokenizedCorpus | None":
        """What it learned from, if that is still there."""
        try:
            return corpus_of(self.model.checkpoint.config.corpus, self.run)
        except CorpusError as error:
            say(f"{error.message}: the report does without held-out text")
            return None

    @cached_property
    def held_out_T(self) -> NDArray[Any]:
        """The held-out text as ids; none if there is none."""
        if self.corpus is None or "validation" not in self.corpus.header.splits:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.corpus.tokens("validation"))

    def facts(self) -> dict[str, str]:
        """The run in short."""
        checkpoint, config = self.model.checkpoint, self.model.checkpoint.config
        known = {"text": str(config.corpus.get("name", "")), "tokens": checkpoint.tokenizer.kind}
        known["vocabulary"] = f"{config.vocabulary:,}"
        if isinstance(config.model, ModelConfig):
            known["model"] = f"{config.model.cell}, {config.model.layers} x {config.model.hidden}"
            known["parameters"] = f"{sum(checkpoint.parameters.values()):,}"
            known["step"] = f"{config.step:,}"
        else:
            known["model"] = f"n-grams of order {config.model.order}"
        if config.validation_nats is not None:
            known["held-out loss"] = f"{config.validation_nats:.4f} nats per token"
        return known


def sections(subject: Subject) -> Iterator[Section]:
    """All that there is to show."""
    for name, title, items in (
        ("learning", "How it learned", _learning),
        ("samples", "What it writes", _samples),
        ("surprise", "What surprises it", _surprise),
        ("gates", "What goes on inside", _gates),
        ("gradients", "How far back it learned", _gradients),
        ("memory", "How far back it looks", _memory),
        ("baselines", "What else predicts this text", _baselines),
        ("settings", "How it was made", _settings),
    ):
        if shown := list(items(subject)):
            yield Section(name, title, shown)


def _learning(subject: Subject) -> Iterator[Item]:
    from charnn.cli.picture import draw_curves
    from charnn.training.curves import curve
    from charnn.training.metrics import FILE, read_metrics

    if not (subject.run / FILE).is_file():
        return
    one = curve(subject.name, read_metrics(subject.run))
    if one.is_empty:
        return
    yield _drawn(
        lambda figure: draw_curves(figure, [one], "step", "nats per token"),
        alt=_told(one),
        caption="What a token cost in training, and in the held-out text; a star marks the best.",
    )
    yield Prose(_told(one))


def _told(one: "Curve") -> str:
    """What a loss curve shows, in words."""
    told = []
    if len(one.x_N):
        first, last = one.train_N[0], one.smooth_N[-1]
        told.append(f"The training loss went from {first:.2f} to {last:.2f} nats per token")
    if one.best is not None:
        least = one.valid_M[one.best]
        told.append(f"the held-out text's was least, {least:.4f}, at step {one.best_step:,}")
    return "; ".join(told) + "."


def _samples(subject: Subject) -> Iterator[Item]:
    from charnn.cli.generate import read, read_prompt_option
    from charnn.decode.config import Decoding, GenerationConfig, SamplingConfig
    from charnn.generation import Piece, write

    context = read(subject.model, read_prompt_option(subject.prompt, None))
    generation = GenerationConfig(max_tokens=_SAMPLE_TOKENS, seed=subject.seed)
    for temperature in _TEMPERATURES:
        decoding = Decoding(generation, SamplingConfig(temperature=temperature))
        pieces = write(subject.model.step_model, subject.model.tokenizer, context, decoding)
        text = "".join(piece.text for piece in pieces if isinstance(piece, Piece))
        caption = f"Temperature {temperature:g}, seed {subject.seed}"
        yield Quote(caption, harmless(subject.prompt + text))


def _surprise(subject: Subject) -> Iterator[Item]:
    ids_T = subject.held_out_T[: _READ_BEFORE + _PAINTED].astype(np.int64)
    if len(ids_T) < 2:
        return
    model, table = subject.model.step_model, subject.model.tokenizer.token_bytes
    one = np.ones(1, dtype=np.int64)
    _, state = model.prefill(ids_T[None, :1], one, model.initial_state(1))
    nats_1T, _ = model.nats(ids_T[None, 1:], one * (len(ids_T) - 1), state)
    begin = min(_READ_BEFORE, len(ids_T) // 2)
    tokens = [table[id] for id in ids_T[begin:].tolist()]
    bits = (nats_1T[0, begin - 1 :] / math.log(2)).tolist()
    # Bytes may be cut within a character, and no page can hold half of one.
    shown = [(harmless(character), cost) for character, cost in characters(tokens, bits)]
    pieces = [
        ("".join(character for character, _ in run), level)
        for level, run in groupby(shown, key=lambda pair: _level(pair[1]))
    ]
    bounds = [f"{bits:g}" for bits in _LEVELS]
    between = [f"{a} to {b}" for a, b in pairwise(bounds)]
    yield Painted(
        "Held-out text; the stronger the colour of a character, the more bits it cost",
        pieces,
        [f"below {bounds[0]}", *between, f"{bounds[-1]} and more"],
    )
    mean = sum(bits) / max(len(shown), 1)
    yield Table(
        f"The most surprising characters here; the average costs {mean:.2f} bits",
        ("after", "came", "bits"),
        _strangest(shown),
    )


def _strangest(shown: list[tuple[str, float]], count: int = 10) -> list[tuple[str, str, str]]:
    """The characters that cost most, each with what stands before it."""
    costs = np.array([bits for _, bits in shown])
    rows = []
    for at in np.argsort(-costs, kind="stable")[:count].tolist():
        before = "".join(character for character, _ in shown[max(at - 24, 0) : at])
        rows.append((_on_one_line(before), _on_one_line(shown[at][0]), f"{costs[at]:.1f}"))
    return rows


def _on_one_line(text: str) -> str:
    return text.replace("\n", "↵").replace(" ", "␣" if text == " " else " ")


def _level(bits: float) -> int:
    return sum(bits >= least for least in _LEVELS)


def _gates(subject: Subject) -> Iterator[Item]:
    from charnn.cli.inspect.heatmap import draw_heat_map, heat_map_inches, heat_map_of
    from charnn.cli.inspect.page import labels
    from charnn.engine import Engine
    from charnn.inspection.gates import activations, most_varied, summarize

    engine, held_out_T = subject.model.step_model, subject.held_out_T
    if not isinstance(engine, Engine) or not len(held_out_T):
        return
    ids_T = held_out_T[_READ_BEFORE : _READ_BEFORE + _SHOWN_TOKENS]
    ids_T = ids_T if len(ids_T) else held_out_T[:_SHOWN_TOKENS]
    inner = activations(engine, ids_T)[-1]
    shown = {name: values_TH for name, values_TH in inner.items() if name != "new"}
    units, gates = most_varied(list(inner.values())[-1], _SHOWN_UNITS), engine.layers[-1].gates
    tokens = labels(ids_T, subject.model.tokenizer.token_bytes)
    text = "".join(tokens)
    heat_map = heat_map_of("", tokens, shown, units, gates)
    yield _drawn(
        lambda figure: draw_heat_map(figure, heat_map),
        alt=f"{', '.join(shown)} of units {', '.join(map(str, units))} over the text: {text}",
        caption=f"The {len(units)} units of the top layer that vary most, on held-out text; gates "
        "from 0, shut, to 1, open. charnn inspect gates shows others.",
        inches=heat_map_inches(heat_map),
    )
    rows = []
    for layer, use in enumerate(summarize(engine, held_out_T[:_SUMMARIZED]), start=1):
        memory_H = use.memory_H
        if memory_H is not None:
            quantiles = np.quantile(memory_H, (0.5, 0.9, 1.0), method="inverted_cdf").tolist()
            rows.append((f"layer {layer}", *(f"{tokens:,.1f}" for tokens in quantiles)))
    if rows:
        yield Table(
            "How long units remember, by the mean of the gate that keeps: tokens until 1/e is left",
            ("", "half of the units", "nine of ten", "the longest"),
            rows,
        )


def _gradients(subject: Subject) -> Iterator[Item]:
    ids_T, checkpoint = subject.held_out_T, subject.model.checkpoint
    if not isinstance(checkpoint.config.model, ModelConfig) or len(ids_T) < _DISTANCE + 2:
        return
    from charnn.cli.inspect.decays import draw
    from charnn.inspection.decay import by_layer
    from charnn.inspection.gradients import PARTS, cut_windows, gradient_norms, trained

    windows_NL = cut_windows(ids_T, _DISTANCE, _POSITIONS)
    decays = by_layer("", PARTS, gradient_norms(trained(checkpoint), windows_NL, _DISTANCE))
    told = [
        f"{one.part} of layer {one.layer}: times {one.ratio:.3g} a step"
        for one in decays
        if math.isfinite(one.ratio)
    ]
    yield _drawn(
        lambda figure: draw(figure, decays, {}, ""),
        alt=f"The norm of the gradient against the distance. {'; '.join(told)}.",
        caption="The loss of a token, sent back: the norm of its gradient by the state so many "
        f"tokens earlier, over {len(windows_NL)} places of the held-out text.",
    )


def _memory(subject: Subject) -> Iterator[Item]:
    from charnn.cli.inspect.lookback import draw
    from charnn.inspection.memory import choose_targets, doubling, measure_memory

    ids_T = subject.held_out_T[:_SUMMARIZED]
    longest = min(_CONTEXT, len(ids_T) // 4)
    if longest < 1:
        return
    targets_N = choose_targets(len(ids_T), longest, _TARGETS, subject.seed)
    found = measure_memory(subject.model.step_model, ids_T, targets_N, doubling(longest))
    effective = found.effective(_WITHIN)
    told = f"after more than {longest} tokens" if effective is None else f"after {effective} tokens"
    yield _drawn(
        lambda figure: draw(figure, found, _WITHIN, subject.name),
        alt="The loss against the tokens before the target: it stays within "
        f"{_WITHIN:g} nats of what it is after all of the text {told}.",
        caption="What the same tokens cost where the model saw only the last of what stands before",
    )


def _baselines(subject: Subject) -> Iterator[Item]:
    from charnn.cli.comparison import HEADER, QUICK_BYTES, compare, measure_baselines
    from charnn.cli.evaluate import measure

    if subject.corpus is None or len(subject.held_out_T) < 2:
        return
    splits = subject.corpus.header.splits
    if splits["train"].bytes + splits["validation"].bytes > QUICK_BYTES:
        yield Prose("On a text as long as this they take long: charnn evaluate --baselines")
        return
    measured = [measure(subject.model, "validation")]
    rows = compare(measured, measure_baselines(measured, always=False))
    yield Table("On the held-out text, the best first", HEADER, [row.cells() for row in rows])


def _settings(subject: Subject) -> Iterator[Item]:
    config = subject.model.checkpoint.config
    chosen = {**dataclasses.asdict(config.model), **config.training}
    rows = [(name.replace("_", " "), str(v)) for name, v in chosen.items() if v is not None]
    yield Table("All settings of the run", ("setting", "value"), rows, numbers=False)


def _drawn(
    draw: Callable[["Figure"], None],
    *,
    alt: str,
    caption: str,
    inches: tuple[float, float] = (8, 4.2),
) -> Picture:
    """A picture for light pages and for dark ones."""
    light, dark = (picture(draw, "svg", inches, dark=dark)[0] for dark in (False, True))
    return Picture(alt, caption, light, dark)
