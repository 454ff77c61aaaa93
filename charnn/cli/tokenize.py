"""``charnn tokenize``: text to a tokenized corpus."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charnn.cli.console import Payload, be_quiet, byte_bars, facts, say
from charnn.cli.options import Json, Quiet, spread_configs
from charnn.cli.places import CORPORA, corpus_name
from charnn.data.config import DocumentMode, SourceConfig
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
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="charnn-")))
        paths = [_readable_twice(source, folder / str(n)) for n, source in enumerate(sources)]
        name = corpus_name(Path("stdin") if folder in paths[0].parents else paths[0])
        target = output or CORPORA / name
        source = SourceConfig(
            tuple(paths), tuple(validation or ()), tuple(test or ()), validation_share, document
        )
        corpus = make_corpus(source, config, target, force=force)
    if json:
        Payload().json({"kind": "corpus", "path": str(corpus.path), **corpus_facts(corpus)})
    else:
        say(f"train on it with: charnn train {corpus.path}")


def _readable_twice(source: str, copy: Path) -> Path:
    """The source itself, or a copy of what can be read only once: standard input, a pipe."""
    path = Path(source)
    if source != "-" and (path.is_file() or path.is_dir() or not path.exists()):
        return path
    from charnn.data.prepare import keep_stream

    with sys.stdin.buffer if source == "-" else path.open("rb") as stream:
        return keep_stream(stream, copy)


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
