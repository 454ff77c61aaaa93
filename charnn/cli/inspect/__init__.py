"""``charnn inspect``: look inside a network; one file a command."""

import typer

from charnn.cli.inspect.cliff import cliff
from charnn.cli.inspect.gradients import gradients

inspect = typer.Typer(name="inspect", no_args_is_help=True, help="Look inside a network.")
for command in (gradients, cliff):
    inspect.command()(command)
