"""What a mask lets through, against ``re`` itself and against all texts there are."""

import codecs
import itertools
import re
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from charnn.decode.constraints import Constraint
from charnn.errors import UsageError
from charnn.step import select_rows
from charnn.text.streaming import first_stop

CHARACTERS = "abA1 \né中😀"
BYTES = tuple(bytes([byte]) for byte in range(256))

characters = st.sampled_from(CHARACTERS)
sets = st.one_of(
    characters,
    st.sampled_from([r"\w", r"\d", r"\s", r"\W", ".", "[^a]", "[a-c1]", r"[^\s中]", "[é-😀]"]),
)


def _larger(inner):
    repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?", "{1,2}?"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("(?:{})".format),
        st.builds("(?:{}){}".format, inner, repeats),
        st.builds("({})".format, inner),
        st.builds("(?{}:{})".format, st.sampled_from(["i", "s", "-i", "a", "i-s"]), inner),
    )


regular = st.recursive(sets, _larger, max_leaves=6)
flags = st.sampled_from(["", "", "(?i)", "(?s)", "(?m)", "(?ism)"])
placed = st.one_of(
    regular,
    st.builds("^{}$".format, regular),
    st.builds(r"(?:\A{}|{})\Z".format, regular, regular),
    st.builds("(?:^{}|{}){}".format, regular, regular, regular),
    st.builds("{}(?:{}$|{})".format, regular, regular, regular),
)
patterns = st.builds("{}{}".format, flags, placed)

spelled = "".join(CHARACTERS).encode()
whole = st.text(CHARACTERS, min_size=1, max_size=3).map(str.encode)
single = st.sampled_from(sorted({bytes([byte]) for byte in spelled}))
cut = st.integers(0, len(spelled) - 1).flatmap(
    lambda begin: st.integers(1, 5).map(lambda n: spelled[begin : begin + n])
)
tables = st.one_of(
    st.lists(whole, min_size=1, max_size=6),
    st.lists(st.one_of(whole, single), min_size=1, max_size=6),
    st.lists(st.one_of(whole, single, cut, st.just(b"")), min_size=1, max_size=6),
    # The bytes of one character, so that many can be spelled.
    characters.map(lambda one: [bytes([byte]) for byte in one.encode()] + [b"a", b"\n"]),
)
stops = st.lists(st.text(CHARACTERS[:6], min_size=1, max_size=2), max_size=2)


def text_of(data, stop=(), lines=0):
    """What comes out; None: no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text[: first_stop(text, stop, lines)]


def fits(data, *, patterns=(), banned=(), stop=(), max_lines=0):
    text = text_of(data, stop, max_lines)
    return (
        text is not None
        and all(re.fullmatch(pattern, text) for pattern in patterns)
        and not any(one in text for one in banned)
    )


def matching(table, n, **rules):
    """All sequences of at most n tokens that match, by trying all."""
    usable = [id for id, token in enumerate(table) if token]
    for length in range(n + 1):
        for ids in itertools.product(usable, repeat=length):
            if fits(b"".join(table[id] for id in ids), **rules):
                yield ids


def after(constraint, ids):
    state = constraint.initial_state(1)
    for id in ids:
        state = constraint.advance(np.array([id]), state)
    return state


def may_follow(constraint, ids=()):
    return np.flatnonzero(constraint.allowed_BV(after(constraint, ids))[0]).tolist()


def check_against_all_texts(table, n, **rules):
    """Every beginning of a text that matches is reached, and nothing else; as rows of a batch."""
    texts = set(matching(table, n, **rules))
    beginnings = {ids[:length] for ids in texts for length in range(len(ids) + 1)}
    end = len(table)
    table = [*table, b"a"]  # an end token spells nothing, whatever it is called
    if not texts:
        with pytest.raises(UsageError):
            Constraint(table, max_tokens=n, end_id=end, **rules)
        return
    constraint = Constraint(table, max_tokens=n, end_id=end, **rules)
    rows, state = [()], constraint.initial_state(1)
    for length in range(n + 1):
        allowed_BV = constraint.allowed_BV(state)
        for ids, allowed_V in zip(rows, allowed_BV, strict=True):
            expected = [id for id in range(end) if (*ids, id) in beginnings]
            if ids in texts and length < n:
                expected.append(end)
            assert np.flatnonzero(allowed_V).tolist() == expected, ids
        np.testing.assert_array_equal(constraint.complete_B(state), ~allowed_BV.any(axis=1))
        from_, ids_B = np.nonzero(allowed_BV[:, :end])
        rows = [(*rows[row], id) for row, id in zip(from_, ids_B.tolist(), strict=True)]
        state = constraint.advance(ids_B, select_rows(from_, state))
        if not rows:
            break


@given(pattern=patterns, table=tables)
@settings(max_examples=100, deadline=None)
def test_just_what_re_matches_is_allowed(pattern, table):
    check_against_all_texts(table, 3, patterns=[pattern])


@given(
    wanted=st.lists(patterns, max_size=2),
    banned=st.lists(st.text(CHARACTERS, min_size=1, max_size=2), max_size=2),
    stop=stops,
    max_lines=st.integers(0, 2),
    table=tables,
)
@settings(max_examples=100, deadline=None)
def test_it_is_the_cut_text_that_matches(wanted, banned, stop, max_lines, table):
    rules = {"patterns": wanted, "banned": banned, "stop": stop, "max_lines": max_lines}
    check_against_all_texts(table, 3, **rules)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a?){2}",
        "b(?:a?){2,3}|(?:(?:a|b?){2}a){2}",
        "(?:a{2}|a{3}b|a{4})?",
        "(?:a{1,2}){2}",
        "(?i)A(?-i:A)|(?-i:B)b",
        "(?i:A)A|B",
        "",
    ],
)
def test_fine_points_of_patterns(pattern):
    check_against_all_texts([b"a", b"b", b"\n", b"ab", b"A"], 4, patterns=[pattern])


@pytest.mark.parametrize(
    "rules",
    [
        {"stop": ["b", "ab"], "patterns": ["a*"]},
        {"stop": ["b", "ab"], "patterns": ["(aa)*"]},
        {"stop": ["ab", "a"], "patterns": ["b?"]},
        {"stop": ["b"], "patterns": ["a|aba"]},
        {"stop": ["b\n"], "max_lines": 1, "patterns": ["a|bb"]},
        {"stop": ["\nb"], "max_lines": 2, "patterns": [r"a\nb|a\n"]},
        {"max_lines": 1, "patterns": ["a+|"]},
        {"max_lines": 2, "patterns": [r"a\nb?"]},
        {"max_lines": 2, "stop": ["aa"], "banned": ["b"]},
        {"banned": ["ab", "ba"]},
        {"banned": ["b"], "stop": ["ab"]},
    ],
)
def test_fine_points_of_stops(rules):
    check_against_all_texts([b"a", b"b", b"\n", b"ab", b"b\n"], 4, **rules)


@given(pattern=patterns, table=st.one_of(tables, st.just(BYTES)), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_random_walks_end_in_a_match(pattern, table, seed):
    n, B = 9, 4
    try:
        constraint = Constraint(table, max_tokens=n, patterns=[pattern], banned=["aa"])
    except UsageError:
        assume(False)
    rng = np.random.default_rng(seed)
    texts, state = [b""] * B, constraint.initial_state(B)
    for _ in range(n + 1):
        allowed_BV = constraint.allowed_BV(state)
        for row, done in enumerate(constraint.complete_B(state)):
            assert done == (not allowed_BV[row].any())
            if done:
                assert fits(texts[row], patterns=[pattern], banned=["aa"])
        # Rows that are done are fed anything.
        ids_B = (allowed_BV + rng.random(allowed_BV.shape)).argmax(axis=1)
        running = allowed_BV.any(axis=1)
        texts = [
            text + table[id] if runs else text
            for text, id, runs in zip(texts, ids_B, running, strict=True)
        ]
        state = constraint.advance(ids_B, state)
    assert not running.any()


@pytest.mark.parametrize(
    "pattern",
    [r"\w", r"\d", r"\s", ".", "[^e]", "(?i)k", "(?i)ß", r"(?a:\w)", "(?i:[µσ])"],
)
def test_the_characters_of_all_of_unicode_are_those_of_re(pattern):
    """Spelled with bytes, all together: a row for every half character."""
    constraint = Constraint(BYTES, max_tokens=4, patterns=[pattern])
    halves, state = [b""], constraint.initial_state(1)
    accepted = []
    while halves:
        longer, from_, last = [], [], []
        for row, (half, allowed_V) in enumerate(
            zip(halves, constraint.allowed_BV(state), strict=True)
        ):
            for byte in np.flatnonzero(allowed_V).tolist():
                data = half + BYTES[byte]
                try:
                    accepted.append(data.decode())
                except UnicodeDecodeError:
                    # Raises again, unless a character can still come of it.
                    assert not codecs.getincrementaldecoder("utf-8")().decode(data)
                    longer.append(data)
                    from_.append(row)
                    last.append(byte)
        halves = longer
        state = constraint.advance(
            np.array(last, dtype=np.int64), select_rows(np.array(from_, dtype=np.int64), state)
        )
    matches = re.compile(pattern).fullmatch
    expected = [chr(code) for code in range(0x110000) if matches(chr(code))]
    assert sorted(accepted) == [one for one in expected if not "\ud800" <= one <= "\udfff"]


def test_the_tokens_that_remain_must_suffice():
    """With "b" 12 tokens away, the first token must already hurry."""
    table = [b"a", b"aaaa", b"b"]
    tight = Constraint(table, max_tokens=4, patterns=["a{12}b"])
    assert may_follow(tight) == [1]
    assert may_follow(tight, [1, 1]) == [1]
    loose = Constraint(table, max_tokens=5, patterns=["a{12}b"])
    assert may_follow(loose) == [1]
    roomy = Constraint(table, max_tokens=7, patterns=["a{12}b"])
    assert may_follow(roomy) == [0, 1]


def test_a_text_goes_on_while_it_can_where_nothing_ends_it():
    constraint = Constraint([b"a", b"b"], max_tokens=9, patterns=["a*b?"])
    assert may_follow(constraint, [0]) == [0, 1]
    assert constraint.complete_B(after(constraint, [0, 1])).tolist() == [True]
    assert constraint.complete_B(after(constraint, [0] * 9)).tolist() == [True]


def test_the_end_token_comes_only_after_whole_texts():
    constraint = Constraint(
        [b"a", "é".encode()[:1], "é".encode()[1:], b"<end>"],
        max_tokens=4,
        end_id=3,
        patterns=["a.?"],
    )
    assert may_follow(constraint) == [0]
    assert may_follow(constraint, [0]) == [0, 1, 3]
    assert may_follow(constraint, [0, 1]) == [2]
    assert may_follow(constraint, [0, 1, 2]) == [3]
    assert may_follow(constraint, [0, 3]) == []
    assert constraint.complete_B(after(constraint, [0, 3])).tolist() == [True]


def test_the_end_token_need_not_fit_in():
    constraint = Constraint([b"a", b""], max_tokens=2, end_id=1, patterns=["aa"])
    assert may_follow(constraint, [0, 0]) == []
    assert constraint.complete_B(after(constraint, [0, 0])).tolist() == [True]


def test_rows_know_nothing_of_each_other():
    constraint = Constraint([b"a", b"b", b"c"], max_tokens=6, patterns=["(ab)*c|b+"])
    texts = [(0, 1), (1, 1), (2, 0), (0, 2)]
    state = constraint.initial_state(4)
    for ids_B in np.array(texts).T:
        state = constraint.advance(ids_B, state)
    order = np.array([3, 0, 0, 2, 1])
    reordered = select_rows(order, state)
    for row, ids in enumerate(texts[place] for place in order):
        alone = after(constraint, ids)
        np.testing.assert_array_equal(
            constraint.allowed_BV(reordered)[row], constraint.allowed_BV(alone)[0]
        )
        assert constraint.complete_B(reordered)[row] == constraint.complete_B(alone)[0]
    assert constraint.allowed_BV(reordered).any(axis=1).tolist() == [False, True, True, False, True]


def test_an_empty_batch_has_no_rows():
    constraint = Constraint([b"a"], max_tokens=2)
    state = constraint.advance(np.zeros(0, dtype=np.int64), constraint.initial_state(0))
    assert constraint.allowed_BV(state).shape == (0, 1)
    assert constraint.complete_B(state).shape == (0,)


def test_states_are_never_changed_in_place():
    constraint = Constraint([b"a", b"b"], max_tokens=3, patterns=["ab.?"])
    state = constraint.initial_state(2)
    before = [array.copy() for array in state]
    constraint.advance(np.array([0, 1]), state)
    for array, copy in zip(state, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "unterminated subpattern at position 0"),
        ("[b-a]", "bad character range b-a at position 1"),
        ("a{9999999999999}", "repetition number is too large"),
        (r"(a)\1", "backreference"),
        ("(a)?(?(1)b|c)", "conditional"),
        ("(?<=a)b", "lookbehind"),
        ("(?<!a)b", "lookbehind"),
        ("a(?=b)b", "lookahead"),
        ("(?!a)b", "lookahead"),
        (r"a$\n", "$ before the end"),
        (r"a\b", r"\b"),
        (r"a\Bb", r"\B"),
        ("a?^b", "^ after the start"),
        ("(?:a$)*", "$ before the end"),
        ("a*+b", "possessive"),
        ("(?>a*)b", "atomic"),
        ("(" * 2000 + ")" * 2000, "nested too deeply"),
        (r"(\w{1,60} ?){60}", "too complicated"),
        ("(?:a{1000}b){1000}", "too complicated"),
        ("(?s).*a.{40}", "too complicated"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(pattern, said):
    with pytest.raises(UsageError) as caught:
        Constraint([b"a", b"b", b"c"], max_tokens=5, patterns=["a?", pattern])
    assert said in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_no_warning_of_python_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Constraint([b"a", b"["], max_tokens=5, patterns=["[[a]"])


def test_the_pattern_that_alone_cannot_match_is_named():
    table = [b"a", b"b"]
    with pytest.raises(UsageError) as caught:
        Constraint(table, max_tokens=5, patterns=["a*", "x+\n"], banned=["b"])
    assert caught.value.message == r"no text of this vocabulary satisfies --regex 'x+\n'"
    assert "symbols that the model lacks" in caught.value.hint
    with pytest.raises(UsageError, match="--regex 'a\\+' and --regex 'b\\+'"):
        Constraint(table, max_tokens=5, patterns=["a+", "b+"])
    with pytest.raises(UsageError, match="--regex 'a\\+' and --ban 'a'"):
        Constraint(table, max_tokens=5, patterns=["a+"], banned=["a"])
    with pytest.raises(
        UsageError, match=re.escape("at most 5 tokens of this vocabulary satisfies --regex 'a{6}'")
    ) as caught:
        Constraint(table, max_tokens=5, patterns=["a{6}"])
    assert caught.value.hint.endswith("--max-tokens 6")
    with pytest.raises(UsageError, match="no text of this vocabulary") as caught:  # ever
        Constraint(table, max_tokens=5, patterns=["a{6}", "b*"])
    assert "--max-tokens" not in caught.value.hint
    with pytest.raises(UsageError) as caught:
        Constraint(table, max_tokens=5, patterns=["a{6}b*", "a*b{3}"])
    assert caught.value.hint.endswith("--max-tokens 9")
    Constraint(table, max_tokens=6, patterns=["a{6}"])


def test_more_tokens_than_there_ever_are():
    for tokens in (2**31 - 1, 2**31, 10**20):
        constraint = Constraint([b"a", b"b"], max_tokens=tokens, patterns=["a*"])
        assert may_follow(constraint) == [0]
        with pytest.raises(UsageError):
            Constraint([b"a", b"b"], max_tokens=tokens, patterns=["x"])


def test_a_vocabulary_that_spells_nothing_can_still_write_nothing():
    constraint = Constraint([b"", b""], max_tokens=3, end_id=1, patterns=["a*"])
    assert may_follow(constraint) == [1]


def test_several_patterns_with_counts_and_a_large_vocabulary_work_together():
    letters = "abcdefghijklmnopqrst \n"
    table = [*BYTES, *("".join(token).encode() for token in itertools.product(letters, repeat=3))]
    wanted = [r"([^\n]{1,60}\n){4}", r"(?s).*the fox.*", r"(?s)[^z]*"]
    constraint = Constraint(table, max_tokens=250, patterns=wanted)
    rng = np.random.default_rng(1)
    text, state = b"", constraint.initial_state(1)
    while not constraint.complete_B(state)[0]:
        id = rng.choice(np.flatnonzero(constraint.allowed_BV(state)[0]))
        text += table[id]
        state = constraint.advance(np.array([id]), state)
    assert all(re.fullmatch(pattern, text.decode()) for pattern in wanted)


def test_ambiguous_counts():
    constraint = Constraint([b"a", b" "], max_tokens=99, patterns=[r"(\w{1,30} ?){1,9}"])
    assert may_follow(constraint, [0, 1, 0]) == [0, 1]
    assert may_follow(constraint, [0, 1]) == [0]
