"""``charnn train``: a tokenized corpus, or a text, to a checkpoint; with a live display."""

import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn.architecture import CellName, ModelConfig, NgramConfig, count_parameters
from charnn.cli.console import (
    Payload,
    be_quiet,
    facts,
    quoted,
    say,
    token_bar,
    warn,
)
from charnn.cli.options import Json, Quiet, spread_configs, typed_options
from charnn.cli.places import (
    CHECKPOINTS,
    CORPORA,
    Inputs,
    bundled,
    corpus_of,
    find_run,
    newest_corpus,
)
from charnn.cli.tokenize import make_corpus
from charnn.cli.watch import StopSignal, watch
from charnn.data.config import SourceConfig
from charnn.errors import CorpusError, CorpusExistsError, UsageError
from charnn.files import printable
from charnn.text.config import TokenizerConfig
from charnn.training.config import Size, TrainingConfig

if TYPE_CHECKING:
    from charnn.checkpoint import Checkpoint
    from charnn.data.store import TokenizedCorpus
    from charnn.tensors import Tensors
    from charnn.training.events import Event
    from charnn.training.vectors import Vectors


#: What a run that goes on may be told anew.
_FREE = frozenset({"minutes", "steps", "epochs", "save_every", "device", "threads"})


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
        ),
    ] = None,
    cell: Annotated[
        Literal[CellName, "ngram"] | None,
        typer.Option(
            help="The recurrent cell, or ngram: count instead of learning.", show_default="lstm"
        ),
    ] = None,
    size: Annotated[
        Size, typer.Option(help="Of the model; auto goes by the text, the budget, the machine.")
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder.", show_default="checkpoints/NAME"),
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(help="Log for TensorBoard into this folder, too.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be trained, and what a budget buys."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run: the newest, or the one named.")
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
    """
    be_quiet(quiet)
    if bidirectional:
        raise UsageError(
            "a language model cannot be bidirectional: it would see what it is to predict"
        )
    typed = typed_options(context)
    _check_together(typed, counts=cell == "ngram")
    stop = StopSignal()
    if resume:
        anew = {name: getattr(training, name) for name in typed.keys() & _FREE}
        events = resume_events(corpus, anew, stop)
    else:
        begin = None
        if training.from_checkpoint is not None:
            begin = _read(Path(training.from_checkpoint))
        with Inputs() as inputs:
            tokenized = find_corpus(corpus, inputs, begin=begin, extend=training.extend_vocabulary)
        folder, name = _run_place(output, tokenized)
        if cell == "ngram":
            _count(tokenized, ngram, folder, name, json=json)
            return
        model = replace(model, cell=cell or "lstm")
        start = prepare(tokenized, size, model, training, typed.keys(), begin)
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


def _check_together(typed: Mapping[str, str], *, counts: bool) -> None:
    """Refuse options that make no sense beside others.

    Raises:
        UsageError: there are some; it names them.
    """
    model, ngram, training = (
        {field.name for field in fields(config)} - {"cell"}
        for config in (ModelConfig, NgramConfig, TrainingConfig)
    )

    def refuse(names: Set[str], why: str) -> None:
        if wrong := [option for name, option in typed.items() if name in names]:
            raise UsageError(f"{why}; leave out {', '.join(sorted(wrong))}")

    if "resume" in typed:
        refuse(
            model | ngram | training - _FREE | {"cell", "size"}, "--resume keeps the run's settings"
        )
        refuse({"output", "dry_run"}, "--resume goes on in the run's own folder")
    elif counts:
        useless = model | training | {"size", "dry_run", "log_dir"}
        refuse(useless, "--cell ngram is counted, not trained")
    else:
        refuse(ngram, "what is no n-gram model is trained, not counted")
    if "from_checkpoint" in typed:
        refuse(model | {"cell", "size"}, "--from keeps the model's architecture")
        if "corpus" not in typed:
            raise UsageError("--from goes on with a model on new text: name the text")
    if "hidden" in typed:
        refuse({"size"}, "--hidden says how wide a layer is")


def _count(
    corpus: "TokenizedCorpus", ngram: NgramConfig, folder: Path, name: str, *, json: bool
) -> None:
    """Make an n-gram model, and say what it is."""
    from charnn.training.counting import count

    began = time.monotonic()
    say(facts(_corpus_facts(corpus) | {"model": f"n-grams of order {ngram.order}"}))
    with token_bar("evaluating", _held_out(corpus)) as advance:
        counted = count(corpus, ngram, folder, name, advance)
    grams = ", ".join(f"{n:,} {k}-grams" for k, n in enumerate(counted.ngrams, start=1))
    nats = counted.validation_nats
    say(facts({"": grams, "run": counted.run}, width=6))
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
) -> "TokenizedCorpus":
    """The corpus that is meant: a tokenized one, a text, the newest, or the bundled one.

    A text is tokenized into ``corpora/NAME``; the name is the text's own, if none is given; and
    with the tokenizer of the model that training begins with.
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    path = path or newest_corpus()
    if path is None:
        say("no tokenized corpus here: taking the fables that come with charnn")
        path = bundled("fables.txt")
    if not path.exists() and (CORPORA / path).exists():
        path = CORPORA / path
    if is_corpus(path):
        if extend:
            raise UsageError(
                f"{path} is tokenized already, so --extend-vocabulary comes too late",
                "give it to charnn tokenize --like",
            )
        return TokenizedCorpus.open(path)
    path = inputs.path(path)
    if not path.exists():
        raise CorpusError(f"no such corpus or text: {path}", "charnn tokenize makes one of a text")
    target = CORPORA / (name or inputs.name(path))
    try:
        like = None if begin is None else begin.tokenizer
        source = SourceConfig((path,))
        return make_corpus(source, TokenizerConfig(), target, like=like, extend=extend)
    except CorpusExistsError as error:
        hint = f"train on it with charnn train {target}, or tokenize with another -o"
        if begin is not None:
            how = f"--like {quoted(begin.path.parent)}" + " --extend-vocabulary" * extend
            hint = f"tokenize elsewhere: charnn tokenize {quoted(path)} {how} -o corpora/OTHER"
        raise CorpusExistsError(error.message, hint) from None


def _run_place(output: Path | None, corpus: "TokenizedCorpus") -> tuple[Path, str]:
    if output is None:
        return CHECKPOINTS, corpus.header.name
    if not output.name:
        raise UsageError(f"-o {output} is no name for a run")
    return output.parent, output.name


@dataclass(frozen=True)
class Start:
    """What a new run begins with."""

    corpus: "TokenizedCorpus"
    model: ModelConfig
    training: TrainingConfig
    vectors: "Vectors | None"
    weights: "Tensors | None"


def prepare(
    corpus: "TokenizedCorpus",
    size: Size,
    model: ModelConfig,
    training: TrainingConfig,
    given: Set[str],
    begin: "Checkpoint | None" = None,
) -> Start:
    """Choose what was not given, load what it begins with, and say what will be trained."""
    from charnn.training.process import matrix_rate
    from charnn.training.recipe import Setting, complete

    vectors = weights = None
    if begin is not None:
        from charnn.training.beginning import weights_from

        model, weights = weights_from(begin, corpus.tokenizer)
        training = replace(training, from_checkpoint=printable(begin.path))
        given = given | {field.name for field in fields(ModelConfig)}
        added = corpus.header.vocabulary - begin.config.vocabulary
        say(facts({"from": f"{begin.path}" + (f", {added:,} symbols added" if added else "")}))
        if added and training.freeze == "embedding":
            warn(f"{added:,} symbols that are new keep the mean of the old ones, frozen too")
    elif training.embedding_from is not None:
        from charnn.training.vectors import read_vectors

        path = Path(training.embedding_from)
        training = replace(training, embedding_from=printable(path))
        vectors = read_vectors(find_run(path), corpus.tokenizer)
        model, given = _fitting(model, vectors, training, given), given | {"embedding"}
    elif training.freeze == "embedding":
        warn("--freeze embedding without --from or --embedding-from keeps random vectors")
    in_minutes = training.steps is None and training.epochs is None
    setting = Setting(
        corpus.header.splits["train"].tokens,
        corpus.header.vocabulary,
        matrix_rate(training.device, training.precision, training.threads) if in_minutes else None,
    )
    model, training = complete(setting, size, model, training, given)
    parts = count_parameters(model, corpus.header.vocabulary)
    say(
        facts(
            _corpus_facts(corpus)
            | {
                "model": f"{model.cell}, {model.layers} x {model.hidden}: "
                f"{sum(parts.values()):,} parameters",
                "": ", ".join(f"{part} {count:,}" for part, count in parts.items()),
                "budget": _budget(training),
            }
        )
    )
    return Start(corpus, model, training, vectors, weights)


def train_events(
    start: Start, folder: Path, name: str, stop: Callable[[], bool]
) -> "Iterator[Event]":
    """A new run, with what is to be said of it."""
    from charnn.training.loop import train

    if _held_out(start.corpus) < 2:
        warn("nothing is held out, so the last model counts as the best")
    taken = folder / name
    if (taken / "last").exists():
        say(f"{taken} is there already; to go on with it: charnn train --resume {quoted(taken)}")
    yield from train(
        start.corpus,
        start.model,
        start.training,
        folder,
        name,
        vectors=start.vectors,
        weights=start.weights,
        stop=stop,
    )


def _read(path: Path) -> "Checkpoint":
    from charnn.checkpoint import read_checkpoint

    return read_checkpoint(find_run(path))


def _rehearse(start: Start, *, json: bool) -> None:
    """Take a few steps of a run, keep nothing, and say what a budget buys."""
    from charnn.training.loop import rehearse

    told = rehearse(
        start.corpus, start.model, start.training, vectors=start.vectors, weights=start.weights
    )
    epoch = told.steps_per_epoch * told.step_seconds
    say(
        facts(
            {
                "step": f"{1000 * told.step_seconds:,.0f} ms for {told.tokens_per_step:,} tokens: "
                f"{told.tokens_per_step / told.step_seconds:,.0f} tokens/s",
                "epoch": f"{told.steps_per_epoch:,.0f} steps, {_clock(epoch)}",
                "buys": f"{told.steps:,} steps, {told.steps / told.steps_per_epoch:.3g} epochs, "
                f"{_clock(told.seconds)} with validations",
            },
            width=6,
        )
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


def _held_out(corpus: "TokenizedCorpus") -> int:
    """How many tokens are held out for validation."""
    splits = corpus.header.splits
    return splits["validation"].tokens if "validation" in splits else 0


def _corpus_facts(corpus: "TokenizedCorpus") -> dict[str, object]:
    return {
        "corpus": f"{corpus.path}: {corpus.header.splits['train'].tokens:,} tokens to learn from, "
        f"{_held_out(corpus):,} to validate on, {corpus.header.vocabulary:,} symbols",
    }


def _fitting(
    model: ModelConfig, vectors: "Vectors", training: TrainingConfig, given: Set[str]
) -> ModelConfig:
    """The model whose embedding is as large as the vectors; says how many symbols have one."""
    size = vectors.vectors_VE.shape[1]
    if "embedding" in given and model.embedding != size:
        raise UsageError(
            f"--embedding {model.embedding} does not fit {training.embedding_from}, whose vectors "
            f"have {size} numbers",
            "leave out --embedding",
        )
    found, wanted = int(vectors.found_V.sum()), len(vectors.found_V)
    if not found:
        raise UsageError(f"{training.embedding_from} has a vector for no symbol of the corpus")
    say(facts({"vectors": f"{found:,} of {wanted:,} symbols found in {training.embedding_from}"}))
    if training.freeze == "embedding" and found < wanted:
        warn(f"{wanted - found:,} symbols keep random vectors, frozen too")
    return replace(model, embedding=size)


def resume_events(
    run: Path | None, settings: Mapping[str, Any], stop: Callable[[], bool]
) -> "Iterator[Event]":
    """A run that goes on, with what is to be said of it."""
    from charnn.training.loop import resume, resumed_config

    run = _whole_run(find_run(run))
    config, corpus = resumed_config(run)
    config = replace(config, **settings)
    yield from resume(run, corpus_of(corpus, run), config, stop=stop)


def _whole_run(path: Path) -> Path:
    """The run that a path means: itself, or the one whose last checkpoint it is."""
    from charnn.manifest import MANIFEST

    if not (path / MANIFEST).is_file():
        return path
    checkpoint = path.resolve()
    if (checkpoint.parent / "last").resolve() != checkpoint:
        raise UsageError(
            f"--resume goes on from a run's last checkpoint, and {path} is another",
            f"name the run: {checkpoint.parent}",
        )
    return checkpoint.parent


def _budget(training: TrainingConfig) -> str:
    if training.steps is not None:
        return f"{training.steps:,} steps"
    if training.epochs is not None:
        return f"{training.epochs:g} epochs"
    minutes = training.minutes or TrainingConfig.default_minutes
    end = datetime.now() + timedelta(minutes=minutes)
    return f"{minutes:g} minutes, until about {end:%H:%M:%S}"
