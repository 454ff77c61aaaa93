"""What happens in a run, as it happens: the loop yields these, and whoever runs it draws them."""

from dataclasses import dataclass
from pathlib import Path

from charnn.text.base import Tokenizer


@dataclass(frozen=True)
class Started:
    """The run is set up; the first step comes next."""

    run: Path
    tokenizer: Tokenizer
    """Turns samples into text."""
    lanes: int
    """Lanes in use: fewer than asked for where the corpus is short."""
    step: int
    """Steps already done, if the run was resumed."""
    steps: int | None
    """Steps planned; None while they are being timed."""


@dataclass(frozen=True)
class Stepped:
    """A step was done."""

    step: int
    steps: int | None
    tokens_seen: int
    seconds: float
    train_nats: float
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True)
class Saved:
    """The model was saved; and validated, where a validation was due."""

    step: int
    validation_nats: float | None
    best: bool
    """Whether that is the best so far."""
    best_nats: float | None
    """The best so far."""
    checkpoint: Path
    sample: list[int]
    """Ids of a line that the model wrote; none when the run is being stopped."""


@dataclass(frozen=True)
class WentBack:
    """Training diverged, and goes on from where it was last saved, with half the learning rate."""

    why: str
    """The step, and what was wrong with it."""
    step: int
    """Where it goes on from."""
    halvings: int
    """How often that has happened."""
    learning_rate: float
    """The peak rate from now on."""


@dataclass(frozen=True)
class Ended:
    """The run is over."""

    run: Path
    step: int
    steps: int | None
    best_nats: float | None
    seconds: float
    stopped: bool
    """Whether it was stopped before its budget was spent."""


Event = Started | Stepped | Saved | WentBack | Ended
