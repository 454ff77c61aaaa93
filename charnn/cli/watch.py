"""What happens in a run, as a user sees it: the live display, and the signals that stop it."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from charnn.cli.console import draws, quoted, say, say_facts, stderr_console, warn

if TYPE_CHECKING:
    from charnn.training.events import Ended, Event, Saved, Started, Stepped

_LINE_SECONDS = 10.0
_SMOOTHING = 0.98


class StopSignal:
    """The first Ctrl-C, SIGTERM or lost terminal asks for a stop, the second stops at once."""

    def __init__(self) -> None:
        self.exit_code = 0
        self._told = False

    def __call__(self) -> bool:
        """Whether a signal came."""
        # A handler may interrupt whatever is being drawn, so it is not the place to talk.
        if self.exit_code and not self._told:
            self._told = True
            say("stopping after this step, and saving; once more stops at once")
        return self.exit_code != 0

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while training runs; what the caller ignores, as nohup does, stays ignored."""
        signals = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = [signal.signal(number, self._hear) for number in signals]
        try:
            yield
        except KeyboardInterrupt:
            say("stopped at once; what was saved before is kept")
            raise typer.Exit(self.exit_code) from None
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def _hear(self, number: int, frame: object) -> None:
        if self.exit_code:
            raise KeyboardInterrupt
        self.exit_code = 128 + number


def watch(events: "Iterator[Event]", stop: StopSignal) -> "Ended":
    """Draw what happens: bars on a terminal, a line now and then elsewhere; and hear signals."""
    from charnn.training.events import Ended, Saved, Started, Stepped, WentBack
    from charnn.training.schedule import MOST_HALVINGS

    display: _Lines = _Lines()
    with stop.heard(), contextlib.ExitStack() as stack:
        for event in events:
            match event:
                case Started():
                    say_facts({"run": f"{event.run}{_begins(event)}"}, width=6)
                    display = stack.enter_context(_bar(event)) if draws() else _Lines()
                    decode = _decoder(event)
                case Stepped():
                    display.step(event)
                case Saved():
                    display.saved(event, decode(event.sample))
                case WentBack():
                    warn(
                        f"{event.why}; back to step {event.step} with half the learning rate, "
                        f"{event.learning_rate:.3g} ({event.halvings} of {MOST_HALVINGS})"
                    )
                    display.went_back()
                case Ended():
                    ended = event
    _say_end(ended)
    return ended


def _begins(started: "Started") -> str:
    """Where a run that goes on stands."""
    if not started.step:
        return ""
    steps = "" if started.steps is None else f" of {started.steps:,}"
    return f", from step {started.step:,}{steps}"


def _say_end(ended: "Ended") -> None:
    nats = "" if ended.best_nats is None else f", best validation loss {ended.best_nats:.4f} nats"
    minutes, seconds = divmod(round(ended.seconds), 60)
    run = quoted(ended.run)
    if not ended.step:
        say("stopped before the first step")
    elif ended.stopped:
        say(f"stopped at step {ended.step:,}{nats}; go on with: charnn train --resume {run}")
    else:
        say(f"{ended.step:,} steps in {minutes}:{seconds:02}{nats}")
        say(f"write with it: charnn generate -m {run}")


def _decoder(started: "Started") -> Callable[[list[int]], str]:
    """Turns a sample into one printable line."""

    def decode(ids: list[int]) -> str:
        from charnn.text.streaming import TextStream

        text = TextStream().feed(started.tokenizer.decode(ids)).strip()
        line = " ".join(text.split())
        return "".join(character if character.isprintable() else " " for character in line)

    return decode


class _Lines:
    """What training says without a terminal: a plain line every few seconds."""

    def __init__(self) -> None:
        self._loss = _Smoothed()
        self._rate = _Rate()
        self._said = time.monotonic()

    def step(self, stepped: "Stepped") -> None:
        """Take note of a step."""
        loss, rate = self._loss.add(stepped.train_nats), self._rate.add(stepped)
        now = time.monotonic()
        if now - self._said >= _LINE_SECONDS:
            self._said = now
            steps = "" if stepped.steps is None else f"/{stepped.steps}"
            left = self._rate.left(stepped)
            say(
                f"step {stepped.step}{steps}  loss {loss:.4f}  {rate:,.0f} tokens/s"
                + ("" if left is None else f"  {left:.0f} s left")
            )

    def went_back(self) -> None:
        """Begin measuring anew."""
        self._loss, self._rate = _Smoothed(), _Rate()

    def saved(self, saved: "Saved", sample: str) -> None:
        """Tell what was saved."""
        say(_saved_line(saved, sample))


class _Smoothed:
    """An exponential moving average that starts at the truth."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> float:
        self._sum = _SMOOTHING * self._sum + value
        self._weight = _SMOOTHING * self._weight + 1
        return self._sum / self._weight


class _Rate:
    """Tokens a second, from the time that training itself took."""

    def __init__(self) -> None:
        self._first: Stepped | None = None
        self._per_second = 0.0
        self._seconds_per_step = 0.0

    def add(self, stepped: "Stepped") -> float:
        if self._first is None:
            self._first = stepped
            return 0.0
        seconds = stepped.seconds - self._first.seconds
        self._per_second = (stepped.tokens_seen - self._first.tokens_seen) / max(seconds, 1e-9)
        self._seconds_per_step = seconds / (stepped.step - self._first.step)
        return self._per_second

    def left(self, stepped: "Stepped") -> float | None:
        """Seconds until the last step."""
        if stepped.steps is None:
            return None
        return (stepped.steps - stepped.step) * self._seconds_per_step


def _saved_line(saved: "Saved", sample: str) -> str:
    nats = "saved" if saved.validation_nats is None else f"valid {saved.validation_nats:.4f}"
    mark = " *" if saved.best and saved.validation_nats is not None else "  "
    return f"step {saved.step:>6}  {nats}{mark}  {sample}".rstrip()


@contextlib.contextmanager
def _bar(started: "Started") -> Iterator[_Lines]:
    """A live bar on the terminal: loss, validation, tokens a second, time left."""
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    console = stderr_console()
    progress = Progress(
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[status]}"),
        console=console,
        expand=True,
        refresh_per_second=4,
    )
    task = progress.add_task("", total=started.steps, completed=started.step, status="")

    class Bar(_Lines):
        """The same told as a bar."""

        learned = valid = speed = ""

        def step(self, stepped: "Stepped") -> None:
            loss, rate = self._loss.add(stepped.train_nats), self._rate.add(stepped)
            left = self._rate.left(stepped)
            clock = "timing" if left is None else f"{int(left) // 60}:{int(left) % 60:02} left"
            steps = "" if stepped.steps is None else f"/{stepped.steps}"
            self.learned = f"{stepped.step}{steps}  loss {loss:.3f}"
            self.speed = f"  {rate:,.0f} tok/s  {clock}"
            progress.update(task, completed=stepped.step, total=stepped.steps)
            self.draw()

        def draw(self) -> None:
            progress.update(task, status=self.learned + self.valid + self.speed)

        def saved(self, saved: "Saved", sample: str) -> None:
            if saved.validation_nats is not None:
                self.valid = f"  valid {saved.validation_nats:.3f}"
                if not saved.best:
                    self.valid += f", best {saved.best_nats:.3f}"
            self.draw()
            line = Text(_saved_line(saved, sample))
            progress.console.print(line, no_wrap=True, overflow="ellipsis")

    with progress:
        yield Bar()
