from hypothesis import given
from hypothesis import strategies as st

from charnn.text.streaming import TextStream, first_stop, stop_test

pieces = st.lists(st.text("ab中😀\n", max_size=4), max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    places = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(
    text=st.text("ab中😀👩\u200d\n"),
    stop=st.lists(st.text("ab中", min_size=1), max_size=3),
    places=st.lists(st.integers(0, 99)),
)
def test_streamed_text_is_the_text_up_to_the_first_stop(text, stop, places):
    stream = TextStream(stop)
    out = [stream.feed(part) for part in cut(text.encode(), places)]
    out.append(stream.finish())
    place = first_stop(text, stop)
    assert "".join(out) == (text if place is None else text[:place])
    assert stream.stopped == (place is not None)


def test_half_a_character_never_comes_out():
    stream = TextStream()
    assert [stream.feed(bytes([byte])) for byte in "中".encode()] == ["", "", "中"]
    assert stream.feed("😀".encode()[:3]) + stream.finish() == ""


def test_bytes_that_are_no_text_are_shown_as_replacement():
    assert TextStream().feed(b"a\xffb") == "a\ufffdb"


@given(
    tokens=st.lists(st.sampled_from([b"a", b"ab", b"b", "中".encode(), b"\xe4", b"\xb8\xad"])),
    stop=st.lists(st.sampled_from(["ab", "ba", "中", "aab"]), min_size=1, max_size=2),
)
def test_the_stop_test_finds_what_a_search_finds(tokens, stop):
    table = sorted(set(tokens))
    test = stop_test(table, stop)
    ids = [table.index(token) for token in tokens]
    for n in range(1, len(ids) + 1):
        text = b"".join(table[id] for id in ids[:n])
        found = any(one.encode() in text for one in stop)
        assert test(ids[:n]) == found
        if found:
            break
