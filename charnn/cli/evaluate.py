"""``charnn evaluate``: how well a model predicts text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn.adaptation.config import AdaptationConfig
from charnn.cli.console import Payload, be_quiet, facts, quoted, token_bar
from charnn.cli.known import complete_models
from charnn.cli.options import INPUT, OUTPUT, Errors, Json, Quiet, spread_configs
from charnn.cli.places import Inputs, find_run
from charnn.cli.reading import own_corpus, read_ids
from charnn.errors import CorpusError, UsageError
from charnn.text.config import InvalidPolicy

if TYPE_CHECKING:
    from charnn.baselines import Baseline
    from charnn.cli.comparison import Measured
    from charnn.data.store import TokenizedCorpus
    from charnn.models import Model
    from charnn.score import Evaluation
    from charnn.step import StepModel
    from charnn.text.base import Tokenizer

_PLAIN = AdaptationConfig()


@spread_configs
def evaluate(
    adaptation: AdaptationConfig,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs or checkpoints.",
            show_default="the newest run",
            autocompletion=complete_models,
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(
            help="The part of the model's own corpus to evaluate on.",
            show_default="validation",
            rich_help_panel=INPUT,
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate on this file instead; - is stdin.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    errors: Errors = "bytes",
    baselines: Annotated[
        bool | None,
        typer.Option(
            "--baselines/--no-baselines",
            help="Set compressors, counting and a guess beside the model.",
            show_default="up to 4 MB of text, without --json",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how well a model predicts text: perplexity, bits per character and per byte.

    The text is read from its beginning, the state is carried, and every token but the first
    counts once. Several checkpoints give one table, the least bits per byte first.

    Baselines are measured on the same bytes. "xz alone" sees nothing but these; "xz after
    training" is what they add to the compressed training text, which the model has seen as
    well: the fair comparison (zstd likewise, where the extra zstd is installed). The 5-gram
    (modified Kneser-Ney) counts the training text. The uniform guess takes all tokens to be
    equally likely.

    With --cache or --dynamic the model adapts to the text while reading it: what a token costs
    depends on what stands before it, and on nothing behind. Such figures compare with their like.

    --json writes one object for each checkpoint in the order given, and with --baselines one
    for each of these behind, told apart by "baseline".

    Examples:
        charnn evaluate

        charnn evaluate checkpoints/*

        charnn evaluate checkpoints/fables checkpoints/fables-2 --json

        charnn evaluate --text other.txt --no-baselines

        charnn evaluate --cache 2000

        charnn evaluate --dynamic --split test
    """
    from charnn.cli.comparison import compare, measure_baselines, table, warn_of_other_texts
    from charnn.models import open_model

    be_quiet(quiet)
    if text is not None and split is not None:
        raise UsageError("--text and --split exclude each other")
    if text is None and errors != "bytes":
        raise UsageError("--errors is about a text: --text FILE")
    payload = Payload()
    name = (split or "validation") if text is None else str(text)
    wanted = baselines if baselines is not None else not json
    measured = []
    several = len(checkpoints or ()) > 1
    with Inputs() as inputs:
        source = text if text is None or not several else inputs.path(text)
        adapts = adaptation.name is not None
        for path in checkpoints or [find_run(None, recurrent=adapts)]:
            if path.is_file() and text is None:
                hint = f"to evaluate on it: charnn evaluate --text {quoted(path)}"
                raise UsageError(f"{path} is a file, and no checkpoint", hint)
            model = open_model(find_run(path))
            one = measure(model, name, source, adaptation, find_corpus=wanted, errors=errors)
            measured.append(one)
            if json:
                told = {"adaptation": adaptation.name, "settings": one.settings, "baseline": None}
                payload.json({**one.record, **told})
            elif not several:
                payload.write(_facts(one, adaptation) + "\n")
    rivals = measure_baselines(measured, always=bool(baselines)) if wanted else []
    if json:
        for baseline, _ in rivals:
            payload.json(_baseline_record(name, baseline))
    elif rivals or len(measured) > 1:
        if text is None:
            warn_of_other_texts(measured)
        payload.write("\n" if len(measured) == 1 else "")
        payload.write(table(compare(measured, rivals, adaptation.name)))


def measure(
    model: "Model",
    name: str,
    text: Path | None = None,
    adaptation: AdaptationConfig = _PLAIN,
    *,
    find_corpus: bool = True,
    errors: InvalidPolicy = "bytes",
) -> "Measured":
    """Evaluate a model.

    Args:
        model: the model.
        name: the part of its own corpus, or what the file is called.
        text: a file instead; - is standard input.
        adaptation: whether it adapts to what it reads.
        find_corpus: whether its corpus is looked for where a file is read.
        errors: what becomes of bytes of it that are no UTF-8.
    """
    from charnn.cli.comparison import Measured, kind_of

    if text is None:
        corpus: TokenizedCorpus | None = own_corpus(model, "evaluate on a file: --text FILE")
        assert corpus is not None
        header = corpus.header.splits
        ids_T: Any = corpus.tokens(name)
        unknown, exact = header[name].unknown, header[name].exact
    else:
        ids_T, tally = read_ids(model, text, errors=errors)
        unknown, exact = tally.count, model.tokenizer.exact
        corpus = _known_corpus(model) if find_corpus else None
    result = _evaluate(_adapting(model, adaptation), model.tokenizer, ids_T, unknown, exact)
    return Measured(
        path=model.checkpoint.path,
        split=name,
        record=_record(model, name, result),
        settings=_settings(model, adaptation),
        kind=kind_of(model.checkpoint.config.model),
        parameters=sum(model.checkpoint.parameters.values()),
        result=result,
        tokenizer=model.tokenizer,
        ids_T=ids_T,
        corpus=corpus,
        exact=exact,
    )


def _evaluate(
    model: "StepModel", tokenizer: "Tokenizer", ids_T: Any, unknown: int, exact: bool
) -> "Evaluation":
    from charnn.score import evaluate

    with token_bar("evaluating", len(ids_T)) as advance:
        return evaluate(
            model, ids_T, tokenizer.token_bytes, unknown=unknown, exact=exact, advance=advance
        )


def _known_corpus(model: "Model") -> "TokenizedCorpus | None":
    try:
        return own_corpus(model, "")
    except CorpusError:
        return None


def _adapting(model: "Model", adaptation: AdaptationConfig) -> "StepModel":
    """The model itself, or what lets it adapt to a text that is read once."""
    from charnn.engine import Engine

    settings = _settings(model, adaptation)
    if settings is None:
        return model.step_model
    if not isinstance(model.step_model, Engine):
        raise UsageError(
            f"{model.checkpoint.path} counts, and has no hidden state or weights to adapt",
            f"--{adaptation.name} needs a recurrent model",
        )
    if adaptation.cache:
        from charnn.adaptation.cache import CacheModel

        return CacheModel(
            model.step_model, settings["window"], settings["theta"], settings["lambda"]
        )
    hint = "--dynamic measures gradients on it: go to where corpora/ lies, or take --cache"
    tokens = own_corpus(model, hint).tokens("train")
    from charnn.training.dynamic import DynamicModel
    from charnn.training.process import use_threads

    use_threads(adaptation.threads)
    return DynamicModel(
        model.checkpoint, tokens, settings["segment"], settings["lr"], settings["decay"]
    )


def _settings(model: "Model", adaptation: AdaptationConfig) -> dict[str, Any] | None:
    return adaptation.settings(model.checkpoint.config.vocabulary)


def _record(model: "Model", split: str, result: "Evaluation") -> dict[str, object]:
    return {"checkpoint": str(model.checkpoint.path), **_figures(split, result)}


def _figures(split: str, result: "Evaluation") -> dict[str, object]:
    return {
        "split": split,
        "tokens": result.tokens,
        "characters": result.characters if result.comparable else None,
        "bytes": result.bytes if result.comparable else None,
        "unknown": result.unknown,
        "nats_per_token": result.nats_per_token,
        "perplexity": result.perplexity,
        "bits_per_character": result.bits_per_character,
        "bits_per_byte": result.bits_per_byte,
    }


def _baseline_record(name: str, baseline: "Baseline") -> dict[str, object]:
    record = _figures(name, baseline.evaluation)
    if not baseline.by_tokens:
        record |= dict.fromkeys(("tokens", "nats_per_token", "perplexity"))
    return {"checkpoint": None, **record, "baseline": baseline.name}


def _facts(one: "Measured", adaptation: AdaptationConfig) -> str:
    rows = {key: _shown(value) for key, value in one.record.items()}
    if one.settings is not None:
        told = ", ".join(f"{key} {value:,}" for key, value in one.settings.items())
        rows["adaptation"] = f"{adaptation.name}: {told}"
    return facts(rows)


def _shown(value: object) -> str:
    if value is None:
        return "not comparable: the tokens are not the whole text"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
