"""``charnn inspect gates``: what gates and cells do, and how long units remember."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charnn.cli.console import Payload, be_quiet
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.generate import read_prompt_option
from charnn.cli.inspect.subject import begin_of, open_network, validation_ids
from charnn.cli.options import INPUT, SHOWN, Force, Json, Model, Picture, Quiet
from charnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from charnn.cells.base import Inner
    from charnn.models import Model as LanguageModel

#: How many units are shown if none are chosen.
_UNITS = 6

_MAP_TOKENS, _SUMMARY_TOKENS = 160, 20_000


def gates(
    prompt: Annotated[
        str | None,
        typer.Option(
            "-p",
            "--prompt",
            help="The text to read.",
            show_default="validation text",
            rich_help_panel=INPUT,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f",
            "--file",
            help="Read this file; - is stdin.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            help="Which layer, 1 being the lowest.",
            show_default="the top one",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(
            help="Which units, from 0 on: 0,5,17 or 8-15 or all.",
            show_default="those that vary most",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            help="Which values: input, forget, output, new, cell, hidden; of a GRU reset, update, "
            "new, hidden.",
            show_default="all but new",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary", help="Tell how long each unit remembers instead.", rich_help_panel=SHOWN
        ),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="With --summary: all units, not only the ends.", rich_help_panel=SHOWN
        ),
    ] = False,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Read no more tokens than this.",
            show_default=f"{_MAP_TOKENS}; with --summary {_SUMMARY_TOKENS:,}",
            rich_help_panel=INPUT,
        ),
    ] = None,
    output: Picture = None,
    force: Force = False,
    model: Model = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what the gates, cells and hidden values of chosen units do, token by token.

    A column is a token and a row a unit, at the moment when the token was read. A gate is between
    0, shut, and 1, open. Without colours a digit tells the tenth of the scale that a value is in.
    Without -p or -f the model reads its validation text.

    With --summary every unit is told by its memory: the number of tokens after which 1/e of what
    it holds is left, -1 / ln f, where f is its forget gate's mean over the text (a GRU's: update
    gate). A gate whose mean is above 0.9 is called open, one below 0.1 shut.

    Examples:
        charnn inspect gates -p "The fox said: \\"No!\\""

        charnn inspect gates -p "The fox" --layer 1 --units 0,5,17 --gate forget --gate cell

        charnn inspect gates -f letter.txt -o gates.svg

        charnn inspect gates --summary
    """
    be_quiet(quiet)
    if summary and (gate or units):
        raise UsageError("--summary tells of all gates and units", "leave out --gate and --units")
    if everything and not summary:
        raise UsageError("--all goes with --summary", "--units all shows all units")
    kind = None if output is None else picture_kind(output, force)
    opened, engine = open_network(model)
    layers = len(engine.layers)
    if layer is not None and not 1 <= layer <= layers:
        raise UsageError(f"there is no layer {layer}", f"the model has 1 to {layers}")
    limit = tokens or (_SUMMARY_TOKENS if summary else _MAP_TOKENS)
    if summary:
        from charnn.cli.inspect.memory_table import show_summary, summary_cells

        summary_cells(engine, opened)
        ids_T = _ids(opened, prompt, file, limit)
        wanted = range(layers) if layer is None else [layer - 1]
        show_summary(engine, ids_T, wanted, output, kind, everything=everything, json=json)
        return
    from charnn.cli.inspect.heatmap import (
        draw_heat_map,
        heat_map_inches,
        heat_map_of,
        write_heat_map,
    )
    from charnn.cli.inspect.page import Page, labels
    from charnn.inspection.gates import activations

    ids_T = _ids(opened, prompt, file, limit)
    which = (layer or layers) - 1
    inner = activations(engine, ids_T)[which]
    names = _values(inner, gate, opened.checkpoint.config.model.cell)
    chosen, how = _units(units, inner)
    if json:
        _write_json(opened, ids_T, inner, names, chosen, which)
        if output is None:
            return
    title = f"{opened.checkpoint.config.model.cell}, layer {which + 1} of {layers}, {how}"
    shown = {name: inner[name] for name in names}
    table = opened.tokenizer.token_bytes
    heat_map = heat_map_of(title, labels(ids_T, table), shown, chosen, engine.layers[which].gates)
    if output is not None and kind is not None:

        def draw(figure: "Figure") -> None:
            draw_heat_map(figure, heat_map)

        write_picture(output, draw, kind, heat_map_inches(heat_map))
        return
    page = Page()
    write_heat_map(page, heat_map)
    Payload().write(page.text())


def _ids(
    model: "LanguageModel", prompt: str | None, file: Path | None, limit: int
) -> "NDArray[Any]":
    import numpy as np

    from charnn.generation import encode_prompt

    if prompt is None and file is None:
        return validation_ids(model, "give a text with -p or -f")[:limit]
    ids, tally = encode_prompt(model.tokenizer, read_prompt_option(prompt, file))
    hint = "give some, or leave -p and -f out"
    return begin_of(np.array(ids, dtype=np.int64), limit, tally, hint)


def _values(inner: "Inner", wanted: list[str] | None, cell: str) -> list[str]:
    if not wanted:
        return [name for name in inner if name != "new"]
    for name in wanted:
        if name not in inner:
            raise UsageError(f"{cell} has no {name!r}", f"it has {', '.join(inner)}")
    return [name for name in inner if name in wanted]


def _units(units: str | None, inner: "Inner") -> tuple[list[int], str]:
    """The units that are meant, and how they were chosen."""
    from charnn.inspection.gates import most_varied

    shown = list(inner)[-1]
    size = inner[shown].shape[1]
    if units is None:
        found = most_varied(inner[shown], _UNITS)
        return found, f"the {len(found)} units whose {shown} value varies most"
    if units == "all":
        return list(range(size)), "all units"
    found = []
    for part in units.split(","):
        first, _, last = part.strip().partition("-")
        try:
            begin, end = int(first), int(last or first)
        except ValueError:
            begin = end = -1
        if not 0 <= begin <= end < size:
            raise UsageError(
                f"--units {units}: these are no units of the layer",
                f"it has 0 to {size - 1}, as in 0,5,17 or 8-15",
            )
        found += range(begin, end + 1)
    return list(dict.fromkeys(found)), "chosen units"


def _write_json(
    model: "LanguageModel",
    ids_T: "NDArray[Any]",
    inner: "Inner",
    names: list[str],
    units: list[int],
    layer: int,
) -> None:
    payload = Payload()
    for position, id in enumerate(ids_T.tolist()):
        token = model.tokenizer.token_bytes[id].decode("utf-8", "replace")
        values = {name: inner[name][position, units].tolist() for name in names}
        about = {"position": position, "id": id, "token": token, "layer": layer + 1}
        payload.json({**about, "units": units, **values})
