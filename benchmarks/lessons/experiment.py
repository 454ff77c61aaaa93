"""What all lessons share: options, work side by side, Markdown tables, and the picture."""

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from charnn.cli.figure import picture
from charnn.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Task = TypeVar("Task")
Result = TypeVar("Result")

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "docs" / "lessons"


def options(name: str, about: str | None, steps: int | None = None) -> argparse.ArgumentParser:
    """The options that every lesson has; ``--steps`` where something learns.

    Args:
        name: the lesson's, and its picture's.
        about: what the script says of itself.
        steps: how many are taken if nothing else is said.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1 on")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes, a thread each")
    parser.add_argument("-o", "--output", type=Path, default=PICTURES / f"{name}.svg")
    if steps is not None:
        parser.add_argument("--steps", type=int, default=steps, help="training steps of each run")
    return parser


def work_through(work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> list[Result]:
    """The results in the order of the tasks; a dot on standard error as each comes."""
    results = []
    tasks = list(tasks)
    if jobs > 1:
        # Forked, a process would inherit locks of torch's threads.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for result in pool.map(work, tasks):
                results.append(result)
                print(".", end="", file=sys.stderr, flush=True)
    else:
        for task in tasks:
            results.append(work(task))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def spread(values: Sequence[float], digits: int = 3, unit: str = "") -> str:
    """Mean ± standard deviation of a sample.

    >>> spread([1.0, 2.0, 3.0], 1)
    '2.0 ± 1.0'
    >>> spread([2.0], 1, " %")
    '2.0 %'
    """
    mean = statistics.fmean(values)
    if not math.isfinite(mean):
        return f"{mean}"
    if len(values) == 1:
        return f"{mean:.{digits}f}{unit}"
    return f"{mean:.{digits}f} ± {statistics.stdev(values):.{digits}f}{unit}"


def power(value: float) -> str:
    """A number of any size, short.

    >>> power(0.0019), power(1.0), power(2.5e-14), power(4321.0), power(4.321e9)
    ('0.0019', '1', '2.5e-14', '4,321', '4.3e+09')
    """
    return f"{value:,.0f}" if 10 <= abs(value) < 1e5 else f"{value:.2g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown.

    >>> print(table(("cell", "nats"), [("lstm", "1.5")]))
    | cell | nats |
    |---|---|
    | lstm | 1.5 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines
    )


def draw(
    output: Path, drawing: Callable[["Figure"], None], inches: tuple[float, float] = (8, 4)
) -> None:
    """Write the lesson's picture, and tell what all of it cost."""
    output.parent.mkdir(parents=True, exist_ok=True)
    data, _ = picture(drawing, output.suffix.removeprefix("."), inches)
    write_atomically(output, data)
    # Of this process and of those that it started.
    print(f"{sum(os.times()[:4]):.0f} s of processor time; wrote {output}", file=sys.stderr)


def dress(axes: "Axes", x_label: str, y_label: str, title: str = "") -> None:
    """Labels and a quiet grid, as ``charnn plot`` has them; scales are set before."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":  # powers would be set as mathematics, which a name is not
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: "")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
