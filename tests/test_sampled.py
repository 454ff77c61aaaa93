"""The sampled loss against the whole softmax, and against its own formula written out."""

import math

import numpy as np
import pytest
import torch
from running import losses, resume_events, run_events

from charnn.architecture import ModelConfig
from charnn.nn.language_model import LanguageModel
from charnn.training.loss import loss
from charnn.training.sampled import RowGradients, SampledLoss

V, B, T = 40, 3, 8
CPU = torch.device("cpu")
TOKENS = np.random.default_rng(0).zipf(1.3, 5000).clip(1, V) - 1


def batch(seed=0, counted=None):
    at = np.random.default_rng(seed).integers(0, len(TOKENS) - T - 1, B)[:, None] + np.arange(T)
    return torch.from_numpy(TOKENS[at]), torch.from_numpy(TOKENS[at + 1]), counted


def model_of(**options):
    torch.manual_seed(3)
    model = LanguageModel(ModelConfig(layers=1, hidden=10, embedding=6, **options), V)
    # So that symbols differ in their probability.
    torch.nn.init.normal_(model.output.weight)
    torch.nn.init.uniform_(model.output.bias)
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_with_enough_draws_it_is_the_whole_softmax(tied):
    model = model_of(tied=tied)
    state = model.initial_state(B)
    whole, count, _ = loss(model, batch(), state)
    sampled, also, _ = SampledLoss(TOKENS, V, 200_000, CPU)(model, batch(), state)
    assert count == also == B * T
    torch.testing.assert_close(sampled, whole)


def test_it_is_its_formula():
    model = model_of()
    state = model.initial_state(B)
    sampled = SampledLoss(TOKENS, V, 5, CPU)
    torch.manual_seed(7)
    nats, _, _ = sampled(model, batch(), state)
    torch.manual_seed(7)
    ids_C = sampled.draw()
    counts = np.bincount(TOKENS, minlength=V) + 1
    present = 1 - (1 - counts / counts.sum()) ** 5
    logits = model(batch()[0], state)[0].flatten(0, 1).detach().double().numpy()
    expected = 0.0
    for row, label in zip(logits, batch()[1].flatten().tolist(), strict=True):
        others = sum(math.exp(row[w]) / present[w] for w in ids_C.tolist() if w != label)
        expected += math.log(others + math.exp(row[label])) - row[label]
    assert len(ids_C) < 6
    assert nats.item() == pytest.approx(expected, rel=1e-5)


def test_denominators_are_right_on_average_whatever_the_labels_are():
    """On a run of one symbol, too, which no text has by chance."""
    model, sampled = model_of(), SampledLoss(TOKENS, V, 30, CPU)
    inputs_BT = torch.full((B, T), 3)
    state = model.initial_state(B)
    logits_NV = model(inputs_BT, state)[0].flatten(0, 1).double()
    one = model.initial_state(1)
    torch.manual_seed(5)
    ratios = []
    for _ in range(4000):
        nats, count, _ = sampled(model, (inputs_BT[:1, :1], inputs_BT[:1, :1], None), one)
        ratios.append(math.exp(nats.item() + logits_NV[0, 3].item()))
    whole = logits_NV[0].exp().sum().item()
    error = np.std(ratios) / math.sqrt(len(ratios))
    assert count == 1
    assert np.mean(ratios) == pytest.approx(whole, abs=5 * error)
    assert error < 0.02 * whole


def test_only_what_counts_is_counted():
    model, sampled = model_of(), SampledLoss(TOKENS, V, 200_000, CPU)
    counted = torch.rand(B, T, generator=torch.Generator().manual_seed(2)) < 0.5
    state = model.initial_state(B)
    expected, count, _ = loss(model, batch(counted=counted), state)
    got, also, _ = sampled(model, batch(counted=counted), state)
    assert count == also < B * T
    torch.testing.assert_close(got, expected)


def test_a_run_learns_with_it_and_goes_on_bit_for_bit(corpus, tmp_path):
    options = {"steps": 80, "sampled_softmax": 16, "lr": 5e-2}
    whole = run_events(corpus, tmp_path / "whole", **options)
    assert whole[-1].best_nats < math.log(corpus.header.vocabulary) - 0.3
    first = run_events(corpus, tmp_path / "cut", stop_at=17, **options)
    assert losses(first) + losses(resume_events(corpus, tmp_path / "cut" / "run")) == losses(whole)


@pytest.mark.parametrize("tied", [False, True])
def test_gradients_of_rows_are_those_of_dense_weights(tied):
    """Step after step: what an earlier step left in the memory that is kept must be gone."""
    dense, rows = model_of(tied=tied), model_of(tied=tied)
    rows.embedding.sparse = True
    sampled, kept = SampledLoss(TOKENS, V, 4, CPU), RowGradients()
    for step in range(3):
        for model in (dense, rows):
            torch.manual_seed(step)
            model.zero_grad()
            nats, _, _ = sampled(model, batch(step), model.initial_state(B))
            nats.backward()
        kept.make_dense(list(rows.parameters()))
        for one, other in zip(dense.parameters(), rows.parameters(), strict=True):
            assert not other.grad.is_sparse
            torch.testing.assert_close(other.grad, one.grad.to_dense())


def test_where_only_the_label_was_drawn_the_loss_is_zero():
    model, sampled = model_of(), SampledLoss(TOKENS, V, 1, CPU)
    sampled.draw = lambda: torch.tensor([3])
    ids_BT = torch.full((B, T), 3)
    nats, _, _ = sampled(model, (ids_BT, ids_BT, None), model.initial_state(B))
    nats.backward()
    assert nats.item() == 0
    assert all(
        p.grad is None or torch.isfinite(p.grad.to_dense()).all() for p in model.parameters()
    )
