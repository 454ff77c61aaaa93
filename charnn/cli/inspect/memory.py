"""``charnn inspect memory``: how far back a model really looks."""

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charnn.cli.console import Payload, be_quiet, takes_colours, token_bar, visible
from charnn.cli.figure import picture_kind, write_picture
from charnn.cli.options import INPUT, SHOWN, Force, Json, Model, Picture, Quiet
from charnn.cli.places import find_run
from charnn.cli.reading import own_corpus, read_ids, warn_of_lost
from charnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from charnn.inspection.memory import Memory

#: Targets lie in this many tokens: the full context is read token by token, which takes a while.
_READ_TOKENS = 100_000

#: The longest context that is tried if none is named, and the share of a short text that it takes.
_CONTEXT, _SHARE = 512, 4


def memory(
    model: Model = None,
    text: Annotated[
        Path | None,
        typer.Option(
            help="Measure on this file instead; - is stdin.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The longest context, in tokens.",
            show_default="512, less in short texts",
            rich_help_panel=INPUT,
        ),
    ] = None,
    targets: Annotated[
        int, typer.Option(min=1, help="How many tokens are predicted.", rich_help_panel=INPUT)
    ] = 1000,
    within: Annotated[
        float,
        typer.Option(
            min=0, help="What counts as no loss, in nats per token.", rich_help_panel=SHOWN
        ),
    ] = 0.01,
    seed: Annotated[
        int, typer.Option("-s", "--seed", min=0, help="Chooses the targets.", rich_help_panel=INPUT)
    ] = 0,
    output: Picture = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how far back a model looks: what prediction costs when less stands before it.

    The same tokens of the model's own validation text are predicted after their last 1, 2, 4, ...
    tokens alone, and after all of the text before them. The effective length is the least context
    from which on the loss stays within 0.01 nats of that, about 1% of perplexity.

    A short context begins with an empty state, and so pays for a cold start as well.

    Examples:
        charnn inspect memory

        charnn inspect memory -m fables --context 1024 --targets 4000 -o memory.png

        charnn inspect memory --text other.txt --json
    """
    from charnn.inspection.memory import choose_targets, doubling, measure_memory, tokens_to_read
    from charnn.models import open_model

    be_quiet(quiet)
    kind = None if output is None else picture_kind(output, force)
    if not math.isfinite(within):
        raise UsageError(f"--within must be a number, not {within}")
    opened = open_model(find_run(model))
    source = "validation" if text is None else str(text)
    if text is None:
        ids_T: Any = own_corpus(opened, "measure on a file: --text FILE").tokens("validation")
    else:
        ids_T, tally = read_ids(opened, text, _READ_TOKENS)
        warn_of_lost(tally)
    ids_T = ids_T[:_READ_TOKENS]
    longest = context or min(_CONTEXT, max(1, len(ids_T) // _SHARE))
    targets_N = choose_targets(len(ids_T), longest, targets, seed)
    contexts_K = doubling(longest)
    with token_bar("reading", tokens_to_read(targets_N, contexts_K)) as advance:
        found = measure_memory(opened.step_model, ids_T, targets_N, contexts_K, advance)
    if output is not None and kind is not None:
        from charnn.cli.inspect.lookback import draw

        name = visible(f"{opened.checkpoint.path.parent.name}, {source}")

        def drawing(figure: "Figure") -> None:
            draw(figure, found, within, name)

        write_picture(output, drawing, kind)
    payload = Payload()
    if json:
        payload.json(_record(found, within, str(opened.checkpoint.path), source))
    elif output is None:
        from charnn.cli.inspect.lookback import text as lines

        width, height = shutil.get_terminal_size()
        height = min(max(height - len(contexts_K) - 10, 8), 16)
        payload.write(lines(found, within, min(width, 120), height, colour=takes_colours()))


def _record(found: "Memory", within: float, checkpoint: str, source: str) -> dict[str, Any]:
    rows = zip(found.contexts_K, found.nats_K, found.errors_K, strict=True)
    return {
        "checkpoint": checkpoint,
        "text": source,
        "targets": len(found.targets_N),
        "full_nats_per_token": found.full,
        "within": within,
        "effective_context": found.effective(within),
        "contexts": [
            {
                "context": int(context),
                "nats_per_token": float(nats),
                "bits_per_token": float(nats) / math.log(2),
                "over_full": float(nats) - found.full,
                "standard_error": float(error),
            }
            for context, nats, error in rows
        ],
    }
