"""What a training run may be told. Imports nothing heavy, so that ``--help`` can show it."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from charnn.errors import UsageError
from charnn.typed import check_types

Precision = Literal["auto", "float32", "bfloat16"]


#: More minutes, steps or epochs than anyone has.
_MOST = 1_000_000_000
_MOST_THREADS = 1024


def _option(default: Any, help: str, *flags: str, group: str = "Training") -> Any:
    return field(default=default, metadata={"help": help, "flags": flags, "group": group})


@dataclass(frozen=True)
class Interval:
    """How often to save: ``500`` (steps) or ``5m`` (minutes).

    >>> Interval.parse("5m")
    Interval(steps=None, minutes=5.0)
    """

    steps: int | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read what a user wrote.

        Raises:
            UsageError: it is neither.
        """
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(m?)", text)
        if match and float(match[1]) > 0 and (match[2] or "." not in match[1]):
            if match[2]:
                return cls(minutes=float(match[1]))
            return cls(steps=int(match[1]))
        raise UsageError(f"--save-every takes steps (500) or minutes (5m), not {text!r}")


@dataclass(frozen=True)
class TrainingConfig:
    """One run. At most one of ``minutes``, ``steps`` and ``epochs`` is its budget."""

    default_minutes: ClassVar[float] = 10.0
    """The budget if none is given."""

    minutes: float | None = _option(
        None,
        "Train for this long: the first steps are timed, then their number is fixed.",
        group="Budget",
    )
    steps: int | None = _option(None, "Train for this many steps.", group="Budget")
    epochs: float | None = _option(
        None, "Train until every token was read this often.", group="Budget"
    )
    batch: int = _option(32, "Lanes that read the corpus side by side.")
    bptt: int = _option(64, "Tokens a step unrolls and backpropagates through.")
    dropout: float = _option(0.1, "Share of activations dropped behind every layer.")
    reset: float = _option(
        0.02,
        "Share of lanes that begin a window afresh, so that the model also learns to begin.",
    )
    lr: float | None = _option(
        None,
        "Peak learning rate; it warms up, then falls to zero. By default 0.012 for 65 symbols, "
        "less for more; half for a GRU, a third for cells without gates.",
    )
    warm_up: int = _option(100, "Steps until the learning rate is at its peak.")
    weight_decay: float = _option(0.01, "Decoupled weight decay of AdamW.")
    clip_norm: float = _option(1.0, "Scale the gradient down to this norm; 0: do not.")
    clip_value: float = _option(0.0, "Cut each gradient entry off at this size; 0: do not.")
    embedding_from: str | None = _option(
        None,
        "Begin with the embedding of this checkpoint, or word2vec or GloVe text file, at its size.",
    )
    freeze_embedding: bool = _option(False, "Never change the embedding.")
    seed: int = _option(1, "Seed of the weights and of dropout.", "-s", "--seed")
    save_every: str | None = _option(
        None,
        "Validate and save every so many steps (500), or save every so many minutes (5m) as well.",
    )
    device: str = _option("auto", "Where to train: auto, cpu, cuda.")
    precision: Precision = _option(
        "auto",
        "Arithmetic of matrix products: auto takes bfloat16 where the processor has it natively. "
        "Weights are kept in float32.",
    )
    threads: int = _option(0, "Processor threads to use; 0: as many as there are cores.")

    def __post_init__(self) -> None:
        try:
            check_types(self)
        except TypeError as error:
            raise UsageError(str(error)) from None
        budgets = {
            f"--{name}": value
            for name in ("minutes", "steps", "epochs")
            if (value := getattr(self, name)) is not None
        }
        if len(budgets) > 1:
            raise UsageError(f"{' and '.join(budgets)} exclude each other", "give one budget")
        for name, value in budgets.items():
            if not 0 < value <= _MOST:
                raise UsageError(f"{name} must be above 0 and at most {_MOST:,}, not {value}")
        self._check_numbers()
        if self.save_every is not None:
            Interval.parse(self.save_every)

    def _check_numbers(self) -> None:
        if self.seed >= 1 << 63:
            raise UsageError(f"--seed must be below 2^63, not {self.seed}")
        for name, least in (("batch", 1), ("bptt", 1), ("warm_up", 0), ("threads", 0), ("seed", 0)):
            value, option = getattr(self, name), name.replace("_", "-")
            if value < least:
                raise UsageError(f"--{option} must be at least {least}, not {value}")
        if self.threads > _MOST_THREADS:
            raise UsageError(f"--threads must be at most {_MOST_THREADS}, not {self.threads}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout must be at least 0 and below 1, not {self.dropout}")
        if self.lr == 0:
            raise UsageError("--lr must be above 0")
        if not 0 <= self.reset <= 1:
            raise UsageError(f"--reset must be from 0 to 1, not {self.reset}")
        for name in ("lr", "weight_decay", "clip_norm", "clip_value"):
            value, option = getattr(self, name) or 0, name.replace("_", "-")
            if not 0 <= value <= _MOST:
                raise UsageError(f"--{option} must be from 0 to {_MOST:,}, not {value}")
