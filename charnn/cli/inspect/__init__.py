"""``charnn inspect``: look inside a network; one file a command."""

import typer

from charnn.cli.inspect.cliff import cliff
from charnn.cli.inspect.gates import gates
from charnn.cli.inspect.gradients import gradients
from charnn.cli.inspect.memory import memory
from charnn.cli.inspect.neurons import neurons

inspect = typer.Typer(name="inspect", no_args_is_help=True, help="Look inside a network.")
for command in (gates, neurons, gradients, cliff, memory):
    inspect.command()(command)
