import numpy as np
import pytest
import torch
from conftest import random_weights

from charnn.architecture import ModelConfig, count_parameters
from charnn.cells.base import sigmoid
from charnn.cells.lstm import LSTM
from charnn.cells.stack import Stack


def stack_and_twin(layers: int, inputs: int = 5, hidden: int = 7):
    config = ModelConfig(layers=layers, hidden=hidden, embedding=inputs)
    weights = random_weights(config, 11, dtype=np.float64)
    cells = [LSTM(*(weights[f"layers.{n}.{name}"] for name in LSTM.tensors)) for n in range(layers)]
    twin = torch.nn.LSTM(inputs, hidden, layers, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            kind, _, layer = name.rpartition("_l")
            parameter.copy_(torch.from_numpy(weights[f"layers.{layer}.{kind}"]))
    return Stack(cells), twin


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_equations_are_torchs(layers):
    stack, twin = stack_and_twin(layers)
    x_BTI = np.random.default_rng(1).normal(size=(3, 9, 5))
    with torch.no_grad():
        expected_BTH, (h, c) = twin(torch.from_numpy(x_BTI))
    state = stack.initial_state(3)
    first = stack.layers[0]
    outputs_BTH, unrolled = stack.unroll(first.project(x_BTI), np.full(3, 9), state)
    np.testing.assert_allclose(outputs_BTH, expected_BTH.numpy(), atol=1e-12)
    for t in range(9):
        output_BH, state = stack.advance(first.project(x_BTI[:, t]), state)
        np.testing.assert_allclose(output_BH, expected_BTH[:, t].numpy(), atol=1e-12)
    for n in range(layers):
        for found in (state, unrolled):
            np.testing.assert_allclose(found[2 * n], h[n].numpy(), atol=1e-12)
            np.testing.assert_allclose(found[2 * n + 1], c[n].numpy(), atol=1e-12)


def test_step_is_project_then_advance():
    stack, _ = stack_and_twin(1)
    (cell,) = stack.layers
    x = np.random.default_rng(2).normal(size=(4, 5))
    state = cell.step(x, cell.initial_state(4))[1]
    for one, other in zip(
        cell.step(x, state)[1], cell.advance(cell.project(x), state)[1], strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_ragged_rows_keep_their_state():
    stack, _ = stack_and_twin(2)
    x_BTI = np.random.default_rng(3).normal(size=(3, 6, 5))
    project = stack.layers[0].project
    _, ragged = stack.unroll(project(x_BTI), np.array([6, 2, 0]), stack.initial_state(3))
    for row, length in enumerate([6, 2, 0]):
        alone = project(x_BTI[row : row + 1, :length])
        _, state = stack.unroll(alone, np.array([length]), stack.initial_state(1))
        for found, expected in zip(ragged, state, strict=True):
            np.testing.assert_allclose(found[row], expected[0], atol=1e-14)


def test_a_state_is_never_changed_in_place():
    stack, _ = stack_and_twin(2)
    x = np.ones((2, 5))
    before = stack.initial_state(2)
    _, state = stack.advance(stack.layers[0].project(x), before)
    kept = [array.copy() for array in state]
    stack.advance(stack.layers[0].project(x), state)
    assert all((a == b).all() for a, b in zip(state, kept, strict=True))
    assert not any(array.any() for array in before)


def test_activations_are_arguments():
    identity = lambda x: x.copy()  # noqa: E731
    ones = np.ones((4, 1))
    cell = LSTM(ones, 0 * ones, np.zeros(4), np.zeros(4), gate=identity, activation=identity)
    output, state = cell.step(np.array([[2.0]]), cell.initial_state(1))
    assert state.cell_BH.item() == 4.0  # i g = 2 · 2
    assert output.item() == 8.0  # o c = 2 · 4


def test_sigmoid_is_exact_and_never_overflows():
    x = np.array([-1000.0, -2.0, 0.0, 3.0, 1000.0])
    with np.errstate(all="raise", under="ignore"):
        y = sigmoid(x)
    np.testing.assert_allclose(y, [0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-3)), 1])


def test_parameters_follow_closed_formulas():
    V, E, H = 10_000, 300, 50
    parts = count_parameters(ModelConfig(layers=2, hidden=H, embedding=E), V)
    assert parts["embedding"] == 3_000_000
    # One bias more than the textbooks have: PyTorch stores two, which add up.
    assert parts["layers.0"] == 4 * ((E + H) * H + 2 * H)
    assert parts["layers.1"] == 4 * ((H + H) * H + 2 * H)
    assert parts["output"] == (H + 1) * V
    one_hot = count_parameters(ModelConfig(layers=1, hidden=H, embedding=0), V)
    assert one_hot["layers.0"] == 4 * ((V + H) * H + 2 * H)
    assert "embedding" not in one_hot
    tied = count_parameters(ModelConfig(layers=1, hidden=H, embedding=E, tied=True), V)
    assert (tied["projection"], tied["output"]) == (E * H, V)
