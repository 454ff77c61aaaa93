"""Commands that are imported when they are asked for, and that tell their help our way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
import typer.core
import typer.main

from charnn.cli.console import Payload, ReaderGoneError
from charnn.cli.settings import SettableCommand, with_config
from charnn.cli.suggest import did_you_mean
from charnn.errors import UsageError


@dataclass(frozen=True)
class Lazy:
    """Where a command lies, and what help says of it before it is imported.

    Args:
        place: ``module:name`` of a function, or of a Typer program with a group.
        summary: the first paragraph of its help.
    """

    place: str
    summary: str

    def load(self, name: str) -> Any:
        """The command as Typer builds it."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        program = typer.Typer(add_completion=False, rich_markup_mode=None)
        program.command(name, cls=Command)(with_config(found))
        return typer.main.get_command(program)


@contextmanager
def _told_of(context: Any) -> Iterator[None]:
    """Whatever is wrong with what was typed knows the command that it was typed for.

    What is written meanwhile (help, the version) may have lost its reader, which is no failure.
    """
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except typer.TyperException as error:
        vars(error)["ctx"] = vars(error).get("ctx") or context
        raise


def _unset(option: Any) -> Any:
    """The help option with a default that needs no pydantic, which takes long to import."""
    if option is not None:
        option.default = False
    return option


def _help(command: Any, context: Any) -> str:
    from charnn.cli.manual.terminal import help_of

    return help_of(command, context)


class Command(SettableCommand):
    """A command whose help is ours, and whose options need not be typed."""

    def get_help(self, ctx: Any) -> str:
        """What ``--help`` writes."""
        return _help(self, ctx)

    def get_help_option(self, ctx: Any) -> Any:
        """``--help`` itself."""
        return _unset(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options."""
        with _told_of(ctx):
            read: list[str] = super().parse_args(ctx, args)
            return read


class Group(typer.core.TyperGroup):
    """A group that imports a command when it is asked for."""

    members: ClassVar[Mapping[str, Lazy]] = {}

    @property
    def summaries(self) -> dict[str, str]:
        """What help says of each command, with nothing imported."""
        return {name: lazy.summary for name, lazy in self.members.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, in the order of help."""
        return list(self.members)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None if there is none."""
        if cmd_name not in self.commands and cmd_name in self.members:
            self.add_command(self.members[cmd_name].load(cmd_name), cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is meant, and what is left for it.

        Raises:
            UsageError: there is none of that name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None:
            hint = did_you_mean(name, self.members)
            raise UsageError(
                f"no such command: {name}", hint or f"{ctx.command_path} --help tells all"
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without any word, help is what is wanted."""
        if not args and self.no_args_is_help:
            Payload().write(self.get_help(ctx) + "\n")
            raise typer.Exit(2)
        with _told_of(ctx):
            read: list[str] = super().parse_args(ctx, args)
            return read

    def get_help(self, ctx: Any) -> str:
        """What ``--help`` writes."""
        return _help(self, ctx)

    def get_help_option(self, ctx: Any) -> Any:
        """``--help`` itself."""
        return _unset(super().get_help_option(ctx))


def group_of(members: Mapping[str, Lazy]) -> type[Group]:
    """The class of a group with these commands, as ``typer.Typer(cls=...)`` takes it."""
    return type("Commands", (Group,), {"members": members})


def walk(command: Any, context: Any = None) -> Iterator[tuple[Any, Any]]:
    """A command and all below it, each with a context that knows how it is typed."""
    if context is None:
        context = typer.Context(command, info_name="charnn", **command.context_settings)
    yield command, context
    for name in command.list_commands(context) if isinstance(command, Group) else ():
        below = command.get_command(context, name)
        yield from walk(below, typer.Context(below, info_name=name, parent=context))
