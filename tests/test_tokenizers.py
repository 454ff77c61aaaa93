import itertools
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.errors import InputError, UnknownTokenError, UsageError
from charnn.text.base import UnknownTally, split_documents
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import TOKENIZERS, load_tokenizer, train_tokenizer
from charnn.text.vocabulary import Vocabulary
from charnn.text.word import words_of

SAMPLE = (
    "Once upon a time, the fox didn't drink; she said: “the moon is 3,000 miles away!”\n\n"
    "\tIndented  twice.\r\nA line — with dashes… and tabs\t.\n从前有一只狐狸。它说：月亮在井里！\n"
    "<0x41> ▁ ▅ <unk> <end> naïve café e\u0301 👩‍👩‍👧 \u2028\ufeff\n"
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
sample_texts = st.lists(st.sampled_from(re.findall(r"\w+|\s|.", SAMPLE)), max_size=60).map("".join)


def tokenizer(kind: str, text: str | bytes = SAMPLE, **options):
    data = text.encode() if isinstance(text, str) else text
    return train_tokenizer([[data]], TokenizerConfig(kind, **options))


CHAR, SUBWORD, BPE = tokenizer("char"), tokenizer("subword"), tokenizer("subword", subword="bpe")
WORD = tokenizer("word", min_count=2)


@given(st.binary())
def test_bytes_keep_all_input(data):
    byte = tokenizer("byte")
    assert byte.encode(data) == list(data)
    assert byte.decode(byte.encode(data)) == data


@pytest.mark.parametrize("kind", [CHAR, WORD], ids=["char", "word"])
@given(text=sample_texts)
def test_known_text_returns_exactly(kind, text):
    tally = UnknownTally()
    assert kind.decode(kind.encode(text, tally)).decode() == text
    assert tally.count == 0


@pytest.mark.parametrize("kind", [WORD, SUBWORD, BPE], ids=["word", "unigram", "bpe"])
@given(text=texts)
def test_byte_fallback_keeps_all_text(kind, text):
    assert kind.decode(kind.encode(text)).decode() == text


@pytest.mark.parametrize("kind", list(TOKENIZERS))
@pytest.mark.parametrize("end_text", [None, "", "\n", "\n\n"])
@given(text=st.one_of(sample_texts, st.text("ab\n 中", max_size=60)), cuts=st.data())
@settings(max_examples=25)
def test_ids_do_not_depend_on_where_the_stream_is_cut(kind, end_text, text, cuts):
    key = (kind, end_text)
    if key not in _BY_END:
        _BY_END[key] = tokenizer(kind, SAMPLE + "ab\n 中", end_text=end_text)
    one = _BY_END[key]
    data = text.encode()
    places = sorted(cuts.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    streamed = [id for ids in one.encode_stream(pieces) for id in ids.tolist()]
    assert streamed == one.encode(data)
    assert one.decode(streamed) == data


_BY_END: dict = {}


@pytest.mark.parametrize("kind", [CHAR, WORD, SUBWORD])
@given(a=sample_texts, b=sample_texts)
def test_decoding_is_concatenation(kind, a, b):
    first, second = kind.encode(a), kind.encode(b)
    assert kind.decode(first + second) == kind.decode(first) + kind.decode(second)


@pytest.mark.parametrize("kind", list(TOKENIZERS))
def test_save_and_load(kind, tmp_path):
    saved = tokenizer(kind)
    saved.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.token_bytes == saved.token_bytes
    assert loaded.encode(SAMPLE) == saved.encode(SAMPLE)
    lines = (tmp_path / "vocabulary.tsv").read_text().splitlines()
    assert len(lines) == saved.vocabulary_size + 1


def test_a_damaged_tokenizer_is_an_error(tmp_path):
    CHAR.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    for damaged in ("", "[]", "{}", '{"kind": "nose"}', '{"kind": "char", "tokens": 3}'):
        path.write_text(damaged)
        with pytest.raises(InputError):
            load_tokenizer(tmp_path)


def test_char_vocabulary_is_what_the_text_holds():
    one = tokenizer("char", "abracadabra")
    assert one.token_bytes == (b"a", b"b", b"r", b"c", b"d")
    assert one.vocabulary.counts == (5, 2, 2, 1, 1)
    assert one.encode("cab") == [3, 0, 1]


def test_rare_characters_fall_back_to_bytes():
    one = tokenizer("char", "aaabbbé", min_count=2)
    assert one.vocabulary_size == 256 + 2
    assert one.encode("é") == [0xC3, 0xA9]
    assert one.decode(one.encode("aéx中b")) == "aéx中b".encode()


@pytest.mark.parametrize("kind", ["char", "word"])
def test_unknown_policies(kind):
    text, strange = " a a a b b c", " a c b z"

    def encoded(policy):
        one = tokenizer(kind, text, min_count=2, unknown=policy)
        tally = UnknownTally()
        return one.decode(one.encode(strange, tally)), tally

    assert encoded("byte") == (strange.encode(), UnknownTally())
    replaced, tally = encoded("replace")
    assert replaced.count(b"<unk>") == tally.count == 2
    skipped, tally = encoded("skip")
    assert b"c" not in skipped and b"z" not in skipped
    assert (tally.count, tally.first.strip()) == (2, "c")
    with pytest.raises(UnknownTokenError, match="c'"):
        encoded("error")


def test_the_tally_names_the_first_unknown_character():
    tally = UnknownTally()
    ids = tokenizer("char", "abc").encode("ab→c→", tally)
    assert ids == [0, 1, 2]
    assert str(tally) == "2 unknown, the first U+2192 '→' at character 2"


def test_words_are_counted_cut_and_numbered_from_one():
    one = tokenizer("word", "b b b a a c", min_count=2, unknown="replace")
    counts = Counter({" b": 2, "b": 1, " a": 2, " c": 1})
    assert dict(zip(one.vocabulary.tokens, one.vocabulary.counts, strict=True)) == {
        word: count for word, count in counts.items() if count >= 2
    }
    assert one.token_bytes[0] == b""  # padding
    assert min(one.encode("b b b a a c")) >= 1


def test_a_word_carries_the_space_before_it():
    words = [word for part in words_of([SAMPLE]) for word in part or ()]
    assert "".join(words) == SAMPLE
    assert " fox" in words
    assert " didn't" in words
    assert words[words.index("从") :][:3] == ["从", "前", "有"]
    assert "\n" in words
    assert "\r\n" in words


def test_a_word_that_a_cut_runs_through_stays_whole():
    def joined(pieces):
        return [word for part in words_of(pieces) for word in part or ()]

    text = "we don't know"
    for place in range(len(text)):
        assert joined([text[:place], text[place:]]) == ["we", " don't", " know"]


def test_whitespace_words_are_wikitext_tokens():
    line = " \n = Robert <unk> = \n \n @-@ 3 . 5 <unk> \n"
    one = tokenizer("word", line, words="whitespace")
    assert len(one.encode(line)) == len(line.split()) + line.count("\n")
    assert one.decode(one.encode(line)).decode() == line


def test_lowercase_is_said_to_lose_something():
    one = tokenizer("word", "The the THE", lowercase=True, min_count=1)
    assert one.decode(one.encode("THE the")) == b"the the"
    assert (one.exact, one.loses) == (False, "upper case")


def test_vocabulary_size_counts_the_specials():
    counts = {chr(n): 200 - n for n in range(97, 117)}
    cut = Vocabulary.build(counts, max_size=8, padding=True, end_text="", unknown="replace")
    assert len(cut) == 8
    assert (cut.end_id, cut.unknown_id, cut.first_id) == (1, 2, 3)
    assert cut.tokens == tuple("abcde")
    with pytest.raises(UsageError, match="no room"):
        Vocabulary.build(counts, max_size=3, padding=True, end_text="", unknown="replace")


def test_documents_end_where_the_text_says():
    assert list(split_documents(["a\n\n", "\nb"], "\n\n")) == ["a", None, "\nb"]
    one = tokenizer("char", "ab\nb\n", end_text="\n")
    ids = one.encode("ab\nb\n")
    assert [id == one.end_id for id in ids] == [False, False, True, False, True]
    assert one.start_id == one.end_id


def test_special_text_inside_user_data_stays_text():
    one = tokenizer("word", " <unk> <unk> a a b", unknown="replace", min_count=2)
    assert one.unknown_id is not None
    assert one.unknown_id not in one.encode(" <unk> a a")


def test_ids_out_of_range_are_refused():
    for id in (-1, CHAR.vocabulary_size):
        for odd in ([0, id], np.array([0] * 99 + [id])):
            with pytest.raises(InputError, match=f"^{id} is no id; ids are from 0 to "):
                CHAR.decode(odd)
        with pytest.raises(InputError, match=r"^a is no id; ids are from 0 to "):
            CHAR.decode("abc")
        with pytest.raises(InputError, match=f"^{id} is no id; ids are from 0 to "):
            CHAR.decode([id])


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "byte", "min_count": 2},
        {"tokenizer": "char", "words": "whitespace"},
        {"tokenizer": "subword", "lowercase": True},
        {"tokenizer": "char", "subword": "bpe"},
        {"min_count": 0},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError):
        TokenizerConfig(**options)


@pytest.mark.parametrize("kind", ["char", "word"])
def test_an_empty_prompt_starts_with_the_line_end_that_training_saw(kind):
    """Not with the byte symbol 10, which stands for rare text alone."""
    text = "a a a\nb b b\nc"
    one = tokenizer(kind, text, min_count=2)
    assert one.vocabulary.first_byte_id is not None
    assert [one.start_id] == one.encode("\n")
    assert one.start_id >= one.vocabulary.first_id
    whitespace = tokenizer("word", text, words="whitespace")
    assert [whitespace.start_id] == whitespace.encode("\n")
    without = tokenizer(kind, "a a a a", min_count=1)
    assert without.start_id == without.vocabulary.first_id


def test_when_all_is_cut_bytes_remain_or_nothing_does(tmp_path):
    one = tokenizer("word", "one two three", min_count=9)
    assert one.decode(one.encode("one two")) == b"one two"
    one.save(tmp_path)
    assert load_tokenizer(tmp_path).token_bytes == one.token_bytes
    with pytest.raises(UsageError, match="nothing is left"):
        tokenizer("char", "abc", min_count=9, unknown="skip")


def test_an_unknown_policy_that_is_asked_for_has_its_symbols():
    assert tokenizer("char", "hello", unknown="byte").vocabulary_size == 256 + 4
    one = tokenizer("char", "hello", unknown="byte")
    assert one.decode(one.encode("hi ☃")) == "hi ☃".encode()
    assert tokenizer("char", "hello", unknown="replace").unknown_id == 0
    assert tokenizer("char", "hello").vocabulary_size == 4


def test_small_subword_vocabularies_work_or_say_how_large_they_must_be():
    text = "".join(chr(0x4E00 + n) * (1 + n % 7) for n in range(600)) * 3
    with pytest.raises(UsageError, match="--vocab-size must be at least") as refused:
        tokenizer("subword", text, vocabulary_size=300)
    least = int(re.search(r"at least (\d+)", str(refused.value))[1])
    one = tokenizer("subword", text, vocabulary_size=least)
    assert one.vocabulary_size <= least
    assert one.decode(one.encode(text + "龥")).decode() == text + "龥"


@pytest.mark.parametrize("kind", ["byte", "char", "word"])
def test_ends_of_documents_are_found_from_the_left_wherever_a_stream_is_cut(kind):
    """All texts of up to six letters and line ends, cut at all pairs of places."""
    one = tokenizer(kind, "a a a a", end_text="\n\n")
    for length in range(7):
        for letters in itertools.product(b"a\n", repeat=length):
            data = bytes(letters)
            whole = one.encode(data)
            for i, j in itertools.combinations_with_replacement(range(length + 1), 2):
                pieces = [data[:i], data[i:j], data[j:]]
                assert [id for ids in one.encode_stream(pieces) for id in ids.tolist()] == whole
