"""``charnn evaluate``: how well a model predicts text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn.cli.console import Payload, be_quiet, facts, token_bar
from charnn.cli.options import Json, Quiet
from charnn.cli.places import corpus_of, find_run
from charnn.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charnn.models import Model
    from charnn.score import Evaluation


def evaluate(
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

    Examples:
        charnn evaluate

        charnn evaluate checkpoints/fables checkpoints/fables-2 --json

        charnn evaluate --text other.txt
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
        result = _evaluate(model, name, text)
        record = _record(model, name, result)
        if json:
            payload.json(record)
        else:
            payload.write(facts({key: _shown(value) for key, value in record.items()}) + "\n")


def _evaluate(model: "Model", split: str, text: Path | None) -> "Evaluation":
    import numpy as np

    from charnn.score import evaluate
    from charnn.text.base import UnknownTally

    tokenizer = model.tokenizer
    unknown, exact = 0, tokenizer.exact
    if text is None:
        try:
            corpus = corpus_of(model.checkpoint.config.corpus, model.checkpoint.path.parent)
        except CorpusError as error:
            raise CorpusError(error.message, "evaluate on a file: --text FILE") from None
        ids_T: Any = corpus.tokens(split)
        unknown, exact = corpus.header.splits[split].unknown, corpus.header.splits[split].exact
    else:
        tally = UnknownTally()
        chunks = _read(text)
        pieces = tokenizer.encode_stream(chunks, tally, tokenizer.prompt_policy)
        ids_T = np.concatenate([np.zeros(0, dtype=np.int64), *pieces])
        unknown = tally.count
    with token_bar("evaluating", len(ids_T)) as advance:
        return evaluate(
            model.step_model,
            ids_T,
            tokenizer.token_bytes,
            unknown=unknown,
            exact=exact,
            advance=advance,
        )


def _read(path: Path) -> Any:
    import sys

    from charnn.text.corpus import find_files, read_file

    if str(path) == "-":
        return iter(lambda: sys.stdin.buffer.read(1 << 20), b"")
    return (chunk for file in find_files([path]) for chunk in read_file(file))


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
