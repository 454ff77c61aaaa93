import math

import numpy as np
import pytest
from fakes import MarkovModel

from charnn.errors import CorpusError
from charnn.score import Evaluation, evaluate
from charnn.step import log_softmax

TABLE = (b"a", "é".encode(), "中".encode(), b"bc")


def test_every_true_successor_counts_once(monkeypatch):
    logits_VV = np.random.default_rng(0).normal(size=(4, 4))
    ids = np.random.default_rng(1).integers(0, 4, 100).astype(np.uint16)
    log_probs_VV = log_softmax(logits_VV)
    expected = -sum(log_probs_VV[a, b] for a, b in zip(ids[:-1], ids[1:], strict=True))
    model = MarkovModel(logits_VV)
    whole = evaluate(model, ids, TABLE)
    assert whole.tokens == 99
    assert whole.nats == pytest.approx(expected, rel=1e-12)
    assert whole.nats_per_token == pytest.approx(expected / 99)
    text = b"".join(TABLE[id] for id in ids[1:])
    assert (whole.bytes, whole.characters) == (len(text), len(text.decode()))
    monkeypatch.setattr("charnn.score._CHUNK_TOKENS", 7)
    assert evaluate(model, ids, TABLE).nats == pytest.approx(whole.nats, rel=1e-12)


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary():
    result = evaluate(MarkovModel(np.zeros((256, 256))), np.arange(256), TABLE * 64)
    assert result.nats_per_token == pytest.approx(math.log(256))
    assert result.perplexity == pytest.approx(256)
    bytes_only = evaluate(
        MarkovModel(np.zeros((256, 256))), np.arange(256), tuple(bytes([b]) for b in range(256))
    )
    assert bytes_only.bits_per_byte == pytest.approx(8)


def test_figures_per_byte_need_the_whole_text():
    figures = Evaluation(10, 20, 30, unknown=0, comparable=True, nats=math.log(2) * 60)
    assert (figures.bits_per_character, figures.bits_per_byte) == (3, 2)
    lost = Evaluation(10, 20, 30, unknown=1, comparable=False, nats=1.0)
    assert (lost.bits_per_character, lost.bits_per_byte) == (None, None)
    assert not evaluate(MarkovModel(np.zeros((4, 4))), np.arange(4), TABLE, unknown=1).comparable


def test_a_hopeless_model_has_infinite_perplexity():
    assert Evaluation(1, 1, 1, 0, True, 1000.0).perplexity == math.inf


def test_nothing_to_predict_is_an_error():
    with pytest.raises(CorpusError, match="nothing to predict"):
        evaluate(MarkovModel(np.zeros((4, 4))), np.arange(1), TABLE)
