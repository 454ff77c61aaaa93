import fcntl
import os
import shutil
import subprocess
import sys

import pytest
from running import MODEL, SMALL, metrics, resume_events, run_events

from charnn.checkpoint import checkpoints, link, linked, read_checkpoint, remove, runs, target
from charnn.errors import CheckpointError, OutputError, TrainingError
from charnn.training import trainer
from charnn.training.config import TrainingConfig
from charnn.training.loop import resume, resumed_config, train
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
        "with new_run(Path(sys.argv[1]), 'x', '# charnn train, with these settings') as run:\n"
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
    (run / ".step-6.1-0.tmp" / "training").mkdir(parents=True)
    (run / ".last.1-9.tmp").symlink_to("step-6")
    (run / ".metrics.jsonl.1-12.tmp").touch()
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


@pytest.fixture
def overfitted(corpus, tmp_path, monkeypatch):
    """A run whose best is step 4 and whose last is step 6, ended before its end."""
    nats = iter([3.0, 2.0, 2.5, 3.0, 3.5])
    monkeypatch.setattr(trainer, "validate", lambda *_: next(nats))
    run_events(corpus, tmp_path, 7, steps=10, save_every="2")
    run = tmp_path / "run"
    remove({run / "step-7"})
    link(run, "last", run / "step-6")
    assert {path.name for path in linked(run)} == {"step-4", "step-6"}
    return run


def test_where_the_best_is_not_known_nothing_is_removed(corpus, overfitted):
    (overfitted / "best").unlink()
    resume_events(corpus, overfitted, 7)
    assert overfitted / "step-4" in checkpoints(overfitted)


def test_links_that_lead_elsewhere_are_not_followed_to_remove(corpus, overfitted, tmp_path):
    """A run from a stranger may link to anything."""
    precious = tmp_path / "precious" / "step-1"
    shutil.copytree(overfitted / "step-4", precious)
    for step, place in enumerate((precious, precious.parent, overfitted.parent), start=7):
        (overfitted / "best").unlink(missing_ok=True)
        (overfitted / "best").symlink_to(place)
        before = sorted(tmp_path.iterdir())
        resume_events(corpus, overfitted, step)
        assert sorted(tmp_path.iterdir()) == before
        read_checkpoint(precious)


def test_a_last_that_is_no_link_into_the_run_is_refused(corpus, overfitted, tmp_path):
    shutil.copytree(overfitted / "step-6", tmp_path / "elsewhere")
    (overfitted / "last").unlink()
    (overfitted / "last").symlink_to(tmp_path / "elsewhere")
    before = sorted(overfitted.iterdir())
    with pytest.raises(CheckpointError, match="no folder step-N"):
        resume_events(corpus, overfitted)
    (overfitted / "last").unlink()
    shutil.copytree(overfitted / "step-6", overfitted / "last")
    with pytest.raises(CheckpointError, match="no folder step-N"):
        resume_events(corpus, overfitted)
    assert sorted(overfitted.iterdir()) == before


def test_absolute_links_are_links_too(corpus, overfitted):
    for name in ("best", "last"):
        found = (overfitted / name).resolve()
        (overfitted / name).unlink()
        (overfitted / name).symlink_to(found)
    resume_events(corpus, overfitted, 7)
    assert read_checkpoint(overfitted, "last").config.step == 7
    assert read_checkpoint(overfitted).config.step == 4


def test_a_last_that_leads_nowhere_is_mended(corpus, overfitted):
    (overfitted / "last").unlink()
    (overfitted / "last").symlink_to("step-99")
    events = resume(overfitted, corpus, resumed_config(overfitted)[0])
    assert next(events).step == 6
    assert target(overfitted, "last").name == "step-6"
    events.close()
    assert overfitted / "step-6" in checkpoints(overfitted)


def test_a_run_without_links_is_found(corpus, overfitted):
    for name in ("best", "last"):
        (overfitted / name).unlink()
    assert runs(overfitted.parent) == [overfitted]


@pytest.mark.parametrize("line", ["[" * 200_000, '{"step": 1' + "0" * 400 + "}", '{"step": 1', "1"])
def test_a_bad_line_of_the_metrics_is_dropped(corpus, overfitted, line):
    with (overfitted / "metrics.jsonl").open("a") as file:
        file.write(line)
    resume_events(corpus, overfitted)
    assert [entry["step"] for entry in metrics(overfitted)] == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("name", [".keep.tmp", ".vim.1.tmp", "metrics.jsonl", "run.toml"])
def test_a_users_own_files_take_the_name(tmp_path, name):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / name).write_text("mine")
    with new_run(tmp_path, "x", "") as run:
        assert run.name == "x-2"
    assert (tmp_path / "x" / name).read_text() == "mine"


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
