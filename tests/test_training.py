import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import TEXT, make_corpus
from hypothesis import given
from hypothesis import strategies as st
from running import MODEL, SMALL, final_weights, losses, metrics, of, run_events
from tensorboard.backend.event_processing import event_accumulator

from charnn.checkpoint import read_checkpoint, resolve
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.engine import Engine
from charnn.errors import CorpusError, OutputError, UsageError
from charnn.models import open_model
from charnn.nn.language_model import LanguageModel, export_weights
from charnn.nn.recurrent import LockedDropout
from charnn.score import evaluate
from charnn.text.config import TokenizerConfig
from charnn.training.config import Interval, TrainingConfig
from charnn.training.events import Ended, Saved, Started, Stepped
from charnn.training.loop import train
from charnn.training.loss import loss
from charnn.training.optimizer import Optimizer
from charnn.training.process import choose_precision
from charnn.training.schedule import affordable_steps, interval, learning_share, validation_seconds
from charnn.training.tensorboard import logged
from charnn.training.trainer import Trainer, clip_gradients
from charnn.training.validation import validate


def clipped(gradient, **options):
    parameter = torch.zeros(len(gradient), requires_grad=True)
    parameter.grad = torch.tensor(gradient)
    norm = clip_gradients([parameter], TrainingConfig(**options))
    return parameter.grad.tolist(), norm


def test_clipping_by_norm_and_by_value():
    by_norm, norm = clipped([30.0, -40.0], clip_norm=5)
    assert by_norm == pytest.approx([3, -4], rel=1e-6)
    assert norm == 50
    assert clipped([30.0, -40.0], clip_norm=0, clip_value=15) == ([15, -15], 50)
    assert clipped([3.0, -4.0], clip_norm=50)[0] == pytest.approx([3, -4])
    both, _ = clipped([30.0, -40.0], clip_value=15, clip_norm=15)
    assert both == pytest.approx([15 / math.sqrt(2), -15 / math.sqrt(2)])


def test_the_learning_rate_rises_then_falls_to_zero():
    shares = [learning_share(n, 100, 10) for n in range(101)]
    assert shares[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert shares[9] == shares[10] == 1.0
    assert shares[55] == pytest.approx(0.5)
    assert shares[100] == 0
    assert all(a > b for a, b in zip(shares[10:], shares[11:], strict=False))
    assert learning_share(0, 5, 100) == 1.0  # a short run hardly warms up
    assert learning_share(500, None, 100) == 1.0


@given(step=st.floats(1e-3, 1), remaining=st.floats(1, 1e4), held_out=st.integers(0, 10**6))
def test_the_steps_fit_the_budget(step, remaining, held_out):
    steps = affordable_steps([step] * 5, remaining, 2048, held_out)
    validations = steps / interval(steps, 2048, held_out)
    told = validation_seconds(steps, step, 2048, held_out)
    assert told == pytest.approx(validations * 0.5 * step * held_out / 2048)
    cost = steps * step + told
    assert cost <= remaining * 1.05 or steps == 1


def test_save_every_takes_steps_or_minutes():
    assert Interval.parse("500") == Interval(steps=500)
    assert Interval.parse("0.5m") == Interval(minutes=0.5)
    for wrong in ("", "m", "1.5", "0", "-3", "5h"):
        with pytest.raises(UsageError):
            Interval.parse(wrong)


def test_the_loss_is_a_sum_and_a_count():
    model = LanguageModel(MODEL, 9)
    inputs, labels = torch.randint(0, 9, (2, 3, 7))
    nats, count, _ = loss(model, (inputs, labels, None), model.initial_state(3))
    logits, _ = model(inputs, model.initial_state(3))
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels)
    assert count == 21
    assert nats.item() / count == pytest.approx(expected.item(), rel=1e-6)
    counted = torch.rand(3, 7) < 0.5
    some, count, _ = loss(model, (inputs, labels, counted), model.initial_state(3))
    rest, others, _ = loss(model, (inputs, labels, ~counted), model.initial_state(3))
    assert count + others == 21
    assert (some + rest).item() == pytest.approx(nats.item(), rel=1e-5)


def test_training_learns_and_tells_what_happens(corpus, tmp_path):
    began = time.perf_counter()
    events = run_events(corpus, tmp_path, steps=80, dropout=0.0, lr=5e-2, muon_lr=5e-2)
    assert 0 < events[-1].seconds < time.perf_counter() - began
    (started,), stepped = of(Started, events), of(Stepped, events)
    assert (started.steps, started.lanes) == (80, 4)
    assert [event.step for event in stepped] == list(range(1, 81))
    assert stepped[0].train_nats == pytest.approx(math.log(corpus.tokenizer.vocabulary_size), 0.1)
    assert stepped[-1].train_nats < 0.6 * stepped[0].train_nats
    saved = of(Saved, events)
    assert saved[-1].step == 80
    best = min(saved, key=lambda event: event.validation_nats)
    run = tmp_path / "run"
    assert read_checkpoint(run).config.validation_nats == best.validation_nats
    assert resolve(run, "last").name == "step-80"
    assert isinstance(events[-1], Ended)
    assert events[-1].best_nats == best.validation_nats


@pytest.mark.parametrize("reset", [0.0, 1.0])
def test_the_state_is_carried_and_cut_from_the_graph(corpus, tmp_path, monkeypatch, reset):
    given, returned = [], []

    def spy(model, batch, state):
        nats, count, new_state = loss(model, batch, state)
        if batch[2] is None:
            given.append(state)
            returned.append(new_state)
        return nats, count, new_state

    monkeypatch.setattr("charnn.training.trainer.loss", spy)
    run_events(corpus, tmp_path, steps=4, reset=reset, precision="float32")
    assert not any(array.any() for array in given[0])
    for before, after in zip(returned, given[1:], strict=False):
        for old, new in zip(before, after, strict=True):
            assert not new.requires_grad
            assert torch.equal(new, (1 - reset) * old.detach())


def test_validation_agrees_with_evaluation(corpus, tmp_path):
    """In lanes, as training measures, or in one piece: the same to a percent on a short text."""
    run_events(corpus, tmp_path, steps=60, precision="float32")
    model = open_model(tmp_path / "run")
    tokens = corpus.tokens("validation")
    result = evaluate(model.step_model, tokens, model.tokenizer.token_bytes)
    measured = model.checkpoint.config.validation_nats
    assert measured == pytest.approx(result.nats_per_token, rel=1e-4)  # one lane: the same thing
    assert len(tokens) < 2 * 256
    torch_model = LanguageModel(MODEL, corpus.header.vocabulary)
    cpu = torch.device("cpu")
    assert validate(torch_model, tokens, cpu, stop=lambda: True) is None


def test_lanes_validate_nearly_as_one_piece(tmp_path):
    """Several lanes, each warmed up, against the whole text read once; whatever fits in memory."""
    corpus = make_corpus(tmp_path, TEXT * 3)
    tokens = corpus.tokens("validation")
    assert len(tokens) >= 3 * 256
    torch.manual_seed(0)
    model = LanguageModel(MODEL, corpus.header.vocabulary)
    engine = Engine(MODEL, export_weights(model), start_id=0, end_id=None)
    whole = evaluate(engine, tokens, corpus.tokenizer.token_bytes).nats_per_token
    assert validate(model, tokens, torch.device("cpu")) == pytest.approx(whole, rel=1e-3)


def test_validation_in_lanes_is_exact_where_nothing_is_remembered(tmp_path, monkeypatch):
    """With weights that forget at once, lanes and one piece agree to rounding."""
    corpus = make_corpus(tmp_path, TEXT * 3)
    tokens = corpus.tokens("validation")
    model = LanguageModel(MODEL, corpus.header.vocabulary)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "weight_hh" in name:
                parameter.zero_()
            if "bias_ih" in name:
                parameter[12:24] = -1e4  # the forget gates are shut
    engine = Engine(MODEL, export_weights(model), start_id=0, end_id=None)
    whole = evaluate(engine, tokens, corpus.tokenizer.token_bytes).nats_per_token
    for logits in (1 << 24, 40 * corpus.header.vocabulary):
        monkeypatch.setattr("charnn.training.validation._LOGITS", logits)
        assert validate(model, tokens, torch.device("cpu")) == pytest.approx(whole, rel=1e-5)


def test_validation_multiplies_with_the_output_once_a_window(tmp_path):
    """Of three dimensions PyTorch makes a product for each lane, and copies the weights for it."""
    tokens = make_corpus(tmp_path, TEXT * 3).tokens("validation")
    model = LanguageModel(MODEL, int(tokens.max()) + 1)
    with torch.profiler.profile() as profiled:
        validate(model, tokens, torch.device("cpu"))
    called = {event.key: event.count for event in profiled.key_averages()}
    windows = called["aten::lstm"] / MODEL.layers
    assert windows > 1
    assert called["aten::addmm"] == windows
    assert "aten::bmm" not in called


def test_a_new_best_lets_the_old_one_live_through_one_more_save(corpus, tmp_path, monkeypatch):
    losses = iter([4.0, 5.0, 3.0, 2.0])
    monkeypatch.setattr("charnn.training.trainer.validate", lambda *_: next(losses))
    found = []
    config = TrainingConfig(**SMALL, steps=20, save_every="5")
    for event in train(corpus, MODEL, config, tmp_path, "run"):
        if isinstance(event, Saved):
            found.append({path.name for path in (tmp_path / "run").glob("step-*")})
    assert found == [
        {"step-5"},
        {"step-5", "step-10"},
        {"step-5", "step-10", "step-15"},
        {"step-15", "step-20"},
    ]


def test_metrics_are_json_lines(corpus, tmp_path):
    events = run_events(corpus, tmp_path, steps=25)
    lines = metrics(tmp_path / "run")
    assert {"step", "tokens_seen", "seconds", "train_nats", "validation_nats", "learning_rate",
            "gradient_norm"} == set(lines[0])  # fmt: skip
    assert [line["step"] for line in lines if line["validation_nats"] is None] == [10, 20]
    assert lines[-1]["validation_nats"] is not None
    assert lines[-1]["tokens_seen"] == 25 * 4 * 16
    begins = [0, *(line["step"] for line in lines)]
    for begin, line in zip(begins, lines, strict=False):
        mean = np.mean(losses(events)[begin : line["step"]])
        assert line["train_nats"] == pytest.approx(mean, rel=1e-12)


has_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_minutes_fix_the_number_of_steps(corpus, tmp_path):
    events = run_events(corpus, tmp_path, minutes=0.05)
    assert of(Started, events)[0].steps is None
    planned = {event.steps for event in of(Stepped, events)} - {None}
    assert planned == {events[-1].step}
    assert events[-1].seconds < 30


@pytest.mark.skipif(has_bfloat16, reason="this processor has bfloat16")
def test_bfloat16_is_refused_where_it_would_fail(corpus, tmp_path):
    with pytest.raises(UsageError, match="no bfloat16"):
        run_events(corpus, tmp_path, steps=1, precision="bfloat16")
    assert not (tmp_path / "run").exists()


def test_auto_precision_is_settled_and_saved(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=1)
    cpu = torch.device("cpu")
    chosen = choose_precision("auto", cpu)
    assert chosen in ("float32", "bfloat16")
    assert choose_precision("float32", cpu) == "float32"
    assert read_checkpoint(tmp_path / "run").config.training["precision"] == chosen
    assert {tensor.dtype for tensor in final_weights(tmp_path / "run").values()} == {
        np.dtype(np.float32)
    }


def test_locked_dropout_keeps_one_mask_for_a_window():
    torch.manual_seed(0)
    x_BTI = torch.ones(40, 7, 50)
    dropped = LockedDropout(0.3)(x_BTI)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(LockedDropout(0.3).eval()(x_BTI), x_BTI)


def test_epochs_read_every_token(corpus, tmp_path):
    events = run_events(corpus, tmp_path, epochs=1)
    tokens = len(corpus.tokens("train"))
    assert events[-1].step == math.ceil(tokens / (4 * 16))


def test_nothing_stays_of_a_run_that_never_saved(corpus, tmp_path):
    with pytest.raises(CorpusError, match="too few"):
        run_events(corpus, tmp_path, steps=5, bptt=100_000)
    events = train(corpus, MODEL, TrainingConfig(**SMALL, steps=5), tmp_path, "run")
    next(events)
    events.close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        run_events(corpus, tmp_path / "file", steps=5)


def test_a_corpus_without_validation_still_trains(tmp_path):
    (tmp_path / "text").write_text("abcdefgh" * 50)
    sources = SourceConfig((tmp_path / "text",), validation_share=0.0)
    corpus, _ = tokenize_corpus(sources, TokenizerConfig(), tmp_path / "corpus")
    events = run_events(corpus, tmp_path, steps=10)
    assert events[-1].best_nats is None
    assert not events[-1].stopped
    assert resolve(tmp_path / "run").name == "step-10"


@pytest.mark.parametrize(
    "options",
    [
        {"minutes": 1, "steps": 2},
        {"steps": 0},
        {"minutes": float("inf")},
        {"batch": 0},
        {"dropout": 1.0},
        {"lr": -1.0},
        {"save_every": "soon"},
        {"bptt": 0},
    ],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(UsageError):
        TrainingConfig(**options)


def test_an_unknown_device_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="nose"):
        run_events(corpus, tmp_path, steps=1, device="nose")


def test_what_is_saved_is_the_average_of_the_weights(corpus, tmp_path, monkeypatch):
    """Recomputed from the weights after every step; the decay rises to what was asked for."""
    after = []
    step = Optimizer.step

    def stepped(self, share):
        step(self, share)
        after.append({name: w.detach().clone().numpy() for name, w in self._parameters.items()})

    monkeypatch.setattr(Optimizer, "step", stepped)
    run_events(corpus, tmp_path, steps=30, ema=0.6, freeze="nothing")
    average = dict(after[0])
    for n, weights in enumerate(after[1:], start=1):
        decay = min(0.6, n / (9 + n))
        for name, weight in weights.items():
            average[name] = decay * average[name] + (1 - decay) * weight
    saved = final_weights(tmp_path / "run")
    assert average.keys() == saved.keys()
    for name, weight in saved.items():
        np.testing.assert_allclose(weight, average[name], rtol=1e-4, atol=1e-6)
    assert any((saved[name] != after[-1][name]).any() for name in saved)


def test_without_an_average_the_weights_themselves_are_saved(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=4, ema=0.0)
    names = read_checkpoint(tmp_path / "run", "last").folder.path / "training/state.safetensors"
    assert b"weights." not in names.read_bytes()


def test_events_are_told_to_tensorboard_too(corpus, tmp_path):
    config = TrainingConfig(**SMALL, steps=20, save_every="10")
    events = list(logged(train(corpus, MODEL, config, tmp_path, "run"), tmp_path / "log"))
    told = event_accumulator.EventAccumulator(str(tmp_path / "log" / "run"))
    told.Reload()
    assert [(e.step, e.value) for e in told.Scalars("validation_nats")] == [
        (event.step, pytest.approx(event.validation_nats)) for event in of(Saved, events)
    ]
    steps = {event.step: event for event in of(Stepped, events)}
    for name in ("train_nats", "learning_rate", "gradient_norm"):
        for scalar in told.Scalars(name):
            assert scalar.value == pytest.approx(getattr(steps[scalar.step], name), abs=1e-9)
        assert [scalar.step for scalar in told.Scalars(name)] == [10, 20]


def test_without_tensorboard_the_line_says_how_to_get_it(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = TrainingConfig(**SMALL, steps=2)
    with pytest.raises(UsageError, match=r'pip install "charnn\[tensorboard\]"'):
        next(logged(train(corpus, MODEL, config, tmp_path, "run"), tmp_path / "log"))
    assert list(tmp_path.iterdir()) == []


def test_training_never_imports_the_compiler(corpus, tmp_path):
    """PyTorch's optimizer classes do, which takes seconds."""
    code = (
        "import sys; from charnn.cli.app import run; sys.argv[1:] = sys.argv[2:]; code = run();"
        "assert 'torch.optim' in sys.modules; assert 'torch._dynamo' not in sys.modules; exit(code)"
    )
    command = ["train", str(corpus.path), "--steps", "2", "--batch", "4", "--bptt", "16"]
    result = subprocess.run(
        [sys.executable, "-c", code, "charnn", *command, "--threads", "1", "-o", "run"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr


def test_validations_count_more_where_steps_sample(tmp_path):
    corpus = make_corpus(tmp_path, "".join(map(chr, range(0x4E00, 0x4E00 + 3000))) * 2)
    costs = {
        samples: Trainer(
            corpus, MODEL, TrainingConfig(**SMALL, sampled_softmax=samples), tmp_path
        ).validation_tokens
        for samples in (0, 10)
    }
    held_out = corpus.header.splits["validation"].tokens
    assert costs[0] == held_out
    assert costs[10] > 5 * held_out
