"""``charnn inspect``: look inside a network; one file a command."""

import typer

from charnn.cli.lazy import Lazy, group_of

_ROOM = "charnn.cli.inspect"

inspect = typer.Typer(
    name="inspect",
    cls=group_of(
        {
            "gates": Lazy(
                f"{_ROOM}.gates:gates",
                "Show what the gates, cells and hidden values of chosen units do, token by token.",
            ),
            "neurons": Lazy(
                f"{_ROOM}.neurons:neurons",
                "Find units that track a property of the text, and paint text with what they show.",
            ),
            "gradients": Lazy(
                f"{_ROOM}.gradients:gradients",
                "Show how far back gradients reach: how they vanish, or explode.",
            ),
            "cliff": Lazy(
                f"{_ROOM}.cliff:cliff",
                "Show the cliff of the error surface, and gradient descent there, plain and "
                "clipped.",
            ),
            "memory": Lazy(
                f"{_ROOM}.memory:memory",
                "Show how far back a model looks: what prediction costs when less stands before "
                "it.",
            ),
        }
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Look inside a network.

    Each draws in the terminal, or writes a picture with -o, or all numbers with --json.

    Examples:
        charnn inspect gates -p "The fox"

        charnn inspect neurons --find quote

        charnn inspect memory -o memory.png
    """,
)
