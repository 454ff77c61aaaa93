"""``charnn train``: a tokenized corpus, or a text, to a checkpoint; with a live display."""

import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn import places
from charnn.architecture import CellName, ModelConfig, NgramConfig, count_parameters
from charnn.cli.console import (
    Payload,
    be_quiet,
    quoted,
    say,
    say_facts,
    token_bar,
    warn,
)
from charnn.cli.known import complete_all
from charnn.cli.options import MODEL, Errors, Json, Quiet, given_options, spread_configs
from charnn.cli.places import Inputs, find_run
from charnn.cli.tokenize import make_corpus
from charnn.cli.watch import StopSignal, watch
from charnn.errors import CorpusExistsError, UsageError
from charnn.places import CORPORA
from charnn.text.config import InvalidPolicy
from charnn.training.config import Size, TrainingConfig
from charnn.training.together import FREE, check_together

if TYPE_CHECKING:
    from charnn.checkpoint import Checkpoint
    from charnn.data.store import TokenizedCorpus
    from charnn.training.events import Event
    from charnn.training.start import Start

#: Where help shows what a run is, and where.
_RUN = "Run"


@spread_configs
def train(
    context: typer.Context,
    model: ModelConfig,
    ngram: NgramConfig,
    training: TrainingConfig,
    corpus: Annotated[
        Path | None,
        typer.Argument(
            help="A tokenized corpus, or a text file, which is tokenized first.",
            show_default="the newest",
            autocompletion=complete_all,
        ),
    ] = None,
    cell: Annotated[
        Literal[CellName, "ngram"] | None,
        typer.Option(
            help="The recurrent cell, or ngram: count instead of learning.",
            show_default="lstm",
            rich_help_panel=MODEL,
        ),
    ] = None,
    size: Annotated[
        Size,
        typer.Option(
            help="Of the model; auto goes by the text, the budget, the machine.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    errors: Errors = "bytes",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The run's folder.",
            show_default="checkpoints/NAME",
            rich_help_panel=_RUN,
        ),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option(help="Log for TensorBoard into this folder, too.", rich_help_panel=_RUN),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what would be trained, and what a budget buys.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Only write the file that repeats the run, for --config.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run: the newest that learns, or the one named.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    bidirectional: Annotated[bool, typer.Option("--bidirectional", hidden=True)] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a language model.

    With --resume, CORPUS names the run. It goes on as if it had not stopped.
    A new budget, also for a run that is finished, counts from where it stands;
    the learning rate then is what it would be had the run been planned that
    long: it jumps up, and falls to zero at the new end.

    Ctrl-C (or SIGTERM) finishes the step and saves; once more stops at once.

    Examples:
        charnn train

        charnn train corpus.txt --minutes 30 --hidden 512

        charnn train --cell gru --minutes 2

        charnn train --cell ngram --order 5

        charnn train --resume --minutes 10

        charnn train --print-config corpus.txt > run.toml

        charnn train --config run.toml
    """
    be_quiet(quiet)
    if bidirectional:
        raise UsageError(
            "a language model cannot be bidirectional: it would see what it is to predict"
        )
    given = given_options(context)
    check_together(given, counts=cell == "ngram")
    stop = StopSignal()
    if resume:
        anew = {name: getattr(training, name) for name in given.keys() & FREE}
        events = resume_events(corpus, anew, stop)
    else:
        from charnn.training.run import settings

        begin = None
        if training.from_checkpoint is not None:
            begin = _read(Path(training.from_checkpoint))
        with Inputs() as inputs:
            tokenized = find_corpus(
                corpus, inputs, begin=begin, extend=training.extend_vocabulary, errors=errors
            )
        folder, name = places.run_place(output, tokenized)
        if cell == "ngram":
            if print_config:
                Payload().write(settings(tokenized, ngram, output=output))
                return
            _count(tokenized, ngram, folder, name, json=json)
            return
        model = replace(model, cell=cell or "lstm")
        start = prepare(tokenized, size, model, training, given.keys(), begin)
        if print_config:
            text = settings(tokenized, start.model, start.training, output=output, log_dir=log_dir)
            Payload().write(text)
            return
        if dry_run:
            _rehearse(start, json=json)
            return
        events = train_events(start, folder, name, stop)
    if log_dir is not None:
        from charnn.training.tensorboard import logged

        events = logged(events, log_dir)
    ended = watch(events, stop)
    if json:
        Payload().json(
            {
                "run": str(ended.run),
                "step": ended.step,
                "steps": ended.steps,
                "validation_nats": ended.best_nats,
                "seconds": ended.seconds,
                "finished": not ended.stopped,
            }
        )
    if ended.stopped:
        raise typer.Exit(stop.exit_code)


def _count(
    corpus: "TokenizedCorpus", ngram: NgramConfig, folder: Path, name: str, *, json: bool
) -> None:
    """Make an n-gram model, and say what it is."""
    from charnn.training.counting import count

    began = time.monotonic()
    say_facts(_corpus_facts(corpus) | {"model": f"n-grams of order {ngram.order}"})
    with token_bar("evaluating", corpus.header.held_out) as advance:
        counted = count(corpus, ngram, folder, name, advance)
    grams = ", ".join(f"{n:,} {k}-grams" for k, n in enumerate(counted.ngrams, start=1))
    nats = counted.validation_nats
    say_facts({"": grams, "run": counted.run}, width=6)
    if nats is not None:
        say(f"validation loss {nats:.4f} nats")
    say(f"write with it: charnn generate -m {quoted(counted.run)}")
    if json:
        Payload().json(
            {
                "run": str(counted.run),
                "step": 1,
                "steps": 1,
                "validation_nats": nats,
                "seconds": time.monotonic() - began,
                "finished": True,
            }
        )


def find_corpus(
    path: Path | None,
    inputs: Inputs,
    name: str = "",
    *,
    begin: "Checkpoint | None" = None,
    extend: bool = False,
    errors: InvalidPolicy = "bytes",
) -> "TokenizedCorpus":
    """The corpus that is meant: a tokenized one, a text, the newest, or the bundled one.

    A text is tokenized into ``corpora/NAME``; the name is the text's own, if none is given; and
    with the tokenizer of the model that training begins with.
    """
    from charnn.data.store import is_corpus

    is_named = path is not None
    path = places.find_corpus(path)
    if not is_corpus(path):
        if not is_named:
            say("no tokenized corpus here: taking the fables that come with charnn")
        path = inputs.path(path)
        name = name or inputs.name(path)
    try:
        return places.open_corpus(
            path, name, begin=begin, extend=extend, errors=errors, make=make_corpus
        )
    except CorpusExistsError as error:
        hint = f"train on it with charnn train {CORPORA / name}, or tokenize with another -o"
        if begin is not None:
            how = f"--like {quoted(begin.path.parent)}" + " --extend-vocabulary" * extend
            hint = f"tokenize elsewhere: charnn tokenize {quoted(path)} {how} -o corpora/OTHER; "
            hint += "and give corpora/OTHER to train"
        raise CorpusExistsError(error.message, hint) from None


def prepare(
    corpus: "TokenizedCorpus",
    size: Size,
    model: ModelConfig,
    training: TrainingConfig,
    given: Set[str],
    begin: "Checkpoint | None" = None,
) -> "Start":
    """Choose what was not given, load what it begins with, and say what will be trained."""
    from charnn.training.start import prepare

    start = prepare(corpus, size, model, training, given, begin)
    model, training, vectors = start.model, start.training, start.vectors
    rows: dict[str, object] = {}
    if begin is not None:
        added = f", {start.added:,} symbols added" if start.added else ""
        rows["from"] = f"{begin.path}{added}"
    if vectors is not None:
        rows["vectors"] = (
            f"{vectors.found_V.sum():,} of {len(vectors.found_V):,} symbols found in "
            f"{training.embedding_from}"
        )
    parts = count_parameters(model, corpus.header.vocabulary)
    rows |= {
        **_corpus_facts(corpus),
        "model": f"{model.cell}, {model.layers} x {model.hidden}: "
        f"{sum(parts.values()):,} parameters",
        "": ", ".join(f"{part} {count:,}" for part, count in parts.items()),
        "budget": _budget(training),
    }
    say_facts(rows)
    for warning in start.warnings:
        warn(warning)
    return start


def train_events(
    start: "Start", folder: Path, name: str, stop: Callable[[], bool]
) -> "Iterator[Event]":
    """A new run, with what is to be said of it."""
    taken = folder / name
    if (taken / "last").exists():
        say(f"{taken} is there already; to go on with it: charnn train --resume {quoted(taken)}")
    yield from start.train(folder, name, stop)


def resume_events(
    run: Path | None, settings: Mapping[str, Any], stop: Callable[[], bool]
) -> "Iterator[Event]":
    """A run that goes on."""
    from charnn.training.start import go_on

    yield from go_on(find_run(run, recurrent=True), settings, stop)


def _read(path: Path) -> "Checkpoint":
    from charnn.checkpoint import read_checkpoint

    return read_checkpoint(find_run(path))


def _rehearse(start: "Start", *, json: bool) -> None:
    """Take a few steps of a run, keep nothing, and say what a budget buys."""
    told = start.rehearse()
    epoch = told.steps_per_epoch * told.step_seconds
    say_facts(
        {
            "step": f"{1000 * told.step_seconds:,.0f} ms for {told.tokens_per_step:,} tokens: "
            f"{told.tokens_per_step / told.step_seconds:,.0f} tokens/s",
            "epoch": f"{told.steps_per_epoch:,.0f} steps, {_clock(epoch)}",
            "buys": f"{told.steps:,} steps, {told.steps / told.steps_per_epoch:.3g} epochs, "
            f"{_clock(told.seconds)} with validations",
        },
        width=6,
    )
    if json:
        parameters = sum(count_parameters(start.model, start.corpus.header.vocabulary).values())
        Payload().json(
            {
                "parameters": parameters,
                **asdict(start.model),
                **asdict(told),
                "settings": asdict(start.training),
            }
        )


def _clock(seconds: float) -> str:
    """A time span, as people say it.

    >>> _clock(8), _clock(75), _clock(7300)
    ('8 s', '1:15 min', '2:01 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02} h" if hours else f"{minutes}:{seconds:02} min"


def _corpus_facts(corpus: "TokenizedCorpus") -> dict[str, object]:
    return {
        "corpus": f"{corpus.path}: {corpus.header.splits['train'].tokens:,} tokens to learn from, "
        f"{corpus.header.held_out:,} to validate on, {corpus.header.vocabulary:,} symbols",
    }


def _budget(training: TrainingConfig) -> str:
    if training.steps is not None:
        return f"{training.steps:,} steps"
    if training.epochs is not None:
        return f"{training.epochs:g} epochs"
    minutes = training.minutes or TrainingConfig.default_minutes
    end = datetime.now() + timedelta(minutes=minutes)
    return f"{minutes:g} minutes, until about {end:%H:%M:%S}"
