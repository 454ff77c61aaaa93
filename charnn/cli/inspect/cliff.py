"""``charnn inspect cliff``: the cliff of the error surface, and descent, clipped or not."""

import math
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charnn.cli.console import Payload, be_quiet
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.options import SHOWN, Force, Json, Picture, Quiet
from charnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.inspection.cliff import Descent

#: Where descent begins and how far it goes, with two weights and with one.
_START, _LR, _POWER_START, _POWER_LR = (5.2, -2.45), 0.1, 1.01, 1e-4

_NETWORK, _DESCENT = "The network", "The descent"


def cliff(
    activation: Annotated[
        Literal["sigmoid", "tanh", "relu", "linear"],
        typer.Option(help="φ.", rich_help_panel=_NETWORK),
    ] = "sigmoid",
    length: Annotated[
        int, typer.Option(min=1, max=100_000, help="T, in steps.", rich_help_panel=_NETWORK)
    ] = 50,
    begin: Annotated[float, typer.Option(help="h(0).", rich_help_panel=_NETWORK)] = 0.5,
    target: Annotated[float, typer.Option(help="Of h(T).", rich_help_panel=_NETWORK)] = 0.7,
    power: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The cliff of one weight instead: ½ (w^POWER - 1)².",
            show_default=False,
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    start: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="W B",
            help="Where descent begins.",
            show_default="5.2 -2.45",
            rich_help_panel=_DESCENT,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="The learning rate.",
            show_default="0.1; with --power 0.0001",
            rich_help_panel=_DESCENT,
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=100_000, help="Of descent.", rich_help_panel=_DESCENT)
    ] = 100,
    clip_norm: Annotated[
        float, typer.Option(help="Where gradients are clipped.", rich_help_panel=_DESCENT)
    ] = 1.0,
    w_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="Weights that are drawn.", rich_help_panel=SHOWN),
    ] = (4.0, 7.0),
    b_range: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="Biases that are drawn.", rich_help_panel=SHOWN),
    ] = (-4.0, 1.0),
    output: Picture = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the cliff of the error surface, and gradient descent there, plain and clipped.

    A network of one unit, h(t+1) = φ(w h(t) + b), is to end at a target after T steps. Its error
    over w and b is flat but for a wall: there the gradient is so long that one plain step loses
    what was found, and a clipped one does not. After Pascanu, Mikolov & Bengio (2013), figure 6.

    Examples:
        charnn inspect cliff

        charnn inspect cliff -o cliff.png

        charnn inspect cliff --power 999
    """
    import numpy as np

    from charnn.inspection.cliff import OneUnit, PowerCliff, Surface, descend

    be_quiet(quiet)
    kind = None if output is None else picture_kind(output, force)
    if power is not None and (output is not None or start is not None):
        option = "--start" if output is None else "--output"
        raise UsageError(f"{option} is for two weights, and --power has one")
    if not clip_norm > 0:
        raise UsageError(f"--clip-norm must be above 0, not {clip_norm:g}")
    for name, (low, high) in (("--w-range", w_range), ("--b-range", b_range)):
        if not -math.inf < low < high < math.inf:
            raise UsageError(f"{name} must be two numbers, the lower one first")
    surface: Surface = OneUnit(activation, length, begin, target)
    start_W, rate = np.array(start or _START), _LR
    if power is not None:
        surface, start_W, rate = PowerCliff(power), np.array([_POWER_START]), _POWER_LR
    rate = rate if lr is None else lr
    paths = {
        "plain": descend(surface, start_W, rate, steps),
        "clipped": descend(surface, start_W, rate, steps, clip_norm),
    }
    if output is not None and kind is not None:
        from charnn.cli.inspect.landscape import draw

        def drawing(figure: "Figure") -> None:
            draw(figure, surface, paths, w_range, b_range)

        write_picture(output, drawing, kind, (11, 5))
    payload = Payload()
    if json:
        for name, path in paths.items():
            settings = {"lr": rate, "clip_norm": clip_norm if name == "clipped" else None}
            payload.json({"path": name, **settings, **_record(path)})
    elif output is None:
        from charnn.cli.inspect.landscape import heat_map, steps_table

        width, lines = shutil.get_terminal_size()
        width = min(width, 100)
        if power is None:
            height = min(max(lines - 22, 8), 18)
            payload.write(heat_map(surface, paths, w_range, b_range, min(width, 76), height))
        payload.write(steps_table(paths, width))


def _record(path: "Descent") -> Mapping[str, Any]:
    names = ("w", "b")[: path.weights_NW.shape[1]]
    return {
        "overflowed": path.overflowed,
        "steps": [
            {**dict(zip(names, weights, strict=True)), "error": error, "gradient_norm": norm}
            for weights, error, norm in zip(
                path.weights_NW.tolist(), path.errors_N.tolist(), path.norms_N.tolist(), strict=True
            )
        ],
    }
