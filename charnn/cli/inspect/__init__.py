"""``charnn inspect``: look inside a network; one file a command."""

import typer

inspect = typer.Typer(name="inspect", no_args_is_help=True, help="Look inside a network.")
