"""Units that track a property of the text: planted ones are found, noise is not."""

import json
import re

import numpy as np
import pytest
from conftest import make_corpus, random_weights
from hypothesis import given
from hypothesis import strategies as st
from inspecting import command, one_line, save_model, width

from charnn.architecture import ModelConfig
from charnn.cli.inspect.neurons import _at_most
from charnn.cli.inspect.page import Page
from charnn.cli.inspect.painting import Painted, Painting, lines, write_painted
from charnn.cli.inspect.palette import around
from charnn.errors import InputError
from charnn.inspection.neurons import (
    Unit,
    Values,
    _associate,
    balanced_accuracy,
    best_threshold,
    probe,
    telling_excerpt,
)
from charnn.inspection.properties import find_property, indent, line_position, quote, text_of

__all__ = ["command"]

H, QUOTES, PLACES = 12, 7, 4


def speech(size=9000, seed=0):
    """Random words in lines, some of them between quotation marks, over line ends, too."""
    rng = np.random.default_rng(seed)
    words, inside = [], False
    while sum(map(len, words)) < size:
        word = "".join(rng.choice(list("abcdefgh"), rng.integers(1, 8)))
        if rng.random() < 0.12:
            word = word + '"' if inside else '"' + word
            inside = not inside
        words.append(word + ("\n" if rng.random() < 0.1 else " "))
    return "".join(words) + '"' * inside + "\n"


def plant(folder):
    """An LSTM of two layers; unit 7 of the first toggles at quotes, unit 4 counts along lines.

    Where the toggle sees a quotation mark, its forget gate shuts, its input gate opens, and what
    is new is against what it shows; otherwise it keeps. The counter adds a little at each step,
    and forgets all at a line's end.
    """
    corpus = make_corpus(folder, speech())
    V = corpus.header.vocabulary
    config = ModelConfig(layers=2, hidden=H, embedding=0)
    weights = random_weights(config, V, seed=1)
    (quote_id,), (end_id,) = corpus.tokenizer.encode('"'), corpus.tokenizer.encode("\n")
    gates = {
        name: weights[f"layers.0.{name}"].reshape(4, H, -1)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    for array in gates.values():
        array[:, [QUOTES, PLACES]] = 0
    for reader in ("layers.0.weight_hh", "layers.1.weight_ih"):  # no other unit knows of them
        weights[reader][:, [QUOTES, PLACES]] = 0
    for unit in (QUOTES, PLACES):  # in the order i f g o
        gates["bias_ih"][3, unit] = 20
        gates["bias_ih"][1, unit] = 20
    gates["bias_ih"][0, QUOTES] = -20
    gates["weight_ih"][0, QUOTES, quote_id] = 40
    gates["weight_ih"][1, QUOTES, quote_id] = -40
    gates["bias_ih"][2, QUOTES] = 5
    gates["weight_hh"][2, QUOTES, QUOTES] = -20
    gates["bias_ih"][0, PLACES] = 20
    gates["bias_ih"][2, PLACES] = 0.02
    gates["weight_ih"][0, PLACES, end_id] = -40
    gates["weight_ih"][1, PLACES, end_id] = -40
    save_model(folder, corpus, config, weights)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("neurons"))


def found(command, place, *arguments):
    """The neurons on the training text, of which there is more than of what is held out."""
    (place / "speech.txt").write_text(speech())
    result = command("inspect", "neurons", "--text", "speech.txt", "--tokens", 6000, "--json",
                     *arguments, cwd=place)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.decode().splitlines()]


def test_a_planted_toggle_is_found_first(place, command):
    first, second, *others = found(command, place, "--find", "quote")
    assert {(one["layer"], one["unit"]) for one in (first, second)} == {(1, QUOTES)}
    assert {first["value"], second["value"]} == {"cell", "hidden"}
    for one in (first, second):
        assert one["held_out"] > 0.999 < one["fitted"]
        assert one["balanced_accuracy"] > 0.999
        assert (one["sign"], one["measure"], one["rank"]) == (
            1,
            "auc",
            [first, second].index(one) + 1,
        )
        assert -0.9 < one["threshold"] < 0.9
        assert one["chance_fitted"] < 0.8 > one["chance_held_out"]
        assert one["fitted_tokens"] + one["held_out_tokens"] == 6000
    assert len(others) == 3
    assert max(one["fitted"] for one in others) < 0.95


def test_a_planted_counter_is_found_first(place, command):
    first, second, *others = found(command, place, "--find", "line-position")
    assert {(one["layer"], one["unit"]) for one in (first, second)} == {(1, PLACES)}
    for one in (first, second):
        assert one["held_out"] > 0.999 < one["fitted"]
        assert one["measure"] == "spearman"
        assert one["threshold"] is None
    assert max(one["fitted"] for one in others) < 0.9


def test_a_pattern_that_says_about_the_same_finds_the_same_unit(place, command):
    (paired,) = found(command, place, "--find", r'"[^"]*"', "--top", 1)
    assert (paired["layer"], paired["unit"]) == (1, QUOTES)
    assert 0.95 < paired["held_out"] < 1  # here the closing mark is inside


def test_a_seed_gives_the_same_chance(place, command):
    same, again = (found(command, place, "--find", "quote", "-s", 3) for _ in range(2))
    other = found(command, place, "--find", "quote", "-s", 4)
    assert same == again
    assert same[0]["chance_fitted"] != other[0]["chance_fitted"]
    assert same[0]["held_out"] == other[0]["held_out"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_is_written(place, command, columns):
    result = command(
        "inspect", "neurons", "--find", "quote", "--top", 2, cwd=place, columns=columns
    )
    text = result.stdout.decode()
    assert b"\x1b" not in result.stdout
    assert max(map(width, text.splitlines())) <= columns
    assert re.search(rf"^\+ layer 1 cell {QUOTES} +1\.000 +1\.000", text, re.M)
    assert re.search(r"^chance +0\.\d{3} +0\.\d{3}$", text, re.M)
    assert ("above" in text) == (columns > 72)
    # Below every token a digit that tells whether the unit is above its threshold.
    part = text[text.index(f"\nlayer 1 cell {QUOTES}  ") + 1 :].split("layer 1 hidden")[0]
    rows = part.splitlines()[1:]
    checked = 0
    for shown, digits, marks in zip(rows[::3], rows[1::3], rows[2::3], strict=False):
        for place_, digit in enumerate(digits):
            held = marks.ljust(columns)[place_] == "^"
            assert (int(digit) >= 5) == held, shown
            checked += 1
    assert checked == 240


def test_pictures(place, command):
    arguments = ("inspect", "neurons", "--find", "quote", "--top", 1, "--show", 60)
    result = command(*arguments, "-o", "n.svg", cwd=place)
    assert result.stderr.splitlines()[-1] == b"wrote n.svg"
    assert f"layer 1 cell {QUOTES}".encode() in (place / "n.svg").read_bytes()
    command(*arguments, "-o", "n.png", cwd=place)
    assert (place / "n.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_what_cannot_be_found(place, command):
    call = ("inspect", "neurons", "-m", "planted", "--find")
    line = one_line(command(*call, "indent", cwd=place))
    assert line == (
        "--find indent: in the first half of the text it is always 0, so nothing can be told; "
        "take more text, another text, or another property"
    )
    assert "no regular expression" in one_line(command(*call, "(a", cwd=place), 2)
    assert "always 0" in one_line(command(*call, "qoute", cwd=place))
    (place / "short.txt").write_text("ab")
    line = one_line(command(*call, "word-end", "--text", "short.txt", cwd=place))
    assert "nothing can be told" in line
    assert one_line(command(*call[:-1], cwd=place), 2).startswith("missing option --find; ")


def test_a_pattern_without_end_is_given_up():
    with pytest.raises(InputError, match="no end is in sight"), _at_most(0.05, "(a+)+$"):
        find_property("(a+)+$", "a" * 60 + "b")


# --- properties --------------------------------------------------------------------------------


def marks(values):
    return "".join(".^"[int(value)] for value in values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a "b" c', "..^^..."),
        ("他說「你『好』嗎」。", "..^^^^^^.."),
        ("“a “b” c” d", "^^^^^^^^..."),
        ('"a\nb" c', "^^^^..."),
        ('"a\n\nb "c" d', "^^^...^^..."),
        ("」a「b", "..^^"),
        ("don't ‘so’", ".........."),
    ],
)
def test_quotes(text, expected):
    assert marks(quote(text)) == expected


def test_lines():
    text = "a\n\t b c\n\n  d"
    assert indent(text).tolist() == [0, 0, 1, 2, 2, 2, 2, 0, 0, 1, 2, 2]
    assert line_position(text).tolist() == [1, 0, 1, 2, 3, 4, 5, 0, 0, 1, 2, 3]


def test_words_end_before_what_is_no_letter():
    prop = find_property("word-end", "Don't, 狐狸。x_1")
    assert not prop.is_number
    told = "".join("?" if np.isnan(v) else ".^"[int(v)] for v in prop.values_C)
    assert told == "..^?^??.^?..?"


def test_a_token_stands_where_it_ends():
    tokens = [b"the", b" fox", "狐".encode()[:2], "狐".encode()[2:], b"", b"\xff", b'"']
    text, last_T = text_of([0, 1, 2, 3, 4, 5, 6], tokens)
    assert text == 'the fox狐\udcff"'
    assert [text[place] for place in last_T] == ["e", "x", "狐", "狐", "狐", "\udcff", '"']
    assert text_of([4, 0], tokens)[1].tolist() == [0, 2]


# --- scores ------------------------------------------------------------------------------------

few = st.integers(-2, 2)
pairs = st.lists(st.tuples(few, st.booleans()), min_size=2, max_size=25).filter(
    lambda them: len({label for _, label in them}) == 2
)


@given(pairs)
def test_yes_or_no_is_scored_by_the_area_under_the_curve(them):
    yes = [value for value, label in them if label]
    no = [value for value, label in them if not label]
    area = np.mean([(a > b) + (a == b) / 2 for a in yes for b in no])
    values, labels = np.array(them, dtype=float).T
    (found,) = _associate(values[:, None], labels[None], is_number=False).ravel()
    assert (1 + found) / 2 == pytest.approx(area)


@given(st.lists(st.tuples(few, few), min_size=2, max_size=25))
def test_numbers_are_scored_by_spearmans_correlation(them):
    def ranks(values):
        return [sum(v < w for v in values) + (sum(v == w for v in values) - 1) / 2 for w in values]

    values, labels = np.array(them, dtype=float).T
    (found,) = _associate(values[:, None], labels[None], is_number=True).ravel()
    if len(set(values)) == 1 or len(set(labels)) == 1:
        assert found == 0  # a constant does not win
    else:
        assert found == pytest.approx(np.corrcoef(ranks(values), ranks(labels))[0, 1])


@given(pairs)
def test_no_threshold_is_better(them):
    values, labels = np.array(them, dtype=float).T
    cut = best_threshold(values, labels > 0)
    every = [balanced_accuracy(values > c, labels > 0) for c in np.arange(-2.5, 3)]
    found = balanced_accuracy(values > cut, labels > 0)
    assert found == pytest.approx(max(every)) or max(every) == 0.5


def test_noise_is_not_above_chance():
    rng = np.random.default_rng(0)
    values_TU = np.cumsum(rng.normal(size=(4000, 300)), axis=0)  # wanders, as cells do
    units = [Unit(0, "cell", n) for n in range(300)]
    labels_T = (np.sin(np.arange(4000) / 90 + 0.3) > 0).astype(float)
    noise = probe(Values(units, values_TU), labels_T, is_number=False)
    assert noise.best[0].fitted > 0.6  # of 300 units one fits
    assert noise.best[0].fitted < noise.chance_fitted
    assert noise.best[0].held_out < noise.chance_held_out
    values_TU[:, 123] = -(labels_T + 0.1 * rng.normal(size=4000))
    planted = probe(Values(units, values_TU), labels_T, is_number=False)
    assert planted.best[0].unit.index == 123
    assert planted.best[0].sign == -1
    assert planted.best[0].held_out > 0.999 > planted.chance_held_out
    assert planted.best[0].balanced_accuracy > 0.999


def test_the_second_half_judges():
    """A unit that is right in the first half and wrong in the second is found, and found out."""
    labels_T = np.tile([0.0, 0, 1, 1, 1], 200)
    values_T1 = np.where(np.arange(1000) < 500, labels_T, 1 - labels_T)[:, None]
    (one,) = probe(Values([Unit(0, "hidden", 0)], values_T1), labels_T, is_number=False).best
    assert (one.fitted, one.held_out, one.balanced_accuracy) == (1, 0, 0)


def test_a_constant_unit_is_at_chance():
    labels_T = np.tile([0.0, 1, 1], 100)
    units = [Unit(0, "hidden", 0)]
    (one,) = probe(Values(units, np.ones((300, 1))), labels_T, is_number=False).best
    assert (one.fitted, one.held_out, one.balanced_accuracy) == (0.5, 0.5, 0.5)


def test_an_excerpt_is_where_something_happens():
    labels_T = np.zeros(100)
    labels_T[63:67] = 1
    assert telling_excerpt(labels_T, np.array([0, 30, 61, 80]), 8) == slice(61, 69)
    assert telling_excerpt(labels_T, np.array([99]), 8) == slice(92, 100)
    labels_T[:60] = np.nan
    assert telling_excerpt(labels_T, np.array([0, 60]), 8) == slice(60, 68)


def test_text_is_painted_on_terminals_with_colours():
    shown = ["狐", '"', "a", "↵", "b"]
    values_T = np.array([-1.0, 0.5, 1.0, 0.0, 2.0])
    scale = around(0.25, values_T)
    holds_T = np.array([False, True, True, False, False])
    page = Page(40, coloured=True)
    write_painted(page, Painted("", shown, [Painting("unit", values_T, scale)], holds_T))
    painted = re.findall(r"\x1b\[(4;)?38;2;[\d;]*48;2;(\d+);(\d+);(\d+)m([^\x1b])", page.text())
    under = [bool(line) for line, *_ in painted[-5:]]
    assert [character for *_, character in painted[-5:]] == shown
    assert [list(map(int, rgb)) for _, *rgb, _ in painted[-5:]] == scale.rgb(values_T).tolist()
    assert under == holds_T.tolist()
    assert list(lines(shown, 40)) == [slice(0, 4), slice(4, 5)]
    assert list(lines(shown, 3)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
