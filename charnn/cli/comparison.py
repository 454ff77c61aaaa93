"""Models and baselines side by side: one table, the best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charnn.cli.console import say, visible, warn
from charnn.cli.tables import drawn, plain_table, room, widths

if TYPE_CHECKING:
    from charnn.architecture import Architecture
    from charnn.baselines import Baseline
    from charnn.data.store import TokenizedCorpus
    from charnn.score import Evaluation
    from charnn.text.base import Tokenizer

#: Up to so many bytes, read and learned from, baselines take seconds: then nobody need ask.
QUICK_BYTES = 4 << 20

HEADER = ("model", "kind", "parameters", "nats/token", "perplexity", "bits/char", "bits/byte")

#: Columns of numbers.
_FIRST_NUMBER = 2

_MISSING = "-"


@dataclass(frozen=True)
class Measured:
    """A model that was evaluated, without its weights."""

    path: Path
    split: str
    """The part of its corpus, or the file, that was predicted."""
    record: dict[str, object]
    settings: dict[str, Any] | None
    kind: str
    parameters: int
    result: "Evaluation"
    tokenizer: "Tokenizer"
    ids_T: Any
    corpus: "TokenizedCorpus | None"
    """What it learned from, if that is still to be found."""
    exact: bool
    """Whether the ids decode to the text."""

    def trained_on(self) -> bytes | None:
        """The training text, if it is known byte for byte."""
        from charnn.baselines import text_of

        if self.corpus is None:
            return None
        split = self.corpus.header.splits["train"]
        whole = split.exact and not split.unknown
        return text_of(self.corpus.tokens("train"), self.tokenizer) if whole else None

    @property
    def size(self) -> int:
        """The bytes that baselines read."""
        learned = self.corpus.header.splits["train"].bytes if self.corpus else 0
        return learned + self.result.bytes


#: A baseline, and the model that it stands beside.
Rival = tuple["Baseline", Measured]


@dataclass(frozen=True)
class Row:
    """A model or a baseline, and what predicting the text cost it."""

    name: str
    kind: str
    parameters: int | None
    evaluation: "Evaluation"
    by_tokens: bool = True
    """Whether it predicts tokens, so that it has figures per token."""

    def cells(self) -> tuple[str, ...]:
        """What stands in its columns."""
        figures = self.evaluation
        by_token = (figures.nats_per_token, figures.perplexity) if self.by_tokens else (None, None)
        return (
            visible(self.name),
            visible(self.kind),
            _MISSING if self.parameters is None else f"{self.parameters:,}",
            *map(_number, (*by_token, figures.bits_per_character, figures.bits_per_byte)),
        )


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.4f}"


def kind_of(model: "Architecture") -> str:
    """A model in a word or two: its cell and its size."""
    from charnn.architecture import NgramConfig

    if isinstance(model, NgramConfig):
        return f"{model.order}-gram"
    return f"{model.cell} {model.layers}x{model.hidden}"


def best_first(rows: Sequence[Row]) -> list[Row]:
    """Sorted by bits per byte; what has none, for its tokens are not the text, comes last."""

    def place(row: Row) -> tuple[bool, float]:
        figure = row.evaluation.bits_per_byte
        return figure is None, row.evaluation.nats_per_token if figure is None else figure

    return sorted(rows, key=place)


def table(rows: Sequence[Row]) -> str:
    """The rows as lines of text, columns aligned, in the order that they come in.

    Where there is no room for them, kinds go on in the next line.
    """
    table = plain_table()
    for n, name in enumerate(HEADER):
        justify: Any = "right" if n >= _FIRST_NUMBER else "left"
        heading = name.replace("/", "/\n")  # or 80 columns would be too few
        table.add_column(heading, justify=justify, no_wrap=name != "kind")
    for row in rows:
        table.add_row(*row.cells())
    least, most = widths(table)
    return drawn(table, max(min(room() or most, most), least))


def measure_baselines(measured: Sequence[Measured], *, always: bool) -> list[Rival]:
    """What else predicts these texts, each once, and the model it stands beside."""
    from charnn.baselines import text_of

    found: list[Rival] = []
    counted: set[object] = set()
    compressed: set[object] = set()
    for one in measured:
        if not always and one.size > QUICK_BYTES:
            say(f"no baselines: on {one.size / 1e6:,.0f} MB they take long; --baselines, if wanted")
            continue
        corpus = one.corpus.digest if one.corpus else None
        text = text_of(one.ids_T, one.tokenizer)
        if (by_tokens := (one.tokenizer.digest, corpus, text)) not in counted:
            counted.add(by_tokens)
            found += [(baseline, one) for baseline in _by_tokens(one)]
        if not one.result.comparable:
            continue
        before = one.trained_on()
        if (by_bytes := (text, before)) not in compressed:
            compressed.add(by_bytes)
            found += [(baseline, one) for baseline in _by_bytes(one, text, before)]
    if any(one.corpus is None for one in measured):
        say("the training text is not in corpora/: nothing is counted, or compressed after it")
    return found


def _by_tokens(one: Measured) -> "list[Baseline]":
    from charnn.baselines import counted, uniform

    found = [uniform(one.result, one.tokenizer.vocabulary_size)]
    if one.corpus is not None:
        found.append(
            counted(
                one.ids_T,
                one.corpus.tokens("train"),
                one.tokenizer,
                unknown=one.result.unknown,
                exact=one.exact,
            )
        )
    return found


def _by_bytes(one: Measured, text: bytes, before: bytes | None) -> "list[Baseline]":
    from charnn.baselines import compressed

    first = len(one.tokenizer.token_bytes[int(one.ids_T[0])])
    return compressed(one.result, text[first:], before)


def warn_of_other_texts(measured: Sequence[Measured]) -> None:
    """Say so where models were evaluated on parts of corpora that were made of different texts."""
    sources = [
        (one.corpus.header.source.get("digests"), one.corpus.header.splits[one.split].bytes)
        for one in measured
        if one.corpus is not None
    ]
    if any(source != sources[0] for source in sources):
        warn("these figures are of different texts, and do not compare; --text FILE gives them one")


def compare(
    measured: Sequence[Measured], rivals: Sequence[Rival], adaptation: str | None = None
) -> list[Row]:
    """Models and what stands beside them, the best first.

    Args:
        measured: the models.
        rivals: the baselines.
        adaptation: how the models adapted to the text, if they did.
    """
    names = [one.path.parent.name for one in measured]
    several = len({one.tokenizer.digest for one in measured}) > 1
    rows = [
        _row(one, str(one.path) if names.count(name) > 1 else name, adaptation)
        for one, name in zip(measured, names, strict=True)
    ]
    rows += [_rival_row(baseline, one, several=several) for baseline, one in rivals]
    return best_first(rows)


def _row(one: Measured, name: str, adaptation: str | None) -> Row:
    adapting = f" --{adaptation}" if adaptation else ""
    return Row(name + adapting, one.kind, one.parameters, one.result)


def _rival_row(baseline: "Baseline", one: Measured, *, several: bool) -> Row:
    """Where models differ in their tokens, a baseline that predicts tokens says which."""
    kind = f"{one.tokenizer.kind} tokens" if several and baseline.by_tokens else ""
    return Row(
        baseline.name, kind, baseline.parameters, baseline.evaluation, by_tokens=baseline.by_tokens
    )
