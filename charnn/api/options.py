"""Keyword arguments that are fields of the config dataclasses, as command-line options are.

Type checkers and editors read the typed dictionaries, which a test holds to the dataclasses; help
and notebooks read the signature and the docstring, which are made of the dataclasses themselves.
"""

import dataclasses
import difflib
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_type_hints

from charnn.architecture import Smoothing
from charnn.errors import CharnnError, UsageError
from charnn.text.config import UnknownPolicy
from charnn.typed import fits

#: Where something lies.
Place = str | os.PathLike[str]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class WritingOptions(TypedDict, total=False):
    """How one text is written."""

    max_tokens: int
    greedy: bool
    stop: Sequence[str]
    max_lines: int
    until_line: bool
    seed: int | None
    temperature: float
    top_k: int
    typical_p: float
    top_p: float
    min_p: float
    repetition_penalty: float
    no_repeat_ngram: int
    ban: Sequence[str]
    regex: Sequence[str]
    beams: int
    length_penalty: float
    beam_groups: int
    diversity_penalty: float
    early_stopping: Literal["never", "first"]


class SeveralOptions(WritingOptions, total=False):
    """How several texts are written."""

    samples: int
    nbest: int


class TokenizerOptions(TypedDict, total=False):
    """How text becomes ids."""

    tokenizer: Literal["byte", "char", "word", "subword"]
    vocabulary_size: int | None
    min_count: int | None
    unknown: UnknownPolicy | None
    lowercase: bool
    words: Literal["text", "whitespace"]
    subword: Literal["unigram", "bpe"]


class ResumeOptions(TypedDict, total=False):
    """What a run that goes on may be told anew."""

    minutes: float | None
    steps: int | None
    epochs: float | None
    save_every: str | None
    device: str
    threads: int


class TrainingOptions(ResumeOptions, total=False):
    """What is trained, and how."""

    layers: int
    hidden: int
    embedding: int
    tied: bool
    order: int
    smoothing: Smoothing
    batch: int
    bptt: int
    dropout: float
    weight_dropout: float
    reset: float
    optimizer: Literal["muon", "adamw"]
    lr: float
    muon_lr: float
    sampled_softmax: int
    warm_up: int
    weight_decay: float
    ema: float
    clip_norm: float
    clip_value: float
    from_checkpoint: Place | None
    extend_vocabulary: bool
    embedding_from: Place | None
    freeze: Literal["nothing", "embedding"]
    seed: int
    precision: Literal["auto", "float32", "bfloat16"]


class _Shown(str):
    """A default as help shows it: in words."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Options:
    """What a function takes by keyword: the fields of config dataclasses.

    Args:
        configs: the dataclasses.
        only: the fields that are taken; without it, all that are options.
        without: fields that are not, each with what to do instead.
    """

    def __init__(
        self,
        *configs: type,
        only: frozenset[str] | None = None,
        without: Mapping[str, str] | None = None,
    ) -> None:
        self._configs, self._without = configs, without or {}
        self._fields = {
            field.name: field
            for config in configs
            for field in dataclasses.fields(config)
            if field.metadata.get("option", True)
            and (only is None or field.name in only)
            and field.name not in self._without
        }
        self._kinds = {
            name: kind
            for config in configs
            for name, kind in get_type_hints(config).items()
            if name in self._fields
        }
        self._name, self._others = "", set[str]()

    def shown(self, function: _Function) -> _Function:
        """Let a function's signature and docstring tell of the options."""
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        taken = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_default(field),
                annotation=self._kinds[name],
            )
            for name, field in self._fields.items()
        ]
        self._name, self._others = function.__name__, {parameter.name for parameter in own}
        told = [
            f"    {name}: {self.in_keywords(field.metadata['help'])}"
            for name, field in self._fields.items()
            if "help" in field.metadata
        ]
        function.__signature__ = signature.replace(parameters=[*own, *taken])  # type: ignore[attr-defined]
        function.__doc__ = "\n".join(
            [inspect.cleandoc(function.__doc__ or ""), "", "Options:", *told]
        )
        return function

    def read(self, given: Mapping[str, Any]) -> list[Any]:
        """The configs, one of each class.

        Raises:
            UsageError: there is no such option, or it cannot be that.
        """
        values = {}
        for name, value in given.items():
            if name not in self._fields:
                raise UsageError(f"{self._name}() has no option {name!r}", self._near(name))
            values[name] = _plain(value, self._kinds[name])
            if not fits(values[name], self._kinds[name]):
                raise UsageError(f"{name} cannot be {value!r}")
        with self.named():
            return [
                config(**{name: value for name, value in values.items() if name in names})
                for config in self._configs
                if (names := {field.name for field in dataclasses.fields(config)})
            ]

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let errors name options as keywords, not as flags."""
        try:
            yield
        except CharnnError as error:
            message, hint = map(self.in_keywords, (error.message, error.hint))
            raise type(error)(message, hint) from None

    def in_keywords(self, text: str) -> str:
        """A text that names options, with keywords for flags."""
        names = {flag: name for name, field in self._fields.items() for flag in _flags(field)}
        names |= {_flag(name): name for name in self._others} | {"-o": "output"}
        flags = r"(?<![^\s(])(?:--[a-z]+(?:-[a-z]+)*|-o)(?![\w.=/-])"  # not in a file's name
        return re.sub(flags, lambda match: names.get(match[0], match[0]), text)

    def _near(self, wrong: str) -> str:
        """Which option may be meant."""
        if wrong in self._without:
            return self._without[wrong]
        names = {name: name for name in (*self._others, *self._fields)}
        for name, field in self._fields.items():
            names |= {flag.strip("-").replace("-", "_"): name for flag in _flags(field)}
        near = difflib.get_close_matches(wrong, names, n=1)
        return f"did you mean {names[near[0]]}?" if near else f"help({self._name}) lists them"


def check(name: str, value: object, kind: Any) -> None:
    """Check an argument that is no field.

    Raises:
        UsageError: it is not of that kind.
    """
    if not fits(value, kind):
        raise UsageError(f"{name} cannot be {value!r}")


def _flags(field: dataclasses.Field[Any]) -> Sequence[str]:
    """How an option is called on the command line: --tied/--no-tied is two."""
    flags = field.metadata.get("flags") or (_flag(field.name),)
    return [part for flag in flags for part in flag.split("/")]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _default(field: dataclasses.Field[Any]) -> Any:
    shown = field.metadata.get("default")
    return field.default if shown is None else _Shown(shown)


def _plain(value: Any, kind: Any) -> Any:
    """A value as the dataclasses have it: NumPy's numbers, paths and lists are taken, too."""
    if isinstance(value, bool | str):
        return (value,) if kind == tuple[str, ...] and isinstance(value, str) else value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return str(Path(value))
    return tuple(value) if isinstance(value, Sequence) else value
