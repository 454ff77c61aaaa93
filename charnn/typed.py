"""Checks that what came out of a file is what a dataclass says it is."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

_SURROGATE = re.compile("[\ud800-\udfff]")

#: No number that is wanted anywhere is larger; a whole one from a file may be.
_MOST = 1e300


def check_types(instance: Any) -> None:
    """Check that every field holds what its annotation says; floats are finite.

    Raises:
        TypeError: one does not.
    """
    for name, kind in get_type_hints(type(instance)).items():
        value = getattr(instance, name)
        if not fits(value, kind):
            raise TypeError(f"{name} cannot be {str(value)[:40]!r}")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is what an annotation says; floats are finite.

    >>> fits(1, int | None), fits(True, int), fits(("a",), tuple[str, ...]), fits("a", float)
    (True, False, True, False)
    """
    args = get_args(kind)
    match get_origin(kind):
        case None:
            if kind is float:
                return type(value) in (int, float) and -_MOST < value < _MOST
            # What UTF-8 cannot hold could not be written again.
            return type(value) is kind and not (kind is str and _SURROGATE.search(value))
        case origin if origin in (Union, UnionType):
            return any(fits(value, arg) for arg in args)
        case origin if origin is Literal:
            return value in args
        case origin if origin is list:
            return type(value) is list and all(fits(item, args[0]) for item in value)
        case origin if origin is tuple:  # of any length
            return type(value) is tuple and all(fits(item, args[0]) for item in value)
        case origin if origin is Mapping:
            return type(value) is dict
        case origin:
            assert origin is ClassVar, kind
            return True
