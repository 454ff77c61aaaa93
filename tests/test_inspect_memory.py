"""How far back a model looks: against models whose memory is known, and one target at a time."""

import json
import math
import shutil

import numpy as np
import pytest
from fakes import MarkovModel, engine

from charnn.cli.figure import picture
from charnn.cli.inspect import lookback
from charnn.errors import CorpusError
from charnn.inspection.memory import (
    Memory,
    choose_targets,
    doubling,
    measure_memory,
    tokens_to_read,
)
from charnn.ngram import NgramModel, count_ngrams

TEXT_T = np.random.default_rng(5).integers(7, size=300)


class RecallModel:
    """Knows exactly the id that stood ``lag`` ids before the next, if it has read so many.

    It then says that the next is the same, with 7 to 1 over each of the other 6 ids; else
    that all 7 are as likely. Its state: the ids read, newest first, -1 where there was none.
    """

    vocabulary_size, start_id, end_id = 7, 0, None

    def __init__(self, lag):
        self.lag = lag

    def initial_state(self, batch):
        return (np.full((batch, self.lag), -1),)

    def prefill(self, ids_BT, lengths_B, state):
        _, state = self.nats(ids_BT, lengths_B, state)
        return np.zeros((len(ids_BT), 7)), state

    def nats(self, ids_BT, lengths_B, state):
        (read_BL,) = state
        assert (lengths_B == ids_BT.shape[1]).all()
        nats_BT = np.empty(ids_BT.shape)
        for t, ids_B in enumerate(ids_BT.T):
            right = np.where(read_BL[:, -1] == ids_B, 7 / 13, 1 / 13)
            nats_BT[:, t] = -np.log(np.where(read_BL[:, -1] >= 0, right, 1 / 7))
            read_BL = np.concatenate((ids_B[:, None], read_BL[:, :-1]), 1)
        return nats_BT, (read_BL,)


def measured(model, contexts=(1, 2, 4, 8, 16), count=50, ids_T=TEXT_T):
    targets_N = choose_targets(len(ids_T), max(contexts), count, 1)
    return measure_memory(model, ids_T, targets_N, np.array(contexts))


def order_3(smoothing="kneser-ney"):
    text_T = np.random.default_rng(6).integers(7, size=3000)
    return NgramModel(count_ngrams(text_T, 7, 3, smoothing), 7, start_id=0, end_id=None)


def test_a_model_that_counts_three_looks_two_back():
    found = measured(order_3())
    for row in found.nats_KN[1:]:
        np.testing.assert_array_equal(row, found.full_N)
    assert abs(found.nats_K[0] - found.full) > 0.01
    assert found.effective() == 2
    assert found.effective(10.0) == 1
    assert found.errors_K[1:].tolist() == [0] * 4


@pytest.mark.parametrize("lag", [1, 3, 4, 9])
def test_a_memory_that_is_known_is_found(lag):
    ids_T = np.tile(np.random.default_rng(2).integers(7, size=lag), 60)  # it repeats: all is known
    found = measured(RecallModel(lag), ids_T=ids_T)
    right, unknown = -math.log(7 / 13), math.log(7)
    expected = [right if context >= lag else unknown for context in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(found.nats_K, expected, rtol=1e-12)
    assert found.full == pytest.approx(right)
    assert found.effective() == min(c for c in (1, 2, 4, 8, 16) if c >= lag)


def test_a_memory_that_is_longer_than_the_context_is_not_told():
    ids_T = np.tile(np.arange(7), 60)
    found = measured(RecallModel(7), contexts=(1, 2, 4), ids_T=ids_T)
    assert found.effective() is None
    assert "effective: over 4" in lookback.text(found, 0.01, 80, 8, colour=False)


@pytest.mark.parametrize("limit", [None, (8, 3)])
def test_it_is_what_one_target_at_a_time_costs(limit, monkeypatch):
    if limit is not None:
        monkeypatch.setattr("charnn.inspection.memory._BATCH_TOKENS", limit[0])
        monkeypatch.setattr("charnn.inspection.memory._BATCH_ROWS", limit[1])
        monkeypatch.setattr("charnn.inspection.memory._CHUNK_TOKENS", 7)
    model, read = engine(), []
    targets_N = choose_targets(len(TEXT_T), 12, 10, 3)
    contexts_K = doubling(12)
    found = measure_memory(model, TEXT_T, targets_N, contexts_K, read.append)
    for n, target in enumerate(targets_N):
        for k, context in enumerate((*contexts_K.tolist(), target)):
            state = model.initial_state(1)
            for id in TEXT_T[target - context : target]:
                logits_1V, state = model.step(np.array([id]), state)
            logits = logits_1V[0].astype(np.float64)
            nats = math.log(sum(math.exp(v) for v in logits)) - logits[TEXT_T[target]]
            cell = found.full_N[n] if k == len(contexts_K) else found.nats_KN[k, n]
            assert cell == pytest.approx(nats, abs=2e-5)
    assert sum(read) == tokens_to_read(targets_N, contexts_K)


def test_a_first_target_has_nothing_but_its_context():
    found = measured(engine(), contexts=(1, 2, 4), count=296, ids_T=TEXT_T)
    assert found.targets_N[0] == 4
    assert found.nats_KN[-1, 0] == pytest.approx(found.full_N[0], abs=1e-6)


def test_targets_have_their_context_before_them_and_differ():
    targets_N = choose_targets(100, 30, 20, 0)
    assert len(set(targets_N.tolist())) == 20
    assert targets_N.min() >= 30 and targets_N.max() < 100
    assert (np.diff(targets_N) > 0).all()
    assert choose_targets(100, 30, 20, 1).tolist() != targets_N.tolist()
    assert choose_targets(100, 30, 20, 0).tolist() == targets_N.tolist()
    assert choose_targets(100, 30, 1000, 0).tolist() == list(range(30, 100))
    with pytest.raises(CorpusError, match="a text of 30 tokens has none with 30 before it"):
        choose_targets(30, 30, 5, 0)


def test_errors_are_of_pairs():
    full_N = np.array([1.0, 5.0, 3.0])
    found = Memory(np.array([1]), np.arange(3), full_N[None] + np.array([0.1, 0.2, 0.3]), full_N)
    assert found.errors_K[0] == pytest.approx(0.1 / math.sqrt(3))


@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_no_line_is_too_wide(width):
    text = lookback.text(measured(engine()), 0.01, width, 10, colour=False)
    assert max(map(len, text.splitlines())) <= width
    assert "context" in text and "50 targets" in text


def test_what_is_impossible_can_be_drawn():
    model = MarkovModel(np.where(np.eye(7), 0.0, -np.inf))  # the same id again, and no other
    found = measured(model)
    assert found.full == math.inf
    text = lookback.text(found, 0.01, 60, 10, colour=False)
    assert "inf" in text
    with np.errstate(invalid="ignore"):
        assert (
            b"</svg>" in picture(lambda figure: lookback.draw(figure, found, 0.01, "x"), "svg")[0]
        )


def test_the_command_tells_of_a_model_that_counts(program, workplace, tmp_path):
    shutil.copytree(workplace / "corpora", tmp_path / "corpora")
    program("train", "corpora/text", "--cell", "ngram", "--order", "3", "-q", cwd=tmp_path)
    result = program("inspect", "memory", "--json", "--context", "8", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    losses = [entry["nats_per_token"] for entry in record["contexts"]]
    assert [entry["context"] for entry in record["contexts"]] == [1, 2, 4, 8]
    assert losses[1] == losses[2] == losses[3] == record["full_nats_per_token"] < losses[0]
    assert record["effective_context"] == 2
    told = program("inspect", "memory", "-o", "memory.png", "-q", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "memory.png").read_bytes()[:4] == b"\x89PNG"
