"""What Typer complains of, in one line of ours, with a hint."""

import re
from typing import Any

import typer

from charnn.cli.suggest import did_you_mean, nearest


def one_line(error: typer.TyperException) -> str:
    """What was typed wrong, and what was probably meant, or where to look."""
    context = getattr(error, "ctx", None)
    message = plain(error.message if hasattr(error, "option_name") else error.format_message())
    return f"{message}; {hint(error, context)}"


def plain(message: str) -> str:
    """A message of Typer's, without what only its authors need."""
    message = " ".join(message.split()).replace("Value error, ", "").rstrip(".")
    message = re.sub(r"Input should be a valid (integer|number).*", _wanted, message)
    named = r"^(?:Invalid value for|Missing option|Option) '-[^']*'(?: / '-[^']*')*"
    message = re.sub(named, lambda found: found[0].replace("'", ""), message)
    message = re.sub(r"argument '(\w+)'", lambda found: f"argument {found[1].upper()}", message)
    message = message.replace("Input should be", "it should be")
    return message[:1].lower() + message[1:]


def _wanted(found: re.Match[str]) -> str:
    return {"integer": "a whole number is wanted", "number": "a number is wanted"}[found[1]]


def hint(error: Any, context: Any) -> str:
    """What was probably meant, or where to look."""
    if context is None:
        return "charnn --help tells all"
    if getattr(error, "option_name", "") == "--debug":
        return "it stands before the command: charnn --debug ..."
    if message := re.search(r"'(.*)' is not one of (.*)", error.message):
        known = re.findall(r"'([^']*)'", message[2])
        if meant := did_you_mean(message[1], known):
            return meant
    if meant := _option_hint(getattr(error, "option_name", ""), context.command):
        return meant
    return f"{context.command_path} --help tells all"


def _option_hint(name: str, command: Any) -> str:
    """The option that is named most like one that does not exist."""
    names = [name for param in command.params if not param.hidden for name in _long(param)] + [
        "--help"
    ]
    return "" if name in names or not nearest(name, names) else did_you_mean(name, names)


def _long(param: Any) -> list[str]:
    if param.param_type_name != "option":
        return []
    return [name for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]
