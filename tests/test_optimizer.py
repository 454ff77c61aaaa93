"""Muon and AdamW against PyTorch's own classes and the singular values themselves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charnn.architecture import ModelConfig
from charnn.cells import CELLS
from charnn.nn.language_model import LanguageModel, named_weights
from charnn.training import optimizer as optimizer_module
from charnn.training.config import TrainingConfig
from charnn.training.optimizer import Optimizer, orthogonalize

STEPS = 4


def model_of(cell="lstm", **options):
    torch.manual_seed(0)
    return LanguageModel(ModelConfig(cell, layers=2, hidden=12, embedding=5, **options), 9)


def updated(model, update):
    """The weights after some steps with gradients drawn at random."""
    torch.manual_seed(1)
    for _ in range(STEPS):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        update()
    return named_weights(model)


def test_adamw_is_that_of_torch():
    config = TrainingConfig(optimizer="adamw", lr=0.01, weight_decay=0.1)
    ours, theirs = model_of(), model_of()
    optimizer = Optimizer(ours, config)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.5 * 0.01, weight_decay=0.1)
    got = updated(ours, lambda: optimizer.step(0.5))
    for name, expected in updated(theirs, reference.step).items():
        torch.testing.assert_close(got[name], expected)


def test_muon_is_that_of_torch_where_a_matrix_is_one_gate(monkeypatch):
    """With PyTorch's polynomials; it computes them in bfloat16."""
    monkeypatch.setattr(optimizer_module, "_POLYNOMIALS", [(3.4445, -4.7750, 2.0315)] * 5)
    config = TrainingConfig(optimizer="muon", muon_lr=0.02, weight_decay=0.1)
    ours, theirs = model_of("elman"), model_of("elman")
    optimizer = Optimizer(ours, config)
    matrices = {
        n for n, w in named_weights(theirs).items() if n.startswith("layers.") and w.ndim == 2
    }
    reference = torch.optim.Muon(
        [named_weights(theirs)[name] for name in sorted(matrices)],
        lr=0.02, weight_decay=0.1, adjust_lr_fn="original",
    )  # fmt: skip
    got, expected = updated(ours, lambda: optimizer.step(1.0)), updated(theirs, reference.step)
    assert len(matrices) == 4
    for name in matrices:
        moved = (expected[name] - named_weights(model_of("elman"))[name]).abs().max()
        assert (got[name] - expected[name]).abs().max() < 0.05 * moved


@pytest.mark.parametrize("cell", CELLS)
def test_every_gate_of_every_cell_moves_by_an_orthogonal_matrix(cell):
    model = model_of(cell)
    before = {name: weight.clone() for name, weight in named_weights(model).items()}
    optimizer = Optimizer(model, TrainingConfig(muon_lr=0.1, weight_decay=0.0))
    torch.manual_seed(2)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step(1.0)
    moved = {name: before[name] - weight for name, weight in named_weights(model).items()}
    matrices = [name for name, moments in optimizer.moments.items() if "momentum" in moments]
    assert {name for name in matrices if "_hh" in name} or cell == "jordan"
    assert all(name.startswith("layers.") for name in matrices)
    for name in matrices:
        for gate in moved[name].detach().split(12):
            values = torch.linalg.svdvals(gate / 0.1 / max(1, 12 / gate.shape[1]) ** 0.5)
            assert values.median() > 0.6 and values.max() < 1.3


def test_tables_of_one_hot_vectors_are_left_to_adamw():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(layers=2, hidden=6, embedding=0), 9)
    moments = Optimizer(model, TrainingConfig()).moments
    assert "exp_avg" in moments["layers.0.weight_ih"]
    assert "momentum" in moments["layers.1.weight_ih"]


def test_what_is_frozen_stays():
    model = model_of(tied=True)
    model.freeze_embedding()
    before = model.embedding.weight.clone()
    optimizer = Optimizer(model, TrainingConfig())
    updated(model, lambda: optimizer.step(1.0))
    assert "embedding.weight" not in optimizer.moments
    assert torch.equal(model.embedding.weight, before)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 12), st.integers(2, 12)),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
)
def test_orthogonalized_matrices_have_singular_values_near_one(shape, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.randn(shape, generator=generator)
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    well_conditioned = s.min() > 0.05 * s.max()
    got = orthogonalize(scale * matrices)
    assert got.shape == matrices.shape
    inside = u.mT @ got @ v.mT  # what is left of the singular vectors: nothing but a diagonal
    off = inside - torch.diag_embed(torch.diagonal(inside, dim1=1, dim2=2))
    assert off.abs().max() < 1e-3
    if well_conditioned:
        values = torch.diagonal(inside, dim1=1, dim2=2)
        assert values.min() > 0.6 and values.max() < 1.3


def test_in_bfloat16_it_is_nearly_the_same():
    matrices = torch.randn(4, 16, 32, generator=torch.Generator().manual_seed(0))
    low = orthogonalize(matrices, torch.bfloat16)
    assert low.dtype == torch.bfloat16
    error = (low.float() - orthogonalize(matrices)).abs().max()
    assert 0 < error < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_matrix_of_rank_one_does_not_explode(dtype):
    """Its only singular value is its norm, and rounding may put it above."""
    generator = torch.Generator().manual_seed(0)
    for size in (8, 12, 96, 256):
        signs = torch.randn(2, size, generator=generator).sign()
        got = orthogonalize(torch.outer(signs[0], signs[1])[None], dtype)
        assert torch.linalg.matrix_norm(got.float(), 2) < 1.3


def test_a_matrix_of_zeros_stays_one():
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))
