"""``charnn inspect gradients``: how far back a gradient reaches."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charnn.cli.console import Payload, be_quiet, takes_colours, token_bar, visible
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.options import INPUT, SHOWN, Force, Json, Model, Picture, Quiet
from charnn.cli.places import Inputs, find_run
from charnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.inspection.decay import Clipping, Decay
    from charnn.nn.language_model import LanguageModel

#: Cells that can be told a spectral radius: their state goes through one matrix alone.
_ELMAN = ("elman", "elman-relu", "linear")

#: The symbols of random input, and the windows of which the whole gradient is taken.
_SYMBOLS, _WINDOWS = 64, 64

_FRESH = "With --cells"


@dataclass(frozen=True)
class _Subject:
    """A model, or a freshly made cell, and what JSON calls it."""

    name: str
    known: dict[str, Any]
    models: Sequence["LanguageModel"]
    """One, or a cell's, one a seed."""


def gradients(
    model: Model = None,
    text: Annotated[
        Path | None,
        typer.Option(
            help="Read this file instead; - is stdin.", show_default=False, rich_help_panel=INPUT
        ),
    ] = None,
    distance: Annotated[
        int, typer.Option(min=1, max=100_000, help="How far back.", rich_help_panel=SHOWN)
    ] = 100,
    positions: Annotated[
        int, typer.Option(min=1, help="How many positions T in the text.", rich_help_panel=INPUT)
    ] = 256,
    layer: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="This layer alone; 1 is the lowest.",
            show_default="all",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(
            help="Show also what clipping to this norm does to the gradients of windows.",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ] = None,
    cells: Annotated[
        str | None,
        typer.Option(
            help="Freshly made cells instead: names with commas, also linear.",
            show_default=False,
            rich_help_panel=_FRESH,
        ),
    ] = None,
    hidden: Annotated[int, typer.Option(min=1, help="Units.", rich_help_panel=_FRESH)] = 64,
    spectral_radius: Annotated[
        list[float] | None,
        typer.Option(
            help="Scale the recurrent matrix of Elman cells to it; again for others beside it.",
            show_default=False,
            rich_help_panel=_FRESH,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Cells of each kind.", rich_help_panel=_FRESH)
    ] = 5,
    output: Picture = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how far back gradients reach: how they vanish, or explode.

    The loss of a token is sent back through the states before it. What is drawn is the norm of
    its gradient by the state h (and c) that was handed on d tokens earlier: the geometric mean over
    many places of the model's own validation text. "per step" is the factor that a step
    multiplies by, of an exponential fitted to all.

    --cells compares cells that never learned: one layer each, on random symbols, or on the
    bytes of --text. --spectral-radius makes an Elman cell's matrix shrink (below 1) or stretch.

    --clip-norm takes the gradient by all parameters of single windows of that length, and tells
    which would be scaled down, and to what share. In training it is the mean over a batch that is
    clipped; that is shorter.

    Examples:
        charnn inspect gradients

        charnn inspect gradients -m fables --layer 1 --clip-norm 1 -o gradients.png

        charnn inspect gradients --cells linear,elman,gru,lstm

        charnn inspect gradients --cells linear,elman --spectral-radius 0.9 --spectral-radius 1.1
    """
    be_quiet(quiet)
    kind = None if output is None else picture_kind(output, force)
    if clip_norm is not None and not clip_norm > 0:
        raise UsageError(f"--clip-norm must be above 0, not {clip_norm:g}")
    if cells is None and spectral_radius:
        raise UsageError("--spectral-radius needs --cells", "a trained model is as it is")
    if cells is not None and model is not None:
        raise UsageError("--cells and --model exclude each other")
    wanted = None if cells is None else _wanted(cells, spectral_radius or [])
    from charnn.inspection.gradients import cut_windows

    if wanted is None:
        subjects, ids_T, source = _trained(model, text)
    else:
        ids_T, source = _input(text)
        vocabulary = _SYMBOLS if text is None else 256
        subjects = _fresh(wanted, hidden, vocabulary, seeds)
    top = min(len(subject.models[0].recurrent.layers) for subject in subjects)
    if layer is not None and layer > top:
        raise UsageError(f"there is no layer {layer}", f"the top one is {top}")
    windows_NL = cut_windows(ids_T, distance, positions)
    decays, clippings = _measure(subjects, windows_NL, distance, layer, clip_norm)
    heading = f"{len(windows_NL)} positions, {visible(source)}"
    if output is not None and kind is not None:
        from charnn.cli.inspect.decays import draw

        def drawing(figure: "Figure") -> None:
            draw(figure, decays, clippings, heading)

        write_picture(output, drawing, kind, (9, 5 + (1 + 0.3 * len(clippings)) * bool(clippings)))
    payload = Payload()
    if json:
        for record in _records(subjects, decays, clippings, source, len(windows_NL)):
            payload.json(record)
    elif output is None:
        payload.write(_drawn(decays, clippings, heading))


def _wanted(cells: str, radii: Sequence[float]) -> list[tuple[str, float | None]]:
    """The cells that are asked for, and the spectral radius of each."""
    from typing import get_args

    from charnn.architecture import CellName

    known = (*get_args(CellName), "linear")
    names = list(dict.fromkeys(name.strip() for name in cells.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"no cell is called {name!r}", f"there are: {', '.join(known)}")
    if radii and not set(names) & set(_ELMAN):
        raise UsageError(f"--spectral-radius is for {', '.join(_ELMAN)}", "name one of them")
    if any(not 0 < radius < float("inf") for radius in radii):
        raise UsageError("--spectral-radius must be above 0")
    return [
        (name, radius)
        for name in names
        for radius in (radii if radii and name in _ELMAN else [None])
    ]


def _trained(model: Path | None, text: Path | None) -> tuple[list[_Subject], Any, str]:
    """The model at hand, and its text."""
    from charnn.architecture import ModelConfig
    from charnn.cli.reading import own_corpus, read_ids, warn_of_lost
    from charnn.inspection.gradients import trained
    from charnn.models import open_model

    opened = open_model(find_run(model, recurrent=True))
    if not isinstance(opened.checkpoint.config.model, ModelConfig):
        raise UsageError(
            f"{opened.checkpoint.path} counts, and has no gradient", "name a recurrent model"
        )
    if text is None:
        ids_T: Any = own_corpus(opened, "read a file: --text FILE").tokens("validation")
    else:
        ids_T, tally = read_ids(opened, text)
        warn_of_lost(tally)
    path = str(opened.checkpoint.path)
    subject = _Subject("", {"checkpoint": path}, [trained(opened.checkpoint)])
    return [subject], ids_T, "validation" if text is None else str(text)


def _input(text: Path | None) -> tuple[Any, str]:
    """What fresh cells read: bytes of a file, or random symbols."""
    import numpy as np

    if text is not None:
        with Inputs() as inputs:
            return np.frombuffer(inputs.path(text).read_bytes(), dtype=np.uint8), str(text)
    return np.random.default_rng(0).integers(_SYMBOLS, size=1 << 16), "random symbols"


def _fresh(
    wanted: Sequence[tuple[str, float | None]], hidden: int, vocabulary: int, seeds: int
) -> list[_Subject]:
    from charnn.inspection.gradients import fresh

    return [
        _Subject(
            cell if radius is None else f"{cell} {radius:g}",
            {"cell": cell, "spectral_radius": radius, "hidden": hidden, "seeds": seeds},
            [fresh(cell, hidden, vocabulary, seed, radius) for seed in range(seeds)],
        )
        for cell, radius in wanted
    ]


def _measure(
    subjects: Sequence[_Subject],
    windows_NL: Any,
    distance: int,
    layer: int | None,
    clip_norm: float | None,
) -> tuple[list["Decay"], dict[str, "Clipping"]]:
    """The curves of every subject, and its whole gradients if clipping is asked for."""
    import numpy as np

    from charnn.inspection.decay import Clipping, by_layer
    from charnn.inspection.gradients import PARTS, gradient_norms, parameter_norms

    decays, clippings = [], {}
    with token_bar("unrolling", len(subjects) * len(windows_NL)) as advance:
        for subject in subjects:
            seeds = len(subject.models)
            shares = [windows_NL[seed::seeds] for seed in range(seeds)]
            found = [
                gradient_norms(model, windows, distance, advance)
                for model, windows in zip(subject.models, shares, strict=True)
                if len(windows)
            ]
            norms_LAND = np.concatenate(found, axis=2)
            curves = by_layer(subject.name, PARTS, norms_LAND)
            decays += [one for one in curves if layer in (None, one.layer)]
            if clip_norm is not None:
                few = max(1, _WINDOWS // seeds)
                norms = [
                    parameter_norms(model, windows[:: -(-len(windows) // few)], distance)
                    for model, windows in zip(subject.models, shares, strict=True)
                    if len(windows)
                ]
                clippings[subject.name] = Clipping(np.concatenate(norms), clip_norm)
    return decays, clippings


def _records(
    subjects: Sequence[_Subject],
    decays: Sequence["Decay"],
    clippings: dict[str, "Clipping"],
    source: str,
    positions: int,
) -> Iterator[dict[str, Any]]:
    known = {subject.name: subject.known for subject in subjects}
    for one in decays:
        yield {
            **known[one.name],
            "text": source,
            "positions": positions,
            "layer": one.layer,
            "state": one.part,
            "norm": one.mean_D.tolist(),
            "spread": one.spread_D.tolist(),
            "zero": one.zero_D.tolist(),
            "ratio_per_step": one.ratio,
            "tenth_at": one.fell_to(0.1),
            "thousandth_at": one.fell_to(0.001),
        }
    for name, clipping in clippings.items():
        yield {
            **known[name],
            "text": source,
            "windows": len(clipping.norms_N),
            "clip_norm": clipping.clip_norm,
            "gradient_norms": clipping.norms_N.tolist(),
            "clipped_share": clipping.share,
            "mean_factor": clipping.factor,
        }


def _drawn(decays: Sequence["Decay"], clippings: dict[str, "Clipping"], heading: str) -> str:
    from charnn.cli.inspect.decays import text

    width, lines = shutil.get_terminal_size()
    height = min(max(lines - 20, 10), 24)
    return text(decays, clippings, heading, min(width, 120), height, colour=takes_colours())
