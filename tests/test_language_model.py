from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import random_weights
from torch.nn import functional as F

from charnn.architecture import CellName, ModelConfig, expected_shapes
from charnn.engine import Engine
from charnn.errors import CheckpointError, UsageError
from charnn.nn.language_model import LanguageModel, export_weights, import_weights, named_weights
from charnn.step import pad, select_rows

V = 13
CONFIGS = [
    ModelConfig(layers=2, hidden=8, embedding=5),
    ModelConfig(layers=1, hidden=8, embedding=0),
    ModelConfig(layers=2, hidden=8, embedding=8, tied=True),
    ModelConfig(layers=3, hidden=8, embedding=6, tied=True),
    *(
        ModelConfig(cell=cell, layers=2, hidden=8, embedding=5)
        for cell in get_args(CellName)
        if cell != "lstm"
    ),
]
NAMES = ["embedded", "one-hot", "tied", "tied with projection", *get_args(CellName)[1:]]
configs = pytest.mark.parametrize("config", CONFIGS, ids=NAMES)


def both(config):
    """The same random model twice, in float64."""
    weights = random_weights(config, V, dtype=np.float64)
    model = LanguageModel(config, V).double().eval()
    import_weights(model, weights)
    return model, Engine(config, weights, start_id=2, end_id=None)


def logits_of(model, ids_BT):
    with torch.no_grad():
        return model(torch.from_numpy(ids_BT), model.initial_state(len(ids_BT)))[0].numpy()


@configs
def test_the_engine_is_the_model(config):
    model, engine = both(config)
    ids_BT = np.random.default_rng(0).integers(0, V, (3, 10))
    expected_BTV = logits_of(model, ids_BT)
    state = engine.initial_state(3)
    for t in range(10):
        logits_BV, state = engine.step(ids_BT[:, t], state)
        np.testing.assert_allclose(logits_BV, expected_BTV[:, t], atol=1e-10)


@configs
def test_prefill_reads_ragged_prompts(config):
    model, engine = both(config)
    prompts = [[1, 2, 3, 4, 5], [7], [], [3, 3]]
    logits_BV, state = engine.prefill(*pad(prompts), engine.initial_state(4))
    for row, prompt in enumerate(prompts):
        alone = logits_of(model, np.array([prompt or [engine.start_id]]))[0, -1]
        np.testing.assert_allclose(logits_BV[row], alone, atol=1e-10)
    after, _ = engine.step(np.array([1, 1, 1, 1]), state)
    expected = logits_of(model, np.array([[3, 3, 1]]))[0, -1]
    np.testing.assert_allclose(after[3], expected, atol=1e-10)


def test_a_batch_of_empty_prompts():
    _, engine = both(CONFIGS[0])
    logits_BV, _ = engine.prefill(*pad([[], []]), engine.initial_state(2))
    expected, _ = engine.step(np.array([2, 2]), engine.initial_state(2))
    np.testing.assert_allclose(logits_BV, expected, atol=1e-12)


@configs
def test_nats_are_cross_entropy_and_add_up_wherever_they_are_cut(config):
    model, engine = both(config)
    ids_BT = np.random.default_rng(1).integers(0, V, (2, 40))
    logits_BTV = torch.from_numpy(logits_of(model, ids_BT))
    expected = F.cross_entropy(
        logits_BTV[:, :-1].transpose(1, 2), torch.from_numpy(ids_BT[:, 1:]), reduction="none"
    )
    one = np.array([1, 1])
    _, state = engine.prefill(ids_BT[:, :1], one, engine.initial_state(2))
    found, position = [], 1
    for length in (1, 7, 0, 31):
        nats_BT, state = engine.nats(ids_BT[:, position : position + length], one * length, state)
        found.append(nats_BT)
        position += length
    np.testing.assert_allclose(np.hstack(found), expected.numpy(), atol=1e-10)


def test_nats_of_ragged_rows():
    _, engine = both(CONFIGS[0])
    ids_BT, lengths_B = pad([[1, 2, 3], [4]])
    nats_BT, state = engine.nats(ids_BT, lengths_B, engine.initial_state(2))
    alone, after = engine.nats(ids_BT[1:, :1], np.array([1]), engine.initial_state(1))
    np.testing.assert_allclose(nats_BT[1], [alone[0, 0], 0, 0], atol=1e-12)
    for found, expected in zip(select_rows(np.array([1]), state), after, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_long_texts_are_read_in_pieces(monkeypatch):
    _, engine = both(CONFIGS[0])
    ids_BT = np.random.default_rng(2).integers(0, V, (1, 50))
    lengths = np.array([50])
    whole, _ = engine.nats(ids_BT, lengths, engine.initial_state(1))
    prefilled, _ = engine.prefill(ids_BT, lengths, engine.initial_state(1))
    monkeypatch.setattr("charnn.engine._SCORED_STEPS", 7)
    monkeypatch.setattr("charnn.engine._SCORED_LOGITS", 3 * V)
    np.testing.assert_allclose(
        engine.nats(ids_BT, lengths, engine.initial_state(1))[0], whole, atol=1e-12
    )
    np.testing.assert_allclose(
        engine.prefill(ids_BT, lengths, engine.initial_state(1))[0], prefilled, atol=1e-12
    )


def test_a_large_vocabulary_has_no_table(monkeypatch):
    config = CONFIGS[0]
    weights = random_weights(config, V, dtype=np.float64)
    ids = np.array([3, 4])
    with_table = Engine(config, weights, start_id=0, end_id=None)
    monkeypatch.setattr("charnn.engine._TABLE_BYTES", 0)
    without = Engine(config, weights, start_id=0, end_id=None)
    one, other = (e.step(ids, e.initial_state(2))[0] for e in (with_table, without))
    np.testing.assert_allclose(one, other, atol=1e-12)


@configs
def test_the_tensors_are_those_that_the_architecture_expects(config):
    model = LanguageModel(config, V)
    shapes = {name: tuple(tensor.shape) for name, tensor in named_weights(model).items()}
    assert shapes == expected_shapes(config, V)


def test_the_number_of_parameters_does_not_depend_on_the_window():
    model = LanguageModel(CONFIGS[0], V)
    count = sum(parameter.numel() for parameter in model.parameters())
    for length in (1, 5, 50):
        logits_BTV, _ = model(torch.zeros(2, length, dtype=torch.long), model.initial_state(2))
        assert logits_BTV.shape == (2, length, V)
        assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_two_carried_windows_are_one_long_window():
    model = LanguageModel(CONFIGS[0], V).double()
    ids_BT = torch.randint(0, V, (3, 12))
    whole, end = model(ids_BT, model.initial_state(3))
    first, state = model(ids_BT[:, :5], model.initial_state(3))
    second, state = model(ids_BT[:, 5:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=0, atol=1e-12)
    for found, expected in zip(state, end, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_gradient_of_a_shared_weight_is_the_sum_over_the_steps():
    """Unrolled with a copy of W_hh for every step, the copies' gradients add up to that of W_hh."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
    x_BTI = torch.randn(2, 6, 3, dtype=torch.float64)
    layer(x_BTI)[0].sum().backward()
    w_ih, w_hh, b_ih, b_hh = (p.detach() for p in layer.parameters())
    copies = [w_hh.clone().requires_grad_() for _ in range(6)]
    h = c = torch.zeros(2, 4, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for t, copy in enumerate(copies):
        i, f, g, o = (x_BTI[:, t] @ w_ih.T + b_ih + h @ copy.T + b_hh).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        total = total + h.sum()
    total.backward()
    shared = sum(copy.grad for copy in copies)
    torch.testing.assert_close(shared, layer.weight_hh_l0.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "peephole", "peephole-full"])
def test_the_forget_bias_is_one_in_all_and_peepholes_are_shut(cell):
    model = LanguageModel(replace(CONFIGS[0], cell=cell), V)
    for layer in model.recurrent.layers:
        bias = layer.bias_ih_l0 + layer.bias_hh_l0 if cell == "lstm" else layer.bias
        assert bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
        assert cell == "lstm" or not layer.weight_ch.any()


def test_exported_weights_come_back():
    model, other = (LanguageModel(CONFIGS[3], V) for _ in range(2))
    import_weights(other, export_weights(model))
    for name, tensor in named_weights(model).items():
        assert torch.equal(tensor, named_weights(other)[name])


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 0},
        {"hidden": 0},
        {"embedding": -1},
        {"tied": True, "embedding": 0},
        {"cell": "nose"},
        {"hidden": 1 << 30},
    ],
)
def test_impossible_architectures_are_refused(options):
    with pytest.raises(UsageError):
        ModelConfig(**options)


def test_weight_dropout_drops_weights_from_state_to_state_alone():
    """As if the masked weights had been there, and their gradients are masked, too."""
    torch.manual_seed(0)
    config = ModelConfig(hidden=12, embedding=6)
    ours, theirs = (LanguageModel(config, 9, weight_dropout=p) for p in (0.5, 0.0))
    theirs.load_state_dict(ours.state_dict())
    ids_BT = torch.randint(0, 9, (3, 7))
    seed = 4
    torch.manual_seed(seed)
    masks = {
        name: F.dropout(torch.ones_like(weight), 0.5)
        for name, weight in ours.recurrent.named_parameters()
        if "weight_hh" in name
    }
    with torch.no_grad():
        for name, weight in theirs.recurrent.named_parameters():
            weight.mul_(masks.get(name, 1))
    torch.manual_seed(seed)
    got, _ = ours(ids_BT, ours.initial_state(3))
    expected, _ = theirs(ids_BT, theirs.initial_state(3))
    torch.testing.assert_close(got, expected)
    got.square().sum().backward()
    expected.square().sum().backward()
    references = dict(theirs.recurrent.named_parameters())
    for name, weight in ours.recurrent.named_parameters():
        torch.testing.assert_close(weight.grad, references[name].grad * masks.get(name, 1))
    assert len(masks) == config.layers
    ours.eval()
    again, _ = ours(ids_BT, ours.initial_state(3))
    assert not torch.equal(again, got)
    torch.testing.assert_close(again, ours(ids_BT, ours.initial_state(3))[0])


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embedding.weight", np.nan),
        ("embedding.weight", 3e38),
        ("output.weight", np.inf),
        ("output.bias", np.nan),
        ("output.bias", -np.inf),
    ],
)
def test_what_is_no_number_is_no_prediction(name, value):
    """Weights of a stranger, or of a training that exploded."""
    config = ModelConfig(cell="elman-relu", hidden=8, embedding=5)
    weights = random_weights(config, V)
    weights[name] = np.full_like(weights[name], value)
    engine = Engine(config, weights, start_id=0, end_id=None)
    ids_BT, lengths_B = pad([[1, 2, 3, 4]])
    state = engine.initial_state(1)
    for use in (
        lambda: engine.prefill(ids_BT, lengths_B, state),
        lambda: engine.step(ids_BT[:, 0], state),
        lambda: engine.nats(ids_BT, lengths_B, state),
    ):
        with pytest.raises(CheckpointError, match="no number"):
            use()
