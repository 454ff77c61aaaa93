"""No work is lost: disks that fill or fail, kills, and signals, wherever they come."""

import inspect
import itertools
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import termios
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import TEXT, random_weights

import charnn.training.trainer
from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import (
    CheckpointConfig,
    checkpoints,
    link,
    linked,
    read_checkpoint,
    write_checkpoint,
)
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.errors import CheckpointError
from charnn.files import sha256_of_file
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer
from charnn.training.config import TrainingConfig
from charnn.training.counting import count
from charnn.training.events import Ended, Stepped
from charnn.training.loop import resume, resumed_config, train
from charnn.training.run import open_run

STEPS = 100
SMALL = [
    *("--layers", "1", "--hidden", "16", "--embedding", "8", "--batch", "4", "--bptt", "16"),
    *("--dropout", "0.2", "--save-every", "2", "--threads", "1", "--precision", "float32"),
]
NEW = ["corpora/text", *SMALL, "--steps", str(STEPS)]


@pytest.fixture(scope="module", autouse=True)
def _signals_are_heard():
    """What pytest itself ignores, as a job in the background does, its children would too."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def place(corpus, tmp_path_factory):
    """Where charnn works: a corpus, and no run yet."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(corpus.path, folder / "corpora" / "text")
    (folder / "text.txt").write_text(TEXT)
    return folder


class Training:
    """``charnn train`` at work, from the line on that names the run."""

    def __init__(self, place, *arguments, shell='exec "$@"', **options):
        command = [sys.executable, "-m", "charnn", "train", *map(str, arguments)]
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            **{"cwd": place, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options,
        )
        self.said = ""
        while not self.said.startswith("run ") and "\nrun " not in self.said:
            line = self.process.stderr.readline()
            if not line:
                break
            self.said += line.decode()

    def read_until(self, text):
        """Wait until it has said this."""
        while text not in self.said:
            line = self.process.stderr.readline().decode()
            assert line, self.said
            self.said += line

    def send(self, after, number):
        """Send a signal, some seconds from now."""
        time.sleep(after)
        self.process.send_signal(number)

    def end(self):
        """Wait for its end; the exit code."""
        self.said += self.process.communicate(timeout=120)[1].decode()
        return self.process.returncode


def step_of(run):
    """The step of what a run has saved last, which must be whole; 0 if there is nothing."""
    return read_checkpoint(run, "last").config.step if checkpoints(run) else 0


def announced(said):
    """The step that was saved last, as it was said."""
    return max(map(int, re.findall(r"^step +(\d+)  (?:valid|saved)", said, re.M)), default=0)


def outcome(run):
    """What must be the same however often a run was interrupted."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return (
        {name: sha256_of_file(run / name / "model.safetensors") for name in ("best", "last")},
        {name: read_checkpoint(run, name).config.step for name in ("best", "last")},
        [{key: line[key] for key in line if key != "seconds"} for line in lines],
    )


def strays(run):
    """What lies in a run beside what it is made of."""
    known = {"best", "last", "metrics.jsonl", "run.toml", *(path.name for path in linked(run))}
    return {path.name for path in run.iterdir()} - known


@pytest.fixture(scope="module")
def whole(place):
    """A run that nothing interrupted, and the seconds it took."""
    training = Training(place, *NEW, "-o", "checkpoints/whole")
    began = time.monotonic()
    training.read_until(f"{STEPS} steps in")
    seconds = time.monotonic() - began
    assert training.end() == 0
    return place / "checkpoints" / "whole", seconds


# --- kills -------------------------------------------------------------------------------------


def kill_and_resume(place, name, pauses):
    """Train, with a kill after every pause; then to the end. How many kills found it at work."""
    run, hits = place / "checkpoints" / name, 0
    for pause in [*pauses, None]:
        saved = step_of(run)
        training = Training(place, *(["--resume", run] if saved else [*NEW, "-o", run]))
        if pause is not None:
            training.send(pause, signal.SIGKILL)
        killed = training.end() == -signal.SIGKILL
        assert "\nrun " in "\n" + training.said or saved == STEPS, training.said
        hits += killed and " steps in " not in training.said
        assert max(saved, announced(training.said)) <= step_of(run) <= STEPS
    assert training.process.returncode == 0 or "is finished" in training.said, training.said
    return hits


@pytest.mark.parametrize(("wanted", "each"), [(3, 3), pytest.param(200, 4, marks=pytest.mark.slow)])
def test_a_killed_run_loses_nothing_that_was_announced(place, whole, wanted, each):
    reference, seconds = whole
    kills = runs = 0
    while kills < wanted:
        runs += 1
        draw = random.Random(runs)
        # Where in the run they fall; what was not saved yet is done anew.
        instants = [0, *sorted(draw.uniform(0, 0.95 * seconds) for _ in range(each))]
        pauses = [after - before for before, after in zip(instants, instants[1:], strict=False)]
        name = f"killed-{wanted}-{runs}"
        kills += kill_and_resume(place, name, pauses)
        run = place / "checkpoints" / name
        assert outcome(run) == outcome(reference)
        assert strays(run) <= strays(reference)
        assert not list(run.parent.glob(f"{name}-*"))
    print(f"{kills} kills, {runs} runs, all equal")


# --- signals -----------------------------------------------------------------------------------


def stopped(training, run, number):
    """Wait for the end of a stopped run, which must be as it says. The step; None if finished."""
    code, said = training.end(), training.said
    assert "Traceback" not in said
    if code == 0 and f"{STEPS} steps in" in said:
        assert step_of(run) == STEPS
        return None
    assert code == 128 + number, (code, said)
    if "stopped before the first step" in said:
        assert not run.exists()
        return 0
    found = re.search(r"^stopped at step (\d+)\b.*; go on with: (.*)$", said, re.M)
    assert found[2] == f"charnn train --resume checkpoints/{run.name}"
    assert step_of(run) == int(found[1])
    assert strays(run) <= {path.name for path in checkpoints(run)}
    return int(found[1])


@pytest.mark.parametrize(
    ("ctrl_c", "others"), [(3, 1), pytest.param(100, 10, marks=pytest.mark.slow)]
)
def test_a_stop_at_any_instant_saves_and_says_how_to_go_on(place, whole, ctrl_c, others):
    numbers = [signal.SIGINT] * ctrl_c + [signal.SIGHUP] * others

    def interrupt(n):
        run = Path("checkpoints", f"interrupted-{ctrl_c}-{n}")
        training = Training(place, *NEW, "-o", run)
        training.send(random.Random(n).uniform(0, whole[1]), numbers[n])
        began = time.monotonic()
        step = stopped(training, place / run, numbers[n])
        return step, time.monotonic() - began

    with ThreadPoolExecutor(3) as pool:
        steps, seconds = zip(*pool.map(interrupt, range(len(numbers))), strict=True)
    finished, before = steps.count(None), steps.count(0)
    print(
        f"{len(numbers)} times: {finished} were finished, {before} before the first step; the end "
        f"came after {statistics.median(seconds):.2f} s, {max(seconds):.2f} s at most"
    )
    assert finished + before < max(len(numbers) / 4, 3)
    assert max(seconds) < 30


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_second_ctrl_c_stops_at_once(place, times):
    slow_to_save = [*SMALL, "--hidden", "1024", "--save-every", "1", "--steps", "100"]
    at_once = 0
    for n in itertools.count():
        run = Path("checkpoints", f"at-once-{times}-{n}")
        training = Training(place, "corpora/text", *slow_to_save, "-o", run)
        training.read_until("step      1  valid")
        training.send(0.05, signal.SIGINT)
        training.read_until("once more stops at once")
        training.send(random.Random(n).uniform(0, 0.05), signal.SIGINT)
        assert training.end() == 130
        assert "Traceback" not in training.said
        assert step_of(place / run) >= 1
        # The save may have been over already.
        at_once += "stopped at once; what was saved before is kept" in training.said
        assert ("stopped at step" in training.said) != ("stopped at once;" in training.said)
        if at_once == times:
            break
        assert n < 4 * times + 4


@pytest.mark.slow
def test_what_the_caller_ignores_stays_ignored(place, whole):
    run = Path("checkpoints", "nohup")
    training = Training(place, *NEW, "-o", run, shell='trap "" HUP; exec "$@"')
    training.send(whole[1] / 3, signal.SIGHUP)
    assert training.end() == 0
    assert "stopping" not in training.said
    assert outcome(place / run) == outcome(whole[0])


def test_a_stop_does_not_wait_for_a_long_validation(place):
    (place / "held-out.txt").write_text(TEXT * 300)
    sources = SourceConfig((place / "text.txt",), (place / "held-out.txt",))
    corpus, _ = tokenize_corpus(sources, TokenizerConfig(), place / "corpora" / "long")
    options = {"steps": 2, "save_every": "1", "batch": 4, "bptt": 16, "dropout": 0.2, "lr": 0.01}
    config = TrainingConfig(**options, threads=1, precision="float32")
    model = ModelConfig(layers=1, hidden=16, embedding=8)
    seconds = [
        event.seconds
        for event in train(corpus, model, config, place / "checkpoints", "unhurried")
        if isinstance(event, Stepped)
    ]
    validation = seconds[1] - seconds[0]
    run = place / "checkpoints" / "hurried"
    training = Training(
        place,
        "corpora/long",
        *SMALL,
        "--save-every",
        "1",
        "--steps",
        "2",
        "--lr",
        "0.01",
        "-o",
        run,
    )
    training.send(validation / 3, signal.SIGINT)
    assert training.end() == 130
    assert re.search("^step      1  saved", training.said, re.M)
    assert "valid " not in training.said
    again = list(resume(run, corpus, resumed_config(run)[0]))
    assert isinstance(again[-1], Ended) and not again[-1].stopped
    assert outcome(run) == outcome(place / "checkpoints" / "unhurried")


def test_ctrl_c_on_a_terminal_leaves_it_as_it_was(place):
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    # The first terminal that the leader of a session opens controls it: so Ctrl-C is a signal.
    training = subprocess.Popen(
        [
            *("bash", "-c", 'exec "$@" < $0 > $0 2>&1', os.ttyname(follower)),
            *(sys.executable, "-m", "charnn", "train", *NEW, "-o", "checkpoints/terminal"),
        ],
        cwd=place, start_new_session=True, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    drawn, asked = b"", False
    deadline = time.monotonic() + 60
    while training.poll() is None or select.select([leader], [], [], 0)[0]:
        assert time.monotonic() < deadline, drawn
        if select.select([leader], [], [], 0.1)[0]:
            drawn += os.read(leader, 65536)
        if not asked and b"step     10  valid" in drawn:
            asked = bool(os.write(leader, b"\x03"))
    after = termios.tcgetattr(follower)
    os.close(leader)
    os.close(follower)
    assert training.returncode == 130, drawn
    assert after == before
    assert 0 < drawn.rindex(b"\x1b[?25l") < drawn.rindex(b"\x1b[?25h")
    assert b"go on with: charnn train --resume" in drawn
    assert b"Traceback" not in drawn
    assert drawn.endswith(b"\n")
    assert step_of(place / "checkpoints" / "terminal") in range(10, STEPS)


# --- system calls that fail, and kills between them ----------------------------------------------


def save(run, step):
    """What a save does with the disk."""
    last = read_checkpoint(run, "last")
    training = {"progress.json": b"{}", "state.safetensors": bytes(9999)}
    path = write_checkpoint(
        run, replace(last.config, step=step), last.weights, last.tokenizer, training
    )
    link(run, "last", path)
    link(run, "best", path)


SAVE = f"""
import sys
from dataclasses import replace
from pathlib import Path
from charnn.checkpoint import link, read_checkpoint, write_checkpoint
from charnn.errors import OutputError

{inspect.getsource(save)}

try:
    save(Path(sys.argv[1]), 2)
except OutputError as error:
    sys.exit(f"charnn: {{error}}")
"""

#: The system calls that change what is on a disk, by their names in strace.
CALLS = {name: f"/^{name}" for name in ("openat", "write", "fsync", "rename", "mkdir", "symlink")}
ALL = ",".join([*CALLS.values(), "/^pwrite", "/^fdatasync", "/^unlink", "/^rmdir"])


class Call(NamedTuple):
    """A system call that was made."""

    name: str
    paths: tuple[str, ...]
    """The files or folders it was about."""
    worked: bool
    injected: bool
    number: int
    """Which it is of its name and process."""


class Strace:
    """Runs Python and keeps count of its system calls; some of them fail on purpose."""

    def __init__(self, folder):
        self.folder, self.names = folder, itertools.count()

    def __call__(self, *arguments, fault=None, only=ALL, **options):
        trace = self.folder / f"trace-{next(self.names)}"
        command = ["strace", "-f", "-y", "-s", "0", "-o", trace, "-e", f"trace={only}"]
        command += ["-e", f"inject={fault}"] if fault else []
        result = subprocess.run(
            [*command, sys.executable, "-B", *arguments],
            capture_output=True, timeout=300, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            **options,
        )  # fmt: skip
        return result, self.calls(trace)

    def calls(self, trace):
        found, made = [], Counter()
        for line in trace.read_text().splitlines():
            match = re.match(r"(\d+) +([a-z]+)\w*\((.*)\) += (\S+)(.*)", line)
            if match:
                process, name, arguments, result, more = match.groups()
                made[process, name] += 1
                held = re.match(r"\d+<(.*?)>", arguments)
                paths = (held[1],) if held else tuple(re.findall(r'"(.*?)"', arguments))
                if name != "openat" or "O_CREAT" in arguments:
                    worked, injected = result not in ("-1", "?"), "(INJECTED)" in more
                    found.append(Call(name, paths, worked, injected, made[process, name]))
        return found


@pytest.fixture(scope="module")
def strace(tmp_path_factory):
    """Strace, where there is one and it may look on."""
    traced = Strace(tmp_path_factory.mktemp("strace"))
    try:
        result, calls = traced("-c", "import os; os.mkdir('x')", fault="/^mkdir:error=EIO")
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"there is no strace: {error}")
    if not any(call.injected for call in calls):
        pytest.skip(f"strace cannot trace here: {result.stderr.decode()}")
    return traced


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run with one checkpoint, and a script that saves the second."""
    folder = tmp_path_factory.mktemp("saved")
    tokenizer = train_tokenizer([[b"abcabc"]], TokenizerConfig())
    model = ModelConfig(layers=1, hidden=4, embedding=3)
    config = CheckpointConfig(model, 3, 0, None, 1, 1.5, {"name": "x"}, {"lr": 0.1})
    first = write_checkpoint(folder / "run", config, random_weights(model, 3), tokenizer, {})
    link(folder / "run", "last", first)
    link(folder / "run", "best", first)
    (folder / "save.py").write_text(SAVE)
    return folder


def test_nothing_is_linked_before_it_is_on_the_disk(strace, saved, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(saved / "run", run, symlinks=True)
    result, calls = strace(saved / "save.py", run)
    assert result.returncode == 0, result.stderr
    assert not any(path.endswith(".pyc") for call in calls for path in call.paths)

    def when(name, *paths):
        places = [n for n, call in enumerate(calls) if call[:3] == (name, paths, True)]
        assert places, (name, paths)
        return places

    [moved] = [
        n for n, c in enumerate(calls) if c.name == "rename" and c.paths[1] == f"{run}/step-2"
    ]
    staging = Path(calls[moved].paths[0])
    assert staging.parent == run
    for path in [run / "step-2", *(run / "step-2").rglob("*")]:
        staged = str(staging / path.relative_to(run / "step-2"))
        changes = [
            n
            for n, call in enumerate(calls)
            if (call.name in ("write", "pwrite") and call.paths == (staged,))
            or (call.name in ("openat", "mkdir") and os.path.dirname(call.paths[-1]) == staged)
        ]
        assert changes, path
        assert max(changes) < max(when("fsync", staged)) < moved
    for name in ("last", "best"):
        [linked] = [n for n, call in enumerate(calls) if call.paths[1:] == (f"{run}/{name}",)]
        temporary = calls[linked].paths[0]
        assert calls[linked].name == "rename"
        [made] = when("symlink", "step-2", temporary)
        synced = when("fsync", str(run))
        assert moved < min(synced) < made < linked < max(synced)


FAULTS = ["signal=SIGKILL", "error=ENOSPC", pytest.param("error=EIO", marks=pytest.mark.slow)]


def check_after(fault, result, calls, run):
    """After a save of step 2 with a fault: step 1 is kept unless the link to step 2 was made."""
    for name in ("last", "best"):
        moved = any(call.paths[1:] == (f"{run}/{name}",) and call.worked for call in calls)
        assert read_checkpoint(run, name).config.step == (2 if moved else 1)
    if "SIGKILL" in fault:
        assert result.returncode == -signal.SIGKILL
    else:
        said = result.stderr.decode()
        assert (result.returncode, said.count("\n")) == (1, 1), said
        assert said.startswith("charnn: cannot write ")
        assert strays(run) <= {"step-1", "step-2"}


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_call_fails_in_a_save_the_run_is_whole(strace, saved, tmp_path, fault, every):
    def attempt(name, n):
        run = tmp_path / f"{name}-{n}"
        shutil.copytree(saved / "run", run, symlinks=True)
        inject = f"{CALLS[name]}:{fault}:when={n}" if n else None
        result, calls = strace(saved / "save.py", run, fault=inject)
        return run, result, calls

    _, result, calls = attempt("write", 0)
    assert result.returncode == 0
    places = [(call.name, call.number) for call in calls if call.name in CALLS and call.worked]
    with ThreadPoolExecutor(2) as pool:
        for run, result, calls in pool.map(attempt, *zip(*places[::every], strict=True)):
            injected = [call for call in calls if call.injected]
            assert "SIGKILL" in fault or str(run) in injected[0].paths[-1]
            check_after(fault, result, calls, run)
            with open_run(run):
                # These may be whole, but no link leads to them: a run that goes on removes them.
                assert strays(run) <= {".lock", "step-1", "step-2"}
                save(run, 3)
            names = {path.name for path in run.iterdir()}
            assert names | {"step-1", "step-2"} == {"best", "last", "step-1", "step-2", "step-3"}
            assert step_of(run) == 3
        for run, result, _ in pool.map(attempt, CALLS, itertools.repeat(9999)):
            assert (result.returncode, step_of(run)) == (0, 2)
    print(f"{fault}: {len(places[::every])} of {len(places)} places")


class KilledError(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("point", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_kill_at_a_link_changes_nothing_of_what_comes_out(tmp_path, monkeypatch, point):
    """The loss goes up and down here, and the best is neither the first nor the last."""
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "shuffled").write_text("".join(random.Random(1).sample(TEXT, 600)))
    sources = SourceConfig((tmp_path / "text",), (tmp_path / "shuffled",))
    corpus, _ = tokenize_corpus(sources, TokenizerConfig(), tmp_path / "corpus")
    config = TrainingConfig(
        steps=8, save_every="1", batch=4, bptt=16, lr=0.5, warm_up=0, threads=1,
        precision="float32", optimizer="adamw", ema=0.0,
    )  # fmt: skip
    model = ModelConfig(layers=1, hidden=16, embedding=8)
    made = []

    def begin(name):
        return train(corpus, model, config, tmp_path, name)

    def count_links(*arguments):
        made.append(arguments)
        link(*arguments)

    monkeypatch.setattr(charnn.training.trainer, "link", count_links)
    list(begin("whole"))
    assert 1 < read_checkpoint(tmp_path / "whole").config.step < 8
    for n in range(len(made)):
        calls = itertools.count()

        def killed(*arguments, n=n, calls=calls):
            now = next(calls) == n
            if now and point == "before":
                raise KilledError
            link(*arguments)
            if now:
                raise KilledError

        monkeypatch.setattr(charnn.training.trainer, "link", killed)
        run = tmp_path / f"killed-{n}"
        with pytest.raises(KilledError):
            list(begin(run.name))
        monkeypatch.setattr(charnn.training.trainer, "link", link)
        with suppress(CheckpointError):  # it was finished
            list(resume(run, corpus, resumed_config(run)[0]))
        assert outcome(run) == outcome(tmp_path / "whole"), made[n]
        assert len(strays(run)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_whatever_call_fails_in_the_program_the_run_is_whole(strace, place, whole, tmp_path, error):
    command = ["-m", "charnn", "train", "--steps", "1", "--threads", "1", "-q", "--resume"]
    only = ",".join(CALLS.values())

    def attempt(name, n):
        run = tmp_path / f"{name}-{n}"
        shutil.copytree(whole[0], run, symlinks=True)
        fault = f"{CALLS[name]}:error={error}:when={n}" if n else None
        return run, *strace(*command, run, fault=fault, only=only, cwd=place)

    _, result, calls = attempt("write", 0)
    assert result.returncode == 0, result.stderr
    places = [(call.name, call.number) for call in calls if str(tmp_path) in call.paths[-1]]
    assert len(places) > 30
    with ThreadPoolExecutor(2) as pool:
        for run, result, calls in pool.map(attempt, *zip(*places, strict=True)):
            said = result.stderr.decode()
            [injected] = [call for call in calls if call.injected]
            assert str(run) in injected.paths[-1]
            assert strays(run) <= {f"step-{n}" for n in (STEPS - 2, STEPS, STEPS + 1)}, said
            moved = any(call.paths[1:] == (f"{run}/last",) and call.worked for call in calls)
            assert step_of(run) == STEPS + moved
            assert (result.returncode, said.count("\n")) == (1, 1), (injected, said)
            assert re.match(r"charnn: cannot write .*: (No space left|Input/output)", said)
    print(f"{error}: {len(places)} places")


# --- without strace: files that may not grow -----------------------------------------------------


def limited(place, blocks, *arguments):
    """Run charnn where no file may be larger than so many KiB; what it says of that."""
    command = [sys.executable, "-m", "charnn", *map(str, arguments), "-q"]
    result = subprocess.run(
        ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", *command],
        cwd=place, capture_output=True,
    )  # fmt: skip
    said = result.stderr.decode()
    assert result.returncode == 1, said
    assert re.fullmatch(r"charnn: cannot write .*: File too large\n", said)
    return said


@pytest.mark.parametrize("blocks", [16, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
def test_a_run_that_cannot_be_saved_is_kept(place, whole, tmp_path, blocks):
    run = tmp_path / "run"
    shutil.copytree(whole[0], run, symlinks=True)
    before = outcome(run)
    new = ["train", *NEW, "-o", tmp_path / "new"]
    again = ["train", "--resume", run, "--steps", "2", "--threads", "1"]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda command: limited(place, blocks, *command), (again, new)))
    assert str(run) in said[0]
    assert str(tmp_path / "new") in said[1]
    *kept, lines = outcome(run)
    assert (*kept, lines[: len(before[2])]) == before
    assert strays(run) <= strays(whole[0])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("blocks", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_what_cannot_be_written_is_not_there(workplace, tmp_path, blocks):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True, symlinks=True)
    (tmp_path / "other.txt").write_text(TEXT[::-1])
    (tmp_path / "state").write_bytes(b"old")
    before = contents(tmp_path)
    counting = ["--cell", "ngram", "--order", "6", "-o", "checkpoints/counted"]
    for command in (
        ["tokenize", "other.txt"],
        ["tokenize", "other.txt", "-o", "corpora/text", "--force"],
        ["train", "corpora/text", *counting],
        ["prime", "-p", "The", "--save-state", "new"],
        ["prime", "-p", "The", "--save-state", "state", "--force"],
    ):
        limited(tmp_path, blocks, *command)
        assert contents(tmp_path) == before


# --- what others may read ------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
@pytest.mark.parametrize("kind", ["char", "subword"])
def test_files_and_folders_obey_the_umask(tmp_path, mask, kind):
    before = os.umask(mask)
    try:
        (tmp_path / "text.txt").write_text(TEXT)
        sources = SourceConfig((tmp_path / "text.txt",))
        target = tmp_path / "corpora" / "text"
        corpus, _ = tokenize_corpus(sources, TokenizerConfig(kind), target)
        config = TrainingConfig(steps=2, batch=4, bptt=16)
        list(train(corpus, ModelConfig(hidden=8, embedding=4), config, tmp_path / "runs", "run"))
        count(corpus, NgramConfig(), tmp_path / "runs", "counted")
    finally:
        os.umask(before)
    found = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    assert len(found) > 20
    for path in found:
        usual = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == usual & ~mask, path
