"""``charnn report``: one page that shows a run."""

from pathlib import Path
from typing import Annotated

import typer

from charnn.cli.console import Payload, be_quiet, quoted, say
from charnn.cli.figure import check_free
from charnn.cli.known import complete_models
from charnn.cli.options import Force, Quiet
from charnn.cli.places import find_run

_STDOUT = Path("-")


def report(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run or checkpoint.",
            show_default="the newest run",
            autocompletion=complete_models,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The page; - is standard output.")
    ] = Path("report.html"),
    force: Force = False,
    prompt: Annotated[
        str, typer.Option("-p", "--prompt", help="What the samples begin with.")
    ] = "",
    seed: Annotated[int, typer.Option("-s", "--seed", min=0, help="Seed of the samples.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Write one page that shows a run: what it learned, and how it does it.

    Loss curves, samples at several temperatures, held-out text painted by its surprise, gates,
    gradients, how far back the model looks, other ways to predict the same text, and all
    settings. The page stands on its own: it fetches nothing, and nothing in it runs.
    Its pictures need matplotlib: pip install "charnn[plot]".

    Examples:
        charnn report

        charnn report checkpoints/fables -o fables.html --prompt "The fox"
    """
    from charnn.cli.page import render
    from charnn.cli.report.sections import Subject, sections
    from charnn.files import write_atomically

    be_quiet(quiet)
    if output != _STDOUT:
        check_free(output, force)
    subject = Subject.open(find_run(run), prompt, seed)
    page = render(f"{subject.name}: what it learned", subject.facts(), list(sections(subject)))
    if output == _STDOUT:
        Payload().write(page)
    else:
        write_atomically(output, page.encode())
        say(f"wrote {quoted(output)}")
