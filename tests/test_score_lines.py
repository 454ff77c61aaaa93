"""Lines: what each costs, how they come and go, and the command that writes them."""

import json
import math
import re
import select
import subprocess
import sys

import numpy as np
import pytest
from conftest import TEXT, random_weights
from fakes import MarkovModel, prefilled
from hypothesis import given
from hypothesis import strategies as st
from terminals import on_a_terminal

from charnn import lines as lines_module
from charnn.architecture import ModelConfig
from charnn.cli.console import Payload
from charnn.cli.paint import characters, harmless, paint
from charnn.cli.rows import Row, escaped, ranked
from charnn.engine import Engine
from charnn.lines import LineScorer, ScoredLine, batches, whole_lines
from charnn.models import open_model
from charnn.score import evaluate
from charnn.step import log_softmax
from charnn.text.byte import ByteTokenizer
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer

CHARS = train_tokenizer([[TEXT.encode()]], TokenizerConfig())
BYTES = ByteTokenizer()


def engine(tokenizer, hidden=10, dtype=np.float32):
    config = ModelConfig(layers=2, hidden=hidden, embedding=5)
    weights = random_weights(config, tokenizer.vocabulary_size, dtype=dtype)
    return Engine(config, weights, start_id=tokenizer.start_id, end_id=None)


MODELS = {"char": (engine(CHARS), CHARS), "byte": (engine(BYTES), BYTES)}

lines_of_text = st.lists(
    st.tuples(
        st.one_of(st.text("The fox井月\r☃", max_size=40).map(str.encode), st.binary(max_size=40)),
        st.sampled_from([b"\n", b"\r\n"]),
    ).map(lambda parts: parts[0].replace(b"\n", b"") + parts[1]),
    max_size=12,
)


# --- what lines cost ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_a_line_costs_what_single_steps_say(kind):
    model, tokenizer = MODELS[kind]
    text = "The fox saw 月\n"
    (line,) = LineScorer(model, tokenizer, details=True).score([text.encode()])
    logits_1V, state = prefilled(model)
    expected = []
    for id in tokenizer.encode(text):
        expected.append(-log_softmax(logits_1V)[0, id])
        logits_1V, state = model.step(np.array([id]), state)
    np.testing.assert_allclose(line.nats_T, expected, rtol=1e-5)
    assert line.nats == pytest.approx(sum(expected), rel=1e-5)
    assert (line.tokens, line.characters) == (len(expected), len(text))
    assert line.bits_per_character == pytest.approx(sum(expected) / math.log(2) / len(text))


def test_a_character_that_is_unknown_is_one_character():
    config = TokenizerConfig(min_count=50, unknown="replace")
    tokenizer = train_tokenizer([[TEXT.encode()]], config)
    (line,) = LineScorer(engine(tokenizer), tokenizer).score(["狐X狸\n".encode()])
    assert (line.unknown, line.characters) == (3, 4)


@given(lines=lines_of_text, kind=st.sampled_from(list(MODELS)))
def test_scoring_in_a_batch_equals_scoring_alone(lines, kind):
    model, tokenizer = MODELS[kind]
    together = LineScorer(model, tokenizer, details=True)
    alone = LineScorer(model, tokenizer, details=True)
    scored = together.score(lines)
    assert len(scored) == len(lines)
    for line, one in zip(lines, scored, strict=True):
        (other,) = alone.score([line])
        assert one.nats == pytest.approx(other.nats, rel=1e-5)
        assert one.ids_T.tolist() == other.ids_T.tolist()
        assert (one.characters, one.unknown) == (other.characters, other.unknown)
        if not one.unknown:
            assert one.characters == sum(byte & 0xC0 != 0x80 for byte in line)
    assert together.unknown.count == alone.unknown.count == sum(one.unknown for one in scored)


def test_what_long_lines_cost_does_not_depend_on_how_they_are_cut(monkeypatch):
    lines = [("The fox saw the 月 " * 9).encode() + b"\n", b"She\n"]
    for context in (False, True):
        whole, cut = [], []
        for found, size in ((whole, 1 << 16), (cut, 10)):
            monkeypatch.setattr(lines_module, "_LONG_BYTES", size)
            for model, tokenizer in MODELS.values():
                scorer = LineScorer(model, tokenizer, context=context, details=True)
                found.extend(scorer.score(lines))
        for one, other in zip(whole, cut, strict=True):
            assert one.nats == pytest.approx(other.nats, rel=1e-5)
            np.testing.assert_allclose(one.nats_T, other.nats_T, rtol=1e-4)
            assert (one.tokens, one.characters) == (other.tokens, other.characters)


class Watched(MarkovModel):
    """Remembers how much it was given at once."""

    def __init__(self):
        super().__init__(np.zeros((256, 256)))
        self.shapes = []

    def nats(self, ids_BT, lengths_B, state):
        self.shapes.append(ids_BT.shape)
        return np.zeros(ids_BT.shape), state


def test_no_batch_is_larger_than_it_may_be(monkeypatch):
    monkeypatch.setattr(lines_module, "_LONG_BYTES", 100)
    monkeypatch.setattr(lines_module, "_BATCH_TOKENS", 300)
    monkeypatch.setattr(lines_module, "_BATCH_ROWS", 20)
    model = Watched()
    rng = np.random.default_rng(0)
    short = [b"x" * int(size) for size in rng.integers(1, 90, 200)]
    LineScorer(model, BYTES).score([*short, b"y" * 100_000])
    assert max(rows * width for rows, width in model.shapes) <= 300
    assert max(rows for rows, _ in model.shapes) == 20
    assert sum(rows * width for rows, width in model.shapes) < 1.3 * (
        100_000 + sum(map(len, short))
    )


@given(st.dictionaries(st.integers(), st.integers(1, 20_000), max_size=300))
def test_batches_hold_every_row_once(lengths):
    found = list(batches(lengths))
    assert sorted(n for batch in found for n in batch) == sorted(lengths)


def test_in_context_lines_add_up_to_what_evaluate_tells():
    text = TEXT.encode()[:1500] + b"\n\r\n\xff cut"
    for tokenizer in (CHARS, BYTES):
        model = engine(tokenizer, dtype=np.float64)
        known = text if tokenizer is BYTES else text.decode("utf-8", "ignore").encode()
        ids_T = np.array(tokenizer.encode(known, unknown=tokenizer.prompt_policy))
        whole = evaluate(model, ids_T, tokenizer.token_bytes)
        scorer = LineScorer(model, tokenizer, context=True)
        lines = [line for block in whole_lines([text[:700], text[700:]]) for line in block]
        scored = [one for n in range(0, len(lines), 3) for one in scorer.score(lines[n : n + 3])]
        assert sum(one.nats for one in scored) == pytest.approx(whole.nats, rel=1e-12)
        assert sum(one.tokens for one in scored) == whole.tokens
        assert sum(one.characters for one in scored) == whole.characters
        scorer.begin()
        assert scorer.score(lines[:1])[0] == scored[0]


def test_a_vocabulary_without_line_ends_is_not_asked_for_them():
    tokenizer = train_tokenizer([[b"one line"]], TokenizerConfig())
    scorer = LineScorer(engine(tokenizer), tokenizer)
    line, empty = scorer.score([b"one\n", b"\n"])
    assert (line.tokens, line.characters, scorer.unknown.count) == (3, 3, 0)
    assert (empty.nats, empty.tokens) == (0, 0)
    assert math.isnan(empty.bits_per_character)


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\x01", b"\n")), max_size=12))
def test_lines_come_whole_and_at_once(chunks):
    seen = []

    def fed():
        for chunk in chunks:
            yield chunk
            seen.append(chunk)

    found = []
    for block in whole_lines(fed()):
        assert block
        found += block
        so_far = b"".join(chunks[: len(seen) + 1])
        if len(seen) < len(chunks):  # before anything more was asked for
            assert b"".join(found) == so_far[: so_far.rfind(b"\n") + 1]
    assert b"".join(found) == b"".join(chunks)
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in found[:-1])


# --- how they are shown ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.binary(max_size=5), st.integers(0, 40)), max_size=10))
def test_a_characters_bits_are_those_of_its_bytes(tokens):
    spelled, bits = [token for token, _ in tokens if token], [n for token, n in tokens if token]
    found = characters(spelled, bits)
    text = b"".join(spelled)
    assert "".join(c for c, _ in found) == text.decode("utf-8", "surrogateescape")
    assert sum(cost for _, cost in found) == pytest.approx(sum(bits))


def test_paint_shows_what_surprises_and_nothing_a_terminal_obeys():
    ids = np.array(list("a中\x1b[b\n".encode()))
    bits = np.array([1, 3, 4, 4, 5, 1, 8, 0.0])
    line = ScoredLine(0.0, len(ids), 0, 0, ids, bits * math.log(2))
    painted = paint(line, BYTES.token_bytes, "a中\x1b[b\n")
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == "a中␛[b\n"
    runs = re.findall(r"(\x1b\[[\d;]*m)(.*?)\x1b\[0m", painted)
    assert [text for _, text in runs] == ["中", "␛", "b"]
    assert len({colour for colour, _ in runs}) == 3
    strange_end = ScoredLine(0.0, 1, 1, 0, np.array([10]), np.array([9.0]))
    assert "↵" in paint(strange_end, BYTES.token_bytes, "\n")
    assert harmless("\x9b1m\u202e") == "�1m�"
    assert harmless("\u3000狐\xa0") == "\u3000狐\xa0"  # spaces, too


def test_what_the_vocabulary_lacks_is_painted_as_the_greatest_surprise():
    ids = np.array(list(b"abc"))
    line = ScoredLine(0.0, 3, 3, 2, ids, np.zeros(3))
    painted = paint(line, BYTES.token_bytes, "狐ab\x1bc\n")
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == "狐ab␛c"
    assert re.findall(r"\x1b\[[\d;]+m(.*?)\x1b\[0m", painted) == ["狐", "␛"]
    replaced = paint(line, BYTES.token_bytes, "ABC")  # it read something else: that is shown
    assert replaced == "abc"


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_tokens_are_told_apart_on_one_line(a, b):
    assert (escaped(a) == escaped(b)) == (a == b)
    assert escaped(a).isprintable()


numbers = st.one_of(st.integers(0, 3).map(float), st.just(math.nan), st.just(math.inf))


@given(st.lists(numbers, max_size=30), st.integers(1, 30))
def test_ranks_are_those_of_a_stable_sort(values, count):
    rows = [Row(value, Payload.flush) for value in values]
    real = [row for row in rows if not math.isnan(row.value)]
    expected = sorted(real, key=lambda row: row.value, reverse=True)
    expected += [row for row in rows if math.isnan(row.value)]
    assert list(map(id, ranked(rows))) == list(map(id, expected))
    assert list(map(id, ranked(iter(rows), count))) == list(map(id, expected[:count]))


# --- the command -------------------------------------------------------------------------------

ODD = b"The fox saw\r\nzzz qqq\n\n\x1b[31mred \xff\tend\nShe said: don't"


def test_lines_come_back_byte_for_byte_with_their_numbers(program, workplace):
    result = program("score", "-", cwd=workplace, stdin=ODD)
    assert result.returncode == 0, result.stderr
    written = result.stdout.split(b"\n")
    assert b"\n".join(line.partition(b"\t")[2] for line in written) == ODD
    model = open_model(workplace / "checkpoints" / "text")
    lines = [line for block in whole_lines([ODD]) for line in block]
    scored = LineScorer(model.step_model, model.tokenizer).score(lines)
    shown = [float(line.partition(b"\t")[0]) for line in written]
    assert shown == pytest.approx([one.bits_per_character for one in scored], abs=1e-4)
    assert b"does not know" in result.stderr
    records = program("score", "--json", "-q", cwd=workplace, stdin=ODD).stdout.splitlines()
    for number, (record, line, one) in enumerate(
        zip(map(json.loads, records), lines, scored, strict=True), start=1
    ):
        assert (record["file"], record["line"]) == ("-", number)
        assert record["text"] == line.removesuffix(b"\n").decode("utf-8", "replace")
        assert record["nats"] == pytest.approx(one.nats, rel=1e-5)
        assert record["tokens"] == one.tokens
        assert record["characters"] == one.characters
        assert record["bits_per_character"] == pytest.approx(one.bits_per_character, rel=1e-5)


def test_lines_are_filtered_and_ranked(program, workplace):
    def score(*options):
        result = program("score", "-q", *options, cwd=workplace, stdin=ODD)
        assert result.returncode == 0, result.stderr
        return result.stdout

    ordered = score("--sort").splitlines(keepends=True)
    numbers = [float(line.partition(b"\t")[0]) for line in ordered]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 5
    assert score("--top", "2") == b"".join(ordered[:2])
    middle = (numbers[1] + numbers[2]) / 2
    kept = [line.partition(b"\t")[2] for line in ordered[:2]]
    inside = score("--above", str(middle), "--plain")
    assert sorted(inside.split(b"\n")) == sorted(b"".join(kept).split(b"\n"))
    rows = [row.split(b"\t") for row in score("--tokens").splitlines()]
    # The vocabulary has no z and no q.
    assert [token for line, _, token in rows if line == b"2"] == [b" ", rb"\n"]
    same = score("-m", "text", "--versus", "text")
    assert {line.partition(b"\t")[0] for line in same.splitlines()} == {b"0.0000"}


def test_a_pipe_is_answered_line_by_line_and_may_close(workplace):
    command = [sys.executable, "-m", "charnn", "score", "-", "-q"]
    with subprocess.Popen(
        command,
        cwd=workplace,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        for line in (b"The fox\n", b"She said\n"):
            process.stdin.write(line)
            process.stdin.flush()  # and no more comes before the answer
            assert select.select([process.stdout], [], [], 60)[0]
            assert process.stdout.readline().partition(b"\t")[2] == line
        process.stdout.close()
        process.stdin.write(b"The moon\n" * 1000)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_gets_colours_but_no_orders(workplace, tmp_path, no_colour):
    wishes = {"NO_COLOR": "1"} if no_colour else {}
    (tmp_path / "odd").write_bytes(ODD)
    line = ["score", str(tmp_path / "odd"), "-q"]
    shown = on_a_terminal(line, workplace, ("stdout",), TERM="xterm-256color", **wishes)
    assert "\x1b[31m" not in shown
    assert ("\x1b[38;5;" in shown) != no_colour
    assert ("\x1b" not in shown) == no_colour
    assert "fox" in re.sub(r"\x1b\[[\d;]*m", "", shown)


@pytest.mark.parametrize(
    "options",
    [
        ["--tokens", "--versus", "text"],
        ["--plain", "--json"],
        ["--colour", "always", "--json"],
    ],
    ids=" ".join,
)
def test_options_that_exclude_each_other_are_refused(program, workplace, options):
    result = program("score", *options, cwd=workplace, stdin=b"x\n")
    assert result.returncode == 2
    assert result.stdout == b""
    assert len(result.stderr.splitlines()) == 1
