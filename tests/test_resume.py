import json
from dataclasses import replace

import pytest
import torch
from conftest import make_corpus
from running import (
    MODEL,
    SMALL,
    losses,
    metrics,
    of,
    resume_events,
    run_events,
    timeless,
)

from charnn.cells import CELLS
from charnn.checkpoint import read_checkpoint, resolve
from charnn.errors import CheckpointError, CorpusError
from charnn.manifest import write_manifest
from charnn.training.config import TrainingConfig
from charnn.training.events import Saved, Started, Stepped
from charnn.training.loop import resume, resumed_config

has_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16, reason="this processor has no bfloat16")


def left(run):
    """All that a run leaves, but for its clock: weights, links, metrics, and where it is."""
    found = {}
    for name in ("best", "last"):
        checkpoint = read_checkpoint(run, name)
        found[name] = (checkpoint.config.step, checkpoint.config.validation_nats)
        found |= {f"{name} {key}": value.tobytes() for key, value in checkpoint.weights.items()}
        progress = json.loads(checkpoint.folder.read("training/progress.json"))
        found[f"{name} progress"] = timeless(progress)
    tensors = resolve(run, "last") / "training" / "state.safetensors"
    return found | {"metrics": timeless(metrics(run)), "tensors": tensors.read_bytes()}


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
@pytest.mark.parametrize("cell", CELLS)
def test_resume_is_bit_exact(corpus, tmp_path, cell, precision):
    options = {"steps": 30, "precision": precision, "model": replace(MODEL, cell=cell)}
    whole = run_events(corpus, tmp_path / "whole", **options)
    first = run_events(corpus, tmp_path / "cut", 7, **options)
    assert first[-1].stopped
    assert first[-1].step == 7
    run = tmp_path / "cut" / "run"
    second = resume_events(corpus, run)
    assert losses(first) + losses(second) == losses(whole)
    assert left(run) == left(tmp_path / "whole" / "run")


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    """Sixty steps: more than an epoch. Validations are due at 36 and 60."""
    folder = tmp_path_factory.mktemp("whole")
    return losses(run_events(corpus, folder, steps=60)), left(folder / "run")


def test_what_is_stopped_below_is_worth_it(corpus, uninterrupted):
    lines = uninterrupted[1]["metrics"]
    due = [line["step"] for line in lines if line["validation_nats"] is not None]
    assert due == [36, 60]
    assert uninterrupted[1]["best"][0] == 60
    assert 39 < len(corpus.tokens("train")) / (4 * 16) < 40  # steps of an epoch


@pytest.mark.parametrize(
    "stops",
    [(1,), (10,), (35,), (36,), (37,), (39, 40, 41), (59, 60), tuple(range(1, 61))],
    ids=lambda stops: f"{len(stops)} from {stops[0]}",
)
def test_a_run_stopped_anywhere_ends_as_if_it_had_not_been(corpus, tmp_path, uninterrupted, stops):
    """Mid-epoch, at an epoch's end, where a validation is due, and after the last step."""
    events = run_events(corpus, tmp_path, stops[0], steps=60)
    run = tmp_path / "run"
    found = losses(events)
    for stop in (*stops[1:], None):
        assert events[-1].stopped
        events = resume_events(corpus, run, stop)
        found += losses(events)
    assert not events[-1].stopped
    assert (found, left(run)) == uninterrupted


def test_a_stop_waits_for_no_validation(corpus, tmp_path):
    events = run_events(corpus, tmp_path, 36, steps=60)
    (saved,) = of(Saved, events)
    assert (saved.step, saved.validation_nats, saved.sample) == (36, None, [])
    resumed = resume_events(corpus, tmp_path / "run", 37)
    first, *_ = of(Saved, resumed)
    assert first.step == 36
    assert first.validation_nats is not None


def test_saving_by_the_clock_changes_nothing(corpus, tmp_path, uninterrupted):
    """Such a save does not validate, so that "best" does not depend on the clock."""
    events = run_events(corpus, tmp_path, steps=60, save_every="0.0001m")
    validated = [event.step for event in of(Saved, events) if event.validation_nats is not None]
    assert validated == [36, 60]
    assert len(of(Saved, events)) > 3
    assert (losses(events), left(tmp_path / "run")) == uninterrupted


def test_dropout_depends_on_the_step_alone(corpus, tmp_path):
    """Steps that others precede see the same dropout."""
    events = run_events(corpus, tmp_path, steps=3)
    torch.rand(1000)
    again = run_events(corpus, tmp_path / "again", steps=3)
    assert losses(events) == losses(again)
    other = run_events(corpus, tmp_path / "other", steps=3, dropout=0.31)
    assert losses(other)[0] != losses(events)[0]


def test_a_finished_run_can_be_extended(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=10)
    run = tmp_path / "run"
    config, known = resumed_config(run)
    assert known["path"] == str(corpus.path)
    with pytest.raises(CheckpointError, match="finished"):
        list(resume(run, corpus, config))
    longer = TrainingConfig(**{**SMALL, "steps": 5})
    events = list(resume(run, corpus, longer))
    assert events[-1].step == 15
    steps = [line["step"] for line in metrics(run)]
    assert steps == sorted(steps)
    assert steps[-1] == 15


def test_more_minutes_go_on_at_the_rate_so_far(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=40)
    longer = TrainingConfig(**SMALL, minutes=0.01)
    events = list(resume(tmp_path / "run", corpus, longer))
    assert of(Started, events)[0].steps == events[-1].step > 40
    rates = [event.learning_rate for event in of(Stepped, events)]
    assert rates == sorted(rates, reverse=True)


def test_a_run_stopped_while_it_was_timed_goes_on_with_its_budget(corpus, tmp_path):
    run_events(corpus, tmp_path, minutes=0.05, stop_at=1)
    events = resume_events(corpus, tmp_path / "run")
    assert 1 < events[-1].step == events[-1].steps
    assert events[-1].seconds < 60  # its three seconds, not the ten minutes of the default


def test_a_run_stopped_in_a_validation_while_it_was_timed_goes_on(corpus, tmp_path):
    run_events(corpus, tmp_path, minutes=0.1, save_every="3", stop_at=3)
    events = resume_events(corpus, tmp_path / "run", 5)
    assert [event.step for event in of(Saved, events)] == [3, 5]
    assert events[0].steps is None


def test_a_budget_beyond_all_measure_can_be_gone_on_with(corpus, tmp_path):
    run_events(corpus, tmp_path, 2, epochs=1e9)
    resume_events(corpus, tmp_path / "run", 3)
    config = replace(resumed_config(tmp_path / "run")[0], minutes=1e9)
    assert next(resume(tmp_path / "run", corpus, config)).steps is None  # timed first


def test_resuming_on_another_corpus_is_refused(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=5)
    other = make_corpus(tmp_path / "other", "some other text, " * 100)
    with pytest.raises(CorpusError, match="not the corpus"):
        resume_events(other, tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": 1.5},
        {"steps": "all"},
        {"halvings": None},
        {"unlogged_nats": None},
        {"unlogged_nats": ["x"]},
        {"unvalidated": {"step": 1}},
        {"seconds": None},
        {"more": 1},
    ],
)
def test_a_malformed_progress_is_refused(corpus, tmp_path, change):
    run_events(corpus, tmp_path, steps=2)
    run = tmp_path / "run"
    rewrite(resolve(run, "last"), "training/progress.json", lambda fields: fields | change)
    with pytest.raises(CheckpointError, match="damaged: training"):
        resume_events(corpus, run)


def rewrite(folder, name, change):
    """Change a JSON file of a checkpoint, and the manifest with it."""
    fields = change(json.loads((folder / name).read_bytes()))
    (folder / name).write_text(json.dumps(fields))
    write_manifest(folder)
