"""Pictures, drawn by matplotlib, which need not be there: how they look, and where they go."""

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from charnn.cli.console import quoted, say, warn
from charnn.errors import OutputError, UsageError
from charnn.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Told apart also by who sees fewer colours, and in print: after Okabe & Ito (2008). Pictures take
#: them by number: "C0", "C1", ...
_ON_WHITE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8b6508", "#56b4e9", "#444444")
_ON_BLACK = ("#56b4e9", "#f0883e", "#2fc59b", "#e09fc6", "#e6c15a", "#8f9cf0", "#c8c8c8")
COLOURS = len(_ON_WHITE)

#: What lies behind, what is written, and the lines of a grid.
_LIGHT, _DARK = ("#ffffff", "#1a1a1a", "#e4e4e4"), ("#16181d", "#e6e6e6", "#3a3d44")

#: What a machine may have that shows Chinese, the best first.
_CJK = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK JP",
    "Noto Sans CJK TC",
    "Heiti SC",
    "SimHei",
    "Arial Unicode MS",
    "Droid Sans Fallback",
    "Unifont",
)


def picture_kind(output: Path, force: bool) -> str:
    """The kind of picture that a file's name asks for, "png" or "svg".

    Raises:
        UsageError: it asks for neither.
        OutputError: the file exists, and must not be replaced.
    """
    kind = output.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise UsageError(f"{output} is no name for a picture", "let it end in .png or .svg")
    check_free(output, force)
    return kind


def check_free(output: Path, force: bool) -> None:
    """See to it that nothing is replaced that must not be.

    Raises:
        OutputError: the file exists.
    """
    if output.is_dir():
        raise OutputError(f"{output} is a folder", "name a file")
    if output.exists() and not (force and output.is_file()):
        raise OutputError(f"{output} exists", "choose another name, or give --force")


def picture(
    draw: Callable[["Figure"], None],
    kind: str,
    inches: tuple[float, float] = (8, 5),
    *,
    dark: bool = False,
) -> tuple[bytes, bool]:
    """A picture, and whether all of its characters could be shown.

    Args:
        draw: puts axes into a figure, and draws.
        kind: "png" or "svg".
        inches: width and height.
        dark: whether it is light on dark.

    Raises:
        OutputError: matplotlib is not there.
    """
    # It would tell of its caches; where it cannot keep one, it does without.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib
        from cycler import cycler
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ImportError as error:
        raise OutputError(
            "a picture is drawn by matplotlib, which is missing", 'pip install "charnn[plot]"'
        ) from error

    there = {font.name for font in fontManager.ttflist}
    behind, ink, grid = _DARK if dark else _LIGHT
    with matplotlib.rc_context(), warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Glyph ")
        warnings.filterwarnings("ignore", message="Creating legend")  # that it is slow
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": ["DejaVu Sans", *(name for name in _CJK if name in there)],
                "text.parse_math": False,  # a name may hold dollar signs
                "svg.fonttype": "none",  # text stays text
                "svg.hashsalt": "charnn",  # the same run, the same bytes
                "axes.prop_cycle": cycler(color=_ON_BLACK if dark else _ON_WHITE),
                "grid.color": grid,
                "figure.facecolor": behind,
                "axes.facecolor": behind,
                "text.color": ink,
                "axes.edgecolor": ink,
                "axes.labelcolor": ink,
                "xtick.color": ink,
                "ytick.color": ink,
            }
        )
        figure = Figure(figsize=inches, dpi=150, layout="constrained")
        draw(figure)
        data = io.BytesIO()
        undated = {"Date": None} if kind == "svg" else {}
        figure.savefig(data, format=kind, metadata=undated)
    return data.getvalue(), kind == "svg" or not caught


def write_picture(
    output: Path, draw: Callable[["Figure"], None], kind: str, inches: tuple[float, float] = (8, 5)
) -> None:
    """Draw a picture into a file, whole or not at all, and say so.

    Raises:
        OutputError: matplotlib is not there, or the file cannot be written.
    """
    data, complete = picture(draw, kind, inches)
    write_atomically(output, data)
    if not complete:
        warn("no font here shows all characters; an .svg leaves that to its viewer")
    say(f"wrote {quoted(output)}")
