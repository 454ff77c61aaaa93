"""``charnn plot``: the loss curves of training runs, in the terminal or as a picture."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from charnn.cli.console import Payload, be_quiet, takes_colours, visible
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.known import complete_models
from charnn.cli.options import Force, Json, Picture, Quiet
from charnn.cli.places import Inputs, find_run
from charnn.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.training.curves import Curve

_X_LABELS = {"step": "step", "tokens": "tokens seen", "minutes": "minutes of training"}
_Y_LABELS = {"nats": "nats per token", "bits": "bits per token", "perplexity": "perplexity"}

_STDIN = Path("-")


def plot(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs, or their metrics.jsonl; - is stdin.",
            show_default="the newest run with losses",
            autocompletion=complete_models,
        ),
    ] = None,
    output: Picture = None,
    force: Force = False,
    x: Annotated[
        Literal["step", "tokens", "minutes"], typer.Option("--x", help="What goes across.")
    ] = "step",
    y: Annotated[
        Literal["nats", "bits", "perplexity"],
        typer.Option("--y", help="What goes up, per token."),
    ] = "nats",
    log_x: Annotated[
        bool, typer.Option("--log-x", help="A logarithmic scale across; shows the first steps too.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the loss curves of training runs, also while they are being trained.

    The training loss is smoothed; validation losses are marks, and the best is a star.
    Losses per token of runs with different tokenizers cannot be compared.
    A picture needs matplotlib: pip install "charnn[plot]".

    Examples:
        charnn plot

        charnn plot fables fables-2 --x minutes

        charnn plot fables -o curves.png

        ssh host cat checkpoints/big/metrics.jsonl | charnn plot -
    """
    from charnn.training.curves import best, curve
    from charnn.training.metrics import read_metrics

    be_quiet(quiet)
    kind = None if output is None else picture_kind(output, force)
    found = map(_metrics_file, runs or [find_run(None, recurrent=True)])
    files = list({file.resolve(): file for file in found}.values())
    with Inputs() as inputs:
        metrics = [read_metrics(inputs.path(file)) for file in files]
    names = map(visible, _names(files))
    curves = [
        curve(name, entries, x, y, log_x) for name, entries in zip(names, metrics, strict=True)
    ]
    for file, one in zip(files, curves, strict=True):
        if one.is_empty:
            raise InputError(
                f"{_shown(file)} holds no losses", "training writes the first after ten steps"
            )
    if output is not None and kind is not None:
        from charnn.cli.picture import draw_curves

        def draw(figure: "Figure") -> None:
            draw_curves(figure, curves, _X_LABELS[x], _Y_LABELS[y], log_x)

        write_picture(output, draw, kind)
    payload = Payload()
    if json:
        for file, entries in zip(files, metrics, strict=True):
            step, nats = best(entries)
            facts = {"best_step": step, "best_validation_nats": nats, "points": entries}
            payload.json({"run": _run(file), **facts})
    elif output is None:
        payload.write(_chart(curves, x, y, log_x=log_x))


def _metrics_file(run: Path) -> Path:
    """The metrics that are meant: of a run, of the run of a checkpoint, or the file itself."""
    from charnn.manifest import MANIFEST
    from charnn.training.metrics import FILE

    if run == _STDIN:
        return run
    path = find_run(run)
    if not path.exists():
        raise InputError(f"no such run: {path}", "train one with charnn train")
    if not path.is_dir():
        return path
    is_checkpoint = (path / MANIFEST).is_file() and not (path / FILE).exists()
    folder = path.resolve().parent if is_checkpoint else path
    if not (folder / FILE).exists():
        raise InputError(
            f"{folder} has no {FILE}", "training writes one; counting (--cell ngram) does not"
        )
    return folder / FILE


def _names(files: Sequence[Path]) -> list[str]:
    """What the runs are called: as their folders, and by their paths where these are the same."""
    short = [
        _shown(file) if _run(file) == str(file) else file.resolve().parent.name for file in files
    ]
    return [
        _run(file) if short.count(name) > 1 else name
        for file, name in zip(files, short, strict=True)
    ]


def _run(file: Path) -> str:
    """The run that a file is the metrics of; the file itself if it is called otherwise."""
    from charnn.training.metrics import FILE

    return str(file.parent if file.name == FILE else file)


def _shown(file: Path) -> str:
    return "standard input" if file == _STDIN else str(file)


def _chart(curves: Sequence["Curve"], x: str, y: str, *, log_x: bool) -> str:
    from charnn.cli.chart import chart

    width, lines = shutil.get_terminal_size()
    height = min(max(lines - 5 - 2 * len(curves), 8), 28)
    labels = _X_LABELS[x], _Y_LABELS[y]
    return chart(curves, *labels, min(width, 120), height, log_x, takes_colours())
