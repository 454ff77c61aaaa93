"""Every cell in NumPy, in PyTorch, and as ``torch.nn`` or a textbook has it."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from charnn.architecture import CellName, ModelConfig, count_parameters
from charnn.cells import CELLS
from charnn.cells.arithmetic import identity, relu, sigmoid
from charnn.cells.elman import Elman
from charnn.cells.gru import GRU
from charnn.cells.jordan import Jordan
from charnn.cells.lstm import LSTM
from charnn.cells.peephole import Peephole, PeepholeFull
from charnn.cells.stack import BidirectionalStack, Stack
from charnn.nn.cells import LAYERS
from charnn.nn.recurrent import Recurrent

INPUTS, H, B, T = 5, 7, 3, 9
TWINS = {
    "lstm": torch.nn.LSTM,
    "elman": torch.nn.RNN,
    "elman-relu": lambda *args, **options: torch.nn.RNN(*args, nonlinearity="relu", **options),
    "gru-reset-after": torch.nn.GRU,
}
every_cell = pytest.mark.parametrize("name", CELLS)
every_depth = pytest.mark.parametrize("layers", [1, 2, 3])
both_ways = pytest.mark.parametrize("both", [False, True], ids=["forwards", "both ways"])


def module(name: str, layers: int, *, both: bool = False, inputs: int = INPUTS) -> Recurrent:
    torch.manual_seed(layers)
    model = Recurrent(name, inputs, H, layers, bidirectional=both).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def numpy_cell(layer: torch.nn.Module):
    name = next(name for name, kind in LAYERS.items() if type(layer) is kind)
    tensors = {n.removesuffix("_l0"): p.detach().numpy() for n, p in layer.named_parameters()}
    return CELLS[name](**tensors)


def numpy_stack(model: Recurrent):
    cells = [numpy_cell(layer) for layer in model.layers]
    if not model.backward_layers:
        return Stack(cells)
    backwards = (numpy_cell(layer) for layer in model.backward_layers)
    return BidirectionalStack(list(zip(cells, backwards, strict=True)))


def random_state(model: Recurrent, batch: int = B) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn_like(array) for array in model.initial_state(batch))


def unroll(stack, x_BTI: np.ndarray, lengths_B: np.ndarray, state):
    start = stack.layers[0].project(x_BTI) if isinstance(stack, Stack) else x_BTI
    return stack.unroll(start, lengths_B, state)


def agree(found, expected, atol=1e-10):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=0, atol=atol)


def test_the_registries_name_the_same_cells():
    assert list(CELLS) == list(LAYERS) == list(get_args(CellName))


@every_cell
@every_depth
@both_ways
def test_the_numpy_cell_is_the_module(name, layers, both):
    model = module(name, layers, both=both)
    stack, state = numpy_stack(model), random_state(model)
    x_BTI = torch.randn(B, T, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        expected_BTH, expected_state = model(x_BTI, state)
    arrays = tuple(array.numpy() for array in state)
    found_BTH, found_state = unroll(stack, x_BTI.numpy(), np.full(B, T), arrays)
    assert found_BTH.shape == (B, T, 2 * H if both else H)
    agree([found_BTH, *found_state], [expected_BTH, *expected_state])
    agree(stack.initial_state(2), model.initial_state(2))
    assert not any(array.any() for array in stack.initial_state(2))
    if not both:
        state = arrays
        for t in range(T):
            output_BH, state = stack.advance(stack.layers[0].project(x_BTI[:, t].numpy()), state)
            agree([output_BH], [expected_BTH[:, t]])
        agree(state, expected_state)


@pytest.mark.parametrize("name", TWINS)
@every_depth
@both_ways
def test_the_module_is_its_torch_nn_twin(name, layers, both):
    model = module(name, layers, both=both)
    twin = TWINS[name](INPUTS, H, layers, batch_first=True, bidirectional=both).double()
    with torch.no_grad():
        for n in range(layers):
            for half, suffix in ((model.layers, ""), (model.backward_layers, "_reverse")):
                if not len(half):
                    continue
                for kind, parameter in half[n].named_parameters():
                    getattr(twin, kind.replace("_l0", f"_l{n}{suffix}")).copy_(parameter)
    state = random_state(model)
    x_BTI = torch.randn(B, T, INPUTS, dtype=torch.float64, requires_grad=True)
    given = tuple(torch.stack(state[n :: model.arrays]) for n in range(model.arrays))
    expected_BTH, after = twin(x_BTI, given if model.arrays > 1 else given[0])
    expected_state = after if model.arrays > 1 else (after,)
    found_BTH, found_state = model(x_BTI, state)
    agree([found_BTH.detach()], [expected_BTH.detach()])
    for n, expected in enumerate(expected_state):
        agree(
            [torch.stack(found_state[n :: model.arrays]).detach().numpy()],
            [expected.detach().numpy()],
        )
    slopes_BTH = torch.randn_like(found_BTH)
    found, expected = (
        torch.autograd.grad((out * slopes_BTH).sum(), x_BTI) for out in (found_BTH, expected_BTH)
    )
    agree(found, expected)


@every_cell
@pytest.mark.parametrize("window", [1, 4])
def test_gradcheck(name, window):
    """Of the outputs and the new state, to the input, the old state and every weight."""
    torch.manual_seed(1)
    layer = LAYERS[name](3, 4).double()
    names = [n for n, _ in layer.named_parameters()]
    x_BTI = torch.randn(2, window, 3, dtype=torch.float64, requires_grad=True)
    states = tuple(
        torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
        for _ in range(CELLS[name].arrays)
    )

    def run(x_BTI, *rest):
        state, weights = rest[: len(states)], dict(zip(names, rest[len(states) :], strict=True))
        outputs_BTH, after = torch.func.functional_call(layer, weights, (x_BTI, state))
        return outputs_BTH, *after

    assert torch.autograd.gradcheck(run, (x_BTI, *states, *layer.parameters()))


@every_cell
def test_two_carried_windows_are_one_long_window(name):
    model = module(name, 2)
    state = random_state(model)
    x_BTI = torch.randn(B, T, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        whole_BTH, end = model(x_BTI, state)
        first_BTH, middle = model(x_BTI[:, :4], state)
        second_BTH, found = model(x_BTI[:, 4:], middle)
    agree([torch.cat((first_BTH, second_BTH), 1), *found], [whole_BTH, *end], atol=1e-12)


@every_cell
def test_reversing_the_input_swaps_the_directions(name):
    model = module(name, 1, both=True)
    swapped = module(name, 1, both=True)
    swapped.layers, swapped.backward_layers = model.backward_layers, model.layers
    x_BTI = torch.randn(B, T, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        forwards_BTH, states = model(x_BTI, model.initial_state(B))
        backwards_BTH, swapped_states = swapped(x_BTI.flip(1), model.initial_state(B))
    halves = forwards_BTH[..., :H], forwards_BTH[..., H:]
    agree(halves, (backwards_BTH.flip(1)[..., H:], backwards_BTH.flip(1)[..., :H]))
    agree(states, swapped_states[model.arrays :] + swapped_states[: model.arrays])


@every_cell
@both_ways
def test_ragged_rows_are_read_as_if_alone(name, both):
    stack = numpy_stack(module(name, 2, both=both))
    x_BTI = np.random.default_rng(3).normal(size=(3, 6, INPUTS))
    lengths_B = np.array([6, 2, 0])
    outputs_BTH, ragged = unroll(stack, x_BTI, lengths_B, stack.initial_state(3))
    for row, length in enumerate(lengths_B):
        alone_1TI = x_BTI[row : row + 1, :length]
        alone_1TH, state = unroll(stack, alone_1TI, np.array([length]), stack.initial_state(1))
        agree([outputs_BTH[row, :length]], alone_1TH, atol=1e-10)
        agree((array[row] for array in ragged), (array[0] for array in state), atol=1e-10)


@every_cell
def test_a_step_is_project_then_advance_and_changes_nothing_in_place(name):
    (cell,) = numpy_stack(module(name, 1)).layers
    x_BI = np.random.default_rng(2).normal(size=(4, INPUTS))
    before = cell.initial_state(4)
    state = cell.step(x_BI, before)[1]
    kept = [array.copy() for array in state]
    output_BH, after = cell.step(x_BI, state)
    output, advanced = cell.advance(cell.project(x_BI), state)
    agree([output_BH, *after], [output, *advanced], atol=1e-14)
    agree([output_BH], [after[0]], atol=0)
    agree(state, kept, atol=0)
    assert not any(array.any() for array in before)
    one_hot_II = np.eye(INPUTS)
    agree([cell.project(one_hot_II)], [cell.project_one_hot()], atol=1e-14)


def test_without_weights_from_the_cell_a_peephole_is_the_lstm():
    model = module("lstm", 1)
    tensors = {n.removesuffix("_l0"): p for n, p in model.layers[0].named_parameters()}
    x_BTI = torch.randn(B, T, INPUTS, dtype=torch.float64)
    state = random_state(model)
    with torch.no_grad():
        expected_BTH, end = model(x_BTI, state)
        for name in ("peephole", "peephole-full"):
            other = module(name, 1)
            layer = other.layers[0]
            layer.weight_ih.copy_(tensors["weight_ih"])
            layer.weight_hh.copy_(tensors["weight_hh"])
            layer.bias.copy_(tensors["bias_ih"] + tensors["bias_hh"])
            assert not torch.allclose(other(x_BTI, state)[0], expected_BTH)
            layer.weight_ch.zero_()
            found_BTH, found = other(x_BTI, state)
            agree([found_BTH, *found], [expected_BTH, *end])


@pytest.mark.parametrize("name", [name for name in CELLS if name != "lstm"])
def test_half_precision_is_near_full(name):
    """The loops written here, under autocast, as a processor with bfloat16 trains."""
    torch.manual_seed(0)
    model = Recurrent(name, 16, 32, 2)
    x_BTI, state = torch.randn(4, 20, 16), model.initial_state(4)

    def run():
        outputs_BTH, after = model(x_BTI, state)
        gradients = torch.autograd.grad((outputs_BTH.float() ** 2).sum(), list(model.parameters()))
        return outputs_BTH, after, gradients

    outputs_BTH, after, gradients = run()
    with torch.autocast("cpu", torch.bfloat16):
        half_BTH, half_after, half_gradients = run()
    assert half_BTH.dtype == torch.bfloat16
    torch.testing.assert_close(half_BTH.float(), outputs_BTH, rtol=0.05, atol=0.02)
    for half, full in zip(half_after, after, strict=True):
        torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.02)
    for half, full in zip(half_gradients, gradients, strict=True):
        assert half.dtype == torch.float32
        assert (half - full).norm() < 0.05 * full.norm()


# --- worked examples -------------------------------------------------------------------------


def test_an_elman_step_by_step():
    rows = np.array([[0.1, 0.2], [0.3, 0.4]])  # h W, as the textbook has it: [from, to]
    cell = Elman(np.array([[0.5], [0.6]]), rows.T, np.array([0.1, -0.1]), np.zeros(2))
    state, outputs = cell.initial_state(1), []
    for x in (1.0, 2.0):
        hidden_BH, state = cell.step(np.array([[x]]), state)
        outputs.append((hidden_BH @ [1.0, 2.0] + 0.1).item())
    np.testing.assert_allclose(outputs, [1.56128388, 2.72707101], atol=5e-9)


@pytest.mark.parametrize(
    ("gate", "outputs", "memories"),
    [
        (
            lambda a: (a > 0).astype(float),
            [0, 0, 0, 7, 0],
            [3, 7, 7, 7, 0],
        ),
        (sigmoid, [1.362e-4, 3.178e-4, 3.178e-4, 6.99950, 0], [3, 7, 7, 7, 0]),
    ],
    ids=["rounded", "true sigmoids"],
)
def test_the_lesson_of_one_lstm_unit(gate, outputs, memories):
    """Values come from x1; x2 opens the input gate and keeps the memory; x3 lets it out."""
    weight_ih = np.array([[0, 100, 0], [0, 100, 0], [1, 0, 0], [0, 0, 100]], dtype=float)
    bias = np.array([-10.0, 10, 0, -10])
    zero = np.zeros((4, 1))
    cell = LSTM(weight_ih, zero, bias, 0 * bias, gate=gate, activation=identity)
    state = cell.initial_state(1)
    found, remembered = [], []
    for x in ([3, 1, 0], [4, 1, 0], [2, 0, 0], [1, 0, 1], [3, -1, 0]):
        output, state = cell.step(np.array([x], dtype=float), state)
        found.append(output.item())
        remembered.append(state[1].item())
    np.testing.assert_allclose(found, outputs, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(remembered, memories, atol=1e-3)


@pytest.mark.parametrize(("w", "slope"), [(1.0, 999.0), (1.01, 2.05256e7), (0.99, 0.0440038)])
def test_a_linear_unit_explodes_or_vanishes(w, slope):
    """Fed 1, 0, 0, ..., y_1000 is w to the power of 999."""
    weight = torch.tensor([[w]], dtype=torch.float64, requires_grad=True)
    y = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(999):
        y = y @ weight
    (found,) = torch.autograd.grad(y.sum(), weight)
    assert found.item() == pytest.approx(slope, rel=5e-6)
    one, zero = np.ones((1, 1)), np.zeros(1)
    cell = Elman(one, w * one, zero, zero, activation=identity)
    output, state = cell.step(one, cell.initial_state(1))
    for _ in range(999):
        output, state = cell.step(0 * one, state)
    assert output.item() == pytest.approx(y.item(), rel=1e-10) == pytest.approx(w**999)


def test_the_elman_module_has_the_slope_of_the_equation():
    """Its loop, rectified, is linear where it is positive: the same 1000 steps, by BPTT."""
    layer = LAYERS["elman-relu"](1, 1).double()
    with torch.no_grad():
        for name, value in (("ih", 1.0), ("hh", 1.01)):
            getattr(layer, f"weight_{name}_l0").fill_(value)
            getattr(layer, f"bias_{name}_l0").zero_()
    x_BTI = torch.zeros(1, 1000, 1, dtype=torch.float64)
    x_BTI[0, 0] = 1
    outputs_BTH, _ = layer(x_BTI, (torch.zeros(1, 1, dtype=torch.float64),))
    outputs_BTH[0, -1, 0].backward()
    assert layer.weight_hh_l0.grad.item() == pytest.approx(2.05256e7, rel=5e-6)


def test_activations_are_arguments():
    """Linear everywhere, all weights 1 but those from the state, and x = 2."""
    one, ones = np.ones((1, 1)), {n: np.ones((n, 1)) for n in (3, 4)}
    linear = {"gate": identity, "activation": identity}
    both = {"activation": identity, "output_activation": identity}
    cells = [
        (Elman(one, one, np.zeros(1), np.zeros(1), activation=identity), 2),
        (Jordan(one, one, np.zeros(1), one, np.ones(1), **both), 3),  # h + 1
        (GRU(ones[3], 0 * ones[3], np.zeros(3), **linear), (1 - 2) * 2),  # (1 - z) n
        (LSTM(ones[4], 0 * ones[4], np.zeros(4), np.zeros(4), **linear), 2 * 2 * 2),  # o i g
        # The output gate sees the new cell, i g = 4; with full matrices all see the old one, 0.
        (Peephole(ones[4], 0 * ones[4], np.ones(3), np.zeros(4), **linear), (2 + 4) * 4),
        (PeepholeFull(ones[4], 0 * ones[4], ones[4], np.zeros(4), **linear), 2 * 2 * 2),
    ]
    for cell, expected in cells:
        output, _ = cell.step(np.array([[2.0]]), cell.initial_state(1))
        assert output.item() == expected, type(cell)


def test_where_the_reset_gate_stands():
    """Cho et al., version 3, word by word, and another thing than version 1."""
    rng = np.random.default_rng(0)
    W, U, b = rng.normal(size=(3 * H, INPUTS)), rng.normal(size=(3 * H, H)), rng.normal(size=3 * H)
    x, h = rng.normal(size=INPUTS), rng.normal(size=H)
    (W_r, W_z, W_n), (U_r, U_z, U_n), (b_r, b_z, b_n) = (np.split(a, 3) for a in (W, U, b))
    r = 1 / (1 + np.exp(-(W_r @ x + U_r @ h + b_r)))
    z = 1 / (1 + np.exp(-(W_z @ x + U_z @ h + b_z)))
    n = np.tanh(W_n @ x + U_n @ (r * h) + b_n)
    found, _ = GRU(W, U, b).step(x[None], (h[None],))
    agree(found, [z * h + (1 - z) * n], atol=1e-12)
    after, _ = CELLS["gru-reset-after"](W, U, b, 0 * b).step(x[None], (h[None],))
    assert np.abs(found - after).max() > 0.01


def test_sigmoid_is_exact_and_never_overflows():
    x = np.array([-1000.0, -2.0, 0.0, 3.0, 1000.0])
    with np.errstate(all="raise", under="ignore"):
        y = sigmoid(x)
    np.testing.assert_allclose(y, [0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-3)), 1])
    assert relu(x).tolist() == [0, 0, 0, 3, 1000]


# --- sizes -----------------------------------------------------------------------------------

V, E = 10_000, 300
FORMULAS = {
    "elman": lambda x, h: (x + h) * h + h,
    "elman-relu": lambda x, h: (x + h) * h + h,
    "jordan": lambda x, h: (x + h) * h + h + (h + 1) * h,
    "gru": lambda x, h: 3 * ((x + h) * h + h),
    "gru-reset-after": lambda x, h: 3 * ((x + h) * h + h) + h,
    "lstm": lambda x, h: 4 * ((x + h) * h + h),
    "peephole": lambda x, h: 4 * ((x + h) * h + h) + 3 * h,
    "peephole-full": lambda x, h: 4 * ((x + 2 * h) * h + h),
}


@every_cell
def test_parameters_follow_closed_formulas(name):
    parts = count_parameters(ModelConfig(cell=name, layers=2, hidden=50, embedding=E), V)
    assert parts == {
        "embedding": 3_000_000,
        "layers.0": FORMULAS[name](E, 50),
        "layers.1": FORMULAS[name](50, 50),
        "output": 51 * V,
    }
    one_hot = count_parameters(ModelConfig(cell=name, layers=1, hidden=50, embedding=0), V)
    assert one_hot == {"layers.0": FORMULAS[name](V, 50), "output": 51 * V}
    tied = count_parameters(ModelConfig(cell=name, layers=1, hidden=50, tied=True, embedding=E), V)
    assert (tied["projection"], tied["output"]) == (E * 50, V)


@every_cell
def test_what_is_stored_is_what_is_counted_and_the_biases_that_add_up(name):
    stored = sum(parameter.numel() for parameter in LAYERS[name](INPUTS, H).parameters())
    twice = {"lstm": 4 * H, "elman": H, "elman-relu": H, "gru-reset-after": 2 * H}.get(name, 0)
    assert stored - twice == FORMULAS[name](INPUTS, H)


def test_each_cell_is_one_short_file():
    folder = Path(__file__).parent.parent / "charnn" / "cells"
    for file in folder.glob("*.py"):
        assert len(file.read_text().splitlines()) < 120, file.name
