"""The training loop. It yields what happens; whoever runs it draws."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import read_checkpoint
from charnn.data.store import TokenizedCorpus
from charnn.errors import CheckpointError, CorpusError, UsageError
from charnn.training import metrics
from charnn.training.config import Interval, TrainingConfig
from charnn.training.events import Ended, Event, Started
from charnn.training.run import new_run, settings
from charnn.training.schedule import affordable_steps, interval, is_timed
from charnn.training.trainer import Trainer
from charnn.training.vectors import Vectors

_SAVE_MINUTES = 5.0


def train(
    corpus: TokenizedCorpus,
    model: ModelConfig,
    config: TrainingConfig,
    folder: Path,
    name: str,
    *,
    vectors: Vectors | None = None,
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
        stop: asked after every step; True saves and ends the run.

    Raises:
        CorpusError: the corpus is too short.
        OutputError: the run cannot be written.
        TrainingError: the loss is no number.
    """
    trainer = Trainer(corpus, model, config, folder / name)
    if vectors is not None:
        trainer.model.set_embedding(vectors.vectors_VE, vectors.found_V)
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
    checkpoint = read_checkpoint(run, "last")
    if checkpoint.config.corpus.get("digest") != corpus.digest:
        raise CorpusError(f"{corpus.path} is not the corpus that {run} was trained on")
    if isinstance(checkpoint.config.model, NgramConfig):
        raise CheckpointError(
            f"{run} is an n-gram model: it was counted once, and there is nothing to go on with"
        )
    trainer = Trainer(corpus, checkpoint.config.model, config, run)
    trainer.restore(checkpoint)
    trainer.plan()
    if trainer.steps is None and config.minutes is None:
        # It stopped before its number of steps was fixed: its own budget goes on.
        trainer.config = replace(config, minutes=checkpoint.config.training["minutes"])
    if trainer.steps is not None and trainer.step >= trainer.steps:
        raise CheckpointError(
            f"{run} is finished: all {trainer.steps} steps are done",
            "extend it with --minutes, --steps or --epochs",
        )
    yield from _run(trainer, stop)


def resumed_config(run: Path) -> tuple[TrainingConfig, Mapping[str, Any]]:
    """The settings of a run, without the budget that is used up, and what it knows of its corpus.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    checkpoint = read_checkpoint(run, "last")
    try:
        fields = dict(checkpoint.config.training)
        config = TrainingConfig(**{**fields, "minutes": None, "steps": None, "epochs": None})
        return config, checkpoint.config.corpus
    except (TypeError, KeyError, UsageError) as error:
        raise CheckpointError(f"{run} is damaged: its settings: {error}") from None


def _run(trainer: Trainer, stop: Callable[[], bool]) -> Iterator[Event]:
    config = trainer.config
    budget = 60 * (config.minutes or config.default_minutes)
    first = trainer.step
    saved_at = trainer.seconds
    every = Interval.parse(config.save_every) if config.save_every else Interval()
    step_seconds: list[float] = []
    stopped = False
    yield Started(
        trainer.run,
        trainer.corpus.tokenizer,
        trainer.lanes,
        trainer.step,
        trainer.steps,
    )
    log = metrics.Metrics(trainer.run, trainer.step)
    try:
        while trainer.steps is None or trainer.step < trainer.steps:
            before = trainer.seconds
            stepped = trainer.take_step()
            yield stepped
            if trainer.steps is None:
                step_seconds.append(trainer.seconds - before)
                spent = trainer.seconds
                if is_timed(trainer.step - first, spent, budget):
                    trainer.steps = trainer.step + affordable_steps(
                        step_seconds,
                        budget - spent,
                        trainer.tokens_per_step,
                        len(trainer.held_out),
                    )
            stopped = stop()
            over = trainer.step == trainer.steps
            if over or stopped or _is_due(trainer, every, saved_at):
                saved = trainer.save()
                saved_at = trainer.seconds
                log.add(stepped, saved.validation_nats)
                yield saved
            else:
                log.add(stepped)
            if stopped:
                break
    finally:
        log.close()
    stopped = stopped and trainer.step != trainer.steps
    yield Ended(
        trainer.run, trainer.step, trainer.steps, trainer.best_nats, trainer.seconds, stopped
    )


def _is_due(trainer: Trainer, every: Interval, saved_at: float) -> bool:
    minutes = (trainer.seconds - saved_at) / 60
    if every.steps is not None:
        return trainer.step % every.steps == 0
    if every.minutes is not None:
        return minutes >= every.minutes
    if trainer.steps is None:
        return False
    validation_tokens = len(trainer.held_out)
    steps = interval(trainer.steps, trainer.tokens_per_step, validation_tokens)
    return trainer.step % steps == 0 or minutes >= _SAVE_MINUTES
