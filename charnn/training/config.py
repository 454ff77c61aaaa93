"""What a training run may be told. Imports nothing heavy, so that ``--help`` can show it."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from charnn.architecture import BY_RECIPE
from charnn.errors import UsageError
from charnn.typed import check_types

Precision = Literal["auto", "float32", "bfloat16"]
OptimizerName = Literal["muon", "adamw"]
Size = Literal["auto", "small", "medium", "large"]
Part = Literal["nothing", "embedding"]


_LEARNING, _FORGETTING, _MACHINE = "Learning", "Against learning by heart", "Machine"
_BUDGET, _BEGIN, _RUN = "Budget", "What it begins with", "Run"

#: More minutes, steps or epochs than anyone has.
_MOST = 1_000_000_000
_MOST_THREADS = 1024


def _option(
    default: Any,
    help: str,
    *flags: str,
    group: str = _LEARNING,
    shown: str | None = None,
    names: str | None = None,
) -> Any:
    """A field that is an option.

    Args:
        default: of the field.
        help: what it is.
        flags: the option's names, if not the field's.
        group: where help shows it.
        shown: stands for a default that the recipe may change.
        names: ``models``, if it names one.
    """
    metadata = {"help": help, "flags": flags, "group": group, "names": names}
    return field(default=default, metadata=metadata | ({"default": shown} if shown else {}))


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
        group=_BUDGET,
        shown="10, or 40 epochs if that is less",
    )
    steps: int | None = _option(None, "Train for this many steps.", group=_BUDGET)
    epochs: float | None = _option(
        None, "Train until every token was read this often.", group=_BUDGET
    )
    batch: int = _option(32, "Lanes that read the corpus side by side.", shown=BY_RECIPE)
    bptt: int = _option(64, "Tokens a step unrolls and backpropagates through.")
    dropout: float = _option(
        0.1,
        "Share of features dropped, the same through a window, behind every layer.",
        shown=BY_RECIPE,
        group=_FORGETTING,
    )
    weight_dropout: float = _option(
        0.0,
        "Share of the weights from state to state dropped, others for each window.",
        group=_FORGETTING,
    )
    reset: float = _option(
        0.02,
        "Share of lanes that begin a window afresh, so that the model also learns to begin.",
    )
    optimizer: OptimizerName = _option(
        "muon", "What updates the matrices between units: muon, or adamw as for all the rest."
    )
    lr: float = _option(
        0.004, "Peak learning rate of AdamW; it warms up, then falls to zero.", shown=BY_RECIPE
    )
    muon_lr: float = _option(0.035, "Peak learning rate of Muon, which follows the same course.")
    sampled_softmax: int = _option(
        0,
        "Learn with so many draws from the vocabulary, others in each step; 0: with all of it.",
        shown=BY_RECIPE,
    )
    warm_up: int = _option(30, "Steps until the learning rate is at its peak.")
    weight_decay: float = _option(0.02, "Decoupled weight decay.", group=_FORGETTING)
    ema: float = _option(
        0.998,
        "Decay of the exponential moving average of the weights, which is what is validated and "
        "saved; 0: the weights themselves.",
    )
    clip_norm: float = _option(1.0, "Scale the gradient down to this norm; 0: do not.")
    clip_value: float = _option(0.0, "Cut each gradient entry off at this size; 0: do not.")
    from_checkpoint: str | None = _option(
        None,
        "Begin with this model, trained before, and go on with it on this text.",
        "--from",
        group=_BEGIN,
        names="models",
    )
    extend_vocabulary: bool = _option(
        False, "With --from: add the symbols of the text that the model lacks.", group=_BEGIN
    )
    embedding_from: str | None = _option(
        None,
        "Begin with the embedding of this checkpoint, or word2vec or GloVe text file, at its size.",
        group=_BEGIN,
        names="models",
    )
    freeze: Part = _option("nothing", "What training never changes.", group=_BEGIN)
    seed: int = _option(1, "Seed of the weights and of dropout.", "-s", "--seed", group=_RUN)
    save_every: str | None = _option(
        None,
        "Validate and save every so many steps (500), or save every so many minutes (5m) as well.",
        group=_RUN,
    )
    device: str = _option("auto", "Where to train: auto, cpu, cuda.", group=_MACHINE)
    precision: Precision = _option(
        "auto",
        "Arithmetic of matrix products: auto takes bfloat16 where the processor has it natively. "
        "Weights are kept in float32.",
        group=_MACHINE,
    )
    threads: int = _option(
        0, "Processor threads to use; 0: as many as there are cores.", group=_MACHINE
    )

    @property
    def has_budget(self) -> bool:
        """Whether one was given."""
        return (self.minutes, self.steps, self.epochs) != (None, None, None)

    @property
    def budget_seconds(self) -> float:
        """The budget, where it is a time."""
        return 60 * (self.minutes or self.default_minutes)

    def __post_init__(self) -> None:
        try:
            check_types(self)
        except TypeError as error:
            name, _, wrong = str(error).partition(" ")
            raise UsageError(f"--{name.replace('_', '-')} {wrong}") from None
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
        if self.from_checkpoint is not None and self.embedding_from is not None:
            raise UsageError("--from and --embedding-from exclude each other")
        if self.extend_vocabulary and self.from_checkpoint is None:
            raise UsageError("--extend-vocabulary extends that of a model: name it with --from")
        if self.save_every is not None:
            Interval.parse(self.save_every)

    def _check_numbers(self) -> None:
        if self.seed >= 1 << 63:
            raise UsageError(f"--seed must be below 2^63, not {self.seed}")
        least_of = {
            "batch": 1,
            "bptt": 1,
            "sampled_softmax": 0,
            "warm_up": 0,
            "threads": 0,
            "seed": 0,
        }
        for name, least in least_of.items():
            value, option = getattr(self, name), name.replace("_", "-")
            if value < least:
                raise UsageError(f"--{option} must be at least {least}, not {value}")
        if self.threads > _MOST_THREADS:
            raise UsageError(f"--threads must be at most {_MOST_THREADS}, not {self.threads}")
        for name in ("dropout", "weight_dropout", "ema"):
            value, option = getattr(self, name), name.replace("_", "-")
            if not 0 <= value < 1:
                raise UsageError(f"--{option} must be at least 0 and below 1, not {value}")
        for name in ("lr", "muon_lr"):
            if getattr(self, name) == 0:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0")
        if not 0 <= self.reset <= 1:
            raise UsageError(f"--reset must be from 0 to 1, not {self.reset}")
        for name in ("lr", "muon_lr", "weight_decay", "clip_norm", "clip_value"):
            value, option = getattr(self, name), name.replace("_", "-")
            if not 0 <= value <= _MOST:
                raise UsageError(f"--{option} must be from 0 to {_MOST:,}, not {value}")
