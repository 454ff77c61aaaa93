"""Text in, text out: what is streamed, where it stops, what guides it."""

import re
from dataclasses import replace

import numpy as np
import pytest
from fakes import engine
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.checkpoint import read_checkpoint
from charnn.context import Context, load_context, read_prompt, save_context
from charnn.decode.config import (
    BeamConfig,
    Decoding,
    GenerationConfig,
    GuideConfig,
    SamplingConfig,
)
from charnn.decode.filters import repetition_penalty
from charnn.errors import GenerationError, InputError, UsageError
from charnn.generation import Piece, goes_in_circles, write
from charnn.models import open_model
from charnn.step import pad

FAMILY = "👩\u200d👩\u200d👧"
TOKENS = [b"", *(bytes([byte]) for byte in range(256)), "ab", "b\n", "中文", FAMILY, "a中", "👩"]
TABLE = tuple(token if isinstance(token, bytes) else token.encode() for token in TOKENS)


class Spelling:
    """As much of a tokenizer as generation needs: id 0 ends, and the others spell."""

    end_id = 0
    token_bytes = TABLE

    def decode(self, ids):
        return b"".join(TABLE[id] for id in ids)


class Script:
    """A model that says one text, whatever is read; every other token is a little less likely."""

    start_id, end_id, vocabulary_size = 0, 0, len(TABLE)

    def __init__(self, ids):
        self.ids = [*ids, 0]

    def initial_state(self, batch):
        return (np.zeros(batch, dtype=int),)

    def step(self, ids_B, state):
        (places_B,) = state
        logits_BV = np.zeros((len(places_B), self.vocabulary_size))
        for row, place in enumerate(places_B.tolist()):
            logits_BV[row, self.ids[min(place, len(self.ids) - 1)]] = 9.0
        return logits_BV, (places_B + 1,)

    def prefill(self, ids_BT, lengths_B, state):
        return self.step(ids_BT, state)


def said(model, tokenizer, decoding, context=None):
    """The pieces and the whole of each text."""
    context = context or read_prompt(model, [])
    pieces, whole = {}, {}
    for one in write(model, tokenizer, context, decoding, details=True):
        if isinstance(one, Piece):
            pieces.setdefault(one.sample, []).append(one.text)
        else:
            whole[one.sample] = one
    return pieces, whole


def cut_text(data: bytes, stop, lines) -> str:
    """What should come out, told the slow way: character by character."""
    text, shown = "", data.decode("utf-8", "replace")
    for length in range(len(data), max(len(data) - 4, -1), -1):  # half a character is dropped
        try:
            data[length:].decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                shown = data[:length].decode("utf-8", "replace")
                break
    for character in shown:
        text += character
        ends = [text[: -len(one)] for one in stop if text.endswith(one)]
        if lines and text.count("\n") == lines:
            ends.append(text[:-1])
        if ends:
            return min(ends, key=len)
    return text


characters = st.sampled_from(["a", "b", "\n", "中", FAMILY, "👩", "é"])
scripts = st.lists(st.one_of(characters, st.sampled_from(["ab", "b\n", "a中"])), max_size=12)


@st.composite
def spelled(draw):
    """Ids that spell a text, cut into tokens anyhow."""
    ids = []
    for part in draw(scripts):
        if part.encode() in TABLE and draw(st.booleans()):
            ids.append(TABLE.index(part.encode()))
        else:
            ids += [1 + byte for byte in part.encode()]
    return ids


@given(
    ids=spelled(),
    stop=st.lists(st.sampled_from(["ab", "b\n", "中", "a中b", FAMILY, "\u200d", "b"]), max_size=2),
    lines=st.integers(0, 3),
    length=st.integers(1, 20),
    beams=st.sampled_from([0, 1, 3]),
)
@settings(max_examples=300)
def test_what_is_streamed_is_what_is_not(ids, stop, lines, length, beams):
    generation = GenerationConfig(length, greedy=not beams, stop=tuple(stop), max_lines=lines)
    decoding = Decoding(generation, beam=BeamConfig(beams))
    pieces, whole = said(Script(ids), Spelling(), decoding)
    assert "".join(pieces.get(0, [])) == whole[0].text
    if beams < 2:  # what three beams find may end sooner
        spelled_out = b"".join(TABLE[id] for id in ids[:length])
        assert whole[0].text == cut_text(spelled_out, stop, lines)
        stopped = len(whole[0].text) < len(cut_text(spelled_out, (), 0))
        ended = len(ids) < length
        assert whole[0].finished == ("stop" if stopped else "end" if ended else "length")
    assert not any("\ufffd" in piece for piece in pieces.get(0, []))


def letters(seed=0):
    """A small model of letters and line ends, and how they are spelled."""

    class Letters(Spelling):
        end_id = None
        token_bytes = tuple(one.encode() for one in ("a", "b", "é", " ", "\n", "ab", "中"))

        def decode(self, ids):
            return b"".join(self.token_bytes[id] for id in ids)

    return engine(seed, vocabulary=7), Letters()


PATTERNS = [
    "[ab]{3,9}",
    r"(\w+ ){2}\w+",
    "(?s).*é.*",
    "[^a]*",
    r"([^\n]{1,4}\n){2}",
    "(ab|b)*中",
    "(?i)A+B?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("how", ["sampling", "greedy", "beam"])
def test_every_output_matches_its_pattern(pattern, how):
    guide = GuideConfig(regex=(pattern, "[^ ]?.*(?s:.)*"))
    for seed in range(5):
        model, tokenizer = letters(seed)
        decoding = {
            "sampling": Decoding(
                GenerationConfig(12, samples=7, seed=seed), SamplingConfig(1.0), guide
            ),
            "greedy": Decoding(GenerationConfig(12, greedy=True), guide=guide),
            "beam": Decoding(GenerationConfig(12), guide=guide, beam=BeamConfig(4, nbest=3)),
        }[how]
        _, whole = said(model, tokenizer, decoding)
        assert whole
        for one in whole.values():
            assert re.fullmatch(pattern, one.text)
            assert one.finished == ("length" if len(one.ids) == 12 else "end")


@pytest.mark.parametrize("beams", [0, 3])
def test_what_is_cut_matches_its_pattern(beams):
    model, tokenizer = letters(3)
    generation = GenerationConfig(20, samples=1 if beams else 40, seed=1, stop=("b",), max_lines=2)
    guide = GuideConfig(regex=(r"[^é]+",), ban=("aa", "中"))
    beam = BeamConfig(beams, nbest=max(beams, 1))
    _, whole = said(model, tokenizer, Decoding(generation, guide=guide, beam=beam))
    for one in whole.values():
        assert re.fullmatch("[^éb]+", one.text)
        assert "aa" not in one.text
        assert "中" not in one.text
        assert one.text.count("\n") < 2
    if not beams:
        assert {one.finished for one in whole.values()} == {"stop"}
        assert len({one.text for one in whole.values()}) > 8


def test_a_pattern_that_nothing_matches_is_refused():
    model, tokenizer = letters()
    with pytest.raises(UsageError, match="xyz"):
        said(model, tokenizer, Decoding(GenerationConfig(9), guide=GuideConfig(regex=("xyz",))))


@pytest.mark.parametrize("beams", [0, 2])
def test_a_pattern_that_only_nothing_matches_writes_nothing(beams):
    model, tokenizer = letters()
    guide = GuideConfig(regex=("", "a*"))
    decoding = Decoding(GenerationConfig(9, seed=1), guide=guide, beam=BeamConfig(beams))
    pieces, whole = said(model, tokenizer, decoding)
    assert not pieces
    assert (whole[0].text, whole[0].finished) == ("", "end")


@pytest.mark.parametrize("regex", [(), (r"(?s).*",)])
def test_samples_beyond_a_block_are_samples_like_any_other(regex):
    model, tokenizer = letters()
    sampling, guide = SamplingConfig(1.0), GuideConfig(regex=regex)

    def texts(samples):
        decoding = Decoding(GenerationConfig(20, samples=samples, seed=4), sampling, guide)
        _, whole = said(model, tokenizer, decoding)
        return [whole[sample].text for sample in range(samples)]

    many = texts(70)
    assert len(set(many)) == 70
    assert many[:64] == texts(64)


def test_guides_that_leave_nothing_say_which_they_are():
    model, tokenizer = letters()
    guide = GuideConfig(no_repeat_ngram=1, regex=("[ab]*",), repetition_penalty=1.1)
    for decoding in (
        Decoding(GenerationConfig(9, greedy=True), guide=guide),
        Decoding(GenerationConfig(9), guide=guide, beam=BeamConfig(2)),
    ):
        with pytest.raises(GenerationError, match=r"^--no-repeat-ngram and --regex left"):
            said(model, tokenizer, decoding)


def test_the_prompt_counts_as_seen():
    model, tokenizer = letters()
    context = read_prompt(model, [0, 1, 2, 3])
    guide = GuideConfig(no_repeat_ngram=1)
    _, whole = said(model, tokenizer, Decoding(GenerationConfig(3, seed=1), guide=guide), context)
    assert sorted(whole[0].ids) == [4, 5, 6]


def test_the_prompt_is_penalised():
    changed = 0
    for seed in range(5):
        model, tokenizer = letters(seed)
        context = read_prompt(model, [0, 1, 2, 3])
        seen_BV = np.array([[True] * 4 + [False] * 3])
        expected = int(repetition_penalty(context.logits_1V, seen_BV, 3.0).argmax())
        changed += expected != int(context.logits_1V.argmax())
        guide = GuideConfig(repetition_penalty=3.0)
        decoding = Decoding(GenerationConfig(1, greedy=True), guide=guide)
        assert said(model, tokenizer, decoding, context)[1][0].ids == (expected,)
    assert changed


def test_circles():
    assert goes_in_circles("of the " * 30)
    assert goes_in_circles("In the beginning there was one" + " and one more" * 10)
    assert not goes_in_circles("ha ha ha ha")
    assert not goes_in_circles("The fox saw the moon, and thought it was a cheese. " * 2)


# --- what was read -------------------------------------------------------------------------------


def test_a_prompt_can_be_read_in_parts():
    model = engine(hidden=16)
    whole = read_prompt(model, [1, 2, 3, 4])
    parts = read_prompt(model, [3, 4], read_prompt(model, [1, 2]))
    assert parts.ids == (1, 2, 3, 4)
    np.testing.assert_allclose(parts.logits_1V, whole.logits_1V, rtol=1e-5)
    assert read_prompt(model, [], parts) is parts
    nothing, _ = model.prefill(*pad([[model.start_id]]), model.initial_state(1))
    assert (read_prompt(model, []).logits_1V == nothing).all()


def test_a_saved_context_goes_on_bit_for_bit(workplace, tmp_path):
    opened = open_model(workplace / "checkpoints" / "text")
    context = read_prompt(opened.step_model, opened.tokenizer.encode("The fox saw"))
    path = tmp_path / "fox.state"
    save_context(path, context, opened.checkpoint)
    loaded = load_context(path, opened.checkpoint, opened.step_model)
    assert (loaded.logits_1V == context.logits_1V).all()
    for found, expected in zip(loaded.state, context.state, strict=True):
        assert found.dtype == expected.dtype
        assert (found == expected).all()


def test_a_context_that_does_not_fit_is_refused(workplace, tmp_path):
    opened = open_model(workplace / "checkpoints" / "text")
    checkpoint, model = opened.checkpoint, opened.step_model
    context = read_prompt(model, [1])
    path = tmp_path / "state"

    def refused(match):
        with pytest.raises(InputError, match=match):
            load_context(path, checkpoint, model)

    refused("No such file")
    for odd in (
        replace(context, logits_1V=np.full_like(context.logits_1V, np.nan)),
        replace(context, state=tuple(np.full_like(array, np.nan) for array in context.state)),
    ):
        save_context(path, odd, checkpoint)
        refused("it holds what is no number; make it again")
    path.unlink()
    save_context(path, context, checkpoint)
    flipped = bytearray(path.read_bytes())
    flipped[-5] ^= 1
    path.write_bytes(flipped)
    refused("damaged")
    path.write_bytes(b"no state")
    refused("is no state")
    path.write_bytes((checkpoint.path / "model.safetensors").read_bytes())
    refused("is no state")
    save_context(path, Context(context.logits_1V, context.state[:-1]), checkpoint)
    refused("damaged")
    save_context(path, Context(context.logits_1V[:, :-1], context.state), checkpoint)
    refused("damaged")
    other = read_checkpoint(workplace / "checkpoints" / "text", "last")
    other = replace(other, folder=replace(other.folder, digest="0" * 64))
    save_context(path, context, other)
    refused("another checkpoint's")
