import math

import numpy as np
import pytest
import torch
from conftest import random_weights
from fakes import MarkovModel
from torch.nn import functional as F

from charnn.architecture import ModelConfig
from charnn.engine import Engine
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


def in_one_piece(config, weights, ids_T):
    """The cost of every true successor, by torch, over the whole text at once."""
    lstm = torch.nn.LSTM(config.embedding, config.hidden, config.layers).double()
    tensors = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    lstm.load_state_dict(
        {
            f"{name}_l{n}": tensors[f"layers.{n}.{name}"]
            for n in range(config.layers)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
    )
    ids = torch.from_numpy(ids_T)
    with torch.no_grad():
        hidden, _ = lstm(tensors["embedding.weight"][ids[:-1]])
        logits = hidden @ tensors["output.weight"].T + tensors["output.bias"]
        return F.cross_entropy(logits, ids[1:], reduction="none")


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_pieces_cost_what_the_whole_text_costs_in_one(monkeypatch, dtype, tolerance):
    config = ModelConfig(layers=2, hidden=12, embedding=6)
    weights = random_weights(config, 7, dtype=dtype)
    ids_T = np.random.default_rng(2).integers(0, 7, 1000)
    ids_T[960:] = 3  # the end is unlike the rest
    costs = in_one_piece(config, weights, ids_T)
    right = costs.mean().item()
    model = Engine(config, weights, start_id=0, end_id=None)
    for size in (1, 64, 999, 5000):
        monkeypatch.setattr("charnn.score._CHUNK_TOKENS", size)
        ours = evaluate(model, ids_T, TABLE * 2)
        assert ours.nats_per_token == pytest.approx(right, rel=tolerance)
        assert ours.tokens == 999

    windows = costs.split(64)
    wrong = {
        "the mean of the windows' means": torch.stack([one.mean() for one in windows]).mean(),
        "divided by windows times length": costs.sum() / (len(windows) * 64),
        "divided by N after scoring N - 1": costs.sum() / len(ids_T),
    }
    for how, figure in wrong.items():
        assert abs(figure.item() / right - 1) > 5e-4, how
