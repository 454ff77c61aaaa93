"""``charnn tokenize``: text to a tokenized corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charnn.cli.console import Payload, be_quiet, byte_bars, quoted, say, say_facts, warn
from charnn.cli.known import complete_all
from charnn.cli.options import (
    INPUT,
    OUTPUT,
    TOKENIZER,
    Errors,
    Json,
    Quiet,
    given_options,
    spread_configs,
)
from charnn.cli.places import Inputs, find_tokenizer
from charnn.data.config import END_TEXTS, DocumentMode, SourceConfig
from charnn.errors import CorpusExistsError, UsageError
from charnn.places import CORPORA
from charnn.text.config import TokenizerConfig

if TYPE_CHECKING:
    from charnn.data.store import Lacking, TokenizedCorpus
    from charnn.text.base import Tokenizer

#: The line ends that an end token may stand for, in words.
_ENDS = {"\n": "every line end", "\n\n": "every blank line"}


@spread_configs
def tokenize(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(help="Files, folders, .gz .bz2 .xz, or - for standard input."),
    ],
    config: TokenizerConfig,
    like: Annotated[
        Path | None,
        typer.Option(
            help="Take the tokenizer of this run, checkpoint or tokenized corpus.",
            show_default=False,
            rich_help_panel=TOKENIZER,
            autocompletion=complete_all,
        ),
    ] = None,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend-vocabulary",
            help="With --like: add the symbols that it lacks, if seen --min-count times; no id "
            "changes.",
            rich_help_panel=TOKENIZER,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder to make.",
            show_default="corpora/NAME",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    document: Annotated[
        DocumentMode,
        typer.Option(
            help="What makes a document; end tokens go between them.", rich_help_panel=INPUT
        ),
    ] = "file",
    errors: Errors = "bytes",
    validation: Annotated[
        list[Path] | None,
        typer.Option(
            help="Validate on this file, not on the last tenth.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="Keep this file as test split.", show_default=False, rich_help_panel=INPUT
        ),
    ] = None,
    validation_share: Annotated[
        float,
        typer.Option(
            help="The share that is cut from the end for validation.", rich_help_panel=INPUT
        ),
    ] = 0.1,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a corpus of that name.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn text into a tokenized corpus.

    With --like, a model can go on learning from the new text. What its
    vocabulary lacks is told; --extend-vocabulary adds it.

    Examples:
        charnn tokenize corpus.txt

        charnn tokenize --tokenizer word --min-count 3 books/

        zcat logs.gz | charnn tokenize - --document line -o corpora/logs

        charnn tokenize letters.txt --like checkpoints/novel --extend-vocabulary
    """
    be_quiet(quiet)
    _check_given(context, like, extend)
    tokenizer = None if like is None else find_tokenizer(like)
    with Inputs() as inputs:
        paths = tuple(inputs.path(one) for one in sources)
        held_out, tests = (
            tuple(inputs.path(p) for p in given or ()) for given in (validation, test)
        )
        source = SourceConfig(paths, held_out, tests, validation_share, document, errors)
        target = output or CORPORA / inputs.name(paths[0])
        try:
            corpus = make_corpus(source, config, target, like=tokenizer, extend=extend, force=force)
        except CorpusExistsError as error:
            raise CorpusExistsError(
                error.message, "--force replaces it, -o chooses another place"
            ) from None
    if json:
        Payload().json({"kind": "corpus", "path": str(corpus.path), **corpus_facts(corpus)})
    else:
        say(f"train on it with: charnn train {quoted(corpus.path)}")


def _check_given(context: typer.Context, like: Path | None, extend: bool) -> None:
    """Refuse options that would make another tokenizer, also where they say the default."""
    given = {} if like is None else given_options(context, TokenizerConfig)
    if extend:
        given.pop("min_count", None)
    if given:
        instead = ", or add --extend-vocabulary" if list(given) == ["min_count"] else ""
        raise UsageError(
            f"--like takes the tokenizer of {like} as it is",
            f"leave out {', '.join(given.values())}{instead}",
        )


def make_corpus(
    source: SourceConfig,
    config: TokenizerConfig,
    target: Path,
    *,
    like: "Tokenizer | None" = None,
    extend: bool = False,
    force: bool = False,
) -> "TokenizedCorpus":
    """Tokenize, with bars, and say what came out; see ``tokenize_corpus``."""
    from charnn.data.prepare import tokenize_corpus

    with byte_bars() as watch:
        corpus, made = tokenize_corpus(
            source, config, target, like=like, extend=extend, force=force, watch=watch
        )
    if made:
        say(f"{corpus.path}:")
        say_facts(summary(corpus))
        if corpus.tokenizer.loses:
            say(f"note: this tokenizer does not keep {corpus.tokenizer.loses}")
        if invalid := corpus.header.source.get("invalid"):
            fate = "kept" if source.errors == "bytes" else "replaced by U+FFFD"
            warn(
                f"{invalid['bytes']:,} bytes are no UTF-8 text, the first {invalid['first']}:"
                f" they were {fate}; --errors strict refuses them"
            )
        if like is not None:
            _say_likeness(corpus, like, source.document, extend)
    else:
        say(f"{corpus.path} is up to date")
    return corpus


def _say_likeness(
    corpus: "TokenizedCorpus", like: "Tokenizer", document: DocumentMode, extend: bool
) -> None:
    """Say what came of a tokenizer that was not made for the text."""
    several = document != "file" or len(corpus.header.source["files"]) > 1
    if several and like.end_id is None:
        say("note: this tokenizer has no end token, so no end of a document is marked")
    if document != "file" and like.end_text and like.end_text != END_TEXTS[document]:
        ends = _ENDS.get(like.end_text, repr(like.end_text))
        say(f"note: to this tokenizer {ends} ends a document, whatever --document says")
    if added := corpus.header.vocabulary - like.vocabulary_size:
        say(f"added {added:,} symbols to the {like.vocabulary_size:,} that were there")
    if lacking := corpus.header.lacking:
        for line in _lacking_lines(lacking, corpus.tokenizer, extend):
            say(line)


def _lacking_lines(lacking: "Lacking", tokenizer: "Tokenizer", extend: bool) -> list[str]:
    if not lacking.tokens:
        return ["the vocabulary has every symbol of this text"]
    fate = {0: "left out", 1: "replaced by <unk>"}.get(
        len(tokenizer.stand_ins), "spelled in bytes, so nothing is lost"
    )
    hint = "a lower --min-count adds more of them" if extend else "--extend-vocabulary adds them"
    return [
        f"note: the vocabulary lacks {lacking.tokens:,} tokens of this text "
        f"({lacking.share:.2%}), {lacking.symbols:,} different ones",
        "      most often: "
        + "  ".join(f"{_shown(str(symbol))} {count:,}" for symbol, count in lacking.most_common),
        f"      they are {fate}" + ("" if tokenizer.kind == "subword" else f"; {hint}"),
    ]


def _shown(symbol: str) -> str:
    """A symbol as it is, if one can see where it begins and ends.

    >>> _shown("狐"), _shown(" fox"), _shown("\\u3000")
    ('狐', "' fox'", "'\\\\u3000'")
    """
    plain = symbol.isprintable() and not any(map(str.isspace, symbol))
    return symbol if plain else repr(symbol)


def summary(corpus: "TokenizedCorpus") -> dict[str, object]:
    """What a tokenized corpus is, for people."""
    header = corpus.header
    splits = header.splits.values()
    tokens, size = sum(s.tokens for s in splits), sum(s.bytes for s in splits)
    unknown = sum(s.unknown for s in splits)
    # Against a vocabulary that was not made for the text, more may be lost than is kept.
    share = header.lacking.share if header.lacking and unknown else unknown / max(tokens, 1)
    return {
        "tokenizer": header.tokenizer,
        "vocabulary": f"{header.vocabulary:,}",
        **{
            name: f"{split.tokens:,} tokens, {split.bytes:,} bytes"
            + (f", {split.documents:,} documents" if split.documents > 1 else "")
            for name, split in header.splits.items()
        },
        "unknown": f"{unknown:,} tokens, {share:.2%}",
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
        **({"lacking": asdict(header.lacking)} if header.lacking else {}),
    }
