"""What a shell is told when the user presses Tab, and the scripts that ask.

A script runs ``charnn`` with the words before the cursor as arguments and ``_CHARNN_COMPLETE`` set.
The answer is lines: the first says what the others are (``words``, with what each is behind a tab;
``paths``; or ``files``: the shell knows better), and each other is what the word may become.
The scripts lie in ``completions/``.

Typer has such scripts of its own. They split words again that the shell had split, cannot tell a
folder from a word, and draw every line with Rich.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import typer

from charnn.cli.console import Payload, quoted, say
from charnn.errors import UsageError

Shell = Literal["bash", "zsh", "fish"]

#: Set to the name of a shell, it asks for completion.
VARIABLE = "_CHARNN_COMPLETE"

_HELP = ("-h", "--help")


@dataclass(frozen=True)
class Answer:
    """What the last word may become.

    Args:
        kind: what the items are.
        items: each with what it is, or with nothing.
    """

    kind: Literal["words", "paths", "files"]
    items: tuple[tuple[str, str], ...] = ()

    def lines(self) -> str:
        """As a script reads it."""
        items = (f"{word}\t{told}" if told else word for word, told in self.items)
        return "\n".join([self.kind, *items]) + "\n"


@dataclass
class _Typed:
    """The words before the one that is being typed, as far as they were read."""

    command: Any
    context: Any
    waiting: Any = None
    """The option whose value comes next."""
    missing: int = 0
    """How many values it still takes."""
    arguments: int = 0
    no_options: bool = False
    given: set[str] = field(default_factory=set)

    def read(self, word: str) -> None:
        if self.missing:
            self.missing -= word != "="  # a shell may cut --seed=1 in three
        elif word == "--" and not self.no_options:
            self.no_options = True
        elif word.startswith("-") and word != "-" and not self.no_options:
            self._read_option(word)
        elif hasattr(self.command, "members"):
            below = self.command.get_command(self.context, word)
            if below is None:
                raise UsageError(f"no such command: {word}")
            self.context = typer.Context(below, info_name=word, parent=self.context)
            self.command = below
        else:
            self.arguments += 1

    def _read_option(self, word: str) -> None:
        name, equals, _ = word.partition("=")
        self.given.add(name)
        self.waiting = option_named(self.command, name)
        takes = self.waiting is not None and not self.waiting.is_flag
        self.missing = self.waiting.nargs if takes and not equals else 0


def option_named(command: Any, name: str) -> Any:
    """A command's option of that name; None if there is none."""
    for param in command.params:
        if param.param_type_name == "option" and name in (*param.opts, *param.secondary_opts):
            return param
    return None


def answer(root: Any, words: Iterable[str]) -> Answer:
    """What the last of these words may become.

    Args:
        root: the program, as Typer built it.
        words: what was typed behind its name, up to the cursor.
    """
    *before, incomplete = list(words) or [""]
    typed = _Typed(root, typer.Context(root, info_name="charnn"))
    for word in before:
        typed.read(word)
    if typed.missing:
        return _values(typed.waiting, typed.context, incomplete.removeprefix("="))
    if incomplete.startswith("-") and not typed.no_options:
        name, equals, value = incomplete.partition("=")
        option = option_named(typed.command, name) if equals else None
        if option is not None:
            found = _values(option, typed.context, value)
            return Answer(found.kind, tuple((f"{name}={word}", told) for word, told in found.items))
        return Answer("words", tuple(_options(typed, incomplete)))
    if hasattr(typed.command, "members"):
        known = typed.command.summaries.items()
        return Answer("words", tuple(item for item in known if item[0].startswith(incomplete)))
    arguments = [param for param in typed.command.params if param.param_type_name == "argument"]
    if arguments and (typed.arguments < len(arguments) or arguments[-1].nargs == -1):
        argument = arguments[min(typed.arguments, len(arguments) - 1)]
        return _values(argument, typed.context, incomplete)
    return Answer("words")


def _options(typed: _Typed, incomplete: str) -> Iterator[tuple[str, str]]:
    for param in typed.command.params:
        names = (*param.opts, *param.secondary_opts)
        if param.param_type_name != "option" or param.hidden:
            continue
        if param.multiple or not typed.given.intersection(names):
            for name in names:
                if name.startswith(incomplete):
                    yield name, " ".join((param.help or "").split())
    yield from ((name, "Show help.") for name in _HELP if name.startswith(incomplete))


def _values(param: Any, context: Any, incomplete: str) -> Answer:
    found = param.shell_complete(context, incomplete)
    items = tuple((item.value, item.help or "") for item in found)
    # What a name stands for is told; what a path leads to is not.
    if param.type_descriptor.choices is not None or any(told for _, told in items):
        return Answer("words", items)
    if items:
        return Answer("paths", items)
    takes_files = param.type_descriptor.is_path or param.param_type_name == "argument"
    return Answer("files" if takes_files or _is_path(param) else "words")


def _is_path(param: Any) -> bool:
    """Whether files are what it takes; for those that also take ``-`` Typer does not know it."""
    return "path" in param.display_type(None)


def respond(root: Any, words: Iterable[str]) -> int:
    """Write the answer for a script; the exit code. What cannot be completed has none."""
    with suppress(UsageError):
        Payload().write(answer(root, words).lines())
    return 0


def script(shell: Shell) -> str:
    """What makes a shell ask."""
    return (Path(__file__).parent / "completions" / f"charnn.{shell}").read_text("utf-8")


def shell_in_use() -> Shell:
    """The shell that charnn was called from, or else the user's own.

    Raises:
        UsageError: it is none that is known here.
    """
    import shellingham

    try:
        found = shellingham.detect_shell()[0]
    except shellingham.ShellDetectionFailure:
        found = Path(os.environ.get("SHELL", "")).name
    if found not in get_args(Shell):
        raise UsageError(
            f"no completion for {found or 'this shell'}", "call from bash, zsh or fish"
        )
    return cast(Shell, found)


def install(shell: Shell) -> None:
    """Put the script where the shell reads it, and say where that is."""
    from charnn.files import write_atomically

    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    begin = {"bash": home / ".bashrc", "zsh": Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"}
    place = (
        config / "fish" / "completions" / "charnn.fish"
        if shell == "fish"
        else data / "charnn" / f"completion.{shell}"
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, script(shell).encode())
    say(f"wrote {quoted(place)}")
    if shell in begin:
        line = f"source {quoted(place)}"
        known = begin[shell].read_text("utf-8", "replace") if begin[shell].exists() else ""
        if line not in known:
            with begin[shell].open("a", encoding="utf-8") as file:
                file.write(f"\n{line}  # completion of charnn\n")
            say(f"added a line to {quoted(begin[shell])}")
    say("new shells complete charnn's command line")
