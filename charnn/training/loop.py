"""The training loop. It yields what happens; whoever runs it draws."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import Checkpoint, read_checkpoint
from charnn.data.store import TokenizedCorpus
from charnn.errors import CheckpointError, CorpusError, UsageError
from charnn.tensors import Tensors
from charnn.training import metrics
from charnn.training.config import Interval, TrainingConfig
from charnn.training.events import Ended, Event, Saved, Started, Stepped
from charnn.training.progress import MOST_STEPS
from charnn.training.run import new_run, open_run, settings
from charnn.training.schedule import affordable_steps, interval, is_timed, validation_seconds
from charnn.training.trainer import DivergedError, Trainer
from charnn.training.vectors import Vectors

_SAVE_MINUTES = 5.0

#: A rehearsal: at most so many steps or seconds; the first ones are slower than the rest.
_REHEARSED_STEPS, _REHEARSED_SECONDS, _UNLIKE_OTHERS = 20, 10.0, 3

#: How runs were trained whose checkpoints, of format 2 or before, do not say so.
_BEFORE_FORMAT_3: dict[str, Any] = {"optimizer": "adamw", "ema": 0.0}


def train(
    corpus: TokenizedCorpus,
    model: ModelConfig,
    config: TrainingConfig,
    folder: Path,
    name: str,
    *,
    vectors: Vectors | None = None,
    weights: Tensors | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a new model.

    Args:
        corpus: what it learns from.
        model: its architecture.
        config: how it is trained.
        folder: where runs are kept.
        name: the run's name; if it is taken, NAME-2.
        vectors: what the embedding begins with.
        weights: what all of the model begins with.
        stop: asked after every step, and in between; True, which it then must remain, saves and
            ends the run.

    Raises:
        CorpusError: the corpus is too short.
        OutputError: the run cannot be written.
        TrainingError: it diverges, whatever the learning rate.
    """
    trainer = Trainer(corpus, model, config, folder / name, vectors, weights)
    with new_run(folder, name, settings(corpus, model, config)) as run:
        trainer.run = run
        trainer.plan()
        yield from _run(trainer, stop)


def resume(
    run: Path,
    corpus: TokenizedCorpus,
    config: TrainingConfig,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Go on with a run from its last checkpoint.

    Args:
        run: the run's folder.
        corpus: what it was trained on.
        config: the run's own, perhaps with a new budget: that counts from here, and the learning
            rate falls anew to its end. Without one, the run ends where it was planned to.
        stop: as for ``train``.

    Raises:
        CheckpointError: there is none, or it is damaged.
        CorpusError: the corpus is not the one that the run was trained on.
    """
    with open_run(run):
        checkpoint = read_checkpoint(run, "last")
        if checkpoint.config.corpus.get("digest") != corpus.digest:
            raise CorpusError(f"{corpus.path} is not the corpus that {run} was trained on")
        if isinstance(checkpoint.config.model, NgramConfig):
            raise CheckpointError(
                f"{run} is an n-gram model: it was counted once, and there is nothing to go on with"
            )
        trainer = Trainer(corpus, checkpoint.config.model, config, run)
        trainer.restore(checkpoint)
        trainer.mend(checkpoint.config.validation_nats)
        trainer.plan()
        if trainer.progress.steps is None and config.minutes is None:
            # It stopped before its number of steps was fixed: its own budget goes on.
            trainer.config = replace(config, minutes=checkpoint.config.training.get("minutes"))
        if trainer.is_over and not trainer.progress.unvalidated:
            raise CheckpointError(
                f"{run} is finished: all {trainer.progress.steps} steps are done",
                "extend it with --minutes, --steps or --epochs",
            )
        yield from _run(trainer, stop)


@dataclass(frozen=True)
class Rehearsal:
    """How fast a run would be, and what its budget buys."""

    step_seconds: float
    """A step's time, at the median."""
    tokens_per_step: int
    steps_per_epoch: float
    steps: int
    """Steps that the budget buys."""
    seconds: float
    """What they take, with validations."""


def rehearse(
    corpus: TokenizedCorpus,
    model: ModelConfig,
    config: TrainingConfig,
    *,
    vectors: Vectors | None = None,
    weights: Tensors | None = None,
) -> Rehearsal:
    """Take some steps of a run, and write nothing. The arguments are those of ``train``."""
    trainer = Trainer(corpus, model, config, Path(), vectors, weights)
    trainer.plan()
    seconds: list[float] = []
    while len(seconds) < _REHEARSED_STEPS and sum(seconds) < _REHEARSED_SECONDS:
        before = trainer.progress.seconds
        trainer.take_step()
        seconds.append(trainer.progress.seconds - before)
    step_seconds = statistics.median(seconds[_UNLIKE_OTHERS:] or seconds)
    tokens, held_out = trainer.tokens_per_step, trainer.validation_tokens
    steps = trainer.progress.steps or affordable_steps(
        [step_seconds], config.budget_seconds, tokens, held_out
    )
    return Rehearsal(
        step_seconds,
        tokens,
        trainer.windows.per_epoch,
        steps,
        steps * step_seconds + validation_seconds(steps, step_seconds, tokens, held_out),
    )


def resumed_config(run: Path) -> tuple[TrainingConfig, Mapping[str, Any]]:
    """The settings of a run, without the budget that is used up, and what it knows of its corpus.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    checkpoint = read_checkpoint(run, "last")
    return training_config(checkpoint), checkpoint.config.corpus


def training_config(checkpoint: Checkpoint) -> TrainingConfig:
    """How a checkpoint was trained, without the budget.

    Raises:
        CheckpointError: its settings are damaged.
    """
    fields = _BEFORE_FORMAT_3 | dict(checkpoint.config.training)
    if fields.pop("freeze_embedding", False):
        fields["freeze"] = "embedding"
    try:
        return TrainingConfig(**{**fields, "minutes": None, "steps": None, "epochs": None})
    except (TypeError, KeyError, UsageError) as error:
        raise CheckpointError(f"{checkpoint.path} is damaged: its settings: {error}") from None


def _run(trainer: Trainer, stop: Callable[[], bool]) -> Iterator[Event]:
    at = trainer.progress
    yield Started(trainer.run, trainer.corpus.tokenizer, trainer.lanes, at.step, at.steps)
    diverged: DivergedError | None = None
    while True:
        if diverged is not None:
            yield trainer.go_back(diverged)
        log = metrics.Metrics(trainer.run, trainer.progress)
        try:
            yield from _go_on(trainer, log, stop)
            break
        except DivergedError as error:
            diverged = error
        finally:
            log.close()
    at = trainer.progress
    stopped = not trainer.is_over or at.unvalidated is not None
    yield Ended(trainer.run, at.step, at.steps, at.best_nats, at.seconds, stopped)


def _go_on(trainer: Trainer, log: metrics.Metrics, stop: Callable[[], bool]) -> Iterator[Event]:
    """Step by step until all are done, or ``stop`` says so.

    Raises:
        DivergedError: nothing more can come of these weights.
    """
    config, at = trainer.config, trainer.progress
    budget = config.budget_seconds
    every = Interval.parse(config.save_every) if config.save_every else Interval()
    first, saved_at = at.step, at.seconds
    step_seconds: list[float] = []
    if at.unvalidated:
        yield from _save(trainer, log, at.unvalidated, stop, validates=True)
    while not (trainer.is_over or stop()):
        before = at.seconds
        stepped = trainer.take_step()
        yield stepped
        if at.steps is None:
            step_seconds.append(at.seconds - before)
            spent = at.seconds - trainer.began
            if is_timed(at.step - first, spent, budget):
                more = affordable_steps(
                    step_seconds,
                    budget - spent,
                    trainer.tokens_per_step,
                    trainer.validation_tokens,
                )
                at.steps = min(at.step + more, MOST_STEPS)
        validates = trainer.is_over or _validation_is_due(trainer, every)
        minutes = (at.seconds - saved_at) / 60
        if validates or minutes >= (every.minutes or _SAVE_MINUTES) or stop():
            yield from _save(trainer, log, stepped, stop, validates=validates)
            saved_at = at.seconds
        else:
            log.add(stepped)


def _save(
    trainer: Trainer,
    log: metrics.Metrics,
    stepped: Stepped,
    stop: Callable[[], bool],
    *,
    validates: bool,
) -> Iterator[Saved]:
    """Validate, if that is due, and save.

    What a signal or the clock calls for is saved without, so that a run validates at the same
    steps however often it is interrupted; and one that is stopped in a validation does it later.
    A state that is far off while the rate warms up is only saved for a stop: there may be no way
    back from it.
    """
    nats = trainer.validate(stop) if validates else None
    put_off = validates and nats is None and trainer.can_validate
    trainer.progress.unvalidated = stepped if put_off else None
    if not put_off:
        log.add(stepped, nats)
    log.sync()
    far_off = trainer.is_far_off(nats) or trainer.is_far_off(trainer.progress.average_nats)
    if stop() or not far_off:
        yield trainer.save(nats, sample=not stop())


def _validation_is_due(trainer: Trainer, every: Interval) -> bool:
    at = trainer.progress
    if every.steps is not None:
        return at.step % every.steps == 0
    if at.steps is None:
        return False
    tokens = trainer.validation_tokens
    return at.step % interval(at.steps, trainer.tokens_per_step, tokens) == 0
