"""How a model may adapt to what it reads. Imports nothing heavy, so that ``--help`` can show it."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from charnn.errors import UsageError

#: What a segment may have at most: its gradient is computed in one piece.
_LONGEST = 1000

#: More symbols than that are words.
_MOST_LETTERS = 1000

#: Defaults for letters and for words, θ and the tokens of a segment: docs/recipes.md.
_THETA, _SEGMENT = (1.0, 0.3), (20, 5)


def _option(default: Any, help: str, group: str, *flags: str) -> Any:
    return field(default=default, metadata={"help": help, "flags": flags, "group": group})


_CACHE = "With --cache (Grave et al. 2017, arXiv 1612.04426)"
_DYNAMIC = "With --dynamic (Krause et al. 2018, arXiv 1709.07432)"


@dataclass(frozen=True)
class AdaptationConfig:
    """One way to adapt, or none."""

    cache: int = _option(
        0,
        "Mix in what followed like states among the last N tokens of the text, 2000 say; 0: off.",
        "Adapting while reading",
    )
    dynamic: bool = _option(
        False,
        "Learn from the text while reading it, each segment once it was scored; changes no file.",
        "Adapting while reading",
        "--dynamic",
    )
    cache_theta: float | None = _option(
        None,
        "How much more the likest states count: exp(theta h·h'). By default 1, or 0.3 for over "
        "1,000 symbols.",
        _CACHE,
    )
    cache_lambda: float = _option(0.2, "The cache's share of the probability.", _CACHE)
    dynamic_segment: int | None = _option(
        None,
        "Tokens that are scored, then learned from. By default 20, or 5 for over 1,000 symbols.",
        _DYNAMIC,
    )
    dynamic_lr: float = _option(
        3e-4, "Learning rate of the gradient over its root mean square.", _DYNAMIC
    )
    dynamic_decay: float = _option(
        1e-4, "Share of the way back to the trained weights in each segment.", _DYNAMIC
    )
    threads: int = _option(
        0, "Processor threads to learn with; 0: as many as there are cores.", _DYNAMIC
    )

    def __post_init__(self) -> None:
        if self.cache < 0:
            raise UsageError(f"--cache must be 0 (off) or more tokens, not {self.cache}")
        if self.cache and self.dynamic:
            raise UsageError("--cache and --dynamic exclude each other")
        self._check_alone("cache", bool(self.cache), ("cache_theta", "cache_lambda"))
        dynamic = ("dynamic_segment", "dynamic_lr", "dynamic_decay", "threads")
        self._check_alone("dynamic", self.dynamic, dynamic)
        for name in ("cache_theta", "dynamic_lr"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 0, not {value}")
        if not 0 <= self.cache_lambda < 1:
            raise UsageError(f"--cache-lambda must be from 0 to below 1, not {self.cache_lambda}")
        if self.dynamic_segment is not None and not 1 <= self.dynamic_segment <= _LONGEST:
            raise UsageError(
                f"--dynamic-segment must be from 1 to {_LONGEST} tokens, not {self.dynamic_segment}"
            )
        if not 0 <= self.dynamic_decay <= 1:
            raise UsageError(f"--dynamic-decay must be from 0 to 1, not {self.dynamic_decay}")
        if not 0 <= self.threads <= 1024:
            raise UsageError(f"--threads must be from 0 to 1024, not {self.threads}")

    def _check_alone(self, option: str, given: bool, names: tuple[str, ...]) -> None:
        fields = type(self).__dataclass_fields__
        changed = [name for name in names if getattr(self, name) != fields[name].default]
        if changed and not given:
            raise UsageError(f"--{changed[0].replace('_', '-')} needs --{option}")

    @property
    def name(self) -> Literal["cache", "dynamic"] | None:
        """Which way to adapt."""
        if self.dynamic:
            return "dynamic"
        return "cache" if self.cache else None

    def settings(self, vocabulary: int) -> dict[str, Any] | None:
        """What decides the figures, as it is recorded, for a model of so many symbols."""
        kind = int(vocabulary > _MOST_LETTERS)
        if self.dynamic:
            return {
                "segment": _given(self.dynamic_segment, _SEGMENT[kind]),
                "lr": self.dynamic_lr,
                "decay": self.dynamic_decay,
            }
        if self.cache:
            theta = _given(self.cache_theta, _THETA[kind])
            return {"window": self.cache, "theta": theta, "lambda": self.cache_lambda}
        return None


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
