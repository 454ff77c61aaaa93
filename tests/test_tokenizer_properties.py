"""What every tokenizer keeps, for any bytes, however they are cut."""

import codecs
import itertools
from functools import cache

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from charnn.errors import InputError, UsageError
from charnn.text.base import UnknownTally
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import TOKENIZERS, load_tokenizer, train_tokenizer
from charnn.text.utf8 import InvalidTally, decode_utf8, encode_utf8, read_utf8

LEARNED = (
    "Once upon a time, the fox didn't drink; she said: “the moon is 3,000 miles away!”\r\n\n"
    "\tIndented  twice.\rA line — with dashes…\n从前有一只狐狸。它说：月亮在井里！\n" * 3
)

#: Beside all of Unicode: what begins and ends like something else, and what is no UTF-8.
ODD = (
    *("\ufeff", "\r\n", "\r", "\n", "\n\n", "\0", "\u2028", "\u2029", "\x85", "\x1c", "\t", "  "),
    *("e\u0301", "👩‍👩‍👧", "\u202eabc\u202c", "שלום", "مرحبا", "▁", "<unk>", "<0x41>", "<eos>"),
    *("<s>", "</s>", "�", "aaaa", "fox", "狐狸", "\U0010ffff", "\ue000"),
)
PIECES = st.one_of(
    st.sampled_from([text.encode() for text in ODD]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.encode),
    st.sampled_from("狐é😀\n a".encode()).map(lambda byte: bytes([byte])),
    st.binary(max_size=4),
)
ANY_BYTES = st.lists(PIECES, max_size=24).map(b"".join)

#: What keeps all bytes, whatever it learned from.
KEEPING = [
    ("byte", {}),
    ("byte", {"end_text": "\n\n"}),
    ("char", {"unknown": "byte"}),
    ("char", {"unknown": "byte", "end_text": "\r\n"}),
    ("word", {"unknown": "byte", "min_count": 1}),
    ("word", {"unknown": "byte", "min_count": 1, "end_text": "\n"}),
    ("subword", {}),
    ("subword", {"end_text": "\n"}),
    ("subword", {"subword": "bpe"}),
]
#: What has no fallback, or joins white space, gives other bytes, but always the same ids.
OTHERS = [
    ("char", {"unknown": "replace"}),
    ("char", {"unknown": "skip", "lowercase": True}),
    ("word", {"unknown": "replace", "words": "whitespace"}),
]


def name_of(how):
    kind, options = how
    return "-".join([kind, *(str(value).encode("unicode_escape").decode() for value in
                             options.values())])  # fmt: skip


@cache
def made(kind, options):
    return train_tokenizer([[LEARNED.encode()]], TokenizerConfig(kind, **dict(options)))


def tokenizer(how):
    kind, options = how
    return made(kind, tuple(sorted(options.items())))


def pieces_of(data, places):
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


def ids_of(one, pieces, tally=None):
    return [id for ids in one.encode_stream(pieces, tally) for id in ids.tolist()]


PLACES = st.lists(st.integers(0, 1 << 16), max_size=12)


# --- every byte returns ------------------------------------------------------------------------


@pytest.mark.parametrize("how", KEEPING, ids=name_of)
@given(data=ANY_BYTES, places=PLACES)
@settings(max_examples=40)
def test_any_bytes_return_wherever_they_are_cut(how, data, places):
    one, tally = tokenizer(how), UnknownTally()
    ids = one.encode(data, tally)
    assert one.decode(ids) == data
    assert not tally.count
    assert ids_of(one, pieces_of(data, places)) == ids
    assert ids_of(one, [bytes([byte]) for byte in data]) == ids


@pytest.mark.parametrize("how", KEEPING, ids=name_of)
@given(learned=ANY_BYTES, data=ANY_BYTES)
@example("狐狸看见井里的月亮。".encode(), "a 狐 ▁ b".encode())
@settings(max_examples=30)
def test_any_bytes_return_whatever_was_learned_from(how, learned, data):
    kind, options = how
    config = TokenizerConfig(kind, **options)
    try:
        one = train_tokenizer([[learned * 20]], config)
    except UsageError:  # sentencepiece finds nothing to learn
        reject()
    assert one.decode(one.encode(data)) == data


@pytest.mark.parametrize("how", OTHERS, ids=name_of)
@given(data=ANY_BYTES, places=PLACES)
@settings(max_examples=40)
def test_ids_and_what_is_lost_do_not_depend_on_the_cuts(how, data, places):
    one = tokenizer(how)
    tallies = [UnknownTally() for _ in range(3)]
    ids = one.encode(data, tallies[0])
    assert ids_of(one, pieces_of(data, places), tallies[1]) == ids
    assert ids_of(one, [bytes([byte]) for byte in data], tallies[2]) == ids
    assert tallies[0] == tallies[1] == tallies[2]


@pytest.mark.parametrize("kind", ["byte", "char"])
@pytest.mark.parametrize("count", [200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_bytes_and_characters_round_trip(kind, count):
    """Learned from the text itself, and from another with byte fallback."""

    @given(data=ANY_BYTES)
    @settings(max_examples=count)
    def case(data):
        nonlocal done
        done += 1
        other = tokenizer((kind, {"unknown": "byte"} if kind == "char" else {}))
        assert other.decode(other.encode(data)) == data
        if data:
            own = train_tokenizer([[data]], TokenizerConfig(kind))
            assert own.decode(own.encode(data)) == data
            assert kind == "byte" or own.vocabulary_size == len(set("".join(decode_utf8([data]))))

    done = 0
    case()
    assert done >= count
    print(f"{kind}: {done:,} cases")


SCALARS = [*range(0xD800), *range(0xE000, 0x110000)]


def test_every_code_point_round_trips():
    """All 1,112,064, in one text and each alone: by bytes, characters, and byte fallback."""
    assert len(SCALARS) == 1_112_064
    text = "".join(map(chr, SCALARS))
    data = text.encode()
    own = train_tokenizer([[data]], TokenizerConfig("char"))
    assert own.vocabulary_size == len(SCALARS)
    byte, fallback = train_tokenizer([], TokenizerConfig("byte")), tokenizer(KEEPING[2])
    for one in (own, byte, fallback):
        assert one.decode(one.encode(data)) == data
    ids = own.encode(data)
    assert sorted(ids) == list(range(len(SCALARS)))
    # Each alone: its id is where its bytes are, whatever stands beside it.
    id_of = dict(zip(text, ids, strict=True))
    assert [own.token_bytes[id_of[character]] for character in text] == [
        character.encode() for character in text
    ]
    alone = [*SCALARS[:0x3000:7], *SCALARS[::997]]
    for point in alone:
        for one in (own, byte, fallback):
            assert one.decode(one.encode(chr(point))) == chr(point).encode()


@pytest.mark.slow
def test_every_code_point_round_trips_alone():
    own = train_tokenizer([["".join(map(chr, SCALARS)).encode()]], TokenizerConfig("char"))
    fallback, byte = tokenizer(KEEPING[2]), tokenizer(KEEPING[0])
    for character in map(chr, SCALARS):
        data = character.encode()
        assert own.decode(own.encode(data)) == data
        assert fallback.decode(fallback.encode(data)) == data
        assert byte.decode(byte.encode(data)) == data


@pytest.mark.parametrize("how", KEEPING, ids=name_of)
def test_names_of_special_tokens_are_ordinary_text(how):
    one = tokenizer(how)
    for text in ("<eos>", "<unk>", "<s>", "</s>", "<pad>", "<0x41>", "▁", "<|endoftext|>"):
        ids = one.encode(text)
        assert one.decode(ids) == text.encode()
        assert one.end_id not in ids
        assert one.unknown_id not in ids


# --- bytes that are no UTF-8 -------------------------------------------------------------------


@given(data=ANY_BYTES, places=PLACES)
def test_a_text_holds_any_bytes(data, places):
    assert encode_utf8("".join(decode_utf8(pieces_of(data, places)))) == data


@given(data=ANY_BYTES, places=PLACES)
def test_what_is_no_utf8_is_settled_wherever_it_is_cut(data, places):
    """Against Python's own decoder over the whole of it."""
    pieces = pieces_of(data, places)
    tally = InvalidTally()
    assert b"".join(read_utf8(pieces, "bytes", tally)) == data
    assert b"".join(read_utf8(pieces, "replace")) == data.decode("utf-8", "replace").encode()
    escaped = data.decode("utf-8", "surrogateescape")
    assert tally.count == sum("\udc80" <= character <= "\udcff" for character in escaped)
    if not tally.count:
        assert b"".join(read_utf8(pieces, "strict")) == data
        return
    with pytest.raises(UnicodeDecodeError) as known:
        data.decode()
    assert tally.first == known.value.start
    with pytest.raises(InputError, match=f"invalid at byte {tally.first};"):
        list(read_utf8(pieces, "strict"))


def test_surrogates_in_utf8_are_bytes_that_are_no_text():
    """CESU-8, and UTF-8 of lone surrogates: three bytes each, and no code points."""
    data = b"\xed\xa0\xbd\xed\xb8\x80\xed\xb3\xbf"
    assert "".join(decode_utf8([data])) == "".join(chr(0xDC00 + byte) for byte in data)
    one = train_tokenizer([[data]], TokenizerConfig("char"))
    assert one.decode(one.encode(data)) == data


def test_a_symbol_that_is_no_utf8_is_saved_and_named(tmp_path):
    data = b"caf\xe9 \xff\xff fox\n"
    for kind in ("char", "word"):
        saved = train_tokenizer([[data]], TokenizerConfig(kind, min_count=1))
        saved.save(tmp_path / kind)
        loaded = load_tokenizer(tmp_path / kind)
        assert loaded.token_bytes == saved.token_bytes
        assert loaded.digest == saved.digest
        assert loaded.decode(loaded.encode(data)) == data
        assert "\\xff" in (tmp_path / kind / "vocabulary.tsv").read_text()
    tally = UnknownTally()
    train_tokenizer([[b"fox"]], TokenizerConfig("char")).encode(b"f\xe4x", tally)
    assert str(tally) == "1 unknown, the first byte 0xE4, which is no UTF-8, at character 1"


@pytest.mark.parametrize("kind", list(TOKENIZERS))
def test_half_a_surrogate_pair_is_an_error_and_an_escaped_byte_is_that_byte(kind):
    one = tokenizer((kind, {}))
    with pytest.raises(InputError, match=r"U\+D83D at character 2 is half a surrogate pair"):
        one.encode("ab\ud83d")
    escaped = "fox\udce4"
    assert one.encode(escaped) == one.encode(b"fox\xe4")


@pytest.mark.parametrize("how", KEEPING, ids=name_of)
def test_line_ends_are_cut_anywhere(how):
    """CR and LF in different chunks, and half characters around them: all places of a text."""
    one = tokenizer(how)
    data = "狐\r\né\n\r\n\r\r\n\n😀\r".encode() + b"\xe7\r\n\xff\n"
    whole = one.encode(data)
    assert one.decode(whole) == data
    for i in range(len(data) + 1):
        for j in range(i, len(data) + 1):
            assert ids_of(one, [data[:i], data[i:j], data[j:]]) == whole


def test_bytes_are_read_as_by_the_incremental_decoder_of_python():
    """The strict decoder's idea of what is incomplete is that of the one which keeps bytes."""
    for lead in range(0x80, 0x100):
        for second in (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF):
            data = bytes([lead, second, 0x80, 0x80])
            for cut in range(1, 4):
                joined = b"".join(read_utf8([data[:cut], data[cut:]], "replace"))
                assert joined == data.decode("utf-8", "replace").encode()
                assert codecs.decode(joined, "utf-8")


@pytest.mark.parametrize("line", ["the fox 狐 " * 9 + "\n", "fox" * 1000, " " * 90 + "\n"])
def test_subwords_are_learned_from_a_bounded_sample(line, monkeypatch):
    """All of a text, or about as much of a longer one as was said, however it is cut."""
    learned = []

    def stop(sentence_iterator, **_):
        learned.append(list(sentence_iterator))
        raise RuntimeError("] enough")

    monkeypatch.setattr("sentencepiece.SentencePieceTrainer.train", stop)
    text = line * (300_000 // len(line))
    for limit, pieces in ((1 << 40, 7), (30_000, 7), (30_000, 4096)):
        monkeypatch.setattr("charnn.text.subword._SAMPLE_CHARACTERS", limit)
        data = text.encode()
        chunks = [data[n : n + pieces] for n in range(0, len(data), pieces)]
        with pytest.raises(UsageError, match="enough"):
            train_tokenizer([chunks], TokenizerConfig("subword"))
    whole, some, cut = learned
    assert sum(map(len, whole)) == len(text) - text.count("\n")
    assert some == cut
    assert 15_000 < sum(map(len, some)) < 45_000
