import itertools

import numpy as np
import pytest
from conftest import random_weights
from fakes import MarkovModel
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.architecture import ModelConfig
from charnn.decode.beam import BeamSearch
from charnn.decode.config import (
    BeamConfig,
    Decoding,
    GenerationConfig,
    SamplingConfig,
)
from charnn.decode.filters import make_filter, min_p, top_k, top_p
from charnn.decode.loop import generate, greedy, sampler
from charnn.engine import Engine
from charnn.errors import UsageError
from charnn.step import log_softmax, pad

rows = st.lists(st.floats(-5, 5), min_size=2, max_size=8)


def prefilled(model, prompt=()):
    return model.prefill(*pad([list(prompt)]), model.initial_state(1))


def kept(log_probs_V):
    return set(np.flatnonzero(np.isfinite(log_probs_V)).tolist())


@given(row=rows, k=st.integers(1, 10))
def test_exactly_k_survive_and_ties_keep_the_lowest_id(row, k):
    log_probs_BV = log_softmax(np.array([row]))
    order = sorted(range(len(row)), key=lambda id: (-log_probs_BV[0, id], id))
    assert kept(top_k(log_probs_BV, k)[0]) == set(order[:k])


@given(row=rows, p=st.floats(0.01, 0.99))
def test_the_nucleus_is_the_smallest_that_reaches_p(row, p):
    log_probs_BV = log_softmax(np.array([row]))
    survivors = kept(top_p(log_probs_BV, p)[0])
    probs = np.exp(log_probs_BV[0])
    mass = sum(probs[id] for id in survivors)
    assert mass >= p - 1e-9
    weakest = min(survivors, key=lambda id: probs[id])
    assert len(survivors) == 1 or mass - probs[weakest] < p + 1e-9
    assert min(probs[id] for id in survivors) >= max(
        [0.0, *(probs[id] for id in range(len(row)) if id not in survivors)]
    )


@given(row=rows, p=st.floats(0.01, 1))
def test_min_p_is_relative_to_the_likeliest(row, p):
    log_probs_BV = log_softmax(np.array([row]))
    probs = np.exp(log_probs_BV[0])
    close = np.abs(probs - p * probs.max()) < 1e-12
    for id in np.flatnonzero(~close).tolist():
        assert (id in kept(min_p(log_probs_BV, p)[0])) == (probs[id] > p * probs.max())


def test_all_filters_leave_something():
    config = SamplingConfig(temperature=0.01, top_k=1, top_p=0.001, min_p=1.0)
    logits_BV = np.zeros((2, 5))
    assert [kept(row) for row in make_filter(config)(logits_BV)] == [{0}, {0}]


@pytest.mark.parametrize(
    "config",
    [
        SamplingConfig(temperature=1.0),
        SamplingConfig(temperature=0.5, top_k=3),
        SamplingConfig(top_p=0.8),
        SamplingConfig(min_p=0.3),
    ],
)
def test_draws_follow_the_filtered_distribution(config):
    """Chi-square of 20,000 draws, at a level of one in a million."""
    logits_1V = np.array([[0.3, -1.0, 1.2, 0.0, 1.1]])
    expected = np.exp(make_filter(config)(logits_1V))[0]
    expected /= expected.sum()
    n = 20_000
    choose = sampler(config, seed=3, samples=range(n))
    counts = np.bincount(choose(np.repeat(logits_1V, n, 0), 0), minlength=5)
    possible = expected > 0
    assert not counts[~possible].any()
    freedom = possible.sum() - 1
    chi_square = ((counts - n * expected)[possible] ** 2 / (n * expected[possible])).sum()
    assert chi_square < {1: 23.9, 2: 27.6, 3: 30.7, 4: 33.4}[int(freedom)]


def test_no_temperature_overflows():
    logits_BV = np.array([[1.0, 3.0, 2.0]], dtype=np.float32)
    for temperature in (1e-300, 1e-40, 1e300):
        probs = np.exp(make_filter(SamplingConfig(temperature=temperature))(logits_BV))
        assert probs.sum() == pytest.approx(1 if temperature < 1 else 3)
        assert temperature > 1 or probs[0, 1] == 1


def engine(seed=0, vocabulary=7, end_id=None):
    config = ModelConfig(layers=2, hidden=6, embedding=4)
    weights = random_weights(config, vocabulary, seed)
    return Engine(config, weights, start_id=0, end_id=end_id)


def texts(model, samples: range, steps=40, seed=5):
    choose = sampler(SamplingConfig(temperature=1.0), seed, samples)
    logits, state = prefilled(model)
    stepped = list(generate(model, logits, state, len(samples), steps, choose))
    return np.array([step.ids_B for step in stepped]).T.tolist()


def test_a_sample_draws_the_same_numbers_whatever_runs_beside_it():
    model = MarkovModel(np.random.default_rng(0).normal(size=(7, 7)))
    together = texts(model, range(8), steps=600)
    for sample in range(8):
        assert texts(model, range(sample, sample + 1), steps=600) == [together[sample]]
    assert len(set(map(tuple, together))) == 8


def test_the_same_seed_writes_the_same_text():
    assert texts(engine(), range(3)) == texts(engine(), range(3))
    assert texts(engine(), range(3), seed=6) != texts(engine(), range(3))


def test_log_probs_are_the_models_own():
    model = engine()
    logits, state = prefilled(model)
    choose = sampler(SamplingConfig(temperature=0.5, top_k=2), 1, range(2))
    ids, log_probs = [], []
    for step in generate(model, logits, state, 2, 12, choose):
        ids.append(step.ids_B)
        log_probs.append(step.log_probs_B())
    ids_BT = np.array(ids).T
    _, state = prefilled(model)
    for row in range(2):
        nats, _ = model.nats(ids_BT[row : row + 1], np.array([12]), state)
        np.testing.assert_allclose(-np.array(log_probs)[:, row], nats[0], rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_beam_one_is_greedy(seed):
    model = engine(seed)
    logits, state = prefilled(model, [1, 2])
    steps = generate(model, logits, state, 1, 30, greedy())
    ids = [int(step.ids_B[0]) for step in steps]
    found = BeamSearch(model, *prefilled(model, [1, 2]), 30, BeamConfig(beams=1)).run()
    assert list(found[0].ids) == ids


def every_text(model, length):
    """All complete texts: those that end, and those of full length that do not."""
    alive = [id for id in range(model.vocabulary_size) if id != model.end_id]
    for n in range(length + 1):
        for body in itertools.product(alive, repeat=n):
            if n == length:
                yield body
            elif model.end_id is not None and n < length:
                yield (*body, model.end_id)


def score(model, ids, alpha):
    _, state = prefilled(model)
    nats, _ = model.nats(np.array([ids]), np.array([len(ids)]), state)
    return -nats.sum() / len(ids) ** alpha


@given(
    seed=st.integers(0, 10_000),
    V=st.integers(2, 4),
    T=st.integers(1, 4),
    alpha=st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
    ends=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_wide_beam_finds_the_best_text(seed, V, T, alpha, ends):
    rng = np.random.default_rng(seed)
    model = MarkovModel(rng.normal(0, 2, (V, V)), end_id=V - 1 if ends else None)
    scored = {ids: score(model, ids, alpha) for ids in every_text(model, T)}
    probability = sum(np.exp(score(model, ids, 0)) for ids in scored)
    assert abs(probability - 1) < 1e-6
    nbest = min(3, len(scored))
    config = BeamConfig(beams=V**T, nbest=min(nbest, V**T), length_penalty=alpha)
    found = BeamSearch(model, *prefilled(model), T, config).run()
    best = sorted(scored.values(), reverse=True)[: config.nbest]
    np.testing.assert_allclose([one.score for one in found], best, atol=1e-9)
    assert len({one.ids for one in found}) == len(found)
    narrow = BeamConfig(beams=2, nbest=min(2, nbest), length_penalty=alpha)
    for one in BeamSearch(model, *prefilled(model), T, narrow).run():
        assert abs(one.score - score(model, one.ids, alpha)) < 1e-9
        assert abs(sum(one.log_probs) / len(one.ids) ** alpha - one.score) < 1e-9


def test_finished_beams_never_starve_the_live():
    """The end is always likeliest; still the second beam goes on to its own end."""
    model = MarkovModel([[0, 2, -1], [0, 2, -1], [0, 0, 0]], end_id=1)
    config = BeamConfig(beams=2, nbest=2, length_penalty=0)
    found = BeamSearch(model, *prefilled(model), 5, config).run()
    assert [one.ids for one in found] == [(1,), (0, 1)]
    assert {one.finished for one in found} == {"end"}


def test_live_beams_go_on_when_all_the_best_candidates_end():
    """Both beams would rather end; with a penalty that rewards length, going on scores better."""
    never = -50.0
    start, go_on = [never, 0.0, 0.0, never], np.log(0.4)
    logits = [start, [never, go_on, never, np.log(0.6)], [never, never, go_on, np.log(0.6)], start]
    model = MarkovModel(logits, end_id=3)
    config = BeamConfig(beams=2, nbest=2, length_penalty=2.0)
    found = BeamSearch(model, *prefilled(model), 4, config).run()
    assert found[0].ids == (1, 1, 1, 3)
    assert found[0].score > score(model, (1, 3), 2.0)


def test_stop_texts_finish_a_beam():
    model = engine(3)
    config = BeamConfig(beams=3, nbest=3)
    found = BeamSearch(model, *prefilled(model), 8, config, stopped=lambda ids: 2 in ids).run()
    for one in found:
        assert (one.finished == "stop") == (2 in one.ids)
        assert 2 not in one.ids[:-1]


def test_a_width_greater_than_the_vocabulary_works():
    model = engine(1, vocabulary=3)
    found = BeamSearch(model, *prefilled(model), 4, BeamConfig(beams=50, nbest=50)).run()
    assert len(found) == 50
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize(
    ("generation", "sampling", "beam"),
    [
        ({"greedy": True}, {}, {"beams": 2}),
        ({"samples": 3}, {}, {"beams": 2}),
        ({"samples": 3, "greedy": True}, {}, {}),
        ({}, {"top_k": 3}, {"beams": 2}),
        ({"greedy": True}, {"temperature": 1.0}, {}),
    ],
)
def test_options_that_make_no_sense_together(generation, sampling, beam):
    with pytest.raises(UsageError):
        Decoding(
            GenerationConfig(**generation), SamplingConfig(**sampling), beam=BeamConfig(**beam)
        )


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (SamplingConfig, {"temperature": 0}),
        (SamplingConfig, {"temperature": float("nan")}),
        (SamplingConfig, {"top_p": 0}),
        (SamplingConfig, {"min_p": 2}),
        (SamplingConfig, {"top_k": -1}),
        (BeamConfig, {"beams": 2, "nbest": 3}),
        (BeamConfig, {"nbest": 2}),
        (GenerationConfig, {"max_tokens": 0}),
        (GenerationConfig, {"seed": -1}),
        (GenerationConfig, {"stop": ("",)}),
    ],
)
def test_impossible_settings_are_refused(config, options):
    with pytest.raises(UsageError):
        config(**options)
