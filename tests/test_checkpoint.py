import json
import os
import shutil

import numpy as np
import pytest
from conftest import random_weights

from charnn.architecture import ModelConfig
from charnn.checkpoint import (
    CheckpointConfig,
    checkpoints,
    link,
    linked,
    read_checkpoint,
    remove,
    resolve,
    runs,
    write_checkpoint,
)
from charnn.errors import CheckpointError, OutputError
from charnn.files import sha256, to_json
from charnn.manifest import FORMAT
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer

TOKENIZER = train_tokenizer([[b"abcabc"]], TokenizerConfig())
MODEL = ModelConfig(layers=1, hidden=4, embedding=3)
WEIGHTS = random_weights(MODEL, 3)


def write(run, step=1, training=None):
    config = CheckpointConfig(MODEL, 3, 0, None, step, 1.5, {"name": "x"}, {"lr": 0.1})
    return write_checkpoint(run, config, WEIGHTS, TOKENIZER, training)


@pytest.fixture
def run(tmp_path):
    folder = write(tmp_path / "run", training={"progress.json": b"{}"})
    link(folder.parent, "best", folder)
    link(folder.parent, "last", folder)
    return folder.parent


def test_what_is_written_is_read(run):
    checkpoint = read_checkpoint(run)
    assert checkpoint.config.model == MODEL
    assert checkpoint.config.validation_nats == 1.5
    assert checkpoint.tokenizer.encode("cab") == TOKENIZER.encode("cab")
    for name, tensor in WEIGHTS.items():
        np.testing.assert_array_equal(checkpoint.weights[name], tensor)
    assert checkpoint.folder.read("training/progress.json") == b"{}"


def test_a_changed_byte_is_found_in_every_file(run):
    folder = resolve(run)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for place in {0, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(CheckpointError):
                read_checkpoint(run)
        path.write_bytes(data)
    read_checkpoint(run)


def test_a_missing_or_cut_file_is_found(run):
    folder = resolve(run)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(CheckpointError, match=r"damaged|no checkpoint"):
            read_checkpoint(run)
        path.unlink()
        with pytest.raises(CheckpointError, match=r"damaged|no checkpoint"):
            read_checkpoint(run)
        path.write_bytes(data)


def rewrite_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(to_json(manifest))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../b", "tokenizer/../../x", ".."])
def test_a_manifest_cannot_lead_outside(run, name):
    folder = resolve(run)
    rewrite_manifest(folder, lambda m: m["files"].update({name: {"size": 1, "sha256": ""}}))
    with pytest.raises(CheckpointError, match="manifest"):
        read_checkpoint(run)


def test_a_newer_format_is_refused(run):
    rewrite_manifest(resolve(run), lambda m: m.update(format=FORMAT + 1))
    with pytest.raises(CheckpointError, match=rf"format {FORMAT + 1}.*install --upgrade"):
        read_checkpoint(run)


def test_a_newer_format_may_look_otherwise(run):
    (resolve(run) / "manifest.json").write_text(f'{{"format": {FORMAT + 1}, "entries": {{}}}}')
    with pytest.raises(CheckpointError, match="pip install --upgrade"):
        read_checkpoint(run)


@pytest.mark.parametrize("change", [(b"\n", b" "), (b"{", b"{ "), (b'"files"', b'"fil\\u0065s"')])
def test_a_manifest_that_was_written_anew_is_noticed(run, change):
    path = resolve(run) / "manifest.json"
    path.write_bytes(path.read_bytes().replace(*change, 1))
    with pytest.raises(CheckpointError, match="altered"):
        read_checkpoint(run)


def replace_file(folder, name, data):
    (folder / name).write_bytes(data)
    entry = {"size": len(data), "sha256": sha256(data)}
    rewrite_manifest(folder, lambda m: m["files"].update({name: entry}))


@pytest.mark.parametrize("change", [{"hidden": 5}, {"hidden": "4"}, {"layers": 2}, {"cell": "x"}])
def test_a_config_that_does_not_fit_the_weights_is_refused(run, change):
    folder = resolve(run)
    config = json.loads((folder / "config.json").read_bytes())
    config["model"].update(change)
    replace_file(folder, "config.json", json.dumps(config).encode())
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(run)


@pytest.mark.parametrize(
    "change", [{"corpus": None}, {"training": "x"}, {"step": "1"}, {"validation_nats": "low"}]
)
def test_a_malformed_config_is_refused(run, change):
    folder = resolve(run)
    config = json.loads((folder / "config.json").read_bytes())
    replace_file(folder, "config.json", json.dumps(config | change).encode())
    with pytest.raises(CheckpointError, match="malformed"):
        read_checkpoint(run)


def test_a_file_is_no_checkpoint_and_pickle_is_never_read(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="pickle file can run code"):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "nowhere")


def test_links_are_relative_and_a_copied_run_still_works(run, tmp_path):
    assert os.readlink(run / "best") == "step-1"
    shutil.copytree(run, tmp_path / "copy", symlinks=True)
    shutil.rmtree(run)
    read_checkpoint(tmp_path / "copy")


def test_what_no_link_names_is_told_and_removed(run):
    second = write(run, 2)
    third = write(run, 3)
    link(run, "last", second)
    assert linked(run) == {run / "step-1", second}
    assert checkpoints(run) == {run / "step-1", second, third}
    remove(checkpoints(run) - linked(run))
    assert checkpoints(run) == linked(run)


def test_a_checkpoint_that_is_there_is_never_touched(run):
    first, again = run / "step-1", write(run, 1)
    assert again.name == "step-1-2"
    assert os.readlink(run / "last") == first.name
    assert write(run, 1).name == "step-1-3"


def test_a_run_that_lost_its_links_is_read_from_its_last_step(run):
    for step in (10, 9, 10):
        write(run, step)
    (run / "best").unlink()
    (run / "last").unlink()
    assert resolve(run).name == "step-10-2"


def test_a_failing_write_leaves_nothing(run):
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(OutputError):
        write(run / "step-1" / "config.json")
    with pytest.raises(RuntimeError):
        write_checkpoint(run, read_checkpoint(run).config, WEIGHTS, Unsaveable(), None)
    assert sorted(path.name for path in run.iterdir()) == before
    read_checkpoint(run)


class Unsaveable:
    def save(self, folder):
        (folder / "half").parent.mkdir()
        raise RuntimeError


def test_runs_are_listed_newest_first(tmp_path):
    for n, name in enumerate(["old", "new", "middle"]):
        folder = write(tmp_path / name)
        link(folder.parent, "last", folder)
        time = [1, 3, 2][n] * 10**9
        os.utime(folder / "manifest.json", ns=(time, time))
    (tmp_path / "empty").mkdir()
    assert [path.name for path in runs(tmp_path)] == ["new", "middle", "old"]
