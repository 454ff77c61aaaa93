"""What stands beside a model when it is evaluated."""

import json
import lzma
import math
import re
import shutil

import numpy as np
import pytest

from charnn.baselines import compressed, text_of, uniform, xz_size, zstd_compressor
from charnn.cli.comparison import Row, best_first, table
from charnn.data.store import TokenizedCorpus
from charnn.score import Evaluation
from charnn.text.byte import ByteTokenizer


def bits_of(rng, size):
    return rng.integers(0, 256, size).astype(np.uint8).tobytes()


def test_xz_takes_what_the_program_takes():
    text = b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(3000))
    preset = 9 | lzma.PRESET_EXTREME
    assert xz_size(text) == len(lzma.compress(text, preset=preset))
    first, second = text[:30_000], text[30_000:]
    after = len(lzma.compress(text, preset=preset)) - len(lzma.compress(first, preset=preset))
    assert abs(xz_size(second, first) - after) < 4  # which .xz files are filled up to
    assert after < xz_size(second)


def test_a_compressor_that_saw_the_text_finds_it_however_far_back_it_lies():
    rng = np.random.default_rng(0)
    secret, between = bits_of(rng, 5000), bits_of(rng, 300_000)
    assert xz_size(secret) > 5000
    assert xz_size(secret, secret + between) < 100


def test_zstd_does_likewise():
    if (size := zstd_compressor()) is None:
        pytest.skip("zstd is not there: Python 3.14 or the extra zstd brings it")
    rng = np.random.default_rng(0)
    secret, between = bits_of(rng, 5000), bits_of(rng, 300_000)
    assert 5000 < size(secret, b"") < 5100
    assert size(secret, secret + between) < 100


def test_guesses_and_sizes_become_figures():
    figures = Evaluation(10, 20, 40, unknown=0, comparable=True, nats=1.0)
    guess = uniform(figures, 16)
    assert guess.evaluation.nats_per_token == pytest.approx(math.log(16))
    assert guess.evaluation.bits_per_byte == pytest.approx(1.0)
    text = b"abc" * 99
    (xz,) = [one for one in compressed(figures, text, None) if one.name.startswith("xz")]
    assert xz.evaluation.bits_per_byte == pytest.approx(8 * xz_size(text) / 40)
    assert not xz.by_tokens
    data = bytes(range(256)) * 700
    assert text_of(np.frombuffer(data, np.uint8), ByteTokenizer()) == data


def test_the_best_comes_first_and_what_does_not_compare_last():
    def row(name, nats, comparable=True):
        return Row(name, "", None, Evaluation(10, 10, 10, 0, comparable, nats))

    rows = [row("lost", 1.0, False), row("worse", 9.0), row("中文", 5.0), row("b\x1b", 2.0, False)]
    ordered = best_first(rows)
    assert [one.name for one in ordered] == ["中文", "worse", "lost", "b\x1b"]
    _, _, *lines = table(ordered).splitlines()
    assert [line.split()[0] for line in lines] == ["中文", "worse", "lost", "b�"]
    assert lines[0].index("0.5000") == lines[1].index("0.9000") - 2  # two wide characters


@pytest.fixture(scope="module")
def place(workplace, tmp_path_factory, program):
    """With a model that counts as well, and another corpus."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(workplace, folder, dirs_exist_ok=True, symlinks=True)
    for arguments in (
        ["train", "corpora/text", "--cell", "ngram", "-o", "checkpoints/counted"],
        ["tokenize", "text.txt", "--tokenizer", "byte", "-o", "corpora/bytes"],
        ["train", "corpora/bytes", "--cell", "ngram", "--order", "2", "-o", "checkpoints/pairs"],
    ):
        assert program(*arguments, "-q", cwd=folder).returncode == 0
    return folder


def test_baselines_are_measured_on_the_bytes_the_model_predicted(program, place):
    result = program("evaluate", "text", "counted", "--json", "--baselines", cwd=place)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    models, baselines = records[:2], {one["baseline"]: one for one in records[2:]}
    assert [one["baseline"] for one in models] == [None, None]
    assert [one["checkpoint"].split("/")[-2] for one in models] == ["text", "counted"]
    corpus = TokenizedCorpus.open(place / "corpora" / "text")
    texts = {name: corpus.tokenizer.decode(corpus.tokens(name)) for name in corpus.header.splits}
    read = texts["validation"].decode()[1:].encode()
    assert {one["bytes"] for one in records} == {len(read)}
    for name, size in {
        "xz alone": xz_size(read),
        "xz after training": xz_size(read, texts["train"]),
    }.items():
        assert baselines[name]["bits_per_byte"] * len(read) / 8 == pytest.approx(size)
        assert baselines[name]["nats_per_token"] is None
    # What is counted on the spot is what a run counts and keeps.
    for key in ("tokens", "nats_per_token", "bits_per_byte"):
        assert baselines["5-gram"][key] == pytest.approx(models[1][key], rel=1e-12)
    symbols = corpus.tokenizer.vocabulary_size
    assert baselines["uniform guess"]["nats_per_token"] == pytest.approx(math.log(symbols))


def test_several_models_stand_in_one_table(program, place):
    names = ("text", "counted", "pairs")
    narrow = program("evaluate", *names, cwd=place).stdout.decode().splitlines()
    assert max(map(len, narrow)) <= 80
    assert [line.strip() for line in narrow].count("tokens") == 4  # of "char tokens"
    result = program("evaluate", *names, cwd=place, COLUMNS="")
    assert result.returncode == 0, result.stderr
    assert b"different texts" not in result.stderr
    above, header, *rows = result.stdout.decode().splitlines()
    assert above.split() == ["nats/", "bits/", "bits/"]
    assert header.split()[0] == "model"
    figures = [float(row.split()[-1]) for row in rows]
    assert figures == sorted(figures)
    names = [first_cell(row) for row in rows]
    assert sorted(names) == sorted(
        ["text", "counted", "pairs", "5-gram", "5-gram", "uniform guess", "uniform guess"]
        + ["xz alone", "xz after training"]
        + ["zstd alone", "zstd after training"] * (zstd_compressor() is not None)
    )
    read = b"The fox saw the moon."
    piped = program("evaluate", "text", "counted", "--text", "-", "--json", stdin=read, cwd=place)
    assert [json.loads(line)["bytes"] for line in piped.stdout.splitlines()] == [len(read) - 1] * 2
    bare = program("evaluate", "text", "--no-baselines", cwd=place).stdout.decode()
    assert "xz" not in bare
    assert bare.startswith("checkpoint ")
    whole = program("evaluate", "text", cwd=place).stdout.decode()
    assert re.match(r"\n +nats/.*\nmodel ", whole.removeprefix(bare))
    assert max(map(len, whole.removeprefix(bare).splitlines())) <= 80


def test_without_the_training_text_nothing_is_made_of_it(program, place, tmp_path):
    shutil.copytree(place / "checkpoints" / "counted", tmp_path / "counted", symlinks=True)
    shutil.copy(place / "text.txt", tmp_path)
    result = program("evaluate", "counted", "--text", "text.txt", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert b"not in corpora/" in result.stderr
    names = {first_cell(row) for row in result.stdout.decode().splitlines()[-4:]}
    assert {"counted", "xz alone", "uniform guess"} <= names
    assert not names & {"5-gram", "xz after training"}


def first_cell(row):
    return row.split("  ")[0].strip()
