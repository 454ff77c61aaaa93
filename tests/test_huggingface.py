"""Decoding against Hugging Face transformers, which others wrote.

Both go on with the same prompts, with the same models. What differs, differs on purpose:

================= =============================== ================================================
                  charnn                          transformers 5
================= =============================== ================================================
equals            of equal scores the lowest ids  top-k and typical-p keep all equals of the last
                  are kept (min-p keeps them all) one kept; top-p those that its sort put last
order of filters  typical-p before top-p, min-p   typical-p last
one beam          greedy, but guides see          greedy: guides see logits
                  log-probabilities
too few texts     finds fewer, none twice         copies that score about -1e9 fill the beams; with
                                                  early_stopping=True, those that end count as ended
nothing allowed   ends the sample; beams, if      greedy search takes id 0 and goes on; beam search
                  nothing is found, raise         gives back what scores -1e9
bans              texts, in what is written,      token sequences, the prompt included
                  whatever tokens spell them
early_stopping    "never" (as is) or "first"      also False, the default: bounds what may still
                  (True)                          come by the length so far, and can miss the best
numbers           log-probs and sums are float64  float32
================= =============================== ================================================

Everything is drawn from fixed seeds, and nothing is left out for being close: noise of up to 1e-5
on every logit changed none of the texts that charnn finds here, so float32 decides nowhere.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from conftest import random_weights
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PretrainedConfig,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from transformers.modeling_outputs import CausalLMOutput

from charnn.architecture import ModelConfig
from charnn.decode.beam import BeamSearch
from charnn.decode.config import BeamConfig, SamplingConfig
from charnn.decode.constraints import Constraint
from charnn.decode.filters import make_filter
from charnn.decode.guides import Guides, Mask, NoRepeatNgram, RepetitionPenalty
from charnn.decode.loop import generate, greedy
from charnn.engine import Engine
from charnn.errors import GenerationError
from charnn.step import log_softmax, pad

EARLY_STOPPING = {"never": "never", "first": True}

#: What scores less only fills a beam of transformers: there were fewer texts than beams.
FILLER = -1e6


class Reference(PreTrainedModel, GenerationMixin):
    """A StepModel to transformers; reads the whole text again for every token."""

    device = torch.device("cpu")

    def __init__(self, model):
        super().__init__(PretrainedConfig())
        self._model = model

    def forward(self, input_ids, **_):
        batch, length = input_ids.shape
        logits_BV, _ = self._model.prefill(
            input_ids.numpy(), np.full(batch, length), self._model.initial_state(batch)
        )
        return CausalLMOutput(logits=torch.from_numpy(logits_BV[:, None]))


@dataclass(frozen=True)
class Task:
    """What both are asked to go on with."""

    model: Engine
    prompt: list[int]
    max_tokens: int
    penalty: float
    n: int

    @classmethod
    def draw(cls, rng, guided):
        V = int(rng.integers(2, 10))
        architecture = ModelConfig(layers=1, hidden=6, embedding=4)
        weights = random_weights(architecture, V, int(rng.integers(1 << 30)), np.float64)
        # Three times as large, so that the model knows what it wants.
        sharp = {name: 3 * weight for name, weight in weights.items()}
        return cls(
            Engine(
                architecture,
                sharp,
                start_id=0,
                end_id=int(rng.integers(V)) if rng.random() < 0.6 else None,
            ),
            prompt=rng.integers(V, size=rng.integers(1, 5)).tolist(),
            max_tokens=int(rng.integers(1, 9)),
            penalty=float(rng.choice([0.5, 1.0, 1.3, 2.0])) if guided else 1.0,
            n=int(rng.integers(4)) if guided else 0,
        )

    def start(self):
        return self.model.prefill(*pad([self.prompt]), self.model.initial_state(1))

    def guides(self):
        penalty = RepetitionPenalty(self.penalty, self.model.vocabulary_size, self.prompt)
        no_repeat = NoRepeatNgram(self.n, self.prompt)
        return Guides([penalty] * (self.penalty != 1) + [no_repeat] * (self.n > 0))

    def take_likeliest(self):
        """The ids that charnn writes greedily, and whether its guides then forbade all."""
        ids = []
        steps = generate(self.model, *self.start(), 1, self.max_tokens, greedy(), self.guides())
        for step in steps:
            if step.blocked_B is not None and step.blocked_B[0]:
                return ids, True
            ids += step.ids_B.tolist()
            if ids[-1] == self.model.end_id:
                break
        return ids, False

    def search(self, config):
        """The ids and scores that charnn's beams find."""
        search = BeamSearch(
            self.model, *self.start(), self.max_tokens, config, guides=self.guides()
        )
        try:
            return [(list(one.ids), one.score) for one in search.run()]
        except GenerationError:
            return []

    def ask_transformers(self, **options):
        """The ids and scores that transformers finds; greedy search has no scores."""
        padding = self.model.vocabulary_size
        config = GenerationConfig(
            max_new_tokens=self.max_tokens,
            repetition_penalty=self.penalty,
            no_repeat_ngram_size=self.n,
            eos_token_id=self.model.end_id,
            pad_token_id=padding,
            use_cache=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        output = Reference(self.model).generate(torch.tensor([self.prompt]), config)
        texts = output.sequences[:, len(self.prompt) :].tolist()
        # Without an end token, -1 pads.
        written = [[id for id in text if id not in (padding, -1)] for text in texts]
        scores = output.get("sequences_scores")
        return list(zip(written, [None] if scores is None else scores.tolist(), strict=True))


@pytest.mark.parametrize("guided", [False, True])
def test_greedy_search_is_that_of_transformers(guided):
    dead_ends = 0
    for seed in range(200):
        task = Task.draw(np.random.default_rng([seed, guided]), guided)
        [(theirs, _)] = task.ask_transformers()
        ours, blocked = task.take_likeliest()
        if blocked:
            dead_ends += 1
            assert theirs[len(ours)] == 0
        else:
            assert len(ours) == len(theirs), f"seed {seed}"
        assert ours == theirs[: len(ours)], f"seed {seed}"
        if not guided:
            [(found, _)] = task.search(BeamConfig(beams=1, early_stopping="first"))
            assert found == ours, f"seed {seed}"
    assert dead_ends <= 30 * guided


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("early_stopping", EARLY_STOPPING)
def test_beam_search_is_that_of_transformers(early_stopping, guided):
    left_out = 0
    for seed in range(300):
        rng = np.random.default_rng([seed, guided, early_stopping == "first"])
        task = Task.draw(rng, guided)
        beams = int(rng.integers(2, 6))
        nbest = int(rng.integers(1, beams + 1))
        alpha = float(rng.choice([-1.0, 0.0, 0.6, 1.0, 2.0]))
        # All beams, so that fillers are seen; how many are given back changes nothing else.
        theirs = task.ask_transformers(
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=alpha,
            early_stopping=EARLY_STOPPING[early_stopping],
        )
        ended_fillers = [
            ids for ids, score in theirs if score < FILLER and ids[-1:] == [task.model.end_id]
        ]
        # transformers counts them as texts that have ended, and stops before it has enough.
        if early_stopping == "first" and ended_fillers:
            left_out += 1
            continue
        expected = [(ids, score) for ids, score in theirs if score > FILLER][:nbest]
        ours = task.search(
            BeamConfig(
                beams=beams, nbest=nbest, length_penalty=alpha, early_stopping=early_stopping
            )
        )
        assert [ids for ids, _ in ours] == [ids for ids, _ in expected], f"seed {seed}"
        scores = pytest.approx([score for _, score in expected], rel=1e-5, abs=1e-6)
        assert [score for _, score in ours] == scores, f"seed {seed}"
    assert left_out <= 20 * (early_stopping == "first")


#: In charnn's order: what filters in transformers, and what draws a value.
FILTERS = {
    "temperature": (TemperatureLogitsWarper, lambda rng: rng.uniform(0.2, 3)),
    "top_k": (TopKLogitsWarper, lambda rng: int(rng.integers(1, 30))),
    "typical_p": (TypicalLogitsWarper, lambda rng: rng.uniform(0.05, 0.99)),
    "top_p": (TopPLogitsWarper, lambda rng: rng.uniform(0.05, 0.99)),
    "min_p": (MinPLogitsWarper, lambda rng: rng.uniform(0.001, 0.99)),
}


def filter_both(logits_BV, options):
    """Log-probabilities of what charnn keeps, and of what transformers keeps."""
    ours = make_filter(SamplingConfig(**{"temperature": 1.0, **options}))
    theirs = LogitsProcessorList([FILTERS[name][0](value) for name, value in options.items()])
    return log_softmax(ours(logits_BV)), log_softmax(
        theirs(None, torch.from_numpy(logits_BV)).numpy()
    )


@pytest.mark.parametrize("names", [*([name] for name in FILTERS), list(FILTERS)], ids="-".join)
def test_filters_keep_what_those_of_transformers_keep(names):
    rng = np.random.default_rng(0)
    for _ in range(100):
        logits_BV = rng.normal(0, 3, (20, rng.integers(2, 30)))
        # As guides leave it: the first column is never forbidden.
        logits_BV[:, 1:][rng.random(logits_BV[:, 1:].shape) < 0.1] = -np.inf
        ours_BV, theirs_BV = filter_both(logits_BV, {name: FILTERS[name][1](rng) for name in names})
        np.testing.assert_allclose(ours_BV, theirs_BV, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "kept", "kept_by_transformers"),
    [
        ({"top_k": 1}, [0], [0, 1, 2, 3]),
        ({"typical_p": 0.3}, [0, 1], [0, 1, 2, 3]),
    ],
)
def test_of_equals_the_first_are_kept(options, kept, kept_by_transformers):
    ours_1V, theirs_1V = filter_both(np.zeros((1, 4)), options)
    assert np.flatnonzero(np.isfinite(ours_1V)).tolist() == kept
    assert np.flatnonzero(np.isfinite(theirs_1V)).tolist() == kept_by_transformers


@pytest.mark.parametrize("option", ["penalty", "n"])
def test_guides_change_scores_as_transformers_does(option):
    rng = np.random.default_rng(0)
    for _ in range(100):
        V = int(rng.integers(2, 30))
        prompt_T = rng.integers(V, size=rng.integers(6))
        written_BT = rng.integers(V, size=(20, rng.integers(1, 12)))
        logits_BV = rng.normal(0, 3, (20, V))
        if option == "penalty":
            penalty = rng.uniform(0.5, 3)
            guide = RepetitionPenalty(penalty, V, prompt_T.tolist())
            theirs = RepetitionPenaltyLogitsProcessor(penalty)
        else:
            n = int(rng.integers(1, 5))
            guide = NoRepeatNgram(n, prompt_T.tolist())
            theirs = NoRepeatNGramLogitsProcessor(n)
        state = guide.initial_state(20)
        for ids_B in written_BT.T:
            state = guide.advance(ids_B, state)
        ids_BT = np.column_stack((np.tile(prompt_T, (20, 1)), written_BT))
        expected_BV = theirs(torch.from_numpy(ids_BT), torch.from_numpy(logits_BV)).numpy()
        np.testing.assert_array_equal(guide.apply(logits_BV, state), expected_BV)


def test_bans_forbid_what_those_of_transformers_forbid():
    """One token, one letter: so a banned text is one sequence of tokens."""
    rng = np.random.default_rng(0)
    rows = 0
    for _ in range(100):
        letters = "abcdefg"[: rng.integers(2, 8)]
        bans = [rng.integers(len(letters), size=rng.integers(1, 4)).tolist() for _ in range(3)]
        banned = ["".join(letters[id] for id in ban) for ban in bans]
        tokens = [letter.encode() for letter in letters]
        guide = Mask(Constraint(tokens, max_tokens=12, banned=banned))
        theirs = NoBadWordsLogitsProcessor(bans)
        state = guide.initial_state(1)
        written = np.zeros((1, 0), dtype=np.int64)
        for _ in range(12):
            logits_1V = rng.normal(size=(1, len(letters)))
            expected_1V = theirs(torch.from_numpy(written), torch.from_numpy(logits_1V)).numpy()
            np.testing.assert_array_equal(guide.apply(logits_1V, state), expected_1V)
            rows += 1
            if np.isneginf(expected_1V).all():
                break
            # Greedily, so that only what is allowed is written.
            id_1 = expected_1V.argmax(axis=1)
            state = guide.advance(id_1, state)
            written = np.column_stack((written, id_1))
    assert rows >= 500
