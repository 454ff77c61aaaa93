"""What happens in a run, told to TensorBoard as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charnn.errors import UsageError
from charnn.files import cannot_write
from charnn.training.events import Event, Saved, Started, Stepped, WentBack
from charnn.training.metrics import EVERY_STEPS


def logged(events: Iterator[Event], folder: Path) -> Iterator[Event]:
    """Pass events on, and write their figures into ``folder``/RUN for TensorBoard.

    Raises:
        UsageError: TensorBoard is not installed.
        OutputError: nothing can be written there.
    """
    writer_of = _find_writer()
    writer: Any = None
    name = ""

    def from_step(step: int) -> Any:
        """A writer that takes back what was told of later steps."""
        if writer is not None:
            writer.close()
        return writer_of(str(folder / name), purge_step=step + 1)

    try:
        for event in events:
            with cannot_write("TensorBoard's log", folder):
                match event:
                    case Started():
                        name = event.run.name
                        writer = from_step(event.step)
                    case WentBack():
                        writer = from_step(event.step)
                    case Stepped() if event.step % EVERY_STEPS == 0:
                        for figure in ("train_nats", "learning_rate", "gradient_norm"):
                            writer.add_scalar(figure, getattr(event, figure), event.step)
                    case Saved() if event.validation_nats is not None:
                        writer.add_scalar("validation_nats", event.validation_nats, event.step)
                        writer.flush()
            yield event
    finally:
        if writer is not None:
            writer.close()


def _find_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError(
            "--log-dir writes for TensorBoard, which is missing",
            'pip install "charnn[tensorboard]"',
        ) from None
    return SummaryWriter
