"""``charnn inspect neurons``: which units track a property of the text."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charnn.cli.console import Payload, be_quiet, token_bar, warn
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.inspect.subject import begin_of, open_network, validation_ids
from charnn.cli.options import INPUT, SHOWN, Force, Json, Model, Picture, Quiet
from charnn.cli.reading import read_ids
from charnn.errors import InputError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from charnn.cli.inspect.page import Page
    from charnn.cli.inspect.painting import Painting
    from charnn.inspection.neurons import Found, Probed, Values
    from charnn.models import Model as LanguageModel

#: The memory that values may take.
_BYTES = 1 << 30

#: How long a pattern is looked for.
_SECONDS = 10.0

#: Pages narrower than this leave out the rules.
_WIDE = 72


def neurons(
    find: Annotated[
        str,
        typer.Option(
            help="quote, indent, line-position, word-end, or a regular expression.",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ],
    text: Annotated[
        Path | None,
        typer.Option(
            help="Read this file; - is stdin.",
            show_default="the model's validation text",
            rich_help_panel=INPUT,
        ),
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=4, help="Read no more tokens than this.", rich_help_panel=INPUT)
    ] = 20_000,
    top: Annotated[
        int, typer.Option(min=1, help="How many units are listed and drawn.", rich_help_panel=SHOWN)
    ] = 5,
    show: Annotated[
        int,
        typer.Option(
            min=0, help="How many tokens are drawn; 0 draws nothing.", rich_help_panel=SHOWN
        ),
    ] = 240,
    seed: Annotated[
        int, typer.Option("-s", "--seed", min=0, help="Of the chance level.", rich_help_panel=SHOWN)
    ] = 0,
    output: Picture = None,
    force: Force = False,
    model: Model = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find units that track a property of the text, and paint text with what they show.

    quote: inside quotation marks (an empty line closes them). indent: white space that begins the
    line. line-position: characters since the line began. word-end: inside words, whether this
    character is the word's last. Anything else is a regular expression, as Python's re knows it:
    inside a match or not. (?m) lets ^ and $ match at lines.

    The hidden and the cell value of every unit is tried alone. The first half of the text fits,
    the second judges. Scores of yes or no are areas under the ROC curve: 0.5 is chance, 1 is
    perfect; of numbers, Spearman's rank correlation, where 0 is chance. Of many units one always
    fits: the chance level is what the best of them gets when labels are turned against the text.

    Examples:
        charnn inspect neurons --find quote

        charnn inspect neurons --find line-position --text poems.txt -o lines.png

        charnn inspect neurons --find "[0-9]+" --json
    """
    from charnn.cli.inspect.page import Page, labels
    from charnn.cli.inspect.painting import Painted, draw_painted, painted_inches, write_painted
    from charnn.inspection.neurons import halves, probe, read_units, value_bytes
    from charnn.inspection.properties import find_property, text_of

    be_quiet(quiet)
    kind = None if output is None else picture_kind(output, force)
    if output is not None and not show:
        raise UsageError("--show 0 leaves nothing to draw", "leave out -o, or show some tokens")
    opened, engine = open_network(model)
    token_bytes = opened.tokenizer.token_bytes
    ids_T = _ids(opened, text, _affordable(tokens, value_bytes(engine)))
    told, last_T = text_of(ids_T.tolist(), token_bytes)
    with _at_most(_SECONDS, find):
        prop = find_property(find, told)
    labels_T = prop.values_C[last_T]
    try:
        halves(labels_T)  # before the time that reading takes
    except InputError as error:
        raise error.at(f"--find {find}") from None
    with token_bar("reading", len(ids_T)) as advance:
        values = read_units(engine, ids_T, advance)
    probed = probe(values, labels_T, is_number=prop.is_number, top=top, seed=seed)
    payload = Payload()
    if json:
        for rank, found in enumerate(probed.best, start=1):
            payload.json({"find": find, "rank": rank, **_record(found, probed, seed)})
        if output is None:
            return
    piece = _excerpt(labels_T, told, last_T, show)
    painted = Painted(
        f"--find {find}",
        labels(ids_T[piece], token_bytes),
        [_painting(found, values, piece) for found in probed.best],
        None if prop.is_number else labels_T[piece] == 1,
    )
    if output is not None and kind is not None:

        def draw(figure: "Figure") -> None:
            draw_painted(figure, painted)

        write_picture(output, draw, kind, painted_inches(painted))
        return
    page = Page()
    _write_table(page, find, prop.is_number, probed, len(values.units))
    if show:
        write_painted(page, painted)
    payload.write(page.text())


def _ids(model: "LanguageModel", text: Path | None, limit: int) -> "NDArray[Any]":
    if text is None:
        return validation_ids(model, "give a text with --text FILE")[:limit]
    ids_T, tally = read_ids(model, text, limit)
    return begin_of(ids_T, limit, tally, "give another, or leave --text out")


def _affordable(tokens: int, size: int) -> int:
    """As many tokens as there is memory for, and a word if that is fewer than are wanted."""
    most = _BYTES // size
    if most < tokens:
        warn(f"values of more than {most:,} tokens would take over a gibibyte; no more are read")
    return min(tokens, most)


@contextlib.contextmanager
def _at_most(seconds: float, pattern: str) -> Iterator[None]:
    """Give up on a pattern that takes for ever: some do, for some texts, whoever looks for them."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise InputError(
            f"--find {pattern}: no end is in sight after {seconds:g} seconds",
            "repeats inside of repeats, as in (a+)+, can take for ever",
        )

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _excerpt(labels_T: "NDArray[Any]", text: str, last_T: "NDArray[Any]", length: int) -> slice:
    """The lines of the second half of a text in which a property varies most."""
    import numpy as np

    from charnn.inspection.neurons import telling_excerpt

    ends = [place for place, character in enumerate(text) if character == "\n"]
    begins = np.flatnonzero(np.isin(last_T[:-1], ends)) + 1
    return telling_excerpt(labels_T, begins[begins >= len(labels_T) // 2], length)


def _painting(found: "Found", values: "Values", piece: slice) -> "Painting":
    """What a unit showed, around its threshold, or from the least on where there is none."""
    from charnn.cli.inspect.painting import Painting
    from charnn.cli.inspect.palette import around, rising

    shown_T = values.values_TU[piece, values.units.index(found.unit)]
    scale = rising(shown_T) if found.threshold is None else around(found.threshold, shown_T)
    return Painting(_named(found), shown_T, scale)


def _named(found: "Found") -> str:
    unit = found.unit
    return f"layer {unit.layer + 1} {unit.kind} {unit.index}"


def _record(found: "Found", probed: "Probed", seed: int) -> dict[str, Any]:
    return {
        "layer": found.unit.layer + 1,
        "value": found.unit.kind,
        "unit": found.unit.index,
        "sign": found.sign,
        "measure": "spearman" if found.threshold is None else "auc",
        "fitted": found.fitted,
        "held_out": found.held_out,
        "threshold": found.threshold,
        "balanced_accuracy": found.balanced_accuracy,
        "chance_fitted": probed.chance_fitted,
        "chance_held_out": probed.chance_held_out,
        "fitted_tokens": probed.positions[0],
        "held_out_tokens": probed.positions[1],
        "seed": seed,
    }


def _write_table(page: "Page", find: str, is_number: bool, probed: "Probed", size: int) -> None:
    measure = "rank correlation" if is_number else "area under the ROC curve"
    page.paragraph(
        f"{find}: {measure}, fitted on {probed.positions[0]:,} tokens, "
        f"judged on the next {probed.positions[1]:,}"
    )
    wide = page.width >= _WIDE and not is_number
    page.line()
    page.line(f"{'unit':<20} fitted  held out", "  rule, and how often it is right" * wide)
    for found in probed.best:
        rule = ""
        if wide and found.threshold is not None and found.balanced_accuracy is not None:
            side = "above" if found.sign > 0 else "below"
            rule = f"  {side} {found.threshold:.3g}: {found.balanced_accuracy:.1%}"
        name = f"{'+' if found.sign > 0 else '-'} {_named(found)}"
        page.line(f"{name:<20}  {found.fitted:.3f}     {found.held_out:.3f}{rule}")
    page.line(f"{'chance':<20}  {probed.chance_fitted:.3f}     {probed.chance_held_out:.3f}")
    page.line()
    page.paragraph(
        f"chance: the most that the best of {size:,} values got where the labels were turned "
        f"against the text, {probed.rotations} times"
    )
