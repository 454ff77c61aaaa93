"""No command line, and no damaged file, brings more than one line of complaint.

``make fuzz`` tries thousands of each; the tests here try some.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from fuzzing import command_lines, in_child, run_command, use_damaged
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

#: Files that are damaged by one child, one after the other.
DAMAGES = 25

BRIEF = [
    "--steps",
    "1",
    "--hidden",
    "4",
    "--batch",
    "2",
    "--bptt",
    "8",
    "-o",
    "checkpoints/new",
    "-q",
]

PATIENT = settings(
    deadline=None,
    derandomize="HYPOTHESIS_PROFILE" not in os.environ,  # the short form always tries the same
    phases=[Phase.reuse, Phase.generate],  # shrinking takes longer than reading what was found
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def playground(workplace, tmp_path_factory):
    """A folder that can be had afresh for each command: it makes one, and gives its path."""
    base = tmp_path_factory.mktemp("fuzz")
    master = base / "master"
    shutil.copytree(workplace, master, symlinks=True)
    (master / "empty.txt").touch()
    (master / "bytes.bin").write_bytes(bytes(range(256)) * 9)
    (master / "folder").mkdir()
    (master / "folder" / "one.txt").write_text("one\n" * 99)
    (master / "loop").symlink_to(".")
    (master / "full").symlink_to("/dev/full")
    (master / "ids").write_text("5 6 7\n")
    pieces = ["--tokenizer", "subword", "--vocab-size", "300", "-o", "corpora/pieces"]
    for line in (
        ["tokenize", "text.txt", *pieces],
        ["train", "corpora/text", "--cell", "ngram", "-o", "checkpoints/counts"],
        ["prime", "-m", "checkpoints/text", "-p", "The", "--save-state", "state"],
    ):
        made = run_command(line, master)
        assert made.code == 0, made.stderr

    def fresh() -> Path:
        folder = base / "a" / "b" / "c"
        shutil.rmtree(base / "a", ignore_errors=True)
        shutil.copytree(master, folder, symlinks=True)
        return folder

    return fresh


@PATIENT
@given(arguments=command_lines(without=frozenset({"corpus fetch"})), stdin=st.binary(max_size=200))
def test_any_command_line_ends_well(playground, arguments, stdin):
    outcome = run_command(arguments, playground(), stdin)
    assert not outcome.complaint, (arguments, stdin)


#: What is done with a folder, by how the paths of its files begin; each in a moment.
USES = {
    "corpora/text": [
        ["info", "corpora/text"],
        ["encode", "text.txt", "-m", "corpora/text", "-q"],
        ["train", "corpora/text", *BRIEF],
        ["train", "corpora/text", "--cell", "ngram", "-o", "checkpoints/new", "-q"],
        ["tokenize", "text.txt", "-q"],
    ],
    "corpora/pieces": [
        ["encode", "text.txt", "-m", "corpora/pieces", "-q"],
        ["decode", "ids", "-m", "corpora/pieces", "-q"],
        ["train", "corpora/pieces", *BRIEF],
    ],
    "checkpoints/text": [
        ["info", "checkpoints/text"],
        ["generate", "-m", "checkpoints/text", "-n", "3", "-q"],
        ["generate", "-m", "checkpoints/text", "--beam", "2", "-n", "3", "-p", "The", "-q"],
        ["score", "text.txt", "-m", "checkpoints/text", "--top", "1", "-q"],
        ["evaluate", "checkpoints/text", "--no-baselines", "-q"],
        ["inspect", "gates", "-m", "checkpoints/text", "-p", "The", "-q"],
        ["plot", "checkpoints/text"],
        ["train", "checkpoints/text", "--resume", "--steps", "1", "-q"],
    ],
    "checkpoints/counts": [
        ["generate", "-m", "checkpoints/counts", "-n", "3", "-q"],
        ["evaluate", "checkpoints/counts", "--no-baselines", "-q"],
    ],
    "state": [["generate", "-m", "checkpoints/text", "--state", "state", "-n", "3", "-q"]],
}


@pytest.mark.parametrize("line", [line for lines in USES.values() for line in lines], ids=" ".join)
def test_what_is_whole_can_be_used(playground, line):
    outcome = run_command(line, playground(), patience=60)
    assert outcome.code == 0, outcome.stderr


@settings(PATIENT, max_examples=PATIENT.max_examples // 10)
@given(seed=st.integers(0, 2**32))
def test_no_damaged_file_does_harm(playground, seed):
    """The files of folders, in whatever state, with hashes that vouch for them or not."""
    outcome = in_child(use_damaged, playground(), arguments=(seed, DAMAGES, USES), patience=600)
    assert not outcome.complaint, seed


def crash():
    os.kill(os.getpid(), 11)


def eat():
    return b"x" * (1200 << 20)


def hang():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(60)


@pytest.mark.parametrize(
    ("work", "arguments", "expected"),
    [
        (divmod, (1, 0), "ZeroDivisionError"),
        (crash, (), "signal 11"),
        (hang, (), "signal 9"),
        (eat, (), "MB of memory"),
        (sys.exit, (1,), "without a word"),
        (sys.exit, (5,), "exit code 5"),
    ],
)
def test_what_misbehaves_is_found(tmp_path, work, arguments, expected):
    (tmp_path / "folder").mkdir()
    assert expected in in_child(work, tmp_path / "folder", arguments=arguments).complaint


def test_what_behaves_is_not(tmp_path):
    (tmp_path / "folder").mkdir()
    assert in_child(sys.exit, tmp_path / "folder", arguments=(0,)).complaint == ""
