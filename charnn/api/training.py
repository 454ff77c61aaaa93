"""Training: text in, a trained model out. Torch is imported when it begins."""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

from charnn.api.model import Model, load
from charnn.api.options import Options, Place, ResumeOptions, TrainingOptions, check
from charnn.architecture import CellName, ModelConfig, NgramConfig
from charnn.checkpoint import read_checkpoint
from charnn.data.store import TokenizedCorpus
from charnn.errors import TrainingError
from charnn.places import check_tokenized, find_corpus, find_run, open_corpus, run_place
from charnn.text.config import InvalidPolicy
from charnn.training.config import Size, TrainingConfig
from charnn.training.counting import count
from charnn.training.events import Ended, Event
from charnn.training.together import FREE, check_together

_log = logging.getLogger("charnn")

_NEW = Options(ModelConfig, NgramConfig, TrainingConfig)
_ANEW = Options(TrainingConfig, only=FREE)


@_NEW.shown
def train(
    corpus: Place | TokenizedCorpus | None = None,
    *,
    cell: Literal[CellName, "ngram"] | None = None,
    size: Size = "auto",
    errors: InvalidPolicy = "bytes",
    output: Place | None = None,
    log_dir: Place | None = None,
    on_event: Callable[[Event], object] | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Unpack[TrainingOptions],
) -> Model:
    """Train a language model: the best one of the run, as ``charnn train`` makes it.

    What is not given is chosen by the text, the budget and the machine. The run is kept in
    ``checkpoints/NAME``, which ``model.path`` is in. Ctrl-C ends it where it is; what was saved
    before is kept, and ``charnn.resume`` goes on with it.

    Nothing is printed. Torch's random numbers and threads are afterwards as they were, but while
    it trains they are this run's, also for other threads of the program; and the C library keeps
    freed memory from then on.

    Args:
        corpus: a tokenized corpus, or a text file, which is tokenized first; without it the newest
            tokenized corpus, or else the bundled fables.
        cell: the recurrent cell (``lstm`` without it), or ``ngram``: count instead of learning.
        size: of the model; ``auto`` goes by the text, the budget and the machine.
        errors: bytes of a text that are no UTF-8: "bytes" keeps them, "replace" makes them U+FFFD,
            "strict" refuses the text.
        output: the run's folder.
        log_dir: log for TensorBoard into this folder, too.
        on_event: is told what happens: an event of ``charnn.training.events``.
        stop: asked after every step, and in between; True saves and ends the run.

    Examples:
        model = charnn.train("corpus.txt", minutes=10, hidden=256)

        charnn.train("corpus.txt", steps=500, on_event=print)

    Raises:
        UsageError: an option is unknown, or makes no sense.
        CorpusError: the corpus is missing, damaged or too short.
        OutputError: the run cannot be written.
        TrainingError: it diverges, or was stopped before the first step.
    """
    model, ngram, training = _NEW.read(options)
    check("cell", cell, Literal[CellName, "ngram"] | None)
    check("size", size, Size)
    check("errors", errors, InvalidPolicy)
    named = {"cell": cell, "corpus": corpus, "output": output, "log_dir": log_dir}
    given = {name for name, value in {**options, **named}.items() if value is not None}
    if size != "auto":
        given.add("size")
    with _NEW.named():
        check_together({name: name for name in given}, counts=cell == "ngram")
        begin = None
        if training.from_checkpoint is not None:
            begin = read_checkpoint(find_run(Path(training.from_checkpoint)))
        extend = training.extend_vocabulary
        if isinstance(corpus, TokenizedCorpus):
            check_tokenized(corpus.path, extend=extend, errors=errors)
        else:
            path = find_corpus(None if corpus is None else Path(corpus))
            corpus = open_corpus(path, begin=begin, extend=extend, errors=errors)
        folder, name = run_place(None if output is None else Path(output), corpus)
        if cell == "ngram":
            return load(count(corpus, ngram, folder, name).run)
        from charnn.training.process import undisturbed
        from charnn.training.start import prepare

        with undisturbed():
            model = replace(model, cell=cell or "lstm")
            start = prepare(corpus, size, model, training, given, begin)
            for warning in start.warnings:
                _log.warning(_NEW.in_keywords(warning))
            return _follow(start.train(folder, name, _lasting(stop)), log_dir, on_event)


@_ANEW.shown
def resume(
    run: Place | None = None,
    *,
    log_dir: Place | None = None,
    on_event: Callable[[Event], object] | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Unpack[ResumeOptions],
) -> Model:
    """Go on with a run as if it had not stopped; or, with a new budget, beyond its end.

    Args:
        run: the run; without it the newest in ``checkpoints/`` that learns.
        log_dir: log for TensorBoard into this folder, too.
        on_event: is told what happens: an event of ``charnn.training.events``.
        stop: asked after every step, and in between; True saves and ends the run.

    Examples:
        model = charnn.resume("checkpoints/corpus", minutes=10)

    Raises:
        UsageError: an option is unknown, or makes no sense.
        CheckpointError: there is no run, it is damaged, or finished.
        CorpusError: its corpus is not found.
    """
    (training,) = _ANEW.read(options)
    anew = {name: getattr(training, name) for name in options}
    from charnn.training.process import undisturbed
    from charnn.training.start import go_on

    with _NEW.named(), undisturbed():  # what goes wrong may have to do with any of its options
        path = find_run(None if run is None else Path(run), recurrent=True)
        return _follow(go_on(path, anew, _lasting(stop)), log_dir, on_event)


def _lasting(stop: Callable[[], bool] | None) -> Callable[[], bool]:
    """What says True from the first time on that ``stop`` does."""
    asked = False

    def stopped() -> bool:
        nonlocal asked
        asked = asked or (stop is not None and bool(stop()))
        return asked

    return stopped


def _follow(
    events: Iterator[Event], log_dir: Place | None, on_event: Callable[[Event], object] | None
) -> Model:
    """See a run to its end. If that is an error, the run is let go of at once."""
    if log_dir is not None:
        from charnn.training.tensorboard import logged

        events = logged(events, Path(log_dir))
    with contextlib.closing(_closable(events)) as happening:
        for event in happening:
            if on_event is not None:
                on_event(event)
    assert isinstance(event, Ended)
    if not event.step:
        raise TrainingError("stopped before the first step, so there is no model")
    return load(event.run)


def _closable(events: Iterator[Event]) -> Generator[Event, None, None]:
    yield from events
