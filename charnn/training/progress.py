"""Where a run is: what a step changes beside the tensors."""

from dataclasses import dataclass, field
from typing import Any

from charnn.training.events import Stepped
from charnn.typed import check_types

#: More than anyone will do.
MOST_STEPS = 1 << 40


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
        if fields.get("unvalidated") is not None:
            fields = {**fields, "unvalidated": Stepped(**fields["unvalidated"])}
            check_types(fields["unvalidated"])
        progress = cls(**fields)
        check_types(progress)
        for count in (progress.step, progress.steps or 0, progress.halvings):
            if not 0 <= count <= MOST_STEPS:
                raise ValueError(f"there cannot be {count} steps")
        return progress
