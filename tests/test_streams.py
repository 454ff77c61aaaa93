"""What every command does with the streams it is given: pipes, files, terminals, and none."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from terminals import on_a_terminal

BRIEF = ["--hidden", "8", "--batch", "4", "--bptt", "8", "--steps", "3"]

#: Every command that has something to say on standard output.
LINES = [
    "--help",
    "--version",
    "--show-completion",
    "inspect gates --help",
    "corpus list",
    "corpus list --json",
    "info",
    "info corpora/text",
    "plot",
    "plot text --json",
    "encode text.txt -m corpora/text",
    "decode ids -m corpora/text",
    "generate -n 300 -s 1 -m checkpoints/text",
    "generate -n 60 -s 1 --json",
    "generate -n 60 -s 1 -m checkpoints/counts",
    "generate -n 9 --beam 3 --nbest 3 -p The",
    "generate -i -n 9 -s 1",
    "score text.txt",
    "score text.txt --top 3 --json",
    "evaluate checkpoints/text --no-baselines",
    "evaluate checkpoints/text --no-baselines --json",
    "inspect gates -p The",
    "inspect neurons --find [eo]",
    "inspect memory",
    "inspect cliff",
    "tokenize text.txt -o corpora/new --force --json",
    f"train {' '.join(BRIEF)} --print-config",
    f"train {' '.join(BRIEF)} -s 1 -o checkpoints/new --json",
]
OLD_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
WISHES = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm"}

TYPED = "The fox\n狐狸\n".encode()

#: Times and rates, which no two runs share.
FIGURES = re.compile(rb"[0-9]+(\.[0-9]+)?")


@pytest.fixture(scope="module")
def furnished(workplace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams") / "place"
    shutil.copytree(workplace, folder, symlinks=True)
    (folder / "ids").write_text("5 6 7\n")
    counts = ["train", "corpora/text", "--cell", "ngram", "-o", "checkpoints/counts", "-q"]
    subprocess.run([sys.executable, "-m", "charnn", *counts], cwd=folder, check=True)
    return folder


@pytest.fixture
def place(furnished, tmp_path):
    """A folder that each run has afresh, for it may leave something there."""

    def fresh():
        shutil.rmtree(tmp_path / "place", ignore_errors=True)
        return shutil.copytree(furnished, tmp_path / "place", symlinks=True)

    return fresh


def charnn(line, place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "charnn", *line.split()],
        cwd=place(), input=TYPED, stdout=stdout, stderr=stderr, timeout=120,
        env={**os.environ, "SHELL": "/bin/bash", **environment},
    )  # fmt: skip


def shown(line, place, **environment):
    """What a terminal is sent, where nobody types anything."""
    streams = ("stdout", "stderr")
    return on_a_terminal(line.split(), place(), streams, SHELL="/bin/bash", **environment)


def comparable(line, stdout):
    """Without what differs from run to run."""
    return FIGURES.sub(b"0", stdout) if line.startswith("train") else stdout


@pytest.mark.parametrize("line", LINES)
def test_a_reader_that_goes_away_is_no_failure(line, place):
    reading, writing = os.pipe()
    os.close(reading)
    result = charnn(line, place, stdout=writing)
    os.close(writing)
    assert (result.returncode, b"charnn: " in result.stderr) == (0, False), result.stderr
    assert not re.search(b"Traceback|Exception|Error", result.stderr)


@pytest.mark.parametrize("line", LINES)
def test_a_full_disk_is_one_line(line, place):
    with open("/dev/full", "wb") as full:
        result = charnn(line, place, stdout=full)
    assert result.returncode == 1
    complaint = b"charnn: standard output: No space left on device\n"
    assert result.stderr.endswith(complaint)
    assert not re.search(b"Traceback|Exception|Error", result.stderr)


@pytest.mark.parametrize("line", LINES)
def test_what_is_written_depends_on_nothing_around(line, place):
    """Neither on a locale, nor on wishes for colours, nor on whether anybody hears the talk."""
    plain = charnn(line, place)
    assert plain.returncode == 0, plain.stderr
    assert b"\x1b" not in plain.stdout + plain.stderr
    assert b"\r" not in plain.stdout + plain.stderr
    wanted = comparable(line, plain.stdout)
    elsewhere = charnn(line, place, **OLD_LOCALE, **WISHES)
    with open("/dev/full", "wb") as full:
        unheard = charnn(line, place, stderr=full)
    for result in (elsewhere, unheard):
        assert result.returncode == 0, result.stderr
        assert comparable(line, result.stdout) == wanted
        assert b"\x1b" not in (result.stderr or b"")


@pytest.mark.parametrize("line", LINES)
def test_a_dumb_terminal_is_sent_text_only(line, place):
    seen = shown(line, place, TERM="dumb")
    assert not re.search("[\x1b\r\b]", seen)


@pytest.mark.parametrize("line", LINES)
def test_who_wants_no_colours_gets_none(line, place):
    seen = shown(line, place, NO_COLOR="1")
    colours = re.findall("\x1b\\[[0-9;]*m", seen)
    assert not [code for code in colours if re.search(r"(?<!\d)([349]\d|10\d)(?!\d)", code)]
