"""What is chosen where nothing is asked for, and what a rehearsal tells."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charnn.architecture import ModelConfig
from charnn.training.config import TrainingConfig
from charnn.training.recipe import Setting, complete

LETTERS = Setting(tokens=1_000_000, bytes_per_token=1.0, vocabulary=65, rate=1e11)
settings = st.builds(
    Setting,
    tokens=st.integers(100, 10**9),
    bytes_per_token=st.floats(0.5, 20),
    vocabulary=st.integers(2, 100_000),
    rate=st.floats(1e9, 1e14),
)


def chosen(setting=LETTERS, size="auto", typed=(), cell="lstm", **options):
    shape = {name: options.pop(name) for name in ("hidden", "embedding") if name in options}
    model, training = ModelConfig(cell, **shape), TrainingConfig(**options)
    return complete(setting, size, model, training, {*typed, *shape})


@given(setting=settings, minutes=st.floats(0.1, 1e5), factor=st.floats(1, 100))
def test_more_time_never_makes_a_smaller_model(setting, minutes, factor):
    small, large = (chosen(setting, minutes=m)[0] for m in (minutes, min(minutes * factor, 1e9)))
    assert small.hidden <= large.hidden


@given(setting=settings, minutes=st.floats(0.1, 1e5))
def test_every_choice_is_one_that_can_be_trained(setting, minutes):
    model, training = chosen(setting, minutes=minutes)
    assert model.hidden % 64 == 0
    assert 0 <= training.dropout <= 0.6
    assert 0 < training.lr <= 0.02


@given(setting=settings)
def test_sizes_are_in_order_whatever_the_corpus(setting):
    hidden = [chosen(setting, size)[0].hidden for size in ("small", "medium", "large")]
    assert hidden == sorted(set(hidden))


def test_what_was_given_stays():
    model, training = chosen(
        size="large", hidden=100, embedding=7, dropout=0.0, lr=1.0, typed=("dropout", "lr")
    )
    assert (model.hidden, model.embedding) == (100, 7)
    assert (training.dropout, training.lr) == (0.0, 1.0)


def test_larger_vocabularies_learn_at_lower_rates():
    many = replace(LETTERS, vocabulary=4 * 65)
    assert chosen(many)[1].lr == pytest.approx(chosen()[1].lr / 4 ** (1 / 4))
    assert chosen(many, optimizer="adamw")[1].lr == pytest.approx(0.006)
    assert chosen(cell="gru", optimizer="adamw")[1].lr == 0.006
    assert chosen(optimizer="adamw")[1].lr == 0.012


WORDS = Setting(2_000_000, 5.0, 33_000, 1e11)


def test_words_share_the_embedding_with_the_output_and_learn_with_a_sample():
    model, training = chosen(WORDS)
    assert model.tied
    assert model.embedding == model.hidden
    assert training.sampled_softmax > 0
    assert chosen()[1].sampled_softmax == 0
    assert chosen(WORDS, hidden=100)[0].embedding == 100
    assert not chosen(WORDS, typed=("tied",))[0].tied


@pytest.mark.parametrize("options", [{"freeze": "embedding"}, {"embedding_from": "vectors.txt"}])
def test_an_embedding_that_is_given_is_not_the_output(options):
    assert not chosen(WORDS, **options)[0].tied


def test_a_small_text_has_a_small_model_whatever_the_time():
    assert chosen(replace(LETTERS, tokens=20_000, rate=1e12), minutes=1000.0)[0].hidden == 128


def test_a_text_has_as_large_a_model_as_it_has_bytes_for():
    words = replace(LETTERS, bytes_per_token=5.0)
    sizes = [chosen(text, minutes=1e4)[0].hidden for text in (LETTERS, words)]
    assert sizes == [256, 512]
    assert chosen(replace(LETTERS, tokens=5_000_000), minutes=1e4)[0].hidden == 512


def test_help_says_of_what_the_recipe_chooses_that_it_does():
    small = replace(LETTERS, tokens=20_000)
    first, *others = (
        {**vars(model), **vars(training)}
        for model, training in (chosen(minutes=1.0), chosen(WORDS, minutes=1e3), chosen(small))
    )
    differ = {name for name in first for other in others if first[name] != other[name]}
    told = {
        field.name
        for config in (ModelConfig, TrainingConfig)
        for field in fields(config)
        if "default" in field.metadata
    }
    # The budget that is chosen is told of with --minutes.
    assert differ - {"epochs"} == told


def test_a_text_that_is_read_more_often_is_learned_with_more_dropout():
    once, often = chosen(epochs=1.0)[1], chosen(epochs=40.0)[1]
    assert once.dropout < often.dropout


def test_rare_words_are_learned_with_more_dropout_than_letters():
    one = replace(WORDS, vocabulary=12_000), replace(WORDS, vocabulary=12_001)
    fewer, many = (chosen(setting, epochs=20.0, size="medium")[1].dropout for setting in one)
    assert 0 < fewer < many <= 0.5


def test_a_rehearsal_tells_what_a_budget_buys_and_writes_nothing(program, tmp_path):
    (tmp_path / "text.txt").write_text("the fox saw the moon in the well.\n" * 100)
    assert program("tokenize", "text.txt", cwd=tmp_path).returncode == 0
    before = sorted(tmp_path.rglob("*"))
    command = ["train", "--dry-run", "--json", "--batch", "4", "--bptt", "16", "--threads", "1"]
    told = program(*command, "--minutes", "2", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["tokens_per_step"] == 64
    assert facts["steps_per_epoch"] == pytest.approx(3060 / 64, rel=0.01)
    assert 60 < facts["seconds"] < 130
    assert facts["steps"] * facts["step_seconds"] <= 120
    assert facts["settings"]["dropout"] > 0
    by_steps = json.loads(program(*command, "--steps", "7", cwd=tmp_path).stdout)
    assert by_steps["steps"] == 7
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("tokens", "lanes"), [(18_000, 8), (40_000, 16), (65_536, 32), (10**9, 32), (1, 8)]
)
def test_a_small_text_is_read_in_few_lanes(tokens, lanes):
    assert chosen(replace(LETTERS, tokens=tokens))[1].batch == lanes


def test_without_a_budget_a_small_text_is_not_read_for_ten_minutes():
    small = replace(LETTERS, tokens=18_000, vocabulary=56)
    assert chosen(small)[1].epochs == 40
    assert chosen(small, minutes=10.0)[1].epochs is None
    assert chosen(small, steps=7)[1].epochs is None
    assert chosen(LETTERS)[1].epochs is None
    # What follows from a budget is as if that one had been given.
    model, training = chosen(small)
    given = chosen(small, epochs=40.0)
    assert (model, training.dropout) == (given[0], given[1].dropout)
