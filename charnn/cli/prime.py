"""``charnn prime``: a long prompt is read once, and continued many times."""

from pathlib import Path
from typing import Annotated

import typer

from charnn.cli.console import be_quiet, say
from charnn.cli.figure import check_free
from charnn.cli.generate import Prompt, PromptFile, read, read_prompt_option
from charnn.cli.options import Errors, Model, Quiet
from charnn.cli.places import find_run
from charnn.errors import UsageError


def prime(
    save_state: Annotated[Path, typer.Option(help="Where to keep what was read.")],
    prompt: Prompt = None,
    file: PromptFile = None,
    errors: Errors = "bytes",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    model: Model = None,
    quiet: Quiet = False,
) -> None:
    """Read a prompt once, and keep what the model knows after it.

    The file is small, however long the prompt; only the checkpoint that made it can go on from it.

    Examples:
        charnn prime -f novel.txt --save-state novel.state

        charnn generate --state novel.state --samples 3

        charnn generate --state novel.state -p "The end"
    """
    from charnn.context import save_context
    from charnn.models import open_model

    be_quiet(quiet)
    text = read_prompt_option(prompt, file, errors)
    if not text:
        raise UsageError("there is nothing to read", "give --prompt or --file")
    if str(save_state) == "-":
        raise UsageError("a state becomes a file", "--save-state names one; - does not")
    check_free(save_state, force)
    opened = open_model(find_run(model))
    context = read(opened, text)
    save_context(save_state, context, opened.checkpoint)
    say(f"read {len(context.ids)} tokens; go on with charnn generate --state {save_state}")
