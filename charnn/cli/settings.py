"""Options from a TOML file (``--config``) and from the environment, beside those that are typed.

What is typed goes before the environment, and that before the file. A file is data: what it says
goes the way of what is typed, through the same checks, and an error tells where it came from.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from charnn.cli.suggest import did_you_mean
from charnn.cli.usage import hint, plain
from charnn.errors import CharnnError, InputError, UsageError

#: Options say one thing in several ways: what is typed replaces what a file says in another.
_ALTERNATIVES = (("minutes", "steps", "epochs"), ("size", "hidden"), ("prompt", "file"))

#: What is typed, or not at all.
_TYPED_ALONE = frozenset({"config", "print_config"})

#: Where an option may come from, the last first.
_RANKS = ("DEFAULT", "DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE")

#: Where the context keeps the file's name.
_FILE = "charnn.config"

#: No file of options is larger, or has more dots in a line: to a key of many parts, Python's reader
#: takes time by their square.
_MOST_BYTES, _MOST_DOTS = 1 << 16, 500

#: No number that an option takes is larger; Python would not even write one of 5,000 digits.
_MOST_BITS = 128


def _load(context: typer.Context, file: Path | None) -> None:
    """Make what a file says the command's defaults."""
    if file is None or context.resilient_parsing:
        return
    document, name = _read(file)
    context.meta[_FILE] = name
    try:
        context.default_map = _options(document, context)
    except UsageError as error:
        raise error.at(name) from None


_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        expose_value=False,
        callback=_load,
        show_default=False,
        help="Take options from this TOML file. The environment (CHARNN_COMMAND_OPTION) and what "
        "is typed go before it.",
    ),
]


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with ``--config`` among its options."""
    signature = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    config = inspect.Parameter("config", kind, default=None, annotation=_Config)
    parameters = [
        *(parameter.replace(kind=kind) for parameter in signature.parameters.values()),
        config,
    ]

    @functools.wraps(command)
    def configured(config: None, **values: Any) -> Any:
        return command(**values)

    configured.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    configured.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return configured


class SettableCommand(TyperCommand):
    """A command whose options may also come from a file and from the environment."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Read the options, wherever they are.

        Raises:
            UsageError: one from a file or the environment is unknown, or cannot be that.
        """
        variables = {variable for one in _settable(self) for variable in _listen(context, one)}
        try:
            rest = super().parse_args(context, args)
        except typer.BadParameter as error:
            if not (place := error.param and _place(context, error.param)):
                raise
            key = "" if place in variables else f" {_keys(error.param)[0]}:"
            raise UsageError(
                f"{place}:{key} {plain(error.message)}", hint(error, context)
            ) from None
        if not context.resilient_parsing:
            _refuse_unknown(context, variables)
            _keep_nearest(context)
        return rest

    def invoke(self, context: Any) -> Any:
        """Run it; an error tells where the options come from that it speaks of."""
        try:
            return super().invoke(context)
        except CharnnError as error:
            error.message += _whence(context, str(error))
            raise


def _settable(command: Any) -> list[Any]:
    """The parameters that need not be typed."""
    return [one for one in command.params if one.name not in _TYPED_ALONE]


def _keys(parameter: Any) -> list[str]:
    """What a file calls a parameter, with ``_`` for ``-``: its long names, and that in the code."""
    long = [name[2:].replace("-", "_") for name in parameter.opts if name.startswith("--")]
    return list(dict.fromkeys([*long, parameter.name]))


def _path(context: Any) -> tuple[str, ...]:
    """The command's name, after ``charnn``."""
    return () if context.parent is None else (*_path(context.parent), context.info_name)


def _prefix(context: Any) -> str:
    return "_".join(("charnn", *_path(context), "")).replace("-", "_").upper()


def _listen(context: Any, parameter: Any) -> list[str]:
    """Let a parameter come from the environment; the variables that it may come from.

    Click's own names for them (``auto_envvar_prefix``) are of the names in the code, and it would
    read them for ``--help``, too.
    """
    variables = [_prefix(context) + key.upper() for key in _keys(parameter)]
    parameter.envvar, parameter.show_envvar = variables, False
    if get_args(parameter.type_descriptor.annotation) == (str,):  # texts, which may hold spaces
        parameter.envvar_list_splitter = "\n"
    return variables


def _refuse_unknown(context: Any, variables: set[str]) -> None:
    """Refuse variables that begin as the command's do, and are none of them.

    Raises:
        UsageError: there is one.
    """
    for name, value in os.environ.items():
        if value and name.startswith(_prefix(context)) and name not in variables:
            command = " ".join(("charnn", *_path(context)))
            raise UsageError(
                f"{name}: {command} takes no such option from the environment",
                did_you_mean(name, sorted(variables)),
            )


def _rank(context: Any, name: str) -> int:
    source = context.get_parameter_source(name)
    return _RANKS.index(source.name) if source else 0


def _keep_nearest(context: Any) -> None:
    """Forget what goes against something that was said nearer to the user, in another way."""
    defaults = {one.name: one.default for one in context.command.params}
    for names in _ALTERNATIVES:
        ranks = {name: _rank(context, name) for name in names if name in context.params}
        for name, rank in ranks.items():
            if 0 < rank < max(ranks.values()):
                source = type(context.get_parameter_source(name))
                context.params[name] = defaults[name]
                context.set_parameter_source(name, source["DEFAULT"])


def _place(context: Any, parameter: Any) -> str:
    """The file or variable that a parameter comes from; nothing if it was typed, or not given."""
    match _RANKS[_rank(context, parameter.name)]:
        case "DEFAULT_MAP":
            return str(context.meta[_FILE])
        case "ENVIRONMENT":
            return str(next(name for name in parameter.envvar if os.environ.get(name)))
    return ""


def _whence(context: Any, message: str) -> str:
    """Where the options come from that a message speaks of, unless they were typed."""
    told: dict[str, list[str]] = {}
    for parameter in _settable(context.command):
        place = _place(context, parameter)
        if place and _mentions(message, parameter, context.params[parameter.name]):
            long = [name for name in parameter.opts if name.startswith("--")]
            told.setdefault(place, []).append((long or parameter.opts)[0])
    places = "; ".join(f"{', '.join(names)}: {place}" for place, names in told.items())
    return f" ({places})" if places else ""


def _mentions(message: str, parameter: Any, value: Any) -> bool:
    """Whether a message names an option, or a path that it gave."""
    names = [name for name in parameter.opts if name.startswith("-")]
    is_argument = parameter.param_type_name == "argument"
    given = value if isinstance(value, list) else [value]
    names += [str(one) for one in given if isinstance(one, Path) or is_argument]
    return any(re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", message) for name in names)


def _read(file: Path) -> tuple[dict[str, Any], str]:
    """A TOML file, ``-`` is standard input; and what to call it.

    Raises:
        InputError: it cannot be read, or is none.
    """
    import tomllib

    is_stdin = str(file) == "-"
    name = "standard input" if is_stdin else str(file)
    try:
        with open(0 if is_stdin else file, "rb", closefd=not is_stdin) as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None
    if len(data) > _MOST_BYTES or any(line.count(b".") > _MOST_DOTS for line in data.split(b"\n")):
        most = f"{_MOST_BYTES >> 10} KiB, or {_MOST_DOTS} dots in a line"
        raise InputError(f"{name} is no file of options: it has over {most}")
    try:
        return tomllib.loads(data.decode("utf-8-sig")), name
    except UnicodeDecodeError:
        raise InputError(f"{name} is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no TOML: {error}") from None


def _options(document: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """What a document says to the command at hand, by the names in the code.

    Its own table goes before what stands above all tables. Other commands' tables are checked.

    Raises:
        UsageError: there is something in it that no command takes.
    """
    path = _path(context)
    own = {key: value for key, value in document.items() if not isinstance(value, dict)}
    options = _named(own, context.command, path)
    root = context.find_root()
    for other, command, table in _tables(document, root, root.command):
        named = _named(table, command, other)
        if other == path:
            options |= named
    return options


def _tables(
    document: Mapping[str, Any], context: Any, group: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, dict[str, Any]]]:
    """Each command's table: the command's name, the command, and what is in the table."""
    for key, value in document.items():
        if path and not isinstance(value, dict):
            raise UsageError(f"[{'.'.join(path)}] is for tables of commands, not for {key!r}")
        if isinstance(value, dict):
            if (command := group.get_command(context, key)) is None:
                name = " ".join(("charnn", *path, key))
                raise UsageError(
                    f"there is no {name!r}", did_you_mean(key, group.list_commands(context))
                )
            if hasattr(command, "commands"):
                yield from _tables(value, context, command, (*path, key))
            else:
                yield (*path, key), command, value


def _named(table: Mapping[str, Any], command: Any, path: tuple[str, ...]) -> dict[str, Any]:
    known = {key: parameter for parameter in _settable(command) for key in _keys(parameter)}
    named: dict[str, Any] = {}
    for key, value in table.items():
        if (parameter := known.get(key.replace("-", "_"))) is None:
            dashed = [name.replace("_", "-") for name in known]
            raise UsageError(
                f"{' '.join(('charnn', *path))} takes no {key!r} from a file",
                did_you_mean(key.replace("_", "-"), dashed),
            )
        if parameter.name in named:
            raise UsageError(f"{key}: that was said before, by another name")
        try:
            named[parameter.name] = _as_typed(parameter, value)
        except UsageError as error:
            raise error.at(key) from None
    return named


def _as_typed(parameter: Any, value: Any) -> Any:
    """What a file says, as a command line would."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"is true or false, not {_shown(value)}")
        return value
    if parameter.multiple or parameter.nargs != 1:
        return [_text(item) for item in (value if isinstance(value, list) else [value])]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"takes text or a number, not {_shown(value)}")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise UsageError(f"holds a number of more than {_MOST_BITS} bits")
    if "\0" in (text := str(value)):
        raise UsageError("cannot hold the character NUL")
    return text


def _shown(value: Any) -> str:
    """A value, as a message tells it.

    >>> _shown(True), _shown([1]), _shown("x")
    ('true', 'an array', "'x'")
    """
    match value:
        case bool():
            return str(value).lower()
        case list():
            return "an array"
        case dict():
            return "a table"
    return repr(value)[:40]
