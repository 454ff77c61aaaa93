import numpy as np
import pytest
from fakes import MarkovModel, engine, prefilled
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.decode.beam import BeamSearch
from charnn.decode.config import BeamConfig
from charnn.decode.guides import Guides, NoRepeatNgram, RepetitionPenalty
from charnn.decode.loop import generate, greedy
from charnn.errors import GenerationError
from charnn.step import log_softmax


@pytest.mark.parametrize("alpha", [-1.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(8))
def test_beam_one_is_greedy(seed, alpha):
    steps = generate(engine(seed), *prefilled(engine(seed), [1, 2]), 1, 30, greedy())
    endless = [int(step.ids_B[0]) for step in steps]
    for end_id in (None, *set(endless)):
        model = engine(seed, end_id=end_id)
        config = BeamConfig(beams=1, length_penalty=alpha)
        (found,) = BeamSearch(model, *prefilled(model, [1, 2]), 30, config).run()
        length = 30 if end_id is None else endless.index(end_id) + 1
        assert list(found.ids) == endless[:length]


def every_text(model, length):
    """Log-probabilities of all complete texts: those that end, and those of full length."""
    log_probs_VV = log_softmax(model.logits_VV)
    found, open_texts = {}, {(): 0.0}
    for n in range(1, length + 1):
        grown = {}
        for ids, total in open_texts.items():
            row = log_probs_VV[ids[-1] if ids else model.start_id]
            for id in range(model.vocabulary_size):
                ended = id == model.end_id or n == length
                (found if ended else grown)[*ids, id] = total + row[id]
        open_texts = grown
    return found


def score(model, ids, alpha):
    _, state = prefilled(model)
    nats, _ = model.nats(np.array([ids]), np.array([len(ids)]), state)
    return -nats.sum() / len(ids) ** alpha


@given(
    seed=st.integers(0, 1 << 30),
    V=st.integers(2, 5),
    T=st.integers(1, 5),
    alpha=st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
)
@settings(max_examples=500, deadline=None)
def test_a_wide_beam_finds_the_best_texts(seed, V, T, alpha):
    rng = np.random.default_rng(seed)
    model = MarkovModel(rng.normal(0, 2, (V, V)), end_id=V - 1)
    totals = every_text(model, T)
    assert abs(sum(np.exp(total) for total in totals.values()) - 1) < 1e-6
    best = sorted((total / len(ids) ** alpha for ids, total in totals.items()), reverse=True)
    for width in (V**T, 2):
        config = BeamConfig(beams=width, nbest=min(3, width), length_penalty=alpha)
        found = BeamSearch(model, *prefilled(model), T, config).run()
        assert len({one.ids for one in found}) == len(found)
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        for one in found:
            assert abs(one.score - score(model, one.ids, alpha)) < 1e-6
            assert abs(sum(one.log_probs) / len(one.ids) ** alpha - one.score) < 1e-9
        if width == V**T:
            np.testing.assert_allclose(scores, best[: config.nbest], atol=1e-9)


@given(
    seed=st.integers(0, 1 << 30),
    beams=st.integers(1, 4),
    groups=st.integers(1, 3),
    alpha=st.sampled_from([-1.0, 0.0, 1.0, 2.0]),
    early=st.sampled_from(["never", "first"]),
    stops=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_what_is_streamed_is_the_best_text(seed, beams, groups, alpha, early, stops):
    rng = np.random.default_rng(seed)
    model = MarkovModel(rng.normal(0, 2, (5, 5)), end_id=4)
    config = BeamConfig(
        beams * groups, beam_groups=groups, length_penalty=alpha, early_stopping=early
    )
    stopped = (lambda ids: 3 in ids) if stops else None
    search = BeamSearch(model, *prefilled(model), 12, config, stopped=stopped)
    assert tuple(id for ids in search for id in ids) == search.found[0].ids


def test_sure_ids_come_while_the_search_goes_on():
    model = engine(2)
    steps = 0

    class Counting:
        def __getattr__(self, name):
            return getattr(model, name)

        def step(self, ids_B, state):
            nonlocal steps
            steps += 1
            return model.step(ids_B, state)

    search = BeamSearch(Counting(), *prefilled(model), 60, BeamConfig(beams=3))
    came = [(steps, len(ids)) for ids in search]
    assert sum(count for step, count in came if step < 30) > 10


def slow_diverse_search(model, T, groups, width, penalty):
    """Vijayakumar et al. (2018), algorithm 1, without ends, by sorting all candidates."""
    log_probs_VV = log_softmax(model.logits_VV)
    beams = [[((), 0.0)] for _ in range(groups)]
    for _ in range(T):
        taken = np.zeros(model.vocabulary_size)
        for group in range(groups):
            candidates = [
                ((*ids, id), total + log_prob, total + log_prob - penalty * taken[id])
                for ids, total in beams[group]
                for id, log_prob in enumerate(log_probs_VV[ids[-1] if ids else model.start_id])
            ]
            candidates.sort(key=lambda one: -one[2])
            beams[group] = [(ids, total) for ids, total, _ in candidates[:width]]
            for ids, _ in beams[group]:
                taken[ids[-1]] += 1
    return dict(one for group in beams for one in group)


@pytest.mark.parametrize("seed", range(20))
def test_groups_search_as_the_paper_says(seed):
    model = MarkovModel(np.random.default_rng(seed).normal(0, 1, (6, 6)))
    groups, width, penalty = [(2, 2, 0.7), (3, 1, 2.0), (3, 2, 0.2), (1, 4, 0.5)][seed % 4]
    expected = slow_diverse_search(model, 5, groups, width, penalty)
    K = groups * width
    config = BeamConfig(K, nbest=K, beam_groups=groups, diversity_penalty=penalty)
    found = BeamSearch(model, *prefilled(model), 5, config).run()
    assert {one.ids: pytest.approx(one.score * 5) for one in found} == expected


@given(seed=st.integers(0, 1 << 30), K=st.integers(2, 4), alpha=st.sampled_from([0.0, 1.0]))
@settings(max_examples=100, deadline=None)
def test_many_ways_to_end_starve_nobody(seed, K, alpha):
    """Six of eight ids end a text: K beams live on until the bound is reached, or the length."""
    rng = np.random.default_rng(seed)
    model = MarkovModel(rng.normal(0, 2, (8, 8)))
    config = BeamConfig(K, nbest=K, length_penalty=alpha)
    found = BeamSearch(
        model, *prefilled(model), 4, config, stopped=lambda ids: int(ids[-1]) < 6
    ).run()
    log_probs_VV = log_softmax(model.logits_VV)
    live, pool = [((), 0.0)], []
    for n in range(1, 5):
        grown = sorted(
            (
                ((*ids, id), total + log_probs_VV[ids[-1] if ids else 0, id])
                for ids, total in live
                for id in range(8)
            ),
            key=lambda one: -one[1],
        )
        ends = [one for one in grown[:K] if one[0][-1] < 6 or n == 4]
        pool = sorted([*pool, *((ids, total / n**alpha) for ids, total in ends)],
                      key=lambda one: -one[1])[:K]  # fmt: skip
        live = [one for one in grown if one[0][-1] >= 6][:K]
    assert [one.ids for one in found] == [ids for ids, _ in pool]


@pytest.mark.parametrize("seed", range(10))
def test_groups_find_no_text_twice(seed):
    model = MarkovModel(np.random.default_rng(seed).normal(0, 1, (4, 4)), end_id=3)
    config = BeamConfig(6, nbest=6, beam_groups=3)
    found = BeamSearch(model, *prefilled(model), 8, config).run()
    assert len(found) == len({one.ids for one in found}) > 1


def test_hypotheses_that_are_the_same_text_are_found_once():
    """Ids 1 and 2 spell the same."""
    model = engine(4)
    spelled = ["a", "b", "b", "c", "d", "e", "f"]

    def text(ids):
        return "".join(spelled[id] for id in ids)

    config = BeamConfig(beams=12, nbest=12)
    found = BeamSearch(model, *prefilled(model), 4, config, same=text).run()
    assert len({text(one.ids) for one in found}) == len(found)
    everything = BeamSearch(model, *prefilled(model), 4, config).run()
    best = {}
    for one in everything:
        best.setdefault(text(one.ids), one.score)
    assert best.keys() <= {text(one.ids) for one in found}
    for one in found:
        assert one.score >= best.get(text(one.ids), -np.inf)


@pytest.mark.parametrize("seed", range(10))
def test_of_hypotheses_that_are_alike_the_best_stays(seed):
    model = MarkovModel(np.random.default_rng(seed).normal(0, 1, (3, 3)), end_id=2)
    best = max(total / len(ids) ** 2 for ids, total in every_text(model, 4).items())
    config = BeamConfig(beams=81, length_penalty=2.0)
    (found,) = BeamSearch(model, *prefilled(model), 4, config, same=lambda ids: "alike").run()
    assert found.score == pytest.approx(best)


def test_beams_that_may_not_go_on_say_why():
    model = engine(1, vocabulary=3)
    guides = Guides([NoRepeatNgram(1)])
    with pytest.raises(GenerationError, match="--no-repeat-ngram"):
        BeamSearch(model, *prefilled(model), 4, BeamConfig(beams=2), guides=guides).run()
    found = BeamSearch(model, *prefilled(model), 3, BeamConfig(beams=6), guides=guides).run()
    assert sorted(found[0].ids) == [0, 1, 2]


def test_a_repetition_penalty_guides_the_search_by_log_probabilities():
    model = MarkovModel(np.log([[0.6, 0.3, 0.1]] * 3))
    guides = Guides([RepetitionPenalty(3.0, 3)])
    (found,) = BeamSearch(model, *prefilled(model), 2, BeamConfig(beams=3), guides=guides).run()
    assert found.ids == (0, 1)
    assert found.log_probs == pytest.approx(np.log([0.6, 0.3]))
    assert found.score == pytest.approx(np.log(0.6 * 0.3) / 2)


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
