"""Loss curves: read from what training wrote, smoothed, drawn as text and as pictures."""

import json
import re
import shutil
import struct
import subprocess
import sys
import unicodedata
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminals import on_a_terminal

from charnn.cli.canvas import log_ticks, ticks
from charnn.cli.chart import chart
from charnn.cli.figure import picture
from charnn.cli.picture import draw_curves
from charnn.errors import InputError
from charnn.training.curves import curve, limits, smooth
from charnn.training.metrics import read_metrics

losses = st.lists(st.floats(0, 20), min_size=1, max_size=300).map(np.array)


def entry(step, train, valid=None, **more):
    return {
        "step": step, "tokens_seen": 64 * step, "seconds": step / 10, "train_nats": train,
        "validation_nats": valid, "learning_rate": 0.01, "gradient_norm": 0.5, **more,
    }  # fmt: skip


def falling(steps=1000, to=1.5):
    """A loss that falls from 4.1 on, validated every 200 steps, best before the end."""
    return [
        entry(s, to + 2.6 * 0.99**s, to + 0.2 + abs(s - 800) / 4000 if s % 200 == 0 else None)
        for s in range(10, steps + 1, 10)
    ]


def write(run, entries, end="\n"):
    run.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in entries]
    (run / "metrics.jsonl").write_text("\n".join(lines) + end)
    return run


@pytest.fixture
def place(tmp_path):
    write(tmp_path / "checkpoints" / "fables", falling())
    write(tmp_path / "checkpoints" / "寓言_a$b$", falling(to=1.2))
    return tmp_path


def width(line):
    """How many columns of a terminal a line takes."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in line)


def one_line(result, code=1):
    assert result.returncode == code, result.stderr.decode()
    assert result.stdout == b""
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0].removeprefix("charnn: ")


def pixels(png):
    """The rows of a PNG, decoded: nothing in it is broken."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    data, at, size = b"", 8, (0, 0)
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", png[at + 8 + length :][:4])[0]
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    assert kind == b"IEND"
    raw = zlib.decompress(data)
    assert len(raw) == size[1] * (1 + 4 * size[0])
    return size, raw


def texts(svg):
    root = ElementTree.fromstring(svg)
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


# --- reading -----------------------------------------------------------------------------------


def test_what_training_wrote_is_read(workplace):
    run = workplace / "checkpoints" / "text"
    entries = read_metrics(run)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert entries == [json.loads(line) for line in lines]
    assert entries == read_metrics(run / "metrics.jsonl")
    assert [e["step"] for e in entries] == [10, 20, 30, 36, 40, 50, 60]


@pytest.mark.parametrize(
    "damaged",
    ['{"step": 30, "train', "", "[" * 200_000, '{"step": NaN}', '{"step": 1e999}', "[1]", "{}"],
)
def test_damaged_lines_are_left_out(tmp_path, damaged):
    write(tmp_path, [entry(10, 3.0), damaged, entry(20, 2.0), damaged], end="")
    assert [e["step"] for e in read_metrics(tmp_path)] == [10, 20]


def test_no_metrics_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the metrics .*metrics.jsonl: No such file"):
        read_metrics(tmp_path)


# --- curves ------------------------------------------------------------------------------------


@given(losses)
def test_smoothing_is_a_mean_of_what_is_around(values):
    smoothed = smooth(values)
    assert len(smoothed) == len(values)
    assert smoothed[0] == values[0]
    assert (smoothed >= values.min() - 1e-9).all()
    assert (smoothed <= values.max() + 1e-9).all()
    np.testing.assert_allclose(smooth(3 * values + 1), 3 * smoothed + 1, atol=1e-9)


@given(st.integers(30, 400), st.floats(-0.1, 0.1))
def test_smoothing_keeps_a_straight_line_where_it_has_both_sides(n, slope):
    line = 5 + slope * np.arange(n)
    inside = slice(None, -4 * max(n // 150, round(n**0.5 / 6)) - 5)
    np.testing.assert_allclose(smooth(line)[inside], line[inside], atol=1e-3)


@pytest.mark.parametrize(("n", "left"), [(200, 0.4), (1000, 0.35)])
def test_smoothing_takes_most_of_the_noise(n, left):
    noise = np.random.default_rng(0).normal(0, 1, n)
    assert smooth(noise)[50:].std() < left
    assert abs(smooth(noise)[50:].mean() - noise[50:].mean()) < 0.05


def test_a_curve_leaves_out_what_is_no_number():
    odd = [None, float("nan"), float("inf"), "3", True, 10**400, [], 1e305]
    entries = [entry(10, 3.0, 3.5), *(entry(20 + n, v, v) for n, v in enumerate(odd))]
    found = curve("x", [*entries, entry(90, 2.0, 2.5), {"step": 95}, entry(99, 2.25, 2.75)])
    assert found.x_N.tolist() == [10, 90, 99] == found.x_M.tolist()
    assert found.train_N.tolist() == [3.0, 2.0, 2.25]
    assert (found.best, found.best_step) == (1, 90)


def test_units():
    entries = falling(200)
    nats, bits, perplexity = (curve("x", entries, y=y) for y in ("nats", "bits", "perplexity"))
    np.testing.assert_allclose(2**bits.train_N, np.exp(nats.train_N))
    np.testing.assert_allclose(perplexity.valid_M, np.exp(nats.valid_M))
    assert curve("x", entries, x="tokens").x_N[-1] == 64 * 200
    assert curve("x", entries, x="minutes").x_N[-1] == pytest.approx(200 / 10 / 60)
    assert np.isfinite(curve("x", [entry(1, 1e6)], y="perplexity").train_N).all()


def test_limits_show_the_late_curve_and_not_the_first_steps_nor_a_spike():
    entries = falling()
    low, high = limits([curve("x", entries)])
    assert 1.4 < low < 1.5
    assert 2.0 < high < 2.6
    entries[50] = entry(510, 80.0)
    assert limits([curve("x", entries)])[1] < 3
    assert limits([curve("x", falling())], whole=True)[1] > 3.8
    for alone in (entry(10, 3.0), entry(10, None, 3.0)):
        low, high = limits([curve("x", [alone])])
        assert low < 3 < high


# --- text --------------------------------------------------------------------------------------


def test_the_chart(program, place):
    result = program("plot", "fables", cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    text = result.stdout.decode()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(width, lines)) <= 80
    assert max(map(width, lines)) > 70
    assert lines[0] == "nats per token"
    assert re.search(r"^1\.6 ┤", text, re.M)
    assert re.search(r"^ +0 +200 +400 +600 +800 +1000$", text, re.M)
    assert lines[-3].endswith(" step")
    assert lines[-2] == "fables"
    assert lines[-1] == ("  ⠒⠒⠒⠒ training 1.5001  o validation 1.7500  * best 1.7000 at step 800")
    drawn = "\n".join(lines[1:-4])
    assert (drawn.count("o"), drawn.count("*")) == (4, 1)
    # The line falls: what is drawn to the left is drawn above.
    rows = [(y, x) for y, line in enumerate(lines[1:-4]) for x, c in enumerate(line) if c > "⠀"]
    leftmost, rightmost = min(rows, key=lambda at: at[1]), max(rows, key=lambda at: at[1])
    assert leftmost[0] == 0
    assert rightmost[0] > 8
    assert len({x for _, x in rows if x > 20}) > 50


def test_several_runs_are_told_apart_without_colours(program, place):
    text = program("plot", "fables", "寓言_a$b$", "--x", "minutes", cwd=place).stdout.decode()
    assert "minutes of training" in text
    lines = text.splitlines()
    assert lines[-4:-2][0] == "fables"
    assert lines[-2] == "寓言_a$b$"
    assert " ⠒⠒⠒⠒ training 1.5001  o validation" in lines[-3]
    assert " ⠒⠒ ⠒ training 1.2001  x validation" in lines[-1]
    drawn = "\n".join(lines[:-4])
    assert (drawn.count("x"), drawn.count("*")) == (4, 2)


@pytest.mark.parametrize("columns", ["1", "24", "31", "40", "200"])
def test_no_line_is_too_wide(program, place, columns):
    (place / "checkpoints" / "fables").rename(place / "checkpoints" / ("寓" * 50))
    result = program("plot", "寓" * 50, cwd=place, COLUMNS=columns)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode().splitlines()
    assert max(map(width, lines)) <= min(max(24, int(columns)), 120)
    assert any(line.startswith("寓寓寓寓") for line in lines)
    assert any("1.7000" in line for line in lines)


values = st.one_of(st.floats(), st.none(), st.floats(0, 10), st.integers())
many = st.lists(st.tuples(st.integers(), values, values), max_size=30)


@settings(max_examples=50)
@given(many, st.booleans(), st.integers(0, 130), st.sampled_from(["nats", "bits", "perplexity"]))
def test_whatever_was_measured_can_be_drawn(measured, log_x, columns, unit):
    one = curve("run", [entry(*m) for m in measured], y=unit, log_x=log_x)
    if not one.is_empty:
        text = chart([one, one], "step", unit, columns, 10, log_x)
        assert max(map(width, text.splitlines())) <= max(columns, 24)


def test_ticks_are_round_and_inside():
    assert ticks(1.31, 2.2, 6) == pytest.approx([1.4, 1.6, 1.8, 2.0, 2.2])
    assert ticks(-1, 1, 4) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert log_ticks(10, 120, 6) == [10, 20, 50, 100]


def terminal(arguments, cwd, **environment):
    """What a terminal of 70 columns is sent."""
    return on_a_terminal(arguments, cwd, ("stdout",), columns=70, **environment)


def test_colours_are_for_terminals_that_want_them(place):
    text = terminal(["plot", "fables", "寓言_a$b$"], place)
    assert "\x1b[36m" in text
    assert "\x1b[33m" in text
    plain = terminal(["plot", "fables", "寓言_a$b$"], place, NO_COLOR="1")
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", text) == plain
    assert 60 < max(map(width, plain.split("\n"))) <= 70
    assert "\x1b" not in terminal(["plot", "fables"], place, TERM="dumb")


# --- pictures ----------------------------------------------------------------------------------


def test_a_png(program, place):
    result = program("plot", "fables", "寓言_a$b$", "-o", "curves.png", cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stdout == b""
    assert result.stderr.decode().splitlines()[-1] == "wrote curves.png"
    size, raw = pixels((place / "curves.png").read_bytes())
    assert size == (1200, 750)
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(750, -1)[:, 1:]
    assert len(np.unique(rows)) > 50
    assert not list(place.glob(".*"))


def test_an_svg_is_text(program, place):
    result = program("plot", "寓言_a$b$", "-o", "one.svg", cwd=place)
    assert result.returncode == 0
    assert result.stderr.decode() == "wrote one.svg\n"
    said = texts((place / "one.svg").read_bytes())
    for text in ("寓言_a$b$", "step", "nats per token", "1.4000", "training", "validation"):
        assert text in said
    assert "best validation, at step 800" in said
    program("plot", "寓言_a$b$", "fables", "-o", "two.svg", "--y", "bits", "-q", cwd=place)
    said = texts((place / "two.svg").read_bytes())
    for text in ("寓言_a$b$, best 2.0198", "fables, best 2.4526", "bits per token", "2.4526"):
        assert text in said


def test_a_name_may_hold_anything(program, place):
    name = '_<&>"\n\x1b[31m$'
    (place / "checkpoints" / "fables").rename(place / "checkpoints" / name)
    assert program("plot", name, "fables/../寓言_a$b$", "-o", "x.svg", cwd=place).returncode == 1
    assert program("plot", name, "寓言_a$b$", "-o", "x.svg", cwd=place).returncode == 0
    assert '_<&>"��[31m$, best 1.7000' in texts((place / "x.svg").read_bytes())
    assert b"\x1b" not in program("plot", name, cwd=place).stdout


def drawn(curves, kind, log_x=False):
    return picture(lambda figure: draw_curves(figure, curves, "step", "nats", log_x), kind)


def test_the_same_run_gives_the_same_picture():
    curves = [curve("x", falling())]
    for kind in ("png", "svg"):
        first, complete = drawn(curves, kind)
        assert complete
        assert drawn(curves, kind)[0] == first
    assert drawn(curves, "svg", log_x=True)[0] != first


def test_characters_that_no_font_has_are_told_of_and_no_failure():
    curves = [curve("\U000e0fff寓言", falling())]
    data, complete = drawn(curves, "png")
    assert not complete
    pixels(data)
    assert drawn(curves, "svg")[1]


@pytest.mark.parametrize(
    "measured",
    [
        [(1, 3.0)],
        [(9, None, 3.0)],
        [(5, 1e299, 2.0), (6, -1e299)],
        [(-5, 1.0), (0, 2.0), (1, 3.0)],
    ],
)
@pytest.mark.parametrize("log_x", [False, True])
def test_odd_metrics_give_pictures(measured, log_x):
    one = curve("run", [entry(*m) for m in measured], log_x=log_x)
    pixels(drawn([one, one], "png", log_x)[0])


def test_nothing_is_overwritten_unless_forced(program, place):
    (place / "curves.svg").write_text("mine")
    line = one_line(program("plot", "fables", "-o", "curves.svg", cwd=place))
    assert line == "curves.svg exists; choose another name, or give --force"
    assert (place / "curves.svg").read_text() == "mine"
    assert program("plot", "fables", "-o", "curves.svg", "--force", cwd=place).returncode == 0
    assert "fables" in texts((place / "curves.svg").read_bytes())
    (place / "folder.png").mkdir()
    assert "is a folder" in one_line(
        program("plot", "fables", "-o", "folder.png", "--force", cwd=place)
    )


@pytest.mark.parametrize("name", ["curves.pdf", "curves", "png", "-"])
def test_other_kinds_of_pictures_are_refused(program, place, name):
    line = one_line(program("plot", "fables", "-o", name, cwd=place), 2)
    assert line == f"{name} is no name for a picture; let it end in .png or .svg"


def test_a_picture_that_cannot_be_written(program, place):
    line = one_line(program("plot", "fables", "-o", "nowhere/curves.png", cwd=place))
    assert line == "cannot write file nowhere/curves.png: No such file or directory"


def test_without_matplotlib_the_chart_is_drawn_and_a_picture_names_what_is_missing(place):
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from charnn.cli.app import run; sys.argv[0] = 'charnn'; sys.exit(run())"
    )

    def without(*arguments):
        return subprocess.run(
            [sys.executable, "-c", script, *arguments], cwd=place, capture_output=True
        )

    line = one_line(without("plot", "fables", "-o", "curves.png"))
    assert line.endswith('missing; pip install "charnn[plot]"')
    assert not (place / "curves.png").exists()
    assert without("plot", "fables").returncode == 0


# --- which runs --------------------------------------------------------------------------------


def test_a_run_is_found_by_all_its_names(program, workplace):
    run = workplace / "checkpoints" / "text"
    chart = program("plot", "text", cwd=workplace).stdout
    assert b"at step 60" in chart
    for name in ("checkpoints/text", "checkpoints/text/step-60", "checkpoints/text/best", run,
                 "checkpoints/text/metrics.jsonl"):  # fmt: skip
        assert program("plot", str(name), cwd=workplace).stdout == chart, name
    newest = program("plot", cwd=workplace)
    assert newest.stdout == chart
    assert newest.stderr == b"model: checkpoints/text\n"
    assert program("plot", "text", "text/best", "text", cwd=workplace).stdout == chart
    piped = program("plot", "-", stdin=(run / "metrics.jsonl").read_bytes(), cwd=workplace)
    assert piped.stdout.replace(b"standard input", b"text") == chart
    assert program("plot", ".", cwd=run).stdout == chart


def test_runs_of_the_same_name_are_shown_by_their_paths(program, tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "run", falling())
    lines = program("plot", "a/run", "b/run", cwd=tmp_path).stdout.decode().splitlines()
    assert (lines[-4], lines[-2]) == ("a/run", "b/run")


def test_json(program, place):
    write(place / "checkpoints" / "new", ['{"step": 5, "train_nats": NaN}', entry(10, 3.0)])
    result = program("plot", "fables", "new", "--json", cwd=place)
    assert result.stderr == b""
    fables, new = map(json.loads, result.stdout.decode().splitlines())
    assert fables == {
        "run": "checkpoints/fables", "best_step": 800, "best_validation_nats": 1.7,
        "points": read_metrics(place / "checkpoints" / "fables"),
    }  # fmt: skip
    assert (new["best_step"], new["best_validation_nats"]) == (None, None)
    assert new["points"] == [{"step": 5, "train_nats": None}, entry(10, 3.0)]
    both = program("plot", "fables", "--json", "-o", "x.png", "-q", cwd=place)
    assert json.loads(both.stdout) == fables
    assert both.stderr == b""
    assert (place / "x.png").exists()


def test_a_run_that_is_being_trained(program, place):
    run = write(place / "checkpoints" / "young", [*falling(200), '{"step": 210, "tok'], end="")
    text = program("plot", "young", cwd=place).stdout.decode()
    assert "best 1.8500 at step 200" in text
    write(run, [entry(10, 4.0)])
    result = program("plot", "young", cwd=place)
    assert result.stdout.decode().splitlines()[-1] == "  ⠒⠒⠒⠒ training 4.0000"
    assert sum(line.endswith("-") for line in result.stdout.decode().splitlines()) == 1


def test_what_cannot_be_drawn(program, place):
    for content in ("", '{"step": 10, "train_n', '{"step": 10, "train_nats": NaN}\n'):
        (place / "checkpoints" / "fables" / "metrics.jsonl").write_text(content)
        line = one_line(program("plot", "寓言_a$b$", "fables", "-o", "x.png", cwd=place))
        assert line == (
            "checkpoints/fables/metrics.jsonl holds no losses; "
            "training writes the first after ten steps"
        )
    assert not (place / "x.png").exists()
    assert one_line(program("plot", "none", cwd=place)).startswith("no such run: none; ")
    line = one_line(program("plot", cwd=place))
    assert line == "no checkpoint in checkpoints/; train one with charnn train, or name one"


def test_a_model_that_counts_has_no_curve(program, workplace, tmp_path):
    shutil.copytree(workplace / "corpora", tmp_path / "corpora")
    program("train", "corpora/text", "--cell", "ngram", "-q", cwd=tmp_path)
    line = one_line(program("plot", "text", cwd=tmp_path))
    assert line == (
        "checkpoints/text has no metrics.jsonl; training writes one; "
        "counting (--cell ngram) does not"
    )
