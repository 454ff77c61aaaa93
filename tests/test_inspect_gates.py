"""What goes on inside a network while it reads: against equations written once more, and torch."""

import json
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from conftest import make_corpus, random_weights
from inspecting import command, one_line, random_model, width

from charnn.architecture import ModelConfig
from charnn.cells import CELLS
from charnn.cli.inspect.heatmap import Band, HeatMap, blocks, write_heat_map
from charnn.cli.inspect.page import Page, labels
from charnn.cli.inspect.palette import GATE, ink, signed
from charnn.engine import Engine
from charnn.inspection.gates import activations, most_varied, summarize, time_constant

__all__ = ["command"]

V, H, E = 11, 7, 5
IDS = np.random.default_rng(5).integers(0, V, 40)
every_cell = pytest.mark.parametrize("cell", CELLS)


def make(cell, layers=2, dtype=np.float64):
    config = ModelConfig(cell=cell, layers=layers, hidden=H, embedding=E)
    weights = random_weights(config, V, seed=3, dtype=dtype)
    return Engine(config, weights, start_id=0, end_id=None), weights


# --- the equations once more, in float64 -------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(w, x, h, c):
    a = w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    gates = {"input": sigmoid(i), "forget": sigmoid(f), "new": np.tanh(g), "output": sigmoid(o)}
    return {**gates, "cell": c, "hidden": h}, (h, c)


def peephole(w, x, h, c):
    i, f, g, o = np.split(w["weight_ih"] @ x + w["weight_hh"] @ h + w["bias"], 4)
    p_i, p_f, p_o = np.split(w["weight_ch"], 3)
    i, f, g = sigmoid(i + p_i * c), sigmoid(f + p_f * c), np.tanh(g)
    c = f * c + i * g
    o = sigmoid(o + p_o * c)
    h = o * np.tanh(c)
    return {"input": i, "forget": f, "new": g, "output": o, "cell": c, "hidden": h}, (h, c)


def peephole_full(w, x, h, c):
    i, f, g, o = np.split(
        w["weight_ih"] @ x + w["weight_hh"] @ h + w["weight_ch"] @ c + w["bias"], 4
    )
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    gates = {"input": sigmoid(i), "forget": sigmoid(f), "new": np.tanh(g), "output": sigmoid(o)}
    return {**gates, "cell": c, "hidden": h}, (h, c)


def gru(w, x, h):
    (W_r, W_z, W_n), (U_r, U_z, U_n) = np.split(w["weight_ih"], 3), np.split(w["weight_hh"], 3)
    b_r, b_z, b_n = np.split(w["bias"], 3)
    r, z = sigmoid(W_r @ x + U_r @ h + b_r), sigmoid(W_z @ x + U_z @ h + b_z)
    n = np.tanh(W_n @ x + U_n @ (r * h) + b_n)
    h = z * h + (1 - z) * n
    return {"reset": r, "update": z, "new": n, "hidden": h}, (h,)


def gru_reset_after(w, x, h):
    i_r, i_z, i_n = np.split(w["weight_ih"] @ x + w["bias_ih"], 3)
    h_r, h_z, h_n = np.split(w["weight_hh"] @ h + w["bias_hh"], 3)
    r, z = sigmoid(i_r + h_r), sigmoid(i_z + h_z)
    n = np.tanh(i_n + r * h_n)
    h = z * h + (1 - z) * n
    return {"reset": r, "update": z, "new": n, "hidden": h}, (h,)


def elman(w, x, h):
    h = np.tanh(w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"])
    return {"hidden": h}, (h,)


def elman_relu(w, x, h):
    h = (w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]).clip(0)
    return {"hidden": h}, (h,)


def jordan(w, x, y):
    h = np.tanh(w["weight_ih"] @ x + w["weight_oh"] @ y + w["bias_h"])
    y = np.tanh(w["weight_ho"] @ h + w["bias_o"])
    return {"hidden": h, "output": y}, (y,)


EQUATIONS = {
    "lstm": lstm, "peephole": peephole, "peephole-full": peephole_full, "gru": gru,
    "gru-reset-after": gru_reset_after, "elman": elman, "elman-relu": elman_relu, "jordan": jordan,
}  # fmt: skip


def recompute(cell, weights, ids, layers=2):
    """Of each layer every inner value, [T, H], by the equations above."""
    weights = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    xs, found = weights["embedding.weight"][ids], []
    for n in range(layers):
        prefix = f"layers.{n}."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        hidden = len(xs[0]) if n else own["weight_ih"].shape[0] // (len(own["weight_ih"]) // H)
        state = (np.zeros(hidden),) * (2 if cell in ("lstm", "peephole", "peephole-full") else 1)
        steps = []
        for x in xs:
            inner, state = EQUATIONS[cell](own, x, *state)
            steps.append(inner)
        found.append({name: np.stack([step[name] for step in steps]) for name in steps[0]})
        xs = [step["output" if cell == "jordan" else "hidden"] for step in steps]
    return found


@every_cell
def test_inner_values_are_those_of_the_equations(cell):
    engine, weights = make(cell)
    found, expected = activations(engine, IDS), recompute(cell, weights, IDS)
    for layer, ours, theirs in zip(engine.layers, found, expected, strict=True):
        assert list(ours) == list(theirs)
        for name in theirs:
            assert ours[name].dtype == np.float64
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)
        for name in layer.gates:
            assert 0 <= ours[name].min() <= ours[name].max() <= 1
        assert layer.keeps is None or layer.keeps in layer.gates


@every_cell
def test_what_is_looked_at_is_what_runs(cell):
    """Bit for bit, in the type of the model; and a step's values are its output and its state."""
    engine, _ = make(cell, dtype=np.float32)
    (state, traced) = engine.initial_state(1), engine.initial_state(1)
    for begin in (0, 15):
        ids_1T = IDS[None, begin : begin + 15]
        _, state = engine.prefill(ids_1T, np.array([ids_1T.shape[1]]), state)
        layers, traced = engine.trace(ids_1T, traced)
    assert [array.tobytes() for array in traced] == [array.tobytes() for array in state]
    shown = [layers[n][name][:, -1] for n, c in enumerate(engine.layers) for name in c.remembers]
    assert [array.tobytes() for array in shown] == [array.tobytes() for array in state]
    assert {array.dtype for inner in layers for array in inner.values()} == {np.dtype("float32")}
    layer = engine.layers[0]
    projected_BG = layer.project(np.ones((3, E), np.float32))
    before = layer.initial_state(3)
    output_BH, after = layer.advance(projected_BG.copy(), before)
    inner = layer.activations(projected_BG.copy(), before)
    assert output_BH.tobytes() == inner[layer.remembers[0]].tobytes()
    assert [a.tobytes() for a in after] == [inner[n].tobytes() for n in layer.remembers]


def test_hidden_and_cell_are_those_of_torch():
    engine, weights = make("lstm")
    twin = torch.nn.LSTM(E, H, 2).double()
    with torch.no_grad():
        for n in range(2):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(twin, f"{name}_l{n}").copy_(torch.from_numpy(weights[f"layers.{n}.{name}"]))
        found, state = activations(engine, IDS), None
        for t, x in enumerate(torch.from_numpy(weights["embedding.weight"][IDS])):
            _, state = twin(x[None], state)
            for n in range(2):
                for name, array in zip(("hidden", "cell"), state, strict=True):
                    np.testing.assert_allclose(found[n][name][t], array[n], rtol=0, atol=1e-12)


def test_long_texts_are_read_in_windows():
    engine, _ = make("lstm")
    ids = np.random.default_rng(0).integers(0, V, 1100)
    whole, _ = engine.trace(ids[None], engine.initial_state(1))
    for ours, theirs in zip(activations(engine, ids), whole, strict=True):
        for name in theirs:
            np.testing.assert_allclose(ours[name], theirs[name][0], rtol=0, atol=1e-12)


# --- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-reset-after", "peephole"])
def test_memory_is_found_where_it_was_set(cell):
    """Without weights a gate is the sigmoid of its bias."""
    config = ModelConfig(cell=cell, layers=1, hidden=3, embedding=2)
    weights = {n: 0 * w for n, w in random_weights(config, V, dtype=np.float64).items()}
    keep = np.array([0.5, 0.99, 0.05])
    bias = "layers.0.bias" if "layers.0.bias" in weights else "layers.0.bias_ih"
    second = slice(3, 6)  # forget, or update
    weights[bias][second] = np.log(keep / (1 - keep))
    engine = Engine(config, weights, start_id=0, end_id=None)
    (use,) = summarize(engine, IDS)
    np.testing.assert_allclose(use.memory_H, [-1 / math.log(f) for f in keep], rtol=1e-12)
    kept = use.gates["update" if cell.startswith("gru") else "forget"]
    np.testing.assert_allclose(kept.mean_H, keep, rtol=1e-12)
    np.testing.assert_allclose((kept.open_H, kept.shut_H), [[0, 1, 0], [0, 0, 1]], atol=1e-12)
    # After T steps 1/e is left.
    assert 0.99 ** use.memory_H[1] == pytest.approx(1 / math.e)


def test_a_summary_is_the_mean_of_all_windows():
    config = ModelConfig(layers=2, hidden=H, embedding=E)
    weights = {n: 4 * w for n, w in random_weights(config, V, dtype=np.float32).items()}
    engine = Engine(config, weights, start_id=0, end_id=None)
    ids = np.random.default_rng(1).integers(0, V, 1100)
    for use, inner in zip(summarize(engine, ids), activations(engine, ids), strict=True):
        assert list(use.gates) == ["input", "forget", "output"]
        for name, gate in use.gates.items():
            exact_TH = inner[name].astype(np.float64)
            np.testing.assert_allclose(gate.mean_H, exact_TH.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(gate.open_H, (exact_TH > 0.9).mean(axis=0))
            np.testing.assert_allclose(gate.shut_H, (exact_TH < 0.1).mean(axis=0))
            assert gate.open_H.max() > 0 < gate.shut_H.max()
        np.testing.assert_array_equal(use.memory_H, time_constant(use.gates["forget"].mean_H))


def test_units_that_vary_most():
    values_TH = np.array([[0, 5, 1, 0], [0, -5, 2, 9.0]])
    assert most_varied(values_TH, 2) == [1, 3]
    assert most_varied(values_TH, 99) == [0, 1, 2, 3]


# --- drawings ----------------------------------------------------------------------------------

TOKENS = [
    b"T",
    b" ",
    b"\n",
    "狐".encode(),
    b"\xe7",
    b"\t",
    "\u0301".encode(),
    b"\x1b",
    b" whole words",
]


def small_map(count=30, seed=0):
    rng = np.random.default_rng(seed)
    shown = labels(rng.integers(0, len(TOKENS), count), TOKENS)
    gate_UT, cell_UT = rng.random((2, count)), rng.normal(size=(2, count))
    bands = [
        Band("forget", [3, 110], gate_UT, GATE),
        Band("cell", [3, 110], cell_UT, signed(cell_UT)),
    ]
    return HeatMap("title", shown, bands)


def test_labels_show_what_a_terminal_would_hide_or_obey():
    assert labels(np.arange(9), TOKENS) == [
        "T",
        " ",
        "↵",
        "狐",
        "E7",
        "⇥",
        "◌\u0301",
        "�",
        " whole words",
    ]
    assert labels(np.array([0]), ["\u3000".encode()]) == ["\u3000"]  # how a paragraph begins
    assert labels(np.array([0]), [b"a much longer word"]) == ["a much long…"]
    assert labels(np.array([0]), ["很长很长很长很长的词".encode()]) == ["很长很长很…"]


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("size", [1, 40, 80, 200])
def test_a_column_stands_below_its_token(size, coloured):
    heat_map = small_map()
    page = Page(size, coloured=coloured)
    write_heat_map(page, heat_map)
    text = page.text()
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert max(map(width, plain.splitlines())) <= max(size, 24)
    assert (text != plain) == coloured
    left = len("forget 110 ")
    cut = list(blocks(heat_map.labels, page.width - left))
    found = plain.split("\n\n")[1:-1]
    assert len(found) == len(cut)
    for block, lines in zip(cut, (part.splitlines() for part in found), strict=True):
        assert lines[0].rstrip() == (" " * left + "".join(heat_map.labels[block])).rstrip()
        assert [line[:left] for line in lines[1:]] == [
            "forget   3 ", "       110 ", "cell     3 ", "       110 "
        ]  # fmt: skip
        if coloured:
            continue
        rows = [(band, row) for band in heat_map.bands for row in band.values_UT[:, block]]
        for line, (band, row) in zip(lines[1:], rows, strict=True):
            at = left
            for label, digit in zip(heat_map.labels[block], band.scale.digits(row), strict=True):
                assert line.ljust(page.width)[at : at + width(label)].split() == [str(digit)]
                at += width(label)


def test_colours_are_those_of_the_scale():
    heat_map = small_map()
    page = Page(200, coloured=True)
    write_heat_map(page, heat_map)
    line = next(line for line in page.text().splitlines() if "forget   3" in line)
    painted = re.findall(r"\x1b\[38;2;[\d;]*48;2;(\d+);(\d+);(\d+)m( +)", line)
    widths = [width(label) for label in heat_map.labels]
    expected = np.repeat(GATE.rgb(heat_map.bands[0].values_UT[0]), widths, axis=0)
    found = [colour for *rgb, spaces in painted for colour in [rgb] * len(spaces)]
    assert np.array(found, dtype=int).tolist() == expected.tolist()


def test_text_is_readable_on_every_colour():
    for scale in (GATE, signed(np.array([-1.0, 1.0]))):
        for rgb in scale.rgb(np.linspace(scale.low, scale.high, 99)):
            linear = [
                c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb / 255
            ]
            light = float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05
            contrast = light / 0.05 if ink(rgb) == "#000000" else 1.05 / light
            assert contrast >= 4.5  # WCAG 2, 1.4.3


# --- the command -------------------------------------------------------------------------------

TEXT = 'The fox said: "No!" 狐狸。\n\n' * 30


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    _, weights = random_model(folder, TEXT, hidden=H, embedding=E)
    return folder, weights


def test_the_numbers_of_the_command_are_those_of_the_equations(place, command):
    folder, weights = place
    shown = 'The 狐狸 said: "No!"\n'
    result = command(
        "inspect", "gates", "-p", shown, "--layer", 1, "--units", "6,0-2", "--json",
        "--gate", "new", "--gate", "forget", "--gate", "cell", cwd=folder,
    )  # fmt: skip
    lines = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert "".join(line["token"] for line in lines) == shown
    expected = recompute("lstm", weights, [line["id"] for line in lines])[0]
    for t, line in enumerate(lines):
        assert (line["position"], line["layer"], line["units"]) == (t, 1, [6, 0, 1, 2])
        assert line.keys() - {"position", "id", "token", "layer", "units"} == {
            "new", "forget", "cell"
        }  # fmt: skip
        for name in ("new", "forget", "cell"):
            np.testing.assert_allclose(line[name], expected[name][t, [6, 0, 1, 2]], atol=2e-6)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_map_of_the_command(place, command, columns):
    folder, _ = place
    result = command("inspect", "gates", "-p", TEXT[:100], cwd=folder, columns=columns)
    assert result.returncode == 0
    text = result.stdout.decode()
    assert b"\x1b" not in result.stdout
    assert max(map(width, text.splitlines())) <= columns
    assert text.startswith("lstm, layer 2 of 2, the 6 units whose")
    for name in ("input", "forget", "output", "cell", "hidden"):
        assert f"\n{name}" in text
    assert "\nnew" not in text


def test_without_a_text_the_validation_text_is_read(place, command):
    folder, _ = place
    found = command("inspect", "gates", "--tokens", 9, "--json", cwd=folder).stdout
    lines = [json.loads(line) for line in found.decode().splitlines()]
    assert "".join(line["token"] for line in lines) in TEXT
    assert len(lines) == 9
    assert lines[0]["layer"] == 2
    cut = command("inspect", "gates", "-p", TEXT, "--tokens", 9, "--json", cwd=folder)
    assert len(cut.stdout.splitlines()) == 9
    assert b"the first 9 tokens" in cut.stderr


def test_the_summary_of_the_command(place, command):
    folder, _ = place
    found = command("inspect", "gates", "--summary", "--json", cwd=folder).stdout.decode()
    lines = [json.loads(line) for line in found.splitlines()]
    assert len(lines) == 2 * H
    for layer in (1, 2):
        of_layer = [line for line in lines if line["layer"] == layer]
        memories = [line["memory_tokens"] for line in of_layer]
        assert memories == sorted(memories, reverse=True)
        assert sorted(line["unit"] for line in of_layer) == list(range(H))
        for line in of_layer:
            assert line["memory_tokens"] == pytest.approx(-1 / math.log(line["forget"]["mean"]))
    for columns in (40, 80):
        result = command("inspect", "gates", "--summary", cwd=folder, columns=columns)
        text = result.stdout.decode()
        assert max(map(width, text.splitlines())) <= columns
        assert re.search(rf"^ +{lines[0]['unit']} +{lines[0]['memory_tokens']:.1f} ", text, re.M)


def test_a_long_summary_shows_both_ends(tmp_path, command):
    random_model(tmp_path, TEXT, cell="gru", layers=1, hidden=40)
    short = command("inspect", "gates", "--summary", "-p", TEXT, cwd=tmp_path).stdout.decode()
    whole = command("inspect", "gates", "--summary", "-p", TEXT, "--all", cwd=tmp_path).stdout
    rows = [line for line in whole.decode().splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) == 40
    kept = [line for line in short.splitlines() if re.match(r" *\d+ ", line)]
    assert kept == rows[:6] + rows[-6:]
    assert "... 28 more, with --all" in short
    assert "mean update gate" in short


def test_pictures(place, command):
    folder, _ = place
    result = command("inspect", "gates", "-p", TEXT[:90], "-o", "map.svg", cwd=folder)
    assert result.stderr.splitlines()[-1] == b"wrote map.svg"
    assert result.stdout == b""
    root = ElementTree.fromstring((folder / "map.svg").read_bytes())
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"forget", "cell", "狐", "↵", "input, forget, output"} <= set(said)
    command("inspect", "gates", "--summary", "-o", "use.png", cwd=folder)
    assert (folder / "use.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    line = one_line(command("inspect", "gates", "-o", "use.png", "-q", cwd=folder))
    assert line == "use.png exists; choose another name, or give --force"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--layer", "3"], 2, "there is no layer 3; the model has 1 to 2"),
        (["--gate", "reset"], 2, "lstm has no 'reset'; it has input, forget, new, "
         "output, cell, hidden"),
        (["--units", "0,7"], 2, "--units 0,7: these are no units of the layer; it has 0 to 6, "
         "as in 0,5,17 or 8-15"),
        (["--units", "x"], 2, "--units x: these are no units of the layer; it has 0 to 6, "
         "as in 0,5,17 or 8-15"),
        (["--units", "0,5-2"], 2, "--units 0,5-2: these are no units of the layer; it has 0 to 6, "
         "as in 0,5,17 or 8-15"),
        (["-p", ""], 1, "the text is empty; give some, or leave -p and -f out"),
        (["--summary", "--units", "1"], 2,
         "--summary tells of all gates and units; leave out --gate and --units"),
        (["-o", "x.pdf"], 2, "x.pdf is no name for a picture; let it end in .png or .svg"),
        (["-m", "nowhere"], 1, "no such checkpoint: nowhere; train one with charnn train"),
    ],
)  # fmt: skip
def test_errors_are_one_line(place, command, arguments, code, line):
    folder, _ = place
    model = [] if "-m" in arguments else ["-m", "planted"]
    assert one_line(command("inspect", "gates", *model, *arguments, cwd=folder), code) == line


def test_a_network_without_gates_has_no_summary(tmp_path, command):
    random_model(tmp_path, TEXT, cell="elman", layers=1)
    line = one_line(command("inspect", "gates", "-m", "planted", "--summary", cwd=tmp_path), 2)
    assert line == "elman has no gate that keeps or forgets; --summary needs an LSTM or a GRU"
    shown = command("inspect", "gates", "-p", "The fox", "-q", cwd=tmp_path).stdout.decode()
    assert "\nhidden" in shown


def test_a_model_that_counts_has_no_units(tmp_path, command):
    make_corpus(tmp_path, TEXT)
    command("train", "corpora/text", "--cell", "ngram", "-q", cwd=tmp_path)
    line = one_line(command("inspect", "gates", "-m", "text", cwd=tmp_path), 2)
    assert line.endswith("counts, and has no units to look into; inspect needs a recurrent model")


def test_inspect_is_a_command_as_others_are(tmp_path):
    """The real program: without torch, with -h, and without a word on what is no command."""

    def real(*arguments):
        return subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "charnn", "inspect", *arguments],
            capture_output=True, cwd=tmp_path,
        )  # fmt: skip

    told = real("gates", "-h")
    assert told.returncode == 0
    assert b"--summary" in told.stdout
    imported = {line.split("|")[-1].strip() for line in told.stderr.decode().splitlines()}
    assert "typer" in imported
    assert not {"torch", "numpy", "matplotlib"} & imported
    wrong = real("nothing")
    assert wrong.returncode == 2
    assert b"charnn: no such command: nothing" in wrong.stderr
    assert b"Look inside a network" in real().stdout
