"""Hand-made checkpoints to look into, and commands that run in this process."""

import sys
import unicodedata
from types import SimpleNamespace

import pytest
from conftest import make_corpus, random_weights

from charnn.architecture import ModelConfig
from charnn.checkpoint import CheckpointConfig, link, write_checkpoint
from charnn.cli.app import run


def save_model(folder, corpus, config, weights):
    """A run in ``folder/checkpoints`` with one checkpoint of a corpus in ``folder/corpora``."""
    about = CheckpointConfig.of(corpus, config, 1, None, {})
    place = folder / "checkpoints" / "planted"
    path = write_checkpoint(place, about, weights, corpus.tokenizer)
    link(place, "best", path)
    return place


def random_model(folder, text, cell="lstm", layers=2, hidden=8, embedding=5):
    corpus = make_corpus(folder, text)
    config = ModelConfig(cell=cell, layers=layers, hidden=hidden, embedding=embedding)
    weights = random_weights(config, corpus.header.vocabulary)
    save_model(folder, corpus, config, weights)
    return corpus, weights


@pytest.fixture
def command(monkeypatch, capsysbinary):
    """Run ``charnn`` in this process: importing is most of what a command takes."""

    def call(*arguments, cwd, columns=80):
        monkeypatch.setattr(sys, "argv", ["charnn", *map(str, arguments)])
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", str(columns))
        code = run()
        out, err = capsysbinary.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return call


def one_line(result, code=1):
    assert result.returncode == code, result.stderr.decode()
    assert result.stdout == b""
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0].removeprefix("charnn: ")


def width(line):
    """How many columns of a terminal a line takes."""
    wide = (unicodedata.east_asian_width(character) in "WF" for character in line)
    return sum(wide) + sum(not unicodedata.combining(character) for character in line)
