import numpy as np
import pytest
from fakes import MarkovModel, engine, prefilled
from hypothesis import given
from hypothesis import strategies as st

from charnn.decode.config import (
    BeamConfig,
    Decoding,
    GenerationConfig,
    GuideConfig,
    SamplingConfig,
)
from charnn.decode.filters import (
    make_filter,
    min_p,
    no_repeat_ngram,
    repetition_penalty,
    top_k,
    top_p,
    typical_p,
)
from charnn.decode.guides import Guides, NoRepeatNgram, RepetitionPenalty
from charnn.decode.loop import generate, greedy, sampler
from charnn.errors import UsageError
from charnn.step import log_softmax, select_rows

rows = st.lists(st.floats(-5, 5), min_size=2, max_size=8)


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


@given(row=rows, p=st.floats(0.01, 0.99))
def test_typical_sampling_keeps_what_is_about_as_surprising_as_expected(row, p):
    log_probs_BV = log_softmax(np.array([row]))
    survivors = kept(typical_p(log_probs_BV, p)[0])
    probs = np.exp(log_probs_BV[0])
    distances = abs(-log_probs_BV[0] - -(probs * log_probs_BV[0]).sum())
    assert sum(probs[id] for id in survivors) >= p - 1e-9
    others = [distances[id] for id in range(len(row)) if id not in survivors]
    assert max(distances[id] for id in survivors) <= min([np.inf, *others]) + 1e-9
    furthest = max(survivors, key=lambda id: (distances[id], id))
    assert len(survivors) == 1 or sum(probs[id] for id in survivors - {furthest}) < p + 1e-9


def test_typical_sampling_never_keeps_what_cannot_be():
    scores_BV = np.array([[0.0, -np.inf, -1.0, -np.inf]])
    assert kept(typical_p(scores_BV, 0.9999)[0]) == {0, 2}


def chi_square(config, scores_1V, expected, samples=1000, steps=100):
    """Of 100,000 draws against expected probabilities; the level is one in a million."""
    n = samples * steps
    choose = sampler(config, seed=3, samples=range(samples))
    scores_BV = np.repeat(scores_1V, samples, 0)
    drawn = np.concatenate([choose(scores_BV, step) for step in range(steps)])
    counts = np.bincount(drawn, minlength=len(expected))
    possible = expected > 0
    assert not counts[~possible].any()
    found = ((counts - n * expected)[possible] ** 2 / (n * expected[possible])).sum()
    return found < {0: 1e-9, 1: 23.9, 2: 27.6, 3: 30.7, 4: 33.4}[int(possible.sum() - 1)]


LOGITS_1V = np.array([[0.3, -1.0, 1.2, 0.0, 1.1]])
PROBS = (np.exp(LOGITS_1V) / np.exp(LOGITS_1V).sum())[0]  # .149 .041 .367 .111 .332


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        ({"temperature": 1.0}, PROBS),
        ({"temperature": 0.5}, PROBS**2),
        ({"temperature": 3.0}, PROBS ** (1 / 3)),
        ({"temperature": 1.0, "top_k": 3}, PROBS * [1, 0, 1, 0, 1]),
        ({"temperature": 1.0, "top_k": 1}, PROBS * [0, 0, 1, 0, 0]),
        ({"temperature": 1.0, "top_p": 0.8}, PROBS * [1, 0, 1, 0, 1]),
        ({"temperature": 1.0, "min_p": 0.2}, PROBS * [1, 0, 1, 1, 1]),
        # The entropy is 1.39 nats; the surprises are 1.90, 3.20, 1.00, 2.20 and 1.10.
        ({"temperature": 1.0, "typical_p": 0.3}, PROBS * [0, 0, 0, 0, 1]),
        ({"temperature": 0.5, "top_k": 4, "top_p": 0.95, "min_p": 0.1}, PROBS**2 * [1, 0, 1, 0, 1]),
    ],
    ids=str,
)
def test_draws_follow_the_filtered_distribution(config, weights):
    weights = np.array(weights, dtype=float)
    assert chi_square(SamplingConfig(**config), LOGITS_1V, weights / weights.sum())


def test_draws_follow_the_penalised_distribution():
    seen_BV = np.array([[True, True, False, False, True]])
    scores_1V = repetition_penalty(LOGITS_1V, seen_BV, 2.0)
    weights = np.exp([0.15, -2.0, 1.2, 0.0, 0.55])
    assert chi_square(SamplingConfig(temperature=1.0), scores_1V, weights / weights.sum())


@given(
    history=st.lists(st.integers(0, 3), max_size=12),
    n=st.integers(1, 4),
)
def test_no_ngram_comes_twice(history, n):
    scores_BV = no_repeat_ngram(np.zeros((1, 4)), np.array([history], dtype=int), n)
    ngrams = {tuple(history[i : i + n]) for i in range(len(history) - n + 1)}
    for id in range(4):
        made = (*history, id)[-n:]
        assert (id in kept(scores_BV[0])) == (len(made) < n or made not in ngrams)


def test_guides_follow_their_rows():
    """Each row is guided by its own past, also after rows were reordered."""
    guides = Guides([RepetitionPenalty(2.0, 4, prompt=[3]), NoRepeatNgram(2, prompt=[3])])
    state = guides.initial_state(2)
    for ids in ([0, 1], [1, 1], [0, 2]):
        state = guides.advance(np.array(ids), state)
    state = select_rows(np.array([1, 0, 0]), state)
    scores_BV = guides.apply(np.full((3, 4), 2.0), state)
    first = [1.0, -np.inf, 2.0, 1.0]  # 3 0 1 0: after 0 came 1; 2 was never seen
    assert scores_BV.tolist() == [[2.0, 1.0, 1.0, 1.0], first, first]


def test_a_row_is_the_same_bit_for_bit_whatever_its_neighbours_hold():
    model = engine(hidden=64, vocabulary=50)
    rng = np.random.default_rng(0)
    for B in (2, 3, 5, 6, 8, 13, 64, 70):
        ids_TB = rng.integers(0, 50, (6, B))
        others_TB = rng.integers(0, 50, (6, B))
        row = int(rng.integers(B))
        others_TB[:, row] = ids_TB[:, row]
        state, other = model.initial_state(B), model.initial_state(B)
        for ids_B, others_B in zip(ids_TB, others_TB, strict=True):
            logits_BV, state = model.step(ids_B, state)
            others_BV, other = model.step(others_B, other)
            assert (logits_BV[row] == others_BV[row]).all()
        assert not (logits_BV == others_BV).all()


def test_guided_rows_that_run_on_do_no_harm():
    """Row after row has nothing left; the others go on."""
    model = MarkovModel(np.zeros((3, 3)))
    logits, state = prefilled(model)
    guides = Guides([NoRepeatNgram(1)])
    drawn = generate(model, logits, state, 2, 5, sampler(SamplingConfig(), 1, range(2)), guides)
    assert sum(step.blocked_B.any() for step in drawn) == 2
    steps = list(generate(model, logits, state, 2, 5, greedy(), guides))
    assert [step.ids_B.tolist() for step in steps[:3]] == [[0, 0], [1, 1], [2, 2]]
    assert [step.blocked_B.tolist() for step in steps] == [[False] * 2] * 3 + [[True] * 2] * 2


def test_no_temperature_overflows():
    logits_BV = np.array([[1.0, 3.0, 2.0]], dtype=np.float32)
    for temperature in (1e-300, 1e-40, 1e300):
        probs = np.exp(make_filter(SamplingConfig(temperature=temperature))(logits_BV))
        assert probs.sum() == pytest.approx(1 if temperature < 1 else 3)
        assert temperature > 1 or probs[0, 1] == 1


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


@pytest.mark.parametrize(
    ("generation", "sampling", "beam"),
    [
        ({"greedy": True}, {}, {"beams": 2}),
        ({"samples": 3}, {}, {"beams": 2}),
        ({"samples": 3, "greedy": True}, {}, {}),
        ({}, {"top_k": 3}, {"beams": 2}),
        ({}, {}, {"beam_groups": 1, "length_penalty": 2.0}),
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
        (GenerationConfig, {"max_lines": -1}),
        (GenerationConfig, {"max_lines": 2, "until_line": True}),
        (SamplingConfig, {"typical_p": 0}),
        (GuideConfig, {"repetition_penalty": 0}),
        (GuideConfig, {"no_repeat_ngram": -1}),
        (GuideConfig, {"ban": ("",)}),
        (GuideConfig, {"ban": ("\udcff",)}),
        (GuideConfig, {"repetition_penalty": 1e-40}),
        (BeamConfig, {"beams": 4, "beam_groups": 3}),
        (BeamConfig, {"beams": 4, "beam_groups": 0}),
        (BeamConfig, {"beams": 4, "beam_groups": 2, "diversity_penalty": -1}),
        (BeamConfig, {"beams": 4, "diversity_penalty": 1}),
    ],
)
def test_impossible_settings_are_refused(config, options):
    with pytest.raises(UsageError):
        config(**options)
