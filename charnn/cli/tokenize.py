"""``charnn tokenize``: text to a tokenized corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charnn.cli.console import Payload, be_quiet, byte_bars, facts, say
from charnn.cli.options import Json, Quiet, spread_configs
from charnn.cli.places import CORPORA, Inputs
from charnn.data.config import DocumentMode, SourceConfig
from charnn.errors import CorpusExistsError
from charnn.text.config import TokenizerConfig

if TYPE_CHECKING:
    from charnn.data.store import TokenizedCorpus


@spread_configs
def tokenize(
    sources: Annotated[
        list[str],
        typer.Argument(help="Files, folders, .gz .bz2 .xz, or - for standard input."),
    ],
    config: TokenizerConfig,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder to make.", show_default="corpora/NAME"),
    ] = None,
    document: Annotated[
        DocumentMode, typer.Option(help="What makes a document; end tokens go between them.")
    ] = "file",
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Validate on this file, not on the last tenth.", show_default=False),
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(help="Keep this file as test split.", show_default=False)
    ] = None,
    validation_share: Annotated[
        float, typer.Option(help="The share that is cut from the end for validation.")
    ] = 0.1,
    force: Annotated[bool, typer.Option("--force", help="Replace a corpus of that name.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn text into a tokenized corpus.

    Examples:
        charnn tokenize corpus.txt

        charnn tokenize --tokenizer word --min-count 3 books/

        zcat logs.gz | charnn tokenize - --document line -o corpora/logs
    """
    be_quiet(quiet)
    with Inputs() as inputs:
        paths = tuple(inputs.path(one) for one in sources)
        held_out, tests = (
            tuple(inputs.path(p) for p in given or ()) for given in (validation, test)
        )
        source = SourceConfig(paths, held_out, tests, validation_share, document)
        target = output or CORPORA / inputs.name(paths[0])
        try:
            corpus = make_corpus(source, config, target, force=force)
        except CorpusExistsError as error:
            raise CorpusExistsError(
                error.message, "--force replaces it, -o chooses another place"
            ) from None
    if json:
        Payload().json({"kind": "corpus", "path": str(corpus.path), **corpus_facts(corpus)})
    else:
        say(f"train on it with: charnn train {corpus.path}")


def make_corpus(
    source: SourceConfig, config: TokenizerConfig, target: Path, *, force: bool = False
) -> "TokenizedCorpus":
    """Tokenize, with bars, and say what came out."""
    from charnn.data.prepare import tokenize_corpus

    with byte_bars() as watch:
        corpus, made = tokenize_corpus(source, config, target, force=force, watch=watch)
    if made:
        say(f"{corpus.path}:")
        say(facts(summary(corpus)))
        if corpus.tokenizer.loses:
            say(f"note: this tokenizer does not keep {corpus.tokenizer.loses}")
    else:
        say(f"{corpus.path} is up to date")
    return corpus


def summary(corpus: "TokenizedCorpus") -> dict[str, object]:
    """What a tokenized corpus is, for people."""
    header = corpus.header
    splits = header.splits.values()
    tokens, size = sum(s.tokens for s in splits), sum(s.bytes for s in splits)
    unknown = sum(s.unknown for s in splits)
    return {
        "tokenizer": header.tokenizer,
        "vocabulary": f"{header.vocabulary:,}",
        **{
            name: f"{split.tokens:,} tokens, {split.bytes:,} bytes"
            + (f", {split.documents:,} documents" if split.documents > 1 else "")
            for name, split in header.splits.items()
        },
        "unknown": f"{unknown:,} tokens, {unknown / max(tokens, 1):.2%}",
        "bytes per token": f"{size / max(tokens, 1):.3f}",
    }


def corpus_facts(corpus: "TokenizedCorpus") -> dict[str, object]:
    """What a tokenized corpus is, for programs."""
    header = corpus.header
    names: Sequence[str] = ("tokens", "bytes", "characters", "documents", "unknown")
    return {
        "parameters": None,
        "cell": None,
        "layers": None,
        "hidden": None,
        "vocabulary": header.vocabulary,
        "tokenizer": header.tokenizer,
        "step": None,
        "splits": {
            split: {name: getattr(counts, name) for name in names}
            for split, counts in header.splits.items()
        },
        "digest": corpus.digest,
    }
