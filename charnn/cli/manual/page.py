"""A command as a page: its usage, what it does, examples, and its options in groups."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from charnn.cli.options import INPUT, OUTPUT

#: A command with more options than this shows them in groups.
MANY = 10

_GENERAL = "Options"

#: The groups that help ends with.
_LAST = (OUTPUT, _GENERAL)

#: How many columns the choices of an option may take beside its name.
_CHOICES_WIDTH = 16

_EXAMPLES = "Examples:"


@dataclass(frozen=True)
class Entry:
    """An option, an argument or a command.

    Args:
        names: what is typed: ``("-s", "--seed")``.
        value: what stands for the value behind it, if it takes one: ``INT``.
        text: what it is, with its default.
    """

    names: tuple[str, ...]
    value: str
    text: str

    @property
    def label(self) -> str:
        """The names with the value.

        >>> Entry(("-s", "--seed"), "INT", "").label
        '-s, --seed INT'
        """
        return " ".join(filter(None, (", ".join(self.names), self.value)))


@dataclass(frozen=True)
class Section:
    """Entries under a heading."""

    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Page:
    """What help tells of a command.

    Args:
        command: as it is typed: ``charnn inspect gates``.
        usage: what follows it: ``[OPTIONS] [CORPUS]``.
        paragraphs: what it does; the first is the summary.
        examples: command lines.
        sections: what may be given to it.
    """

    command: str
    usage: str
    paragraphs: tuple[str, ...]
    examples: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def summary(self) -> str:
        """The first paragraph."""
        return self.paragraphs[0]


def page_of(command: Any, context: Any) -> Page:
    """The page of a command or a group, as Typer knows it.

    Args:
        command: Typer's; a group has ``summaries``.
        context: of the command.
    """
    told, _, examples = inspect.cleandoc(command.help or "").partition(_EXAMPLES)
    return Page(
        context.command_path,
        " ".join(_usage(command, context)),
        tuple(" ".join(part.split()) for part in told.split("\n\n") if part.strip()),
        tuple(line.strip() for line in examples.splitlines() if line.strip()),
        tuple(_sections(command, context)),
    )


def _usage(command: Any, context: Any) -> Iterable[str]:
    yield "[OPTIONS]"
    for param in command.get_params(context):
        if param.param_type_name == "argument":
            name = _argument(param).names[0]
            yield name if param.required else f"[{name}]"
    if hasattr(command, "members"):
        yield "COMMAND ..."


def _sections(command: Any, context: Any) -> Iterable[Section]:
    shown = [param for param in command.get_params(context) if not param.hidden]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    options = [param for param in shown if param.param_type_name != "argument"]
    if summaries := getattr(command, "summaries", {}):
        rows = (Entry((name,), "", summary) for name, summary in summaries.items())
        yield Section("Commands", tuple(rows))
    if arguments:
        yield Section("Arguments", tuple(map(_argument, arguments)))
    groups: dict[str, list[Entry]] = {}
    for option in options:
        grouped = option.rich_help_panel if len(options) > MANY else None
        groups.setdefault(grouped or _GENERAL, []).append(_option(option, context))
    for title in sorted(groups, key=_rank):
        yield Section(title, tuple(groups[title]))


def _rank(title: str) -> int:
    """What goes in comes first, what comes out last; the rest as the code has it."""
    return 0 if title == INPUT else 2 + _LAST.index(title) if title in _LAST else 1


def _argument(param: Any) -> Entry:
    name = param.metavar or param.name.upper()
    several = "..." if param.nargs == -1 else ""
    return Entry((name + several,), "", _text(param, []))


def _option(param: Any, context: Any) -> Entry:
    if param.secondary_opts:
        names = [" / ".join((*param.opts, *param.secondary_opts))]
    else:
        names = sorted(param.opts, key=lambda name: name.startswith("--"))
    value = ""
    extra: list[str] = []
    if not param.is_flag:
        value, extra = _value(param, context)
    if param.multiple:
        extra.append("repeatable")
    return Entry(tuple(names), value, _text(param, extra))


def _value(param: Any, context: Any) -> tuple[str, list[str]]:
    """What stands for an option's value, and what is to be said of it."""
    if param.metavar:
        return param.metavar, []
    kind = re.sub(r"^list\[(.*)\]$", r"\1", param.display_type(context).strip("<>"))
    kind = kind.removesuffix(" range")
    if "|" not in kind:
        return {"str": "TEXT"}.get(kind, kind.upper()), []
    if len(kind) <= _CHOICES_WIDTH:
        return kind, []
    return param.name.upper(), [f"one of {kind.replace('|', ', ')}"]


def _text(param: Any, extra: list[str]) -> str:
    bits = [*extra, *_range(param), *_default(param)]
    if param.required:
        bits.append("required")
    return " ".join(filter(None, (" ".join((param.help or "").split()), _bracketed(bits))))


def _bracketed(bits: list[str]) -> str:
    return f"[{'; '.join(bits)}]" if bits else ""


def _range(param: Any) -> list[str]:
    least, most = param.min, param.max
    if least is None:
        return [] if most is None else [f"at most {most:,}"]
    return [f"at least {least:,}" if most is None else f"{least:,} to {most:,}"]


def _default(param: Any) -> list[str]:
    if isinstance(param.show_default, str):
        return [f"default: {param.show_default}"]
    value = param.default
    if not param.show_default or value is None or value in ((), [], ""):
        return []
    if isinstance(value, bool):
        names = param.opts if value else param.secondary_opts
        return [f"default: {names[0]}"] if param.secondary_opts else []
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return [f"default: {value}"]
