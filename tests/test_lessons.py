"""The lessons measure what they say: their parts at small sizes, against something known."""

import doctest
import importlib
import inspect
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.lessons import (
    cliff,
    comparison,
    last_label,
    learning,
    orders,
    recall,
    texts,
    vanishing,
)
from charnn.architecture import ModelConfig
from charnn.cells import CELLS
from charnn.data.windows import Windows
from charnn.nn.cells import LAYERS

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "benchmarks" / "lessons").glob("*.py")
    if "__main__" in path.read_text()
)
LESSONS = ROOT / "docs" / "lessons.md"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [*SCRIPTS, "experiment"])
def test_what_the_docstrings_show_is_so(name):
    module = importlib.import_module(f"benchmarks.lessons.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_lesson_runs_as_a_whole(name, tmp_path, monkeypatch, capsys):
    """Hardly anything is learned, but all is done: tables on standard output, and a picture."""
    lesson = importlib.import_module(f"benchmarks.lessons.{name}")
    brief = ["--seeds", "1", "-o", str(tmp_path / "picture.svg")]
    if "steps=" in inspect.getsource(lesson.main):
        brief += ["--steps", "1"]
    monkeypatch.setattr("sys.argv", [name, *brief])
    lesson.main()
    assert re.search(r"^\|.*\|$", capsys.readouterr().out, re.M)
    assert (tmp_path / "picture.svg").read_bytes().endswith(b"</svg>\n")


# The document


def test_the_document_names_every_lesson_and_no_other():
    named = set(re.findall(r"benchmarks\.lessons\.(\w+)", LESSONS.read_text()))
    assert named == set(SCRIPTS)
    for name in SCRIPTS:
        assert (
            f"python -m benchmarks.lessons.{name}"
            in importlib.import_module(f"benchmarks.lessons.{name}").__doc__
        )


def test_every_lesson_has_a_small_picture_in_the_document():
    shown = re.findall(r"!\[[^]]+\]\((lessons/\w+\.svg)\)", LESSONS.read_text())
    assert sorted(shown) == [f"lessons/{name}.svg" for name in SCRIPTS]
    for picture in shown:
        assert 1_000 < (LESSONS.parent / picture).stat().st_size < 60_000, picture


# What the experiments share


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_sizes_are_equal_as_torch_counts_them(cell):
    made = learning.equal_size(cell, recall.LIKE, recall.VOCABULARY)
    model = learning.make(made, recall.VOCABULARY, 0)
    like = learning.make(recall.LIKE, recall.VOCABULARY, 0)
    sizes = [sum(p.numel() for p in one.parameters()) for one in (model, like)]
    # PyTorch keeps two biases where the textbooks count one.
    assert sizes[0] == pytest.approx(sizes[1], rel=0.04)


@pytest.mark.parametrize(("clip", "length"), [(0.0, 3.0), (1.0, 1.0)])
def test_descent_goes_as_far_as_the_gradient_is_long(clip, length):
    model = learning.make(ModelConfig(layers=1, hidden=3, embedding=2), 4, 0)
    update = learning.updater(model, 0.5, "sgd", clip)
    before = [p.detach().clone() for p in model.parameters()]
    pull = [torch.randn_like(p) for p in before]
    norm = math.sqrt(sum(float((p**2).sum()) for p in pull))
    loss = sum((p * q).sum() for p, q in zip(model.parameters(), pull, strict=True)) * (3 / norm)
    assert update(loss, 1.0) == pytest.approx(3.0, rel=1e-5)
    moved = [b - p.detach() for b, p in zip(before, model.parameters(), strict=True)]
    assert math.sqrt(sum(float((m**2).sum()) for m in moved)) == pytest.approx(
        0.5 * length, rel=1e-4
    )
    for m, q in zip(moved, pull, strict=True):
        torch.testing.assert_close(m, q * (0.5 * length / norm), rtol=1e-3, atol=1e-6)


def test_reading_learns_and_stops_where_the_loss_is_no_number():
    tokens = np.tile(np.arange(4), 50)
    config = ModelConfig(layers=1, hidden=8, embedding=4)
    model = learning.make(config, 4, 0)
    course = learning.read(model, tokens, learning.updater(model, 0.03), 60, lanes=4, length=8)
    assert len(course) == 60
    assert course[0] > 1.2
    assert course[-1] < 0.2
    with torch.no_grad():
        model.output.bias[0] = math.inf
    assert len(learning.read(model, tokens, lambda loss, share: 0.0, 60, lanes=4, length=8)) == 1


# Recall


@pytest.mark.parametrize("lag", [1, 2, 7])
def test_the_answer_is_the_symbol_that_stands_lag_tokens_before_the_question(lag):
    ids_BT, answers_B = recall.sequences((1, 2), 200, lag)
    assert ids_BT.shape == (200, lag + 1)
    for ids, answer in zip(ids_BT.tolist(), answers_B.tolist(), strict=True):
        assert ids.index(recall.QUESTION) - lag == 0 == ids.index(answer)
        assert all(recall.SYMBOLS <= noise < recall.QUESTION for noise in ids[1:lag])
    assert set(answers_B.tolist()) == set(range(recall.SYMBOLS))
    again, _ = recall.sequences((1, 2), 200, lag)
    other, _ = recall.sequences((1, 3), 200, lag)
    assert torch.equal(ids_BT, again)
    assert not torch.equal(ids_BT, other)


def test_what_is_recalled_is_learned_and_judged_on_other_sequences():
    learned = recall.learn(recall.Run("lstm", 3, 0.03, 1, 300))
    assert learned.accuracy == 1
    assert learned.steps < 300
    guessed = recall.learn(recall.Run("lstm", 3, 1e-9, 1, 1))
    assert guessed.accuracy < 0.5
    assert guessed.nats == pytest.approx(math.log(recall.VOCABULARY), abs=0.5)


def test_chrono_lets_units_remember_for_up_to_the_lag():
    model = learning.make(recall.LIKE, recall.VOCABULARY, 0)
    recall.chrono(model, 50)
    bias_i, bias_f, bias_g, bias_o = model.recurrent.layers[0].bias_ih_l0.detach().chunk(4)
    times = bias_f.exp()  # σ(b) = t / (1 + t): a unit forgets in 1 + t steps
    assert 1 <= times.min() < 10
    assert 40 < times.max() <= 49
    assert torch.equal(bias_i, -bias_f)
    assert not bias_g.any()
    assert not bias_o.any()


# The gradient


def test_the_gradient_of_one_linear_unit_is_its_weight_to_the_power_of_the_distance():
    weight_11 = torch.tensor([[0.9]], dtype=torch.float64)
    state = (torch.zeros(1, 1, dtype=torch.float64),)
    found = vanishing.norms(vanishing.linear_step(weight_11), torch.zeros(30, 1, 1), state)
    assert found == pytest.approx([0.9**n for n in range(31)], rel=1e-12)


@pytest.mark.parametrize("kind", ["linear", "elman", "elman-relu"])
def test_norms_are_those_of_products_of_jacobians(kind, monkeypatch):
    monkeypatch.setattr(vanishing, "LONGEST", 12)
    monkeypatch.setattr(vanishing, "UNITS", 5)
    case = vanishing.Case(kind, "1.5", True, 3)
    torch.manual_seed(case.seed)
    layer = LAYERS["elman" if kind == "linear" else kind](vanishing.INPUTS, 5).double()
    W = vanishing.scaled(layer.weight_hh_l0, 1.5).numpy()
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(1.5)
    U = layer.weight_ih_l0.detach().normal_(std=vanishing.INPUTS**-0.5).numpy()
    x = torch.randn(12, 1, vanishing.INPUTS, dtype=torch.float64).numpy()
    h = 1e-3 * torch.randn(1, 5, dtype=torch.float64).numpy()[0]
    v = torch.randn(5, dtype=torch.float64).numpy()
    v /= np.linalg.norm(v)
    slopes = []
    for t in range(12):
        a = W @ h + U @ x[t, 0]
        h, slope = {
            "linear": (a, np.ones(5)),
            "elman": (np.tanh(a), 1 - np.tanh(a) ** 2),
            "elman-relu": (np.maximum(a, 0), (a > 0) * 1.0),
        }[kind]
        slopes.append(slope)
    wanted = [1.0]
    for slope in reversed(slopes):
        v = (v * slope) @ W
        wanted.append(np.linalg.norm(v))
    assert vanishing.simple_norms(case) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("bias", ["0", "1", "2"])
def test_without_input_the_direct_path_is_the_forget_gate_to_the_power_of_the_distance(bias):
    found = vanishing.lstm_norms(vanishing.Case("direct", bias, False, 1))
    gate = 1 / (1 + math.exp(-float(bias)))
    assert found == pytest.approx([gate**n for n in range(vanishing.LONGEST + 1)], rel=1e-9)
    if bias == "1":
        assert f"{found[20]:.4f}" == "0.0019"


# The cliff


def test_plain_descent_overflows_behind_one_step_and_clipped_descent_walks_down():
    plain = cliff.walk(1.01, 1e-4, 0.0, 300)
    gradient = (1.01**999 - 1) * 999 * 1.01**998
    assert plain[0] == pytest.approx((1.01, 0.5 * (1.01**999 - 1) ** 2))
    assert plain[1][0] == pytest.approx(1.01 - 1e-4 * gradient)
    assert plain[1][1] == math.inf
    assert len(plain) == 2
    clipped = cliff.walk(1.01, 1e-4, 1.0, 300)
    assert [w for w, _ in clipped[:100]] == pytest.approx([1.01 - 1e-4 * n for n in range(100)])
    assert max(abs(w - 1) for w, _ in clipped[100:]) < 1.1e-4
    assert all(math.isfinite(loss) for _, loss in clipped)


def test_an_lstm_with_large_weights_explodes_and_one_as_made_does_not():
    tame, wild = (cliff.explode(cliff.Case(gain, 1)) for gain in (1.0, 20.0))
    assert len(wild.norms) == cliff.LONGEST + 1
    assert wild.norms[0] == pytest.approx(1)
    assert tame.norms[100] < 1e-4
    assert wild.norms[100] > 1e6
    assert wild.whole > 1e6 * tame.whole
    assert tame.before > tame.after[0]  # a step as it is leads down
    assert tame.before > tame.after[1]


# Comparison


def test_a_win_is_a_lower_loss_with_the_same_seed():
    assert comparison.wins([1.0, 2.0, 3.0], [2.0, 2.0, 1.0]) == 1


# The last label


def test_the_last_label_is_repeated_masked_or_the_end():
    for way, last, counted in (("repeat", "D", True), ("mask", "D", False), ("end", "$", True)):
        inputs_BT, labels_BT, counted_BT = last_label.toy_batch(way)
        assert "".join(last_label.SYMBOLS[i] for i in inputs_BT[0, :4]) == "ABCD"
        assert "".join(last_label.SYMBOLS[i] for i in labels_BT[0, :4]) == f"BCD{last}"
        assert counted_BT[0].tolist() == [True, True, True, counted, False, False]
        assert counted_BT.sum() == sum(map(len, last_label.SEQUENCES)) - (0 if counted else 3)


def test_repeating_takes_half_the_chance_of_the_true_successor():
    # Two in three begin with A B C D; of these, half end there: counting gives these chances.
    repeated = last_label.learn_sequences(last_label.Run("repeat", 1, 250))
    assert repeated.repeats == pytest.approx(0.5, abs=0.03)
    assert repeated.goes_on == pytest.approx(0.5, abs=0.03)
    assert repeated.repeats_alone > 0.97
    # Of ten true successors E is one, and costs ln 2 where it would cost nothing.
    count = sum(len(sequence) - 1 for sequence in last_label.SEQUENCES)
    assert repeated.nats == pytest.approx(math.log(2) / count, abs=0.01)
    assert repeated.written[1].startswith("GHIJJJJ")
    masked = last_label.learn_sequences(last_label.Run("mask", 1, 250))
    assert masked.repeats < 0.02
    assert masked.goes_on > 0.98
    assert masked.nats < 0.01


def test_windows_take_their_last_label_from_where_they_are_told():
    tokens = np.arange(100)
    starts_B = np.array([0, 50])
    inputs_BT, labels_BT, counted_BT = last_label.text_batch(tokens, starts_B, "next")
    assert torch.equal(labels_BT, inputs_BT + 1)
    assert counted_BT.all()
    _, repeated_BT, _ = last_label.text_batch(tokens, starts_B, "repeat")
    assert torch.equal(repeated_BT[:, :-1], labels_BT[:, :-1])
    assert repeated_BT[:, -1].tolist() == [15, 65]
    _, _, counted_BT = last_label.text_batch(tokens, starts_B, "mask")
    assert counted_BT.sum(1).tolist() == [15, 15]


def test_the_training_stream_repeats_the_last_label_of_the_corpus_and_no_other():
    tokens = np.arange(23)
    read = Counter()
    for inputs_BT, labels_BT in (Windows(tokens, 3, 4)[n] for n in range(20)):
        read.update(zip(inputs_BT.flatten().tolist(), labels_BT.flatten().tolist(), strict=True))
    assert set(read) == {(n, n + 1) for n in range(22)} | {(22, 22)}


def test_doubled_tokens_are_counted_within_a_text():
    assert last_label.doubled(np.array([[1, 1, 2, 2], [2, 3, 4, 4]])) == pytest.approx(3 / 6)


# Counting


def test_tenths_are_held_out_from_the_end():
    ids_T = np.arange(100)
    seen = []
    for tenth in range(1, 11):
        counted_T, held_out_T = orders.hold_out(ids_T, tenth)
        assert sorted([*counted_T, *held_out_T]) == list(range(100))
        seen += held_out_T.tolist()
    assert orders.hold_out(ids_T, 1)[1].tolist() == list(range(90, 100))
    assert sorted(seen) == list(range(100))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_counts_are_those_of_brute_force(n, monkeypatch):
    rng = np.random.default_rng(0)
    ids_T = rng.integers(0, 5, 400)
    symbols = tuple(bytes([97 + i]) for i in range(6))
    whole = texts.Text(ids_T[:360], ids_T[360:], symbols)
    monkeypatch.setattr(orders, "text", lambda name: whole)
    found = orders.count(orders.Split("any", n, 1))
    grams = Counter(tuple(ids_T[i : i + n]) for i in range(360 - n + 1))
    held_out = [tuple(ids_T[i : i + n]) for i in range(360, 400 - n + 1)]
    assert found.possible == 6**n
    assert found.seen == len(grams)
    assert found.unseen == pytest.approx(np.mean([gram not in grams for gram in held_out]))

    nats = []
    for t in range(361, 400):
        for k in range(min(n, t - 360 + 1), 0, -1):  # what was read of the held-out text
            context = tuple(ids_T[t - k + 1 : t])
            followers = Counter(
                int(ids_T[i + k - 1])
                for i in range(360 - k + 1)
                if tuple(ids_T[i : i + k - 1]) == context
            )
            if followers:
                break
        chance = followers[int(ids_T[t])] / followers.total()
        nats.append(-math.log(chance) if chance else math.inf)
    assert found.likelihood == pytest.approx(
        math.exp(min(np.mean(nats), 709)) if np.isfinite(nats).all() else math.inf
    )
    assert math.isfinite(found.smoothed)
