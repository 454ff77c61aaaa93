"""Models that adapt while they read, against slow loops and plain arithmetic."""

import json
import shutil

import numpy as np
import pytest
import torch
from conftest import TEXT, random_weights
from torch.nn import functional as F

from charnn.adaptation import cache
from charnn.adaptation.cache import CacheModel
from charnn.adaptation.config import AdaptationConfig
from charnn.architecture import ModelConfig
from charnn.cells import CELLS
from charnn.checkpoint import read_checkpoint
from charnn.data.windows import Windows
from charnn.engine import Engine
from charnn.errors import TrainingError, UsageError
from charnn.nn.language_model import LanguageModel, import_weights
from charnn.score import evaluate
from charnn.step import log_softmax, pad, select_rows
from charnn.training import dynamic
from charnn.training.dynamic import DynamicModel, mean_squares

V = 7
IDS = np.random.default_rng(3).integers(0, V, 90)


def calm(weights):
    """Small enough that rectified states do not explode."""
    return {name: array * array.dtype.type(0.5) for name, array in weights.items()}


def engine(cell="lstm", tied=False):
    config = ModelConfig(cell=cell, layers=2, hidden=6, embedding=4, tied=tied)
    return Engine(
        config, calm(random_weights(config, V, dtype=np.float64)), start_id=0, end_id=None
    )


def costs(model, ids, state=None):
    """What each id costs, and the state behind them."""
    state = model.initial_state(1) if state is None else state
    nats_1T, state = model.nats(*pad([list(ids)]), state)
    return nats_1T[0], state


# --- the cache ---------------------------------------------------------------------------------


def brute_force(model, ids, window, theta, share):
    """The definition of Grave et al., token by token."""
    state, pairs, nats = model.initial_state(1), [], []
    for t, id in enumerate(ids):
        h = [float(x) for x in model.top(state)[0]]
        p = np.exp(log_softmax(model.logits(model.top(state)))[0, id])
        if pairs:
            seen = pairs[-window:]
            dots = [sum(a * b for a, b in zip(h, g, strict=True)) for g, _ in seen]
            weights = np.exp(theta * np.array(dots))
            hit = sum(weight for weight, (_, w) in zip(weights, seen, strict=True) if w == id)
            p = (1 - share) * p + share * hit / weights.sum()
        nats.append(-np.log(p))
        if t:  # no state was there to predict the first
            pairs.append((h, id))
        _, state = model.step(np.array([id]), state)
    return np.array(nats)


@pytest.mark.parametrize("cell", CELLS)
def test_the_cache_is_that_of_its_definition(cell):
    model = engine(cell)
    for window, theta, share in ((1, 1.0, 0.2), (13, 0.3, 0.1), (1000, 5.0, 0.9), (20, 0.0, 0.5)):
        nats_T, _ = costs(CacheModel(model, window, theta, share), IDS)
        expected_T = brute_force(model, IDS, window, theta, share)
        assert nats_T == pytest.approx(expected_T, abs=1e-9), (window, theta, share)


def test_the_cache_is_the_same_in_blocks_of_any_size(monkeypatch):
    model = CacheModel(engine(), 17, 2.0, 0.4)
    whole_T, (*_, values_1M) = costs(model, IDS)
    assert values_1M.tolist() == [IDS[-17:].tolist()]
    for queries, keys in ((1, 1), (5, 3), (40, 1000)):
        monkeypatch.setattr(cache, "_QUERIES", queries)
        monkeypatch.setattr(cache, "_KEYS", keys)
        assert costs(model, IDS)[0] == pytest.approx(whole_T, abs=1e-12)


def test_reading_with_a_cache_can_be_cut_anywhere():
    model = CacheModel(engine(), 17, 2.0, 0.4)
    whole_T, _ = costs(model, IDS)
    state, parts = None, []
    for begin, end in ((0, 1), (1, 2), (2, 2), (2, 40), (40, 90)):
        nats_T, state = costs(model, IDS[begin:end], state)
        parts.append(nats_T)
    assert np.concatenate(parts) == pytest.approx(whole_T, abs=1e-12)


def test_steps_with_a_cache_tell_the_probabilities_that_reading_costs():
    model = CacheModel(engine(), 5, 2.0, 0.4)
    nats_T, _ = costs(model, IDS[:30])
    log_probs_1V, state = model.prefill(*pad([[IDS[0]]]), model.initial_state(1))
    for t in range(1, 30):
        assert np.exp(log_probs_1V).sum() == pytest.approx(1)
        assert -log_probs_1V[0, IDS[t]] == pytest.approx(nats_T[t], abs=1e-12)
        log_probs_1V, state = model.step(IDS[t : t + 1], state)


def test_rows_of_a_cache_do_not_see_each_other():
    model = CacheModel(engine(), 9, 2.0, 0.4)
    rows = [list(IDS[:20]), [], list(IDS[20:23]), list(IDS[23:53])]
    nats_BT, state = model.nats(*pad(rows), model.initial_state(4))
    more_BT, _ = model.nats(*pad([[1, 2, 1]] * 4), select_rows(np.array([3, 2, 1, 0]), state))
    for b, row in enumerate(rows):
        alone_T, _ = costs(model, [*row, 1, 2, 1])
        assert nats_BT[b, : len(row)] == pytest.approx(alone_T[: len(row)], abs=1e-6)
        assert not nats_BT[b, len(row) :].any()
        assert more_BT[3 - b] == pytest.approx(alone_T[len(row) :], abs=1e-6)
    empty, _ = model.prefill(*pad([[], [1, 0]]), model.initial_state(2))
    start, _ = model.prefill(*pad([[model.start_id]]), model.initial_state(1))
    assert empty[0] == pytest.approx(start[0], abs=1e-6)


def test_a_cache_without_a_share_is_the_model_alone():
    model = engine()
    assert costs(CacheModel(model, 9, 2.0, 0.0), IDS)[0] == pytest.approx(
        costs(model, IDS)[0], abs=1e-12
    )


# --- learning while reading --------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(workplace):
    return read_checkpoint(workplace / "checkpoints" / "text")


@pytest.fixture(scope="module")
def tokens(corpus):
    return corpus.tokens("train")


@pytest.fixture(scope="module")
def held_out(corpus):
    return corpus.tokens("validation")[:157]


@pytest.fixture(autouse=True)
def few_batches(monkeypatch):
    monkeypatch.setattr(dynamic, "_BATCHES", 5)


def reference(checkpoint, tokens, ids, segment, lr, decay):
    """The rule of Krause et al., weight by weight in float64."""
    model = LanguageModel(checkpoint.config.model, checkpoint.config.vocabulary)
    import_weights(model, checkpoint.weights)
    model.double()

    def gradients(nats):
        model.zero_grad()
        nats.backward()
        return [p.grad.numpy().copy() for p in model.parameters()]

    squares, windows = [], Windows(tokens, min(32, len(tokens) // segment), segment)
    state = model.initial_state(windows.lanes)
    for n in range(dynamic._BATCHES):
        inputs_BT, labels_BT = map(torch.from_numpy, windows[n])
        logits_BTV, state = model(inputs_BT, tuple(array.detach() for array in state))
        nats = F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten())
        squares.append([g * g for g in gradients(nats)])
    roots = [np.sqrt(np.mean(each, axis=0)) for each in zip(*squares, strict=True)]
    average = np.concatenate([root.ravel() for root in roots]).mean()
    trained = [p.detach().numpy().copy() for p in model.parameters()]
    nats_N, state = [], model.initial_state(1)
    for begin in range(0, len(ids) - 1, segment):
        piece = torch.from_numpy(ids[begin : begin + segment + 1].astype(np.int64))
        logits_1SV, state = model(piece[None, :-1], tuple(array.detach() for array in state))
        nats_S = F.cross_entropy(logits_1SV[0], piece[1:], reduction="none")
        nats_N += nats_S.tolist()
        step = gradients(nats_S.mean())
        with torch.no_grad():
            for p, start, g, root in zip(model.parameters(), trained, step, roots, strict=True):
                pull = np.minimum(decay * root / average, 1)
                now = p.numpy().copy()
                change = pull * (start - now) - lr * g / (root + dynamic._EPSILON)
                p.add_(torch.from_numpy(change))
    return np.array(nats_N)


@pytest.mark.parametrize(
    ("segment", "lr", "decay"), [(20, 1e-3, 1e-2), (5, 1e-3, 0.9), (156, 1e-3, 0.0), (1, 1e-3, 0.1)]
)
def test_the_rule_is_that_of_its_definition(checkpoint, tokens, held_out, segment, lr, decay):
    model = DynamicModel(checkpoint, tokens, segment, lr, decay)
    nats_T, _ = costs(model, held_out)
    expected_N = reference(checkpoint, tokens, held_out, segment, lr, decay)
    assert nats_T[1:] == pytest.approx(expected_N, abs=1e-5)
    plain = evaluate(engine_of(checkpoint), held_out, checkpoint.tokenizer.token_bytes).nats
    if segment < 156:
        assert abs(nats_T[1:].sum() - plain) > 0.1


def engine_of(checkpoint):
    config = checkpoint.config
    return Engine(config.model, checkpoint.weights, start_id=config.start_id, end_id=None)


def test_without_rate_and_decay_nothing_is_learned(checkpoint, tokens, held_out):
    nats_T, _ = costs(DynamicModel(checkpoint, tokens, 20, 0.0, 0.0), held_out)
    assert nats_T == pytest.approx(costs(engine_of(checkpoint), held_out)[0], abs=1e-5)


def test_a_decay_alone_keeps_the_trained_weights(checkpoint, tokens, held_out):
    nats_T, _ = costs(DynamicModel(checkpoint, tokens, 20, 0.0, 1.0), held_out)
    assert nats_T == pytest.approx(costs(engine_of(checkpoint), held_out)[0], abs=1e-5)


@pytest.mark.parametrize("kind", ["cache", "dynamic"])
def test_what_comes_later_changes_no_cost(checkpoint, tokens, held_out, kind):
    model = DynamicModel(checkpoint, tokens, 20, 1e-3, 1e-2)
    if kind == "cache":
        model = CacheModel(engine_of(checkpoint), 50, 1.0, 0.3)
    whole_T, _ = costs(model, held_out)
    for t in (1, 2, 20, 21, 47, 140):
        other = held_out.copy()
        other[t:] = (other[t:] + 1 + np.arange(len(other) - t)) % checkpoint.config.vocabulary
        changed_T, _ = costs(model, other)
        assert changed_T[:t].tolist() == whole_T[:t].tolist()
        assert changed_T[t] != whole_T[t]


def test_reading_and_learning_can_be_cut_anywhere(checkpoint, tokens, held_out):
    model = DynamicModel(checkpoint, tokens, 20, 1e-3, 1e-2)
    begun = model.initial_state(1)
    whole_T, _ = costs(model, held_out, begun)
    state, parts = begun, []
    for begin, end in ((0, 1), (1, 2), (2, 2), (2, 21), (21, 45), (45, 157)):
        nats_T, state = costs(model, held_out[begin:end], state)
        parts.append(nats_T)
    assert np.concatenate(parts) == pytest.approx(whole_T, abs=1e-5)
    # What was learned lies in the state: another text begins where the first one began.
    assert costs(model, held_out, begun)[0].tolist() == whole_T.tolist()
    twin = DynamicModel(checkpoint, tokens, 20, 1e-3, 1e-2)
    assert costs(twin, held_out)[0].tolist() == whole_T.tolist()
    logits_1V, state = model.prefill(*pad([held_out[:50].tolist()]), begun)
    assert -log_softmax(logits_1V)[0, held_out[50]] == pytest.approx(whole_T[50], abs=1e-5)
    costs(model, held_out[::-1], begun)  # which changes no state that is kept
    logits_1V, _ = model.step(held_out[50:51], state)
    assert -log_softmax(logits_1V)[0, held_out[51]] == pytest.approx(whole_T[51], abs=1e-5)


def test_what_is_learned_comes_of_use(checkpoint, tokens, held_out):
    again = np.tile(held_out[:60], 8)
    nats_T, _ = costs(DynamicModel(checkpoint, tokens, 20, 2e-3, 0.0), again)
    assert nats_T[-60:].sum() < 0.9 * nats_T[60:120].sum()


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_while_reading(checkpoint, cell, tokens, held_out):
    config = ModelConfig(cell=cell, layers=1, hidden=8, embedding=0 if cell == "gru" else 4)
    weights = calm(random_weights(config, checkpoint.config.vocabulary))
    given = type(checkpoint)(
        checkpoint.folder,
        type(checkpoint.config)(**{**vars(checkpoint.config), "model": config}),
        weights,
        checkpoint.tokenizer,
    )
    kept = {name: array.copy() for name, array in weights.items()}
    still_T, _ = costs(DynamicModel(given, tokens, 20, 0.0, 0.0), held_out)
    assert still_T == pytest.approx(costs(engine_of(given), held_out)[0], abs=1e-4)
    moved_T, _ = costs(DynamicModel(given, tokens, 20, 1e-3, 1e-3), held_out)
    assert moved_T[:21].tolist() == still_T[:21].tolist()
    assert moved_T[21:].sum() < still_T[21:].sum()
    assert all((weights[name] == array).all() for name, array in kept.items())


def test_no_numbers_are_an_error(checkpoint, tokens, held_out):
    with pytest.raises(TrainingError, match="--dynamic-lr"):
        costs(DynamicModel(checkpoint, tokens, 5, 1e300, 0.0), held_out)
    with pytest.raises(TrainingError, match="--dynamic-lr"):  # at the end, where none is learned
        costs(DynamicModel(checkpoint, tokens, 5, 1e300, 0.0), held_out[:8])


def test_gradients_are_measured_on_short_texts(checkpoint, tokens):
    model = LanguageModel(checkpoint.config.model, checkpoint.config.vocabulary)
    assert all((square >= 0).all() for square in mean_squares(model, tokens[:3], 20))


# --- the options -------------------------------------------------------------------------------


def test_options_that_make_no_sense():
    for options, said in (
        ({"cache": -1}, "--cache must be"),
        ({"cache": 9, "dynamic": True}, "exclude each other"),
        ({"cache_theta": 0.9}, "--cache-theta needs --cache"),
        ({"cache": 9, "cache_theta": -1.0}, "--cache-theta must be"),
        ({"cache": 9, "cache_theta": float("nan")}, "--cache-theta must be"),
        ({"cache": 9, "cache_lambda": 1.0}, "--cache-lambda must be"),
        ({"cache": 9, "dynamic_lr": 0.5}, "--dynamic-lr needs --dynamic"),
        ({"threads": 1}, "--threads needs --dynamic"),
        ({"dynamic": True, "dynamic_segment": 0}, "--dynamic-segment must be"),
        ({"dynamic": True, "dynamic_lr": -1.0}, "--dynamic-lr must be"),
        ({"dynamic": True, "dynamic_decay": 1.5}, "--dynamic-decay must be"),
        ({"dynamic": True, "threads": -1}, "--threads must be"),
    ):
        with pytest.raises(UsageError, match=said):
            AdaptationConfig(**options)
    assert AdaptationConfig(dynamic=True).settings(65)["segment"] == 20
    assert AdaptationConfig(dynamic=True).settings(8000)["segment"] == 5
    assert AdaptationConfig(cache=9, cache_theta=0.0).settings(65)["theta"] == 0
    assert AdaptationConfig().settings(65) is None


@pytest.fixture
def place(workplace, tmp_path):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_evaluate_adapts_and_tells_so(program, place):
    (place / "other").write_text("The moon saw the fox. " * 20)
    before = files(place)
    plain, adapted = [], []
    learn = ["--dynamic", "--threads", "1"]
    for text in ([], ["--text", "other"]):
        for how in ([], ["--cache", "50"], learn):
            result = program("evaluate", "text", "text", "--json", *text, *how, cwd=place)
            assert result.returncode == 0, result.stderr.decode()
            first, second = map(json.loads, result.stdout.decode().splitlines())
            assert first == second
            (adapted if how else plain).append(first)
    for record in plain:
        assert record["adaptation"] is None
        assert record["settings"] is None
    cached, learned, cached_other, learned_other = adapted
    letters = len(set(TEXT))
    assert cached["adaptation"] == cached_other["adaptation"] == "cache"
    assert cached["settings"] == AdaptationConfig(cache=50).settings(letters)
    assert learned["adaptation"] == learned_other["adaptation"] == "dynamic"
    assert learned["settings"] == AdaptationConfig(dynamic=True).settings(letters)
    for record, other in ((plain[0], adapted[:2]), (plain[1], adapted[2:])):
        for one in other:
            assert one["tokens"] == record["tokens"]
            assert one["nats_per_token"] != record["nats_per_token"]
    assert learned_other["nats_per_token"] < plain[1]["nats_per_token"]
    shown = program("evaluate", "text", "--cache", "50", cwd=place).stdout.decode()
    assert "adaptation          cache: window 50, theta " in shown
    assert "adaptation" not in program("evaluate", "text", cwd=place).stdout.decode()
    assert files(place) == before


def test_what_cannot_adapt_says_so_in_a_line(program, place):
    def line(*arguments, code):
        result = program("evaluate", *arguments, "-q", cwd=place)
        assert result.returncode == code
        (said,) = result.stderr.decode().splitlines()
        return said

    program("train", "corpora/text", "--cell", "ngram", "-o", "counted", cwd=place)
    small = ["--hidden", "8", "--steps", "1", "-o", "new"]
    assert program("train", "corpora/text", *small, cwd=place).returncode == 0
    assert "needs a recurrent model" in line("counted", "--cache", "9", code=2)
    assert "needs a recurrent model" in line("counted", "--dynamic", code=2)
    assert "exclude each other" in line("text", "--dynamic", "--cache", "9", code=2)
    (place / "other").write_text("The moon saw the fox. " * 20)
    shutil.rmtree(place / "corpora")
    assert "where corpora/ lies" in line("new", "--dynamic", "--text", "other", code=1)
