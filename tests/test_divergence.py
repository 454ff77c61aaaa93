import math

import numpy as np
import pytest
import torch
from conftest import make_corpus
from running import MODEL, SMALL, losses, metrics, of, resume_events, run_events

from charnn.architecture import ModelConfig
from charnn.checkpoint import read_checkpoint, resolve
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.errors import TrainingError
from charnn.text.config import TokenizerConfig
from charnn.training import trainer
from charnn.training.config import TrainingConfig
from charnn.training.events import Saved, Stepped, WentBack
from charnn.training.loop import train

SAVING = {"steps": 20, "save_every": "5"}


def spoil(monkeypatch, name, spoiled, *, calls):
    """Let a function of the trainer give something else at these calls, counted from 1."""
    real, made = getattr(trainer, name), []

    def sometimes(*arguments):
        result = real(*arguments)
        if name == "loss" and arguments[1][2] is not None:  # a validation
            return result
        made.append(name)
        return spoiled(result) if len(made) in calls else result

    monkeypatch.setattr(trainer, name, sometimes)


def nan_loss(result):
    nats, count, state = result
    return nats * math.nan, count, state


def rising_to(nats):
    return lambda result: (result[0] * 0 + nats * result[1], *result[1:])


FAULTS = {
    "a loss that is no number": ("loss", nan_loss, {8}, 8),
    "an infinite loss": ("loss", rising_to(math.inf), {8}, 8),
    "a gradient that is no number": ("clip_gradients", lambda norm: math.nan, {8}, 8),
    "an infinite gradient": ("clip_gradients", lambda norm: math.inf, {8}, 8),
    "one huge loss": ("loss", rising_to(1000.0), {8}, 8),
    "large losses": ("loss", rising_to(70.0), {7, 8, 9}, 9),
}


@pytest.mark.parametrize(("name", "spoiled", "calls", "step"), FAULTS.values(), ids=FAULTS.keys())
def test_training_goes_back_with_half_the_rate(
    corpus, tmp_path, monkeypatch, name, spoiled, calls, step
):
    sound = run_events(corpus, tmp_path / "sound", **SAVING)
    spoil(monkeypatch, name, spoiled, calls=calls)
    events = run_events(corpus, tmp_path, **SAVING)
    (back,) = of(WentBack, events)
    assert back.why.startswith(f"step {step}: ")
    assert (back.step, back.halvings, back.learning_rate) == (5, 1, SMALL["lr"] / 2)
    steps = [event.step for event in of(Stepped, events)]
    assert steps == [*range(1, step), *range(6, 21)]
    # The state is that of step 5, bit for bit, and the update after it half as large.
    assert losses(events)[step - 1] == losses(sound)[5]
    assert losses(events)[step] != losses(sound)[6]
    rates = [event.learning_rate for event in of(Stepped, events)]
    assert rates[step - 1 :] == [e.learning_rate / 2 for e in of(Stepped, sound)[5:]]
    lines = [line["step"] for line in metrics(tmp_path / "run")]
    assert lines == [line["step"] for line in metrics(tmp_path / "sound" / "run")]
    assert not events[-1].stopped


def test_the_metrics_are_cut_back_with_the_run(corpus, tmp_path, monkeypatch):
    spoil(monkeypatch, "loss", nan_loss, calls={12})
    events = run_events(corpus, tmp_path, steps=20, save_every="7")
    assert of(WentBack, events)[0].step == 7
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [7, 10, 14, 20]
    assert lines[1]["train_nats"] == np.mean(losses(events)[11:14])


def test_a_fault_before_anything_was_saved_begins_anew(corpus, tmp_path, monkeypatch):
    spoil(monkeypatch, "loss", nan_loss, calls={4})
    events = run_events(corpus, tmp_path, **SAVING)
    assert of(WentBack, events)[0].step == 0
    assert losses(events)[3] == losses(events)[0]
    assert events[-1].step == 20


def test_after_three_times_it_gives_up_and_keeps_the_best(corpus, tmp_path, monkeypatch):
    """Only what was saved before is kept, and it can be gone on from."""
    spoil(monkeypatch, "loss", nan_loss, calls={8, 11, 14, 17})
    events = []
    with pytest.raises(TrainingError, match=r"step 8: .*3 times.*keeps what was saved.*--lr"):
        for event in train(corpus, MODEL, TrainingConfig(**SMALL, **SAVING), tmp_path, "run"):
            events.append(event)
    assert [event.learning_rate for event in of(WentBack, events)] == [0.005, 0.0025, 0.00125]
    run = tmp_path / "run"
    assert read_checkpoint(run).config.step == read_checkpoint(run, "last").config.step == 5
    monkeypatch.undo()
    assert resume_events(corpus, run)[-1].step == 20


def test_halved_rates_survive_a_stop(corpus, tmp_path, monkeypatch):
    spoil(monkeypatch, "loss", nan_loss, calls={8})
    run_events(corpus, tmp_path, 12, **SAVING)
    second = resume_events(corpus, tmp_path / "run")
    assert of(Stepped, second)[0].learning_rate == pytest.approx(SMALL["lr"] / 2 * 8 / 18)


def test_a_large_loss_while_the_rate_warms_up_is_no_fault(corpus, tmp_path, monkeypatch):
    spoil(monkeypatch, "loss", rising_to(1000.0), calls={1})
    events = run_events(corpus, tmp_path, steps=80, warm_up=8)
    assert of(WentBack, events)[0].why.startswith("step 9: ")


def test_nothing_is_saved_of_a_state_that_is_far_off_while_the_rate_warms_up(
    corpus, tmp_path, monkeypatch
):
    """But for a stop; and with it a run that finds its way is not lost."""
    options = {"steps": 200, "warm_up": 20, "save_every": "5"}
    spoil(monkeypatch, "validate", lambda nats: 40.0, calls={1})
    events = run_events(corpus, tmp_path, 30, **options)
    assert [event.step for event in of(Saved, events)] == [10, 15, 20, 25, 30]
    assert of(WentBack, events) == []
    monkeypatch.undo()
    spoil(monkeypatch, "loss", rising_to(60.0), calls={1, 2, 3})
    events = run_events(corpus, tmp_path / "stopped", 3, **options)
    assert [event.step for event in of(Saved, events)] == [3]
    assert resume_events(corpus, tmp_path / "stopped" / "run", 4)[-1].step == 4


def test_weights_and_validations_that_are_no_use_are_not_saved(corpus, tmp_path, monkeypatch):
    spoil(monkeypatch, "validate", lambda nats: math.nan, calls={2})
    events = run_events(corpus, tmp_path, **SAVING)
    assert of(WentBack, events)[0].why.startswith("step 10: the validation loss is nan")
    monkeypatch.undo()
    spoil(monkeypatch, "validate", lambda nats: math.inf, calls={1})
    events = run_events(corpus, tmp_path / "inf", steps=200, save_every="5", warm_up=10, stop_at=7)
    assert of(WentBack, events)[0].why.startswith("step 5: the validation loss is inf")
    monkeypatch.undo()
    spoil(monkeypatch, "validate", lambda nats: 30.0, calls={1})
    events = run_events(corpus, tmp_path / "far", **SAVING)
    assert of(WentBack, events)[0].why.startswith("step 5: the validation loss is 30 nats")
    monkeypatch.undo()
    spoil(monkeypatch, "export_weights", with_a_nan, calls={3})
    events = run_events(corpus, tmp_path / "nan", **SAVING)
    assert of(WentBack, events)[0].why == "step 15: some weights or states are no numbers"
    assert [event.step for event in of(Saved, events)] == [5, 10, 15, 20]


def with_a_nan(weights):
    broken = weights["output.bias"].copy()
    broken[0] = math.nan
    return {**weights, "output.bias": broken}


def test_a_state_from_which_no_step_can_be_made_is_left_for_the_best(corpus, tmp_path, monkeypatch):
    nats = iter([2.0, 3.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(trainer, "validate", lambda *_: next(nats))
    spoil(monkeypatch, "loss", nan_loss, calls={11})
    events = run_events(corpus, tmp_path, **SAVING)
    assert [(event.step, event.best) for event in of(Saved, events)][:2] == [(5, True), (10, False)]
    assert of(WentBack, events)[0].step == 5
    # The name was taken by what a link leads to.
    assert of(Saved, events)[2].checkpoint.name == "step-10-2"
    assert resolve(tmp_path / "run", "last").name == "step-20"


def test_a_thousandfold_rate_is_given_up(corpus, tmp_path):
    with pytest.raises(TrainingError, match="a lower --lr than 1000"):
        run_events(corpus, tmp_path, steps=200, lr=1000.0)
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_is_too_high_is_halved_until_it_is_not(corpus, tmp_path, monkeypatch):
    """Above a third of the peak the weights explode."""

    step = trainer.Optimizer.step

    def explosive(self, share):
        step(self, 1e30 if share > 1 / 3 else share)

    monkeypatch.setattr(trainer.Optimizer, "step", explosive)
    events = run_events(corpus, tmp_path, **SAVING)
    assert [event.step for event in of(WentBack, events)] == [0, 0]
    assert events[-1].best_nats < losses(events)[0]


def test_a_corpus_that_blows_up_after_a_thousand_good_steps(tmp_path):
    """One symbol has a vector that no rectified cell survives, and comes in step 1,001."""
    text = ("ab" * 8000 + "Z" + "ab" * 4000)[: 16 * 1200]
    source = tmp_path / "text"
    source.write_text(text)
    corpus, _ = tokenize_corpus(
        SourceConfig((source,), validation_share=0.1), TokenizerConfig(), tmp_path / "corpus"
    )
    model = ModelConfig(cell="elman-relu", layers=1, hidden=8, embedding=4)
    found = np.array([token == b"Z" for token in corpus.tokenizer.token_bytes])
    table = np.where(found[:, None], np.float32(1e38), np.float32(0)).repeat(4, axis=1)
    config = TrainingConfig(
        batch=1, bptt=16, lr=1e-3, clip_norm=0, steps=1080, save_every="500",
        precision="float32", threads=1, weight_decay=0.0, freeze="embedding",
        optimizer="adamw",
    )  # fmt: skip
    events = []
    vectors = trainer.Vectors(table, np.ones(len(table), dtype=bool))
    table[~found] = np.eye(4, dtype=np.float32)[: len(table) - 1]
    with pytest.raises(TrainingError, match=r"step 1001: .*3 times.*keeps what was saved"):
        for event in train(corpus, model, config, tmp_path, "run", vectors=vectors):
            events.append(event)
    assert [event.step for event in of(WentBack, events)] == [1000] * 3
    assert np.median(losses(events)[500:]) < 0.1
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.config.step == 1000
    assert checkpoint.config.validation_nats < 0.1


def test_a_text_that_turns_to_another_script_is_no_fault(tmp_path):
    """A sound model is surprised, too: a lane that knew only English comes to Chinese."""
    corpus = make_corpus(tmp_path, "the moon is in the well. " * 400 + "井里的月亮很深，" * 200)
    model = ModelConfig(layers=1, hidden=24, embedding=8)
    events = run_events(corpus, tmp_path, model=model, steps=800, batch=1, warm_up=100)
    assert max(losses(events)[600:]) > 2 * math.log(corpus.header.vocabulary)
    assert of(WentBack, events) == []


def test_gradients_of_a_step_that_was_refused_are_not_applied(corpus, tmp_path, monkeypatch):
    config = TrainingConfig(**SMALL, steps=10)
    run = trainer.Trainer(corpus, MODEL, config, tmp_path)
    run.plan()
    run.take_step()
    before = {name: tensor.copy() for name, tensor in trainer.export_weights(run.model).items()}
    moments = [tensor.clone() for tensor in tensors_of(run.optimizer)]
    spoil(monkeypatch, "clip_gradients", lambda norm: math.inf, calls={1})
    with pytest.raises(trainer.DivergedError, match="step 2: "):
        run.take_step()
    for name, tensor in trainer.export_weights(run.model).items():
        np.testing.assert_array_equal(tensor, before[name])
    assert all(map(torch.equal, tensors_of(run.optimizer), moments))
    assert run.progress.step == 1


def tensors_of(optimizer):
    return [tensor for moments in optimizer.moments.values() for tensor in moments.values()]
