"""``charnn score``: how likely each line is, or each token of it."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from charnn.cli.console import Payload, be_quiet, draws, say, takes_colours, warn
from charnn.cli.known import complete_models
from charnn.cli.options import INPUT, MODEL, OUTPUT, Errors, Json, Model, Quiet
from charnn.cli.places import chunks_of, find_run
from charnn.errors import UsageError
from charnn.text.config import InvalidPolicy

if TYPE_CHECKING:
    from charnn.cli.rows import Block, Row, View
    from charnn.lines import LineScorer
    from charnn.models import Model as OpenModel
    from charnn.text.base import Tokenizer, UnknownTally

#: Lines are scored and written in blocks of so many bytes.
_BLOCK_BYTES = 1 << 16

Colour = Literal["auto", "always", "never"]


def score(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders; - or nothing is stdin.", show_default=False),
    ] = None,
    model: Model = None,
    versus: Annotated[
        Path | None,
        typer.Option(
            help="Another run or checkpoint: bits per character that --model saves over it.",
            show_default=False,
            rich_help_panel=MODEL,
            autocompletion=complete_models,
        ),
    ] = None,
    context: Annotated[
        bool,
        typer.Option(
            "--context",
            help="Read a file's lines as one text, each in the light of those before.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens", help="One row a token: line, bits, token.", rich_help_panel=OUTPUT
        ),
    ] = False,
    above: Annotated[
        float | None,
        typer.Option(
            help="Write only what has more than so many bits.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    sort: Annotated[
        bool, typer.Option("--sort", help="The highest number first.", rich_help_panel=OUTPUT)
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write only so many, the highest number first.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Write the lines alone, without numbers.", rich_help_panel=OUTPUT
        ),
    ] = False,
    colour: Annotated[
        Colour,
        typer.Option(
            "--colour",
            "--color",
            help="Paint each character by its bits; auto: on a terminal.",
            rich_help_panel=OUTPUT,
        ),
    ] = "auto",
    errors: Errors = "bytes",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell how likely each line is: its bits per character, a tab, and the line as it was.

    The less a model expects a line, the higher its number. Each line is a text of its own, and
    its line end is part of it: predicted, and counted as a character, so that an empty line has
    a number, too. With --context a file is one text: its very first token is read and not
    predicted, and the costs of all lines add up to what charnn evaluate tells.

    Lines keep their order and their bytes (but for --errors replace), and appear as they come.
    --sort and --top wait for the end. Characters that the vocabulary lacks go its own way (spelled
    in bytes, replaced, or left out) and are counted on stderr. A line of which nothing is predicted
    has no number: nan, or null in JSON. A line longer than 64 MiB is refused.

    With --versus the number is log2 P(line | --model) - log2 P(line | --versus), per character:
    above 0, --model is the better guess.

    Examples:
        charnn score letter.txt

        tail -f server.log | charnn score - --above 4

        charnn score novel.txt --tokens --top 20

        charnn score mixed.txt -m checkpoints/hers --versus checkpoints/his --above 0 --plain
    """
    from charnn.cli.rows import ranked
    from charnn.lines import LineScorer
    from charnn.models import open_model

    _check(tokens=tokens, plain=plain, json=json, versus=versus, colour=colour)
    be_quiet(quiet)
    painted = _painted(colour, plain_rows=json or tokens or versus is not None)
    paths = [model] if versus is None else [model, versus]
    models = [open_model(find_run(path)) for path in paths]
    scorers = [
        LineScorer(one.step_model, one.tokenizer, context=context, details=tokens or painted)
        for one in models
    ]
    view = _view(models[0].tokenizer, tokens=tokens, plain=plain, painted=painted, json=json)

    def wanted(block: "Block") -> "Iterator[Row]":
        return (row for row in view(block) if above is None or row.value > above)

    payload = Payload()
    blocks = _blocks(files or [Path("-")], scorers, errors)
    if sort or top:
        for row in ranked((row for block in blocks for row in wanted(block)), top):
            row.write(payload)
        payload.end_line()  # whatever line is last now
    else:
        for block in blocks:
            for row in wanted(block):
                row.write(payload)
            payload.flush()  # more may be long in coming
    for one, scorer in zip(models, scorers, strict=True):
        _warn_of_unknown(one, scorer.unknown)


def _check(*, tokens: bool, plain: bool, json: bool, versus: Path | None, colour: Colour) -> None:
    if tokens and versus is not None:
        raise UsageError(
            "--tokens and --versus exclude each other", "models differ in their tokens"
        )
    if plain and (tokens or json):
        raise UsageError(f"--plain and --{'json' if json else 'tokens'} exclude each other")
    if colour == "always" and (tokens or json or versus is not None):
        raise UsageError("--colour paints lines: not with --tokens, --json or --versus")


def _painted(colour: Colour, *, plain_rows: bool) -> bool:
    """Whether lines are painted; if so, what the colours mean is told."""
    from charnn.cli.paint import legend

    painted = colour == "always" or (colour == "auto" and not plain_rows and takes_colours())
    if painted and draws():
        say(legend(), painted=True)
    return painted


def _view(
    tokenizer: "Tokenizer", *, tokens: bool, plain: bool, painted: bool, json: bool
) -> "View":
    """What makes rows of scored lines."""
    from charnn.cli import rows

    table = tokenizer.token_bytes
    if tokens:
        return partial(rows.token_records if json else rows.token_rows, token_bytes=table)
    if json:
        return rows.line_records
    # A terminal obeys what lines may hold.
    harmless = painted or sys.stdout.isatty()
    return partial(
        rows.line_rows, plain=plain, harmless=harmless, token_bytes=table if painted else None
    )


def _blocks(
    files: "Sequence[Path]", scorers: "Sequence[LineScorer]", errors: InvalidPolicy
) -> "Iterator[Block]":
    """All lines of all files, scored, in blocks: as they come, and never too many at once."""
    from charnn.cli.rows import Block
    from charnn.files import printable
    from charnn.lines import whole_lines
    from charnn.text.corpus import find_files

    for path in files:
        for file in [path] if str(path) == "-" else find_files([path]):
            number = 1
            for scorer in scorers:
                scorer.begin()
            for lines in whole_lines(_pieces(chunks_of(file, errors)), printable(file)):
                scored = [scorer.score(lines) for scorer in scorers]
                yield Block(printable(file), number, lines, *scored)
                number += len(lines)


def _pieces(chunks: "Iterator[bytes]") -> "Iterator[bytes]":
    return (
        chunk[begin : begin + _BLOCK_BYTES]
        for chunk in chunks
        for begin in range(0, len(chunk), _BLOCK_BYTES)
    )


def _warn_of_unknown(model: "OpenModel", tally: "UnknownTally") -> None:
    if tally.count:
        replaced = model.tokenizer.prompt_policy == "replace"
        warn(
            f"{model.checkpoint.path} does not know {tally.count:,} of the tokens read,"
            f" the first {tally.first!r}: they "
            + ("were scored as unknown" if replaced else "were left out of the bits")
        )
