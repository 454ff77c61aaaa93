"""How long units remember, as a table, as JSON and as a picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charnn.cli.console import Payload, token_bar
from charnn.cli.figure import COLOURS, write_picture
from charnn.cli.inspect.page import Page
from charnn.errors import UsageError
from charnn.inspection.gates import OPEN, SHUT, LayerUse, summarize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.engine import Engine
    from charnn.models import Model

#: How many units are shown of either end.
_ENDS = 6

#: Pages narrower than this show numbers alone.
_WIDE = 56


def summary_cells(engine: "Engine", model: "Model") -> None:
    """Check that the cells keep what they remember by a gate.

    Raises:
        UsageError: they have none that does.
    """
    if engine.layers[0].keeps is None:
        raise UsageError(
            f"{model.checkpoint.config.model.cell} has no gate that keeps or forgets",
            "--summary needs an LSTM or a GRU",
        )


def show_summary(
    engine: "Engine",
    ids_T: NDArray[Any],
    layers: Sequence[int],
    output: Path | None,
    kind: str | None,
    *,
    everything: bool,
    json: bool,
) -> None:
    """Read a text, and show how long the units of some layers remember."""
    with token_bar("reading", len(ids_T)) as advance:
        uses = summarize(engine, ids_T, advance)
    if output is not None and kind is not None:

        def draw(figure: "Figure") -> None:
            draw_saturation(figure, uses, layers)

        write_picture(output, draw, kind, (3.4 * len(uses[0].gates), 3.7))
    payload = Payload()
    if json:
        for layer in layers:
            for record in _records(uses[layer], layer):
                payload.json(record)
    elif output is None:
        page = Page()
        for layer in layers:
            write_table(
                page,
                uses[layer],
                layer,
                str(engine.layers[layer].keeps),
                len(ids_T),
                everything=everything,
            )
        payload.write(page.text())


def _records(use: LayerUse, layer: int) -> Iterator[dict[str, Any]]:
    assert use.memory_H is not None
    for unit in _by_memory(use):
        gates = {
            name: {
                "mean": float(gate.mean_H[unit]),
                "open": float(gate.open_H[unit]),
                "shut": float(gate.shut_H[unit]),
            }
            for name, gate in use.gates.items()
        }
        yield {
            "layer": layer + 1,
            "unit": unit,
            "memory_tokens": float(use.memory_H[unit]),
            **gates,
        }


def _by_memory(use: LayerUse) -> list[int]:
    assert use.memory_H is not None
    units: list[int] = np.argsort(-use.memory_H, kind="stable").tolist()
    return units


def write_table(
    page: Page, use: LayerUse, layer: int, keeps: str, tokens: int, *, everything: bool
) -> None:
    """Write a layer's units by their memory, the longest first, and how its gates are used."""
    assert use.memory_H is not None
    units = _by_memory(use)
    cut = not everything and len(units) > 2 * _ENDS
    wide = page.width >= _WIDE
    if page.text():
        page.line()
    page.paragraph(
        f"layer {layer + 1}: memory in tokens, from the mean {keeps} gate over {tokens:,} tokens"
    )
    page.line("unit   memory ", *(f" {name:<{10 if wide else 6}}" for name in use.gates))
    for place, unit in enumerate(units):
        if cut and place == _ENDS:
            page.line(f"  ... {len(units) - 2 * _ENDS:,} more, with --all")
        if cut and _ENDS <= place < len(units) - _ENDS:
            continue
        means = (float(gate.mean_H[unit]) for gate in use.gates.values())
        shown = (f" {mean:.3f}{f' {_word(mean):<4}' if wide else ' '}" for mean in means)
        page.line(f"{unit:>4} {_long(float(use.memory_H[unit])):>8} ", *shown)
    for name, gate in use.gates.items():
        opened, shut = int((gate.mean_H > OPEN).sum()), int((gate.mean_H < SHUT).sum())
        page.paragraph(
            f"{name}: {opened} of {len(units)} units open, {shut} shut; "
            f"{gate.open_H.mean():.0%} of the time open, {gate.shut_H.mean():.0%} shut"
        )


def _word(mean: float) -> str:
    return "open" if mean > OPEN else "shut" if mean < SHUT else ""


def _long(memory: float) -> str:
    if memory == np.inf:
        return "always"
    return f"{memory:,.0f}" if memory >= 100 else f"{memory:.1f}"


def draw_saturation(figure: "Figure", uses: Sequence[LayerUse], layers: Sequence[int]) -> None:
    """Draw how often each unit's gates are open and shut: Karpathy et al. (2015), figure 3."""
    every = figure.subplots(1, len(uses[0].gates), squeeze=False, sharey=True)[0]
    for axes, name in zip(every, uses[0].gates, strict=True):
        axes.plot([0, 1], [1, 0], color="#bbbbbb", linewidth=0.8, zorder=1)
        for layer in layers:
            gate = uses[layer].gates[name]
            axes.plot(
                gate.shut_H, gate.open_H, "os^Dv"[layer % 5], color=f"C{layer % COLOURS}",
                alpha=0.5, markersize=4, markeredgewidth=0, label=f"layer {layer + 1}",
            )  # fmt: skip
        axes.set_title(f"{name} gate", fontsize=10)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        axes.set_xlabel(f"share of time shut (below {SHUT})", fontsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    every[0].set_ylabel(f"share of time open (above {OPEN})", fontsize=9)
    every[-1].legend(fontsize=8, framealpha=0.9, edgecolor="none")
