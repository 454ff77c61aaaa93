"""``charnn info``: what a checkpoint or a tokenized corpus is."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from charnn.architecture import NgramConfig
from charnn.cli.console import Payload, be_quiet, facts
from charnn.cli.known import complete_all
from charnn.cli.options import Json, Quiet
from charnn.cli.places import find_run
from charnn.cli.tokenize import corpus_facts, summary
from charnn.places import CORPORA


def info(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A run, a checkpoint or a corpus.",
            show_default="the newest run",
            autocompletion=complete_all,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell what a checkpoint or a tokenized corpus is.

    Examples:
        charnn info

        charnn info corpora/fables --json
    """
    from charnn.data.store import TokenizedCorpus, is_corpus

    be_quiet(quiet)
    payload = Payload()
    for place in _corpora(path):
        if is_corpus(place):
            corpus = TokenizedCorpus.open(place)
            known = {"kind": "corpus", "path": str(place)}
            if json:
                payload.json({**known, **corpus_facts(corpus)})
            else:
                files = ", ".join(corpus.header.source["files"])
                payload.write(facts({**known, "made from": files, **summary(corpus)}) + "\n")
            return
    record = _checkpoint(find_run(path))
    if json:
        payload.json(record)
    else:
        parts = record.pop("parts")
        assert isinstance(parts, dict)
        shown = {
            key: f"{v:,}" if type(v) is int else str(v)
            for key, v in record.items()
            if v is not None
        }
        shown["parameters"] += " (" + ", ".join(f"{k} {n:,}" for k, n in parts.items()) + ")"
        payload.write(facts(shown) + "\n")


def _corpora(path: Path | None) -> list[Path]:
    """Where a corpus of that name may lie, unless it is the name of a run, which then is meant."""
    if path is None:
        return []
    return [path] if find_run(path) != path else [path, CORPORA / path]


def _checkpoint(path: Path) -> dict[str, object]:
    from charnn.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(path)
    config = checkpoint.config
    parts = checkpoint.parameters
    if isinstance(config.model, NgramConfig):
        model = {**dict.fromkeys(("layers", "hidden")), **asdict(config.model)}
    else:
        names = ("cell", "layers", "hidden", "embedding", "tied")
        model = {name: getattr(config.model, name) for name in names}
    return {
        "kind": "checkpoint",
        "path": str(checkpoint.path),
        "parameters": sum(parts.values()),
        **model,
        "vocabulary": config.vocabulary,
        "tokenizer": checkpoint.tokenizer.kind,
        "step": config.step,
        "validation_nats": config.validation_nats,
        "corpus": config.corpus.get("path"),
        "digest": checkpoint.digest,
        "parts": parts,
    }
