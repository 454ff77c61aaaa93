"""Where a run is: what a step changes beside the tensors."""

from dataclasses import dataclass, field
from typing import Any

from charnn.training.events import Stepped

_MOST_STEPS = 1 << 40


@dataclass
class Progress:
    """Where a run is. The step also says which batch is next and which dropout it sees."""

    step: int = 0
    """Steps done."""
    steps: int | None = None
    """Steps planned; None while they are still being timed."""
    seconds: float = 0.0
    """Time trained."""
    best_nats: float | None = None
    """The best validation loss so far."""
    halvings: int = 0
    """How often the learning rate was halved because training had diverged."""
    average_nats: float | None = None
    """The training loss, as a moving average."""
    unlogged_nats: list[float] = field(default_factory=list)
    """The training losses since the last line of the metrics."""
    unvalidated: Stepped | None = None
    """The step done last, if the run was stopped before the validation that was due then."""

    @classmethod
    def from_fields(cls, fields: Any) -> "Progress":
        """Read plain values.

        Raises:
            ValueError, TypeError, AttributeError: they are no progress.
        """
        stepped = fields.get("unvalidated") or {}
        progress = cls(**{**fields, "unvalidated": Stepped(**stepped) if stepped else None})
        counts = [progress.step, progress.halvings, progress.steps or 0]
        numbers = [progress.seconds, *progress.unlogged_nats, *stepped.values()]
        numbers += [progress.best_nats or 0, progress.average_nats or 0]
        if not (
            all(type(count) is int and 0 <= count < _MOST_STEPS for count in counts)
            and all(type(number) in (int, float) for number in numbers)
        ):
            raise ValueError("the progress is malformed")
        return progress
