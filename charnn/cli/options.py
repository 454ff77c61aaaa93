"""Options that are views of config dataclasses, and those that commands share."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from charnn.cli.known import complete_models
from charnn.text.config import InvalidPolicy

#: Where help shows an option, in commands that have many.
INPUT, MODEL, OUTPUT = "Input", "Model", "Output"
SHOWN, TOKENIZER = "What is shown", "Tokenizer"

Model = Annotated[
    Path | None,
    typer.Option(
        "-m",
        "--model",
        help="A run or checkpoint; without it the newest run in checkpoints/ that will do.",
        show_default=False,
        autocompletion=complete_models,
        rich_help_panel=MODEL,
    ),
]
Errors = Annotated[
    InvalidPolicy,
    typer.Option(
        "--errors",
        help="Bytes that are no UTF-8: bytes keeps them, replace makes them U+FFFD, strict refuses "
        "the text.",
        rich_help_panel=INPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Write JSON, one object a line.", rich_help_panel=OUTPUT),
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write a picture instead: .png or .svg.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a file that is there.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="Say nothing but errors.", rich_help_panel=OUTPUT)
]


def spread_configs(command: Callable[..., None]) -> Callable[..., None]:
    """Turn each parameter that is a config dataclass into options, one for each of its fields.

    A field's metadata may hold ``help``, ``flags`` (the option's names, if not the field's) and
    ``group`` (where help shows it; if not there, the class may say ``option_group``);
    ``option: False`` keeps it off the command line, ``default`` is what help shows as the default,
    and ``names: "models"`` lets the shell complete runs and checkpoints.
    """
    signature = inspect.signature(command, eval_str=True)
    configs: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }
    parameters = []
    for name, parameter in signature.parameters.items():
        if name in configs:
            parameters += [_option(field, configs[name]) for field in _fields(configs[name])]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def spread(**values: Any) -> None:
        for name, cls in configs.items():
            given = {field.name: values.pop(field.name) for field in _fields(cls)}
            lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
            values[name] = cls(**{**given, **lists})
        command(**values)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def _fields(cls: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.metadata.get("option", True)]


def given_options(context: typer.Context, *configs: Any) -> dict[str, str]:
    """What the user gave, typed or not, by its name in the code: the option's own name.

    A switch that is off, as a file may say, is not given.

    Args:
        context: of the command.
        configs: config dataclasses whose fields alone count; without any, all parameters do.
    """
    names = {field.name for cls in configs for field in _fields(cls)}
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in context.params
        and (not configs or parameter.name in names)
        and (source := context.get_parameter_source(parameter.name))
        and source.name != "DEFAULT"
        and (context.params[parameter.name] is not False or parameter.secondary_opts)
    }


def _option(field: dataclasses.Field[Any], cls: Any) -> inspect.Parameter:
    kind = get_type_hints(cls)[field.name]
    flags = field.metadata.get("flags") or ("--" + field.name.replace("_", "-"),)
    default = field.default
    if get_origin(kind) is tuple:
        kind, default = list[str], []
    option = typer.Option(
        *flags,
        help=field.metadata.get("help"),
        rich_help_panel=field.metadata.get("group", getattr(cls, "option_group", None)),
        autocompletion=complete_models if field.metadata.get("names") == "models" else None,
        show_default=field.metadata.get("default", default not in (None, [], False)),
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )
