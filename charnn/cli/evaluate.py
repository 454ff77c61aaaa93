"""``charnn evaluate``: how well a model predicts text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn.adaptation.config import AdaptationConfig
from charnn.cli.console import Payload, be_quiet, facts, token_bar
from charnn.cli.options import Json, Quiet, spread_configs
from charnn.cli.places import find_run
from charnn.cli.reading import own_corpus, read_ids
from charnn.errors import UsageError

if TYPE_CHECKING:
    from charnn.models import Model
    from charnn.score import Evaluation
    from charnn.step import StepModel


@spread_configs
def evaluate(
    adaptation: AdaptationConfig,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs or checkpoints.", show_default="the newest run"),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(
            help="The part of the model's own corpus to evaluate on.", show_default="validation"
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(help="Evaluate on this file instead; - is stdin.", show_default=False),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how well a model predicts text: perplexity, bits per character and per byte.

    The text is read from its beginning, the state is carried, and every token but the first
    counts once.

    With --cache or --dynamic the model adapts to the text while reading it: what a token costs
    depends on what stands before it, and on nothing behind. Such figures compare with their like.

    Examples:
        charnn evaluate

        charnn evaluate checkpoints/fables checkpoints/fables-2 --json

        charnn evaluate --text other.txt

        charnn evaluate --cache 2000

        charnn evaluate --dynamic --split test
    """
    from charnn.models import open_model

    be_quiet(quiet)
    if text is not None and str(text) == "-" and len(checkpoints or ()) > 1:
        raise UsageError("standard input can be read for one checkpoint only")
    if text is not None and split is not None:
        raise UsageError("--text and --split exclude each other")
    payload = Payload()
    for path in checkpoints or [find_run(None)]:
        model = open_model(find_run(path))
        name = (split or "validation") if text is None else str(text)
        result = _evaluate(model, name, text, adaptation)
        record, settings = _record(model, name, result), _settings(model, adaptation)
        if json:
            payload.json({**record, "adaptation": adaptation.name, "settings": settings})
            continue
        rows = {key: _shown(value) for key, value in record.items()}
        if settings is not None:
            told = ", ".join(f"{key} {value:,}" for key, value in settings.items())
            rows["adaptation"] = f"{adaptation.name}: {told}"
        payload.write(facts(rows) + "\n")


def _evaluate(
    model: "Model", split: str, text: Path | None, adaptation: AdaptationConfig
) -> "Evaluation":
    from charnn.score import evaluate

    tokenizer = model.tokenizer
    unknown, exact = 0, tokenizer.exact
    if text is None:
        corpus = own_corpus(model, "evaluate on a file: --text FILE")
        ids_T: Any = corpus.tokens(split)
        unknown, exact = corpus.header.splits[split].unknown, corpus.header.splits[split].exact
    else:
        ids_T, tally = read_ids(model, text)
        unknown = tally.count
    adapting = _adapting(model, adaptation)
    with token_bar("evaluating", len(ids_T)) as advance:
        return evaluate(
            adapting,
            ids_T,
            tokenizer.token_bytes,
            unknown=unknown,
            exact=exact,
            advance=advance,
        )


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
    return {
        "checkpoint": str(model.checkpoint.path),
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


def _shown(value: object) -> str:
    if value is None:
        return "not comparable: the tokens are not the whole text"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
