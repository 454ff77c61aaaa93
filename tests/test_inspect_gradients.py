"""How far back gradients reach: against autograd, against arithmetic; and the cliff."""

import json
import math
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_plot import width as wide
from torch.nn import functional as F

from charnn.architecture import CellName, ModelConfig
from charnn.cli.canvas import Axis, Canvas
from charnn.cli.figure import picture
from charnn.cli.inspect import decays as drawing
from charnn.cli.inspect import landscape
from charnn.cli.inspect.columns import columns
from charnn.errors import CorpusError
from charnn.inspection.cliff import OneUnit, PowerCliff, descend, error_map
from charnn.inspection.decay import Clipping, Decay
from charnn.inspection.gradients import (
    Linear,
    cut_windows,
    fresh,
    gradient_norms,
    parameter_norms,
    state_gradients,
)
from charnn.nn.language_model import LanguageModel, named_weights

V, H, D = 11, 5, 6
CELLS = (*get_args(CellName), "linear")
every_cell = pytest.mark.parametrize("cell", CELLS)


# --- the gradient ------------------------------------------------------------------------------


def step(cell, w, x, h, c):
    """Every cell once more, as its file's heading has it: plain operations on vectors."""

    def both():
        return w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]

    n = len(h)
    if cell == "linear":
        return both(), None
    if cell in ("elman", "elman-relu"):
        return (torch.tanh if cell == "elman" else torch.relu)(both()), None
    if cell == "jordan":
        inner = torch.tanh(w["weight_ih"] @ x + w["weight_oh"] @ h + w["bias_h"])
        return torch.tanh(w["weight_ho"] @ inner + w["bias_o"]), None
    if cell == "gru":
        a, u = w["weight_ih"] @ x + w["bias"], w["weight_hh"]
        r, z = torch.sigmoid(a[:n] + u[:n] @ h), torch.sigmoid(a[n : 2 * n] + u[n : 2 * n] @ h)
        return z * h + (1 - z) * torch.tanh(a[2 * n :] + u[2 * n :] @ (r * h)), None
    if cell == "gru-reset-after":
        a, b = w["weight_ih"] @ x + w["bias_ih"], w["weight_hh"] @ h + w["bias_hh"]
        r, z = torch.sigmoid(a[:n] + b[:n]), torch.sigmoid(a[n : 2 * n] + b[n : 2 * n])
        return z * h + (1 - z) * torch.tanh(a[2 * n :] + r * b[2 * n :]), None
    if cell == "lstm":
        i, f, g, o = both().chunk(4)
    else:
        i, f, g, o = (w["weight_ih"] @ x + w["weight_hh"] @ h + w["bias"]).chunk(4)
        if cell == "peephole":
            p_i, p_f, p_o = w["weight_ch"].chunk(3)
            i, f = i + p_i * c, f + p_f * c
        else:
            seen = (w["weight_ch"] @ c).chunk(4)
            i, f, g, o = (a + b for a, b in zip((i, f, g, o), seen, strict=True))
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    if cell == "peephole":
        o = o + p_o * c
    return torch.sigmoid(o) * torch.tanh(c), c


def random_model(cell, layers=2, **shape):
    """Large random weights everywhere, also where training begins with zeros."""
    torch.manual_seed(3)
    if cell == "linear":
        model = fresh("linear", H, V, 0)
    else:
        config = ModelConfig(cell=cell, layers=layers, hidden=H, **{"embedding": 4, **shape})
        model = LanguageModel(config, V).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return model


def plain_norms(cell, model, ids):
    """∂loss_T/∂state_t of one window by one call of autograd a state, from the end on."""
    weights = {n: t.detach() for n, t in named_weights(model).items()}
    layers = [
        {n.split(".")[2]: t for n, t in weights.items() if n.startswith(f"layers.{k}.")}
        for k in range(len(model.recurrent.layers))
    ]
    embedding = weights.get("embedding.weight", torch.eye(V, dtype=torch.float64))
    states = [(torch.zeros(H, dtype=torch.float64),) * 2 for _ in layers]
    trail = []
    for token in ids[:-1]:
        x, new = embedding[token], []
        for w, before in zip(layers, states, strict=True):
            h, c = step(cell, w, x, *before)
            # Copies: what goes into this step's h is another c than the one handed on.
            h = h.clone().requires_grad_()
            c = torch.zeros(0) if c is None else c.clone().requires_grad_()
            new.append((h, c))
            x = h
        states = new
        trail.append(new)
    features = x if "projection.weight" not in weights else weights["projection.weight"] @ x
    readout = weights.get("output.weight", embedding)
    loss = -torch.log_softmax(readout @ features + weights["output.bias"], 0)[ids[-1]]
    parts = 2 if len(trail[0][0][1]) else 1
    norms = np.zeros((len(layers), parts, D + 1))
    for n in range(len(layers)):
        for part in range(parts):
            for d in range(D + 1):
                (g,) = torch.autograd.grad(
                    loss, trail[-1 - d][n][part], retain_graph=True, allow_unused=True
                )
                norms[n, part, d] = 0 if g is None else math.sqrt(sum(v * v for v in g.tolist()))
    return norms


@every_cell
def test_norms_are_those_of_plain_autograd(cell):
    model = random_model(cell)
    windows = np.random.default_rng(1).integers(V, size=(3, 9 + D + 2))
    found = gradient_norms(model, windows, D)
    expected = np.stack([plain_norms(cell, model, ids) for ids in windows.tolist()], 2)
    assert found.shape == expected.shape == (*found.shape[:2], 3, D + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=0)
    assert (found[:-1, 0] > 0).all() and found.dtype == np.float64


@pytest.mark.parametrize("shape", [{"embedding": 0}, {"embedding": H, "tied": True},
                                   {"embedding": 3, "tied": True}])  # fmt: skip
def test_every_kind_of_output_is_gone_through(shape):
    model = random_model("lstm", **shape)
    windows = np.random.default_rng(2).integers(V, size=(2, D + 2))  # no warm-up
    expected = np.stack([plain_norms("lstm", model, ids) for ids in windows.tolist()], 2)
    np.testing.assert_allclose(gradient_norms(model, windows, D), expected, rtol=1e-10, atol=0)


def test_rows_are_kept_apart_however_they_are_batched(monkeypatch):
    model = random_model("gru")
    windows = np.random.default_rng(1).integers(V, size=(5, 9 + D + 2))
    whole, done = gradient_norms(model, windows, D), []
    monkeypatch.setattr("charnn.inspection.gradients._GRAPH_BYTES", 2 * (D + 1) * 2 * H * 200)
    np.testing.assert_allclose(gradient_norms(model, windows, D, done.append), whole, rtol=1e-12)
    assert done == [2, 2, 1]


def linear_unit(w):
    layer = Linear(1, 1).double()
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(layer.weight_hh_l0, w)
    return layer


def linear_gradients(w, distance):
    """∂h_T/∂h_t of the linear network of one unit, from t = T back."""
    x = torch.ones(1, distance + 1, 1, dtype=torch.float64)
    state = [(torch.ones(1, 1, dtype=torch.float64),)]
    found = state_gradients([linear_unit(w)], torch.sum, x, state)
    return [layers[0][0].item() for layers in reversed(found)]


@pytest.mark.parametrize("w", [0.5, 2.0, -1.0, 1.0, -0.25])
def test_a_linear_unit_gives_powers_of_its_weight_exactly(w):
    assert linear_gradients(w, 200) == [w**d for d in range(201)]


@given(st.floats(0.7, 1.3))
def test_a_linear_unit_gives_powers_of_its_weight_to_a_rounding_a_step(w):
    found = linear_gradients(w, 50)
    assert found == np.cumprod([1.0] + [w] * 50).tolist()  # the products, each rounded once
    for d, gradient in enumerate(found):
        exact = Fraction(w) ** d
        assert abs(Fraction(gradient) - exact) <= d * Fraction(1, 2**53) * exact * (1 + d * 2**-50)


def test_whole_gradients_are_autograds():
    model = random_model("peephole")
    windows = np.random.default_rng(4).integers(V, size=(3, 4 + D + 2))
    for norm, ids in zip(
        parameter_norms(model, windows, D), torch.from_numpy(windows), strict=True
    ):
        model.zero_grad()
        with torch.no_grad():
            _, state = model(ids[None, :4], model.initial_state(1))
        logits, _ = model(ids[None, 4:-1], state)
        F.cross_entropy(logits[0], ids[5:]).backward()
        expected = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
        assert norm == pytest.approx(expected.item(), rel=1e-12)


def test_norms_whose_squares_are_no_floats():
    model = fresh("linear", 2, V, 0, spectral_radius=3.0)
    windows = np.random.default_rng(4).integers(V, size=(2, 402))
    with torch.no_grad():
        model.output.weight.mul_(1e-200)  # or the states would make logits that are no numbers
    norms = gradient_norms(model, windows, 400)[0, 0]
    assert (norms[:, 0] < 1e-190).all() and (norms[:, 0] > 0).all()
    np.testing.assert_allclose(norms[:, 400] / norms[:, 380], 3.0**20, rtol=0.9)


def test_the_spectral_radius_is_what_was_asked_for():
    for cell in ("elman", "elman-relu", "linear"):
        (layer,) = fresh(cell, 20, V, 1, 1.25).recurrent.layers
        eigenvalues = np.linalg.eigvals(layer.weight_hh_l0.detach().numpy())
        assert abs(eigenvalues).max() == pytest.approx(1.25)


def test_fresh_cells_of_a_seed_differ_in_the_cell_alone():
    models = [fresh(cell, 6, V, 7) for cell in CELLS]
    for model in models[1:]:
        assert torch.equal(model.embedding.weight, models[0].embedding.weight)
        assert torch.equal(model.output.weight, models[0].output.weight)
    again, other = fresh("lstm", 6, V, 7), fresh("lstm", 6, V, 8)
    assert torch.equal(again.output.weight, models[0].output.weight)
    assert not torch.equal(other.output.weight, models[0].output.weight)
    (layer,) = models[0].recurrent.layers
    assert layer.bias_ih_l0[6:12].tolist() == [1.0] * 6  # the forget gate, as training has it


def test_windows_end_where_the_text_does_and_hold_it():
    text = np.arange(100)
    windows = cut_windows(text, 10, 5, warm_up=8)
    assert windows.shape == (5, 8 + 12)
    assert (np.diff(windows) == 1).all()
    assert (windows[0, 0], windows[-1, -1]) == (0, 99)
    assert cut_windows(np.arange(13), 10, 5, warm_up=8).shape == (1, 13)  # shorter warm-up
    assert cut_windows(np.arange(12), 10, 5).tolist() == [list(range(12))]
    with pytest.raises(CorpusError, match="11 tokens is too short for a distance of 10"):
        cut_windows(np.arange(11), 10, 5)


# --- figures -----------------------------------------------------------------------------------


@given(st.floats(0.3, 3), st.floats(1e-6, 1e6), st.integers(2, 60))
def test_an_exponential_is_told_by_its_base(ratio, begin, distance):
    norms_D = begin * ratio ** np.arange(distance + 1)
    one = Decay("", 0, "h", np.stack((norms_D / 2, norms_D * 2)))
    assert one.ratio == pytest.approx(ratio, rel=1e-6)
    np.testing.assert_allclose(one.mean_D, norms_D, rtol=1e-9)
    np.testing.assert_allclose(one.spread_D, 2, rtol=1e-9)
    at = next((d for d in range(distance + 1) if ratio**d <= 0.1), None)
    assert one.fell_to(0.1) == at or ratio ** (at or 0) == pytest.approx(0.1)


def test_what_is_zero_or_beyond_numbers_is_told():
    norms_ND = np.array([[0.0, 1.0, 0.0, np.inf], [0.0, 4.0, 0.25, np.nan]])
    one = Decay("", 0, "c", norms_ND)
    assert one.mean_D.tolist() == [0, 2, 0.25, np.inf]
    assert one.zero_D.tolist() == [1, 0, 0.5, 0]
    assert (one.begin, one.fell_to(0.125)) == (1, 2)
    assert math.isnan(Decay("", 0, "h", np.zeros((2, 3))).ratio)


def test_clipping():
    clipping = Clipping(np.array([0.1, 5.0, 0.5, 2.0, math.inf]), 1.0)
    assert clipping.share == 0.6
    assert clipping.factor == pytest.approx((0.2 + 0.5 + 0) / 3)
    assert clipping.quantiles() == (0.1, 0.1, 2.0, math.inf, math.inf)
    assert Clipping(np.array([0.5]), 1.0).factor == 1


# --- the cliff ---------------------------------------------------------------------------------


def test_plain_descent_overflows_at_the_second_step_and_clipped_it_does_not():
    """½ (w^999 - 1)² from w = 1.01 with a learning rate of 1e-4."""
    plain = descend(PowerCliff(999), np.array([1.01]), 1e-4, 1000)
    assert len(plain.weights_NW) == 3  # the start, and two steps
    assert np.isfinite(plain.weights_NW[:2]).all() and not np.isfinite(plain.weights_NW[2]).any()
    assert plain.overflowed
    exact = Fraction(1.01)
    gradient = (exact**999 - 1) * 999 * exact**998
    assert plain.norms_N[0] == pytest.approx(float(gradient), rel=1e-10)
    assert plain.weights_NW[1, 0] == pytest.approx(1.01 - 1e-4 * float(gradient), rel=1e-10)
    with pytest.raises(OverflowError):  # what the second step would need
        float(Fraction(plain.weights_NW[1, 0]) ** 998)
    clipped = descend(PowerCliff(999), np.array([1.01]), 1e-4, 1000, clip_norm=1.0)
    assert not clipped.overflowed
    assert len(clipped.weights_NW) == 1001
    assert np.abs(np.diff(clipped.weights_NW[:, 0])).max() <= 1e-4 * (1 + 1e-9)
    assert clipped.errors_N[-1] < 0.01 < clipped.errors_N[0]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "linear"])
def test_the_surfaces_gradient_is_autograds(activation):
    phi = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "linear": lambda a: a}
    w, b = np.meshgrid(np.linspace(-1.2, 1.2, 5), np.linspace(-0.5, 0.5, 4))
    weights = torch.tensor(np.stack((w, b), -1), requires_grad=True)
    h = torch.tensor(0.3, dtype=torch.float64)
    for _ in range(7):
        h = phi[activation](weights[..., 0] * h + weights[..., 1])
    errors = (h - 0.2) ** 2 / 2
    (expected,) = torch.autograd.grad(errors.sum(), weights)
    unit = OneUnit(activation, steps=7, begin=0.3, target=0.2)
    found, gradients = unit(weights.detach().numpy())
    np.testing.assert_allclose(found, errors.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients, expected.numpy(), rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(error_map(unit, w[0], b[:, 0]), found)


def test_on_the_cliff_a_plain_step_is_thrown_off_and_a_clipped_one_is_not():
    unit, start = OneUnit(), np.array([5.2, -2.45])  # what the command shows
    plain, clipped = descend(unit, start, 0.1, 100), descend(unit, start, 0.1, 100, 1.0)
    moves = [np.linalg.norm(np.diff(path.weights_NW, axis=0), axis=1).max()
             for path in (plain, clipped)]  # fmt: skip
    assert moves[0] > 2
    assert moves[1] <= 0.1 * (1 + 1e-12)
    assert clipped.errors_N[-1] < plain.errors_N[-1] / 2


def test_a_gradient_whose_square_is_no_float_is_clipped():
    def steep(w):
        return np.float64(0), np.array([3e200, 4e200])

    path = descend(steep, np.zeros(2), 1.0, 1, clip_norm=5.0)
    assert path.norms_N[0] == pytest.approx(5e200)
    np.testing.assert_allclose(path.weights_NW[1], [-3.0, -4.0])


# --- drawing -----------------------------------------------------------------------------------


def curves(names=("", ""), distance=100):
    rng = np.random.default_rng(0)
    d = np.arange(distance + 1)
    return [
        Decay(name, 0, part, ratio**d * rng.lognormal(0, 0.3, (9, distance + 1)))
        for name, part, ratio in zip(names, "hc", (0.8, 1.05), strict=True)
    ]


@pytest.mark.parametrize("width", [24, 40, 80, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_too_wide(width, colour):
    text = drawing.text(
        curves(("elman 1.1", "lstm")), {"elman 1.1": Clipping(np.ones(4), 0.5)}, "字" * 60, width,
        12, colour=colour,
    )  # fmt: skip
    assert ("\x1b[" in text) == colour
    plain = text.replace("\x1b[0m", "").replace("\x1b[36m", "").replace("\x1b[33m", "")
    assert "\x1b" not in plain
    assert max(map(wide, plain.splitlines())) <= width
    assert "100%" in plain and "per step" in plain and "> 100" in plain


def test_the_chart_goes_down_where_the_gradient_vanishes():
    canvas = Canvas(Axis("x", 0, 10), Axis("y", 1e-10, 1, log=True), 40, 11, False)
    canvas.marks(0, np.arange(11.0), 10.0 ** -np.arange(11), "o")
    rows = [row for row, line in enumerate(canvas.lines()) if "o" in line]
    assert rows == list(range(1, 12))  # a straight line: every decade is a line of text


@pytest.mark.parametrize(
    "norms",
    [np.zeros((2, 5)), np.full((2, 5), np.inf), 1e-300 * np.ones((2, 5)),
     np.array([[1, 1e100, np.inf, np.nan, 0.0]]), np.ones((1, 2))],
)  # fmt: skip
def test_odd_norms_can_be_drawn(norms):
    one = Decay("x", 0, "h", norms)
    assert "per step" in drawing.text([one], {}, "x", 60, 10, colour=False)
    clippings = {"x": Clipping(np.array([0.0, 1.0, np.inf]), 1.0)}
    data, _ = picture(lambda figure: drawing.draw(figure, [one], clippings, "x"), "svg")
    assert b"</svg>" in data


def test_the_map_shows_the_paths():
    unit = OneUnit()
    paths = {"plain": descend(unit, np.array([5.2, -2.45]), 0.1, 100),
             "clipped": descend(unit, np.array([5.2, -2.45]), 0.1, 100, 1.0)}  # fmt: skip
    lines = landscape.heat_map(unit, paths, (4, 7), (-4, 1), 60, 20).splitlines()
    assert max(map(len, lines)) <= 60
    drawn = lines[1:21]
    # b = 0.27, where the plain path was thrown, lies in the fourth line; the wall is black.
    assert "o" in drawn[3]
    assert any("x" in line for line in drawn[12:])
    assert "█" in drawn[-1]
    assert "o" not in landscape.heat_map(unit, paths, (0, 1), (0, 1), 60, 20).split("w")[0]


def test_a_narrow_table_goes_on_below():
    rows = [["", "one", "two"], ["多", "1", "22"]]
    assert list(columns(rows, 80)) == ["    one  two", "多    1   22"]
    assert list(columns(rows, 7)) == ["    one", "多    1", "", "    two", "多   22"]


# --- the command -------------------------------------------------------------------------------


def test_the_command_tells_of_a_model(program, workplace):
    options = ("--distance", "12", "--positions", "9", "--clip-norm", "0.01", "--json")
    result = program("inspect", "gradients", *options, cwd=workplace, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert [(r.get("layer"), r.get("state")) for r in records] == [
        (1, "h"), (1, "c"), (2, "h"), (2, "c"), (None, None)
    ]  # fmt: skip
    for record in records[:4]:
        assert len(record["norm"]) == len(record["spread"]) == 13
        assert record["checkpoint"].endswith("step-60")
    assert records[1]["norm"][0] == 0 < records[1]["norm"][1]
    assert records[4]["clipped_share"] == 1
    assert len(records[4]["gradient_norms"]) == records[4]["windows"] == 9


def test_the_command_compares_fresh_cells_and_draws(program, tmp_path):
    options = ("--cells", "linear,lstm", "--spectral-radius", "0.5", "--spectral-radius", "2",
               "--hidden", "8", "--distance", "20", "--positions", "8", "--seeds", "2")  # fmt: skip
    result = program("inspect", "gradients", *options, "--json", "-o", "x.svg", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    small, large, *lstm = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert (small["cell"], small["spectral_radius"], large["spectral_radius"]) == ("linear", 0.5, 2)
    assert small["ratio_per_step"] == pytest.approx(0.5, rel=0.05)
    assert large["ratio_per_step"] == pytest.approx(2, rel=0.05)
    assert [r["state"] for r in lstm] == ["h", "c"]
    assert "linear 0.5 h" in (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cells", "lstn"), "no cell is called 'lstn'; there are: lstm, elman,"),
        (("--cells", "gru", "--spectral-radius", "1"), "--spectral-radius is for elman,"),
        (("--spectral-radius", "1"), "--spectral-radius needs --cells"),
        (("--cells", "gru", "-m", "x"), "--cells and --model exclude each other"),
    ],
)
def test_wrong_usage_is_told(options, said, monkeypatch, capfd):
    from charnn.cli.app import run

    monkeypatch.setattr("sys.argv", ["charnn", "inspect", "gradients", *options])
    assert run() == 2
    assert capfd.readouterr().err.startswith(f"charnn: {said}")


def test_the_cliff_command(program, tmp_path):
    result = program("inspect", "cliff", "--power", "999", "--json", cwd=tmp_path)
    plain, clipped = map(json.loads, result.stdout.decode().splitlines())
    assert (plain["overflowed"], clipped["overflowed"]) == (True, False)
    assert [step["w"] for step in plain["steps"]][::2] == [1.01, None]
    assert len(clipped["steps"]) == 101
