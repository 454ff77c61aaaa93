import fcntl
import os
import subprocess
import sys

import pytest
from running import MODEL, SMALL, resume_events, run_events

from charnn.checkpoint import checkpoints, linked
from charnn.errors import OutputError, TrainingError
from charnn.training.config import TrainingConfig
from charnn.training.loop import resume, train
from charnn.training.run import new_run, open_run


def test_a_taken_name_gets_a_number(tmp_path):
    for name in ("x", "x-2", "x-3"):
        with new_run(tmp_path, "x", "") as run:
            (run / "step-1").mkdir()  # something was saved
        assert run.name == name
    (tmp_path / "x-4").touch()
    with new_run(tmp_path, "x", "settings") as run:
        assert run.name == "x-5"
        assert (run / "run.toml").read_text() == "settings"
    assert not run.exists()


def test_two_runs_never_share_a_folder(tmp_path):
    with new_run(tmp_path, "x", "") as one, new_run(tmp_path, "x", "") as other:
        assert (one.name, other.name) == ("x", "x-2")
        with pytest.raises(TrainingError, match="another process"), open_run(one):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_is_held(corpus, tmp_path):
    run_events(corpus, tmp_path, 3, steps=10)
    run = tmp_path / "run"
    with open_run(run), pytest.raises(TrainingError, match="another process"):
        resume_events(corpus, run)
    assert resume_events(corpus, run)[-1].step == 10
    assert not (run / ".lock").exists()


def test_another_process_is_kept_out_until_this_one_dies(tmp_path):
    code = (
        "import sys; from pathlib import Path; from charnn.training.run import new_run\n"
        "with new_run(Path(sys.argv[1]), 'x', 'settings') as run:\n"
        "    print(run.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"x\n"
        with new_run(tmp_path, "x", "") as run:
            assert run.name == "x-2"
        holder.kill()
    assert (tmp_path / "x" / "run.toml").exists()
    # What it left is no run: the name is free again.
    with new_run(tmp_path, "x", "") as run:
        assert run.name == "x"
        assert (run / "run.toml").read_text() == ""


@pytest.mark.parametrize("name", ["notes.txt", "step-3", "best"])
def test_what_is_not_known_to_be_worthless_is_not_touched(tmp_path, name):
    (tmp_path / "x" / name).mkdir(parents=True)
    with new_run(tmp_path, "x", "") as run:
        assert run.name == "x-2"
    assert (tmp_path / "x" / name).exists()


def test_leftovers_of_a_killed_run_are_cleared(corpus, tmp_path):
    run_events(corpus, tmp_path, 5, steps=10, save_every="2")
    run = tmp_path / "run"
    (run / ".step-6.1.tmp" / "training").mkdir(parents=True)
    (run / ".last.1.tmp").symlink_to("step-6")
    (run / ".metrics.jsonl.1.tmp").touch()
    (run / "step-99").mkdir()
    with open_run(run):
        assert checkpoints(run) > linked(run)
    assert not list(run.glob(".*"))
    resume_events(corpus, run, 6)
    (run / "step-7").mkdir()
    assert resume_events(corpus, run)[-1].step == 10
    assert checkpoints(run) - linked(run) <= {run / "step-8"}  # it lives through one more save
    assert sorted(path.name for path in run.iterdir() if path not in checkpoints(run)) == [
        "best", "last", "metrics.jsonl", "run.toml"
    ]  # fmt: skip


def test_without_both_links_no_checkpoint_is_removed(corpus, tmp_path):
    run_events(corpus, tmp_path, steps=10, save_every="2")
    run = tmp_path / "run"
    (run / "step-4").mkdir()
    (run / "best").unlink()
    config = TrainingConfig(**SMALL, steps=4, save_every="1")
    list(resume(run, corpus, config))
    assert run / "step-4" in checkpoints(run)


def test_a_file_system_without_locks_still_trains(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with new_run(tmp_path, "x", "") as run:
        assert run.name == "x"


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path, monkeypatch):
    """Whoever held it removed the file just before it was locked here."""
    real, removed = fcntl.flock, []

    def late(file, operation):
        real(file, operation)
        if not removed:
            removed.append(file)
            os.unlink(tmp_path / "x" / ".lock")

    monkeypatch.setattr(fcntl, "flock", late)
    with new_run(tmp_path, "x", "") as run:
        assert (run / ".lock").exists()


def test_what_cannot_be_made_is_an_error(corpus, tmp_path):
    (tmp_path / "file").touch()
    config = TrainingConfig(**SMALL, steps=1)
    with pytest.raises(OutputError):
        list(train(corpus, MODEL, config, tmp_path / "file", "run"))
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(OutputError):
        list(train(corpus, MODEL, config, tmp_path / "dangling", "run"))
