"""``charnn inspect``: look inside a network; one file a command."""

import typer

from charnn.cli.inspect.cliff import cliff
from charnn.cli.inspect.gradients import gradients
from charnn.cli.inspect.memory import memory

inspect = typer.Typer(name="inspect", no_args_is_help=True, help="Look inside a network.")
for command in (gradients, cliff, memory):
    inspect.command()(command)
