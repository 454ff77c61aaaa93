"""Counting, against nltk, brute force and the formulas of Chen & Goodman (1999)."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from conftest import make_corpus
from hypothesis import given
from hypothesis import strategies as st
from nltk.lm import MLE, KneserNeyInterpolated
from nltk.util import everygrams

from charnn.architecture import NgramConfig
from charnn.checkpoint import check_ngrams
from charnn.decode.beam import BeamSearch
from charnn.decode.config import BeamConfig, SamplingConfig
from charnn.decode.loop import generate, sampler
from charnn.errors import UsageError
from charnn.models import open_model
from charnn.ngram import NgramModel, count_ngrams, discounts
from charnn.step import pad
from charnn.text.config import TokenizerConfig
from charnn.training.counting import count

texts = st.lists(st.integers(0, 3), min_size=1, max_size=60)


def model_of(ids, order, smoothing="kneser-ney", V=4, **changed) -> NgramModel:
    tensors = count_ngrams(np.array(ids), V, order, smoothing) | changed
    return NgramModel(tensors, V, start_id=0, end_id=None)


def after(model, context) -> np.ndarray:
    """P(· | context), as decoding sees it."""
    if not len(context):
        nothing = model.initial_state(model.vocabulary_size)
        every_BT = np.arange(model.vocabulary_size)[:, None]
        return np.exp(-model.nats(every_BT, np.ones(len(every_BT), int), nothing)[0][:, 0])
    logits_1V, _ = model.prefill(*pad([list(context)]), model.initial_state(1))
    return np.exp(logits_1V[0])


def some_text(size=400, V=4, seed=0):
    """Every k-gram of its beginning stands elsewhere too, so that all contexts have a left."""
    ids = (np.random.default_rng(seed).gamma(0.7, 2.0, size).astype(int) % V).tolist()
    return ids + ids


def test_the_joint_probability_of_the_lesson():
    text, question = [0, 1, 0, 1, 0, 2], [0, 1, 0, 2]  # a b a b a c; a b a c
    model = model_of(text, 2, "maximum-likelihood", V=3)
    nats_1T, _ = model.nats(np.array([question]), np.array([4]), model.initial_state(1))
    np.testing.assert_allclose(np.exp(-nats_1T[0]), [1 / 2, 2 / 3, 1, 1 / 3])
    assert np.exp(-nats_1T.sum()) == pytest.approx(1 / 9)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_maximum_likelihood_is_nltks(order):
    ids = some_text()
    reference = MLE(order)
    words = ["abcd"[id] for id in ids]
    reference.fit([list(everygrams(words, max_len=order))], vocabulary_text="abcd")
    model = model_of(ids, order, "maximum-likelihood")
    seen = 0
    for context in itertools.product(range(4), repeat=order - 1):
        # The text's last context has no follower there, and a shorter one decides.
        words = tuple("abcd"[id] for id in context)
        if not words or reference.counts[words].N():
            expected = [reference.score(w, words) for w in "abcd"]
            np.testing.assert_allclose(after(model, context), expected, rtol=0, atol=1e-9)
            seen += 1
    assert seen >= 3 ** (order - 1)


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("discount", [0.1, 0.75])
def test_kneser_ney_with_one_discount_is_nltks(order, discount):
    """nltk knows one discount, and takes nothing from unigrams."""
    ids = some_text()
    reference = KneserNeyInterpolated(order, discount=discount)
    words = ["abcd"[id] for id in ids]
    reference.fit([list(everygrams(words, max_len=order))], vocabulary_text="abcd")
    taken = np.full((order, 3), discount)
    taken[0] = 0
    model = model_of(ids, order, discounts=taken)
    for context in itertools.product(range(4), repeat=order - 1):
        expected = [reference.score(w, tuple("abcd"[id] for id in context)) for w in "abcd"]
        np.testing.assert_allclose(after(model, context), expected, rtol=0, atol=1e-9)


def chen_and_goodman(ids, order, V):
    """P(w | context) straight from section 3.4, with dictionaries."""
    grams = [Counter(zip(*(ids[i:] for i in range(k)), strict=False)) for k in range(order + 1)]
    count = {order: grams[order]}
    for k in range(1, order):
        lefts = defaultdict(set)
        for gram in grams[k + 1]:
            lefts[gram[1:]].add(gram[0])
        count[k] = Counter({gram: len(before) for gram, before in lefts.items()})

    def taken(k, c):
        n = Counter(count[k].values())
        if not (n[1] and n[2] and n[3]):
            d = (0, 0.5, 1.0, 1.5)
        else:
            y = n[1] / (n[1] + 2 * n[2])
            d = (0, *(i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)))
            if not all(0 <= d[i] <= i for i in (1, 2, 3)):
                d = (0, 0.5, 1.0, 1.5)
        return d[min(c, 3)]

    def probability(w, context, k):
        if k == 0:
            return 1 / V
        lower = probability(w, context[1:], k - 1)
        followers = {v: count[k][(*context, v)] for v in range(V)}
        total = sum(followers.values())
        if not total:
            return lower
        left = sum(taken(k, c) for c in followers.values()) / total
        return (followers[w] - taken(k, followers[w])) / total + left * lower

    return lambda w, context: probability(w, tuple(context), len(context) + 1)


@pytest.mark.parametrize(
    ("V", "order", "size"), [(4, 4, 300), (12, 3, 500), (30, 2, 200), (5, 1, 9)]
)
def test_modified_kneser_ney_is_the_papers(V, order, size):
    ids = some_text(size, V, seed=V)[: size + 3]
    reference, model = chen_and_goodman(ids, order, V), model_of(ids, order, V=V)
    estimated = [
        tuple(d) != (0.5, 1.0, 1.5) for d in count_ngrams(ids, V, order, "kneser-ney")["discounts"]
    ]
    assert any(estimated) or V == 5
    rng = np.random.default_rng(1)
    for context in rng.integers(0, V, (40, order - 1)).tolist():
        expected = [reference(w, context) for w in range(V)]
        np.testing.assert_allclose(after(model, context), expected, rtol=0, atol=1e-9)


def test_discounts_of_a_worked_example():
    """Of six counts of 1, three of 2, two of 3 and one of 4: Y = 1/2."""
    found = discounts(np.array([1] * 6 + [2] * 3 + [3] * 2 + [4, 9, 0]))
    np.testing.assert_allclose(
        found, [1 - 2 * 0.5 * 3 / 6, 2 - 3 * 0.5 * 2 / 3, 3 - 4 * 0.5 * 1 / 2]
    )
    assert discounts(np.array([1, 1, 2])) == (0.5, 1.0, 1.5)


@given(texts, st.integers(1, 5), st.sampled_from(["kneser-ney", "maximum-likelihood"]), texts)
def test_probabilities_sum_to_one_in_every_context(ids, order, smoothing, context):
    model = model_of(ids, order, smoothing, V=5)  # symbol 4 is never seen
    probabilities_V = after(model, context + [4] * (len(context) % 2))
    assert probabilities_V.min() >= 0
    assert probabilities_V.sum() == pytest.approx(1, abs=1e-9)
    if smoothing == "kneser-ney":
        assert probabilities_V.min() > 0


@given(texts, st.integers(1, 4), texts, st.integers(0, 60))
def test_scoring_is_stepping_wherever_it_is_cut(ids, order, question, cut):
    model = model_of(ids, order)
    cut = min(cut, len(question))
    ids_BT, lengths_B = pad([question[:cut], question[:cut][::-1]])
    first_BT, state = model.nats(ids_BT, lengths_B, model.initial_state(2))
    second_BT, end = model.nats(*pad([question[cut:], []]), state)
    stepped, now = [], model.initial_state(1)
    for n, id in enumerate(question):
        stepped.append(-math.log(after(model, question[:n])[id]))
        now = model.step(np.array([id]), now)[1]
    np.testing.assert_allclose([*first_BT[0], *second_BT[0]], stepped, atol=1e-12)
    assert not second_BT[1].any()
    assert end[0][0].tolist() == now[0][0].tolist()
    assert end[0][1].tolist() == state[0][1].tolist()


def test_an_unseen_symbol_before_changes_nothing_but_the_context():
    model = model_of(some_text(), 3, V=5)
    np.testing.assert_allclose(after(model, [1, 4]), after(model, []), atol=1e-12)
    np.testing.assert_allclose(after(model, [4, 1]), after(model, [4, 4, 4, 1]), atol=1e-12)


def test_what_cannot_be_is_never_searched_nor_drawn():
    model = model_of([0, 1, 0, 1, 0, 2], 2, "maximum-likelihood", V=3)
    logits_1V, state = model.prefill(*pad([[1]]), model.initial_state(1))
    found = BeamSearch(model, logits_1V, state, 2, BeamConfig(beams=8)).run()
    assert {tuple(text.ids) for text in found} <= {(0, 1), (0, 2)}
    assert all(np.isfinite(text.score) for text in found)
    sampling = SamplingConfig(temperature=3.0, top_k=3)
    drawn = generate(model, logits_1V, state, 64, 2, sampler(sampling, 1, range(64)))
    rows = list(zip(*(step.ids_B.tolist() for step in drawn), strict=True))
    assert {row[0] for row in rows} == {0}
    assert {row[1] for row in rows} == {1, 2}


def test_a_counted_run_opens_like_any_other(tmp_path):
    corpus = make_corpus(tmp_path, config=TokenizerConfig())
    counted = count(corpus, NgramConfig(order=3), tmp_path, "ngram")
    assert counted.run == tmp_path / "ngram"
    model = open_model(counted.run)
    assert model.checkpoint.config.model == NgramConfig(order=3)
    assert model.checkpoint.config.validation_nats == counted.validation_nats
    tensors = count_ngrams(corpus.tokens("train"), corpus.header.vocabulary, 3, "kneser-ney")
    assert {k: v.tolist() for k, v in model.checkpoint.weights.items()} == {
        k: v.tolist() for k, v in tensors.items()
    }
    assert {(counted.run / link).resolve().name for link in ("best", "last")} == {"step-1"}
    assert all((counted.run / link).is_symlink() for link in ("best", "last"))
    assert counted.ngrams[0] == corpus.header.vocabulary


@pytest.mark.parametrize(
    "changed",
    [
        {"grams.2.keys": np.array([3, 2, 1])},
        {"grams.2.keys": np.array([1, 2, 99])},
        {"grams.2.keys": np.array([-1, 2, 3])},
        {"grams.2.keys": np.array([1, -(1 << 63), 1 - (1 << 63)])},
        {"grams.2.keys": np.array(3)},
        {"grams.2.counts": np.array(3)},
        {"grams.2.counts": np.array([1, 2])},
        {"grams.2.counts": np.array([1, 2, -3])},
        {"grams.2.counts": np.array([1.0, 2.0, 3.0])},
        {"grams.1.counts": np.array([1, 2])},
        {"discounts": np.zeros((3, 3))},
        {"discounts": np.zeros((2, 2))},
        {"discounts": np.array(0.5)},
        {"discounts": np.full((2, 3), np.nan)},
        {"discounts": np.full((2, 3), -1.0)},
        {"discounts": np.array([[1, 2, 3], [1.1, 0, 0]])},
        {"stranger": np.zeros(1)},
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_are_refused(changed):
    tensors = count_ngrams(np.array([0, 1, 0, 1, 0, 2]), 3, 2, "kneser-ney")
    check_ngrams(tensors, 3, 2)
    with pytest.raises(ValueError, match=r"model\.safetensors: "):
        check_ngrams(tensors | changed, 3, 2)
    for order in (1, 3):
        with pytest.raises(ValueError, match="not the tensors of"):
            check_ngrams(tensors, 3, order)


def test_impossible_orders_are_refused():
    for options in ({"order": 0}, {"order": 101}, {"smoothing": "none"}):
        with pytest.raises(UsageError):
            NgramConfig(**options)
