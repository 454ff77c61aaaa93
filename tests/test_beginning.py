"""Learning on top of learning: --from, --extend-vocabulary, --freeze."""

import json

import numpy as np
import pytest
from conftest import make_corpus
from running import SMALL, final_weights, losses, resume_events, run_events

from charnn.architecture import ModelConfig
from charnn.checkpoint import read_checkpoint
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.errors import UsageError
from charnn.models import open_model
from charnn.text.config import TokenizerConfig
from charnn.training.beginning import weights_from
from charnn.training.config import TrainingConfig
from charnn.training.counting import count
from charnn.training.loop import train

FIRST = "the fox saw the moon in the well.\n" * 60
SECOND = "DER FUCHS SAH DEN MOND. 狐狸看见月亮。\n" * 60

MODELS = {
    "lstm": ModelConfig(hidden=12, embedding=6),
    "tied": ModelConfig(hidden=12, embedding=6, tied=True),
    "one-hot": ModelConfig(hidden=12, embedding=0),
}


@pytest.fixture(scope="module", params=MODELS)
def begun(request, tmp_path_factory):
    """A model of the first text, and the second text with its vocabulary, extended."""
    folder = tmp_path_factory.mktemp(request.param)
    run_events(make_corpus(folder, FIRST), folder, model=MODELS[request.param], steps=20)
    checkpoint = read_checkpoint(folder / "run")
    source = folder / "second.txt"
    source.write_text(SECOND)
    corpus, _ = tokenize_corpus(
        SourceConfig((source,)), TokenizerConfig(), folder / "second",
        like=checkpoint.tokenizer, extend=True,
    )  # fmt: skip
    return checkpoint, corpus


def test_what_was_there_stays_and_new_rows_are_the_mean(begun):
    checkpoint, corpus = begun
    model, weights = weights_from(checkpoint, corpus.tokenizer)
    known = checkpoint.config.vocabulary
    added = corpus.header.vocabulary - known
    assert added == 19
    assert model == checkpoint.config.model
    grown = 0
    for name, old in checkpoint.weights.items():
        new = weights[name]
        if new.shape == old.shape:
            np.testing.assert_array_equal(new, old)
            continue
        grown += 1
        axis = 0 if new.shape[0] != old.shape[0] else 1
        kept, rest = np.split(new, [known], axis=axis)
        np.testing.assert_array_equal(kept, old)
        mean = old.mean(axis=axis, keepdims=True)
        np.testing.assert_allclose(rest, np.repeat(mean, added, axis), rtol=1e-6)
    assert grown == (2 if checkpoint.config.model.tied else 3)


def test_the_run_begins_with_those_weights(begun, tmp_path):
    checkpoint, corpus = begun
    model, weights = weights_from(checkpoint, corpus.tokenizer)
    config = TrainingConfig(**{**SMALL, "lr": 1e-9}, steps=1, ema=0.0, muon_lr=1e-9)
    list(train(corpus, model, config, tmp_path, "run", weights=weights))
    for name, weight in final_weights(tmp_path / "run").items():
        np.testing.assert_allclose(weight, weights[name], atol=1e-7)


def test_a_run_that_began_with_a_model_goes_on_bit_for_bit(begun, tmp_path):
    checkpoint, corpus = begun
    model, weights = weights_from(checkpoint, corpus.tokenizer)
    config = TrainingConfig(**SMALL, steps=12)
    whole = list(train(corpus, model, config, tmp_path, "whole", weights=weights))
    asked: list[object] = []
    events = train(
        corpus, model, config, tmp_path, "run", weights=weights, stop=lambda: len(asked) >= 8
    )
    for event in events:
        asked.append(event)
    resumed = resume_events(corpus, tmp_path / "run")
    assert losses(asked) + losses(resumed) == losses(whole)


def test_frozen_embeddings_stay(begun, tmp_path):
    checkpoint, corpus = begun
    model, weights = weights_from(checkpoint, corpus.tokenizer)
    config = TrainingConfig(**SMALL, steps=5, freeze="embedding")
    events = train(corpus, model, config, tmp_path, "run", weights=weights)
    if not model.embedding:
        with pytest.raises(UsageError, match="no embedding"):
            list(events)
        return
    list(events)
    after = final_weights(tmp_path / "run")
    np.testing.assert_array_equal(after["embedding.weight"], weights["embedding.weight"])
    assert (after["layers.0.weight_ih"] != weights["layers.0.weight_ih"]).any()


def test_another_vocabulary_is_refused(begun, tmp_path):
    checkpoint, _ = begun
    with pytest.raises(UsageError, match="not the vocabulary"):
        weights_from(checkpoint, make_corpus(tmp_path, SECOND).tokenizer)


def test_what_was_counted_is_refused(tmp_path):
    corpus = make_corpus(tmp_path, FIRST)
    from charnn.architecture import NgramConfig

    run = count(corpus, NgramConfig(order=2), tmp_path, "counted", lambda n: None).run
    with pytest.raises(UsageError, match="n-gram"):
        weights_from(read_checkpoint(run), corpus.tokenizer)


def test_on_the_command_line(program, tmp_path):
    (tmp_path / "first.txt").write_text(FIRST)
    (tmp_path / "second.txt").write_text(SECOND)
    small = ["--steps", "12", "--batch", "4", "--bptt", "16", "--threads", "1"]
    shape = ["--hidden", "12", "--embedding", "6"]
    assert program("train", "first.txt", *small, *shape, cwd=tmp_path).returncode == 0
    go_on = ["train", "second.txt", "--from", "checkpoints/first", *small]

    refused = program(*go_on, "--hidden", "12", cwd=tmp_path)
    assert (refused.returncode, b"leave out --hidden" in refused.stderr) == (2, True)
    refused = program("train", "second.txt", "--extend-vocabulary", cwd=tmp_path)
    assert (refused.returncode, b"--from" in refused.stderr) == (2, True)

    result = program(*go_on, "--extend-vocabulary", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert b"symbols added" in result.stderr
    run = json.loads(result.stdout)["run"]
    model = open_model(tmp_path / run)
    assert {"狐".encode(), b"D"} <= set(model.tokenizer.token_bytes)
    assert model.checkpoint.config.model.hidden == 12
    assert model.checkpoint.config.training["from_checkpoint"].endswith("first/step-12")
    told = program("train", "--resume", run, "--steps", "2", cwd=tmp_path)
    assert told.returncode == 0, told.stderr

    # A tokenized text that has another vocabulary says how to make it fit.
    assert program("tokenize", "second.txt", "-o", "corpora/own", cwd=tmp_path).returncode == 0
    refused = program("train", "corpora/own", "--from", "first", *small, cwd=tmp_path)
    assert (refused.returncode, b"--like" in refused.stderr) == (2, True)
