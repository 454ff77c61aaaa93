"""New text in the tokens of a model, and vocabularies that grow without moving."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import TEXT, make_corpus
from hypothesis import assume, given
from hypothesis import strategies as st

from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.data.store import TokenizedCorpus
from charnn.errors import CorpusError, CorpusExistsError, UsageError
from charnn.text.base import UnknownTally
from charnn.text.config import UNKNOWN_POLICIES, TokenizerConfig
from charnn.text.subword import SubwordTokenizer
from charnn.text.tokenizers import load_tokenizer, train_tokenizer
from charnn.text.word import words_of

GOLDEN = Path(__file__).parent / "golden"
ENGLISH = "The fox saw the moon.\nIt was in the well; she said so.\n" * 5
POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"
texts = st.text("abcAB \t\n.中国", min_size=1, max_size=80)
kinds = st.sampled_from(
    [("char", "text"), ("word", "text"), ("word", "whitespace")],
)


def tokenizer(text=ENGLISH, kind="char", **options):
    return train_tokenizer([[text.encode()]], TokenizerConfig(kind, **options))


def extended(old, *new, min_count=None):
    return old.extended([[text.encode()] for text in new], min_count)


def tokenized(folder, like, text=POEM, extend=False, config=None, **sources):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "new.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    source = SourceConfig((folder / "new.txt",), **{"validation_share": 0.0, **sources})
    config = config or TokenizerConfig()
    return tokenize_corpus(source, config, folder / "out", like=like, extend=extend)[0]


# --- vocabularies that grow --------------------------------------------------------------------


@given(
    old_text=texts,
    new_text=texts,
    kind=kinds,
    lowercase=st.booleans(),
    unknown=st.sampled_from([None, *UNKNOWN_POLICIES]),
    end_text=st.sampled_from([None, "", "\n", "\n\n"]),
    cut=st.integers(1, 3),
    min_count=st.integers(1, 3),
)
def test_no_id_moves_when_a_vocabulary_grows(
    old_text, new_text, kind, lowercase, unknown, end_text, cut, min_count
):
    try:
        old = tokenizer(
            old_text,
            kind[0],
            words=kind[1],
            lowercase=lowercase,
            unknown=unknown,
            end_text=end_text,
            min_count=cut,
        )
    except UsageError:  # nothing was left of it
        assume(False)
    new = extended(old, new_text, min_count=min_count)
    assert new.token_bytes[: len(old.token_bytes)] == old.token_bytes
    assert (new.end_id, new.end_text, new.unknown_id) == (old.end_id, old.end_text, old.unknown_id)
    assert new.vocabulary.first_byte_id == old.vocabulary.first_byte_id
    assert new.stand_ins == old.stand_ins
    assert (new.lowercase, new.prompt_policy) == (old.lowercase, old.prompt_policy)
    kept = len(old.vocabulary.tokens)
    assert new.vocabulary.counts[:kept] == old.vocabulary.counts

    tally = UnknownTally(lacking=Counter())
    old.encode(new_text, tally, old.prompt_policy)
    added = zip(new.vocabulary.tokens[kept:], new.vocabulary.counts[kept:], strict=True)
    frequent = [(token, n) for token, n in tally.lacking.items() if n >= min_count]
    assert list(added) == sorted(frequent, key=lambda pair: (-pair[1], pair[0]))

    # What both know is told in the same ids; what is new no longer stands in for anything.
    left = UnknownTally(lacking=Counter())
    ids = new.encode(new_text, left, new.prompt_policy)
    assert left.lacking == {token: n for token, n in tally.lacking.items() if n < min_count}
    if not tally.lacking:
        assert ids == old.encode(new_text, unknown=old.prompt_policy)
    elif new.exact and not left.count:
        assert new.decode(ids).decode() == new_text


@given(old_text=texts, new_text=texts, kind=kinds)
def test_what_was_extended_is_saved_and_loaded(old_text, new_text, kind, tmp_path_factory):
    new = extended(tokenizer("a" + old_text, kind[0], words=kind[1]), new_text)
    folder = tmp_path_factory.mktemp("saved")
    new.save(folder)
    loaded = load_tokenizer(folder)
    assert loaded.token_bytes == new.token_bytes
    assert loaded.vocabulary == new.vocabulary
    assert loaded.digest == new.digest
    assert loaded.encode(new_text) == new.encode(new_text)


def test_words_seen_once_are_not_added_unless_they_are_asked_for():
    old = tokenizer(kind="word")
    assert " moons" not in extended(old, " moons").vocabulary.tokens
    assert " moons" in extended(old, " moons", " moons").vocabulary.tokens
    assert " moons" in extended(old, " moons", min_count=1).vocabulary.tokens
    whitespace = tokenizer(kind="word", words="whitespace")
    assert whitespace.vocabulary.tokens[-1] != "moons"
    assert extended(whitespace, "moons").vocabulary.tokens[-1] == "moons"


def test_bytes_lack_nothing_and_subwords_cannot_grow():
    byte = tokenizer(kind="byte", end_text="")
    assert extended(byte, POEM) is byte
    with pytest.raises(UsageError, match="a subword vocabulary cannot be extended"):
        tokenizer(kind="subword").extended(())


def test_a_tokenizer_of_an_older_format_can_be_extended():
    old = load_tokenizer(GOLDEN / "format-1" / "lstm" / "step-20" / "tokenizer")
    new = extended(old, POEM)
    assert new.token_bytes[: len(old.token_bytes)] == old.token_bytes
    assert new.decode(new.encode(POEM)).decode() == POEM


def test_a_digest_tells_tokenizers_apart_and_counts_do_not_matter():
    one = tokenizer("ab")
    assert one.digest == tokenizer("aab").digest
    others = [
        tokenizer("ba", lowercase=True),
        tokenizer("abc"),
        tokenizer("ab", unknown="skip"),
        tokenizer("ab", end_text=""),
        *(tokenizer(" a b", "word", words=words, min_count=1) for words in ("text", "whitespace")),
        *(tokenizer(kind="subword", subword=kind) for kind in ("unigram", "bpe")),
    ]
    # The same pieces in another model: it says twice that it is BPE.
    others.append(SubwordTokenizer(others[-1]._model + b"\x12\x02\x18\x02"))
    assert others[-1].token_bytes == others[-2].token_bytes
    assert len({one.digest, *(other.digest for other in others)}) == len(others) + 1


# --- text in the tokens of a model -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["char", "word"])
@pytest.mark.parametrize("unknown", [None, *UNKNOWN_POLICIES])
def test_what_is_lacking_is_counted_and_goes_the_old_way(tmp_path, kind, unknown):
    # A letter, and a word, is seen once only: what is cut brings byte symbols by itself.
    like = tokenizer(ENGLISH + "q", kind, min_count=2, unknown=unknown)
    text = "The fox saw 月, 月 and 水.\n"
    corpus = tokenized(tmp_path, like, text)
    symbols = list(text) if kind == "char" else [w for part in words_of([text]) for w in part]
    known = set(like.vocabulary.tokens)
    lacking = Counter(symbol for symbol in symbols if symbol not in known)
    told = corpus.header.lacking
    assert (told.tokens, told.symbols) == (lacking.total(), len(lacking))
    assert told.share == pytest.approx(lacking.total() / len(symbols))
    ranked = sorted(lacking.items(), key=lambda pair: (-pair[1], pair[0]))
    assert told.most_common == [list(pair) for pair in ranked[:10]]

    split = corpus.header.splits["train"]
    ids = corpus.tokens("train").tolist()
    assert corpus.tokenizer.token_bytes == like.token_bytes
    assert ids == like.encode(text, unknown=like.prompt_policy)
    match unknown:
        case None | "byte":
            assert split.exact and not split.unknown
            assert like.decode(ids) == text.encode()
        case "replace":
            assert ids.count(like.unknown_id) == split.unknown == lacking.total()
        case "skip" | "error":
            assert len(ids) == len(symbols) - lacking.total()
            assert split.unknown == lacking.total()


def test_subwords_lack_the_characters_that_they_spell_in_bytes(tmp_path):
    like = tokenizer(kind="subword")
    corpus = tokenized(tmp_path, like, "the 月 ▁ fox 月\n")
    assert corpus.header.lacking.most_common == [["月", 2], ["▁", 1]]
    assert corpus.header.splits["train"].exact


@pytest.mark.parametrize("kind", ["byte", "char", "word"])
def test_extending_brings_all_splits_back_byte_for_byte(tmp_path, kind):
    like = tokenizer(kind=kind, unknown=None if kind == "byte" else "skip")
    config = TokenizerConfig(min_count=1)
    paths = {"validation": tmp_path / "v", "test": tmp_path / "t"}
    for path, text in zip(paths.values(), ("春眠不觉晓", "处处闻啼鸟"), strict=True):
        path.write_text(text)
    sources = {name: (path,) for name, path in paths.items()}
    corpus = tokenized(tmp_path, like, extend=True, config=config, validation_share=0.1, **sources)
    assert corpus.header.lacking.tokens == 0
    assert corpus.tokenizer.token_bytes[: like.vocabulary_size] == like.token_bytes
    for split, text in (("train", POEM), ("validation", "春眠不觉晓"), ("test", "处处闻啼鸟")):
        assert corpus.tokenizer.decode(corpus.tokens(split).tolist()).decode() == text
        assert corpus.header.splits[split].exact


def test_what_is_up_to_date_depends_on_the_tokenizer_and_on_extending(tmp_path):
    like = tokenizer()
    corpus = tokenized(tmp_path, like)
    assert tokenized(tmp_path, like).digest == corpus.digest
    assert corpus.header.options["like"] == {"kind": "char", "digest": like.digest}
    for other in (
        {"like": tokenizer(lowercase=True)},
        {"like": like, "extend": True},
        {"like": like, "extend": True, "config": TokenizerConfig(min_count=2)},
        {"like": None},
    ):
        with pytest.raises(CorpusExistsError, match="with other options"):
            tokenized(tmp_path, **other)
    shutil.rmtree(corpus.path)
    again = tokenized(tmp_path, like, extend=True, config=TokenizerConfig(min_count=2))
    assert (again.header.options["extended"], again.header.options["min_count"]) == (True, 2)


def test_a_corpus_with_a_tokenizer_of_its_own_is_what_it_was(tmp_path):
    """Its digest is what runs find it by."""
    corpus = make_corpus(tmp_path)
    assert corpus.digest == "6ae0c3f205539abb9a6f2d0d5e58fe27ed467143c88a9cd1e17cce1f3504edca"
    assert list(json.loads((corpus.path / "corpus.json").read_bytes())) == [
        "format", "name", "tokenizer", "vocabulary", "source", "options", "splits"
    ]  # fmt: skip


def test_what_makes_another_tokenizer_is_refused(tmp_path):
    # The text is missing, too: nothing was read before.
    sources, like = SourceConfig((tmp_path / "nowhere.txt",)), tokenizer()
    for options in (
        {"config": TokenizerConfig("word"), "like": like},
        {"config": TokenizerConfig(min_count=2), "like": like},
        {"config": TokenizerConfig(unknown="skip"), "like": like, "extend": True},
        {"config": TokenizerConfig(), "extend": True},
        {"config": TokenizerConfig(), "like": tokenizer(kind="subword"), "extend": True},
    ):
        with pytest.raises(UsageError, match=r"--like|cannot be extended"):
            tokenize_corpus(sources, target=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_damaged_account_of_what_is_lacking_is_an_error(tmp_path):
    corpus = tokenized(tmp_path, tokenizer())
    header = corpus.path / "corpus.json"
    whole = json.loads(header.read_bytes())
    for damage in (
        None,
        {},
        {**whole["lacking"], "tokens": "many"},
        {**whole["lacking"], "most_common": [["x"]]},
        {**whole["lacking"], "most_common": [[1, "x"]]},
        {**whole["lacking"], "most_common": [["\ud800", 1]]},
    ):
        header.write_text(json.dumps({**whole, "lacking": damage}))
        with pytest.raises(CorpusError, match="damaged"):
            TokenizedCorpus.open(corpus.path)


# --- documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["byte", "char", "word", "subword"])
@pytest.mark.parametrize(("document", "separator"), [("line", "\n"), ("blank", "\n\n")])
def test_an_end_token_without_a_text_stands_behind_each_document(
    tmp_path, kind, document, separator
):
    like = tokenizer(kind=kind, end_text="", unknown="byte" if kind in ("char", "word") else None)
    text = "The fox\nsaw 月\n\nthe moon.\nso"
    corpus = tokenized(tmp_path, like, text, document=document)
    ids = corpus.tokens("train").tolist()
    documents, last = [], []
    for id in ids:
        last.append(id)
        if id == like.end_id:
            documents.append(like.decode(last).decode())
            last = []
    assert not last
    *whole, rest = text.split(separator)
    assert documents == [*(part + separator for part in whole), rest]
    begins = np.fromfile(corpus.path / "train.documents", "<u8").tolist()
    assert begins == [0, *(n + 1 for n, id in enumerate(ids[:-1]) if id == like.end_id)]


@given(text=st.text("ab\n月", max_size=30), document=st.sampled_from(["line", "blank"]))
def test_documents_are_cut_from_the_left_and_nothing_is_lost(text, document, tmp_path_factory):
    assume(text)
    like = tokenizer("ab\n", end_text="", unknown="byte")
    corpus = tokenized(tmp_path_factory.mktemp("cut"), like, text, document=document)
    ids = corpus.tokens("train").tolist()
    assert like.decode(ids).decode() == text
    separator = {"line": "\n", "blank": "\n\n"}[document]
    # The end of the file ends what no separator did.
    assert ids.count(like.end_id) == text.count(separator) + bool(text.split(separator)[-1])


def test_lines_of_bytes_that_are_no_text(tmp_path):
    like = tokenizer(kind="byte", end_text="")
    corpus = tokenized(tmp_path, like, b"\xff\xfe\n\x00\xe4\n", document="line")
    assert corpus.tokens("train").tolist() == [255, 254, 10, 256, 0, 0xE4, 10, 256]
    assert corpus.header.splits["train"].exact


def test_an_end_token_with_a_text_goes_where_the_text_is(tmp_path):
    like = tokenizer(end_text="\n")
    for document in ("file", "line", "blank"):
        corpus = tokenized(tmp_path / document, like, "the\nfox\n\nsaw\n", document=document)
        assert corpus.tokens("train").tolist().count(like.end_id) == 4
        assert corpus.tokenizer.decode(corpus.tokens("train").tolist()) == b"the\nfox\n\nsaw\n"


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def place(workplace, tmp_path):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True, symlinks=True)
    (tmp_path / "new.txt").write_text("in the moon ☃ ☃ \u3000 寒\n" * 3)
    (tmp_path / "poem.txt").write_text(POEM)
    return tmp_path


def said(program, place, *arguments, code=0):
    result = program("tokenize", *arguments, cwd=place)
    assert result.returncode == code, result.stderr.decode()
    return result.stderr.decode()


def test_what_is_lacking_is_told_with_what_helps(program, place):
    talk = said(program, place, "new.txt", "--like", "checkpoints/text")
    assert "the vocabulary lacks 12 tokens of this text (20.00%), 3 different ones" in talk
    assert "☃ 6  '\\u3000' 3  寒 3" in talk
    assert "left out; --extend-vocabulary adds them" in talk
    assert "unknown          12 tokens, 20.00%" in talk
    assert "is up to date" in said(program, place, "new.txt", "--like", "text")


def test_the_same_facts_for_programs(program, place):
    for command in (
        ["tokenize", "new.txt", "--like", "corpora/text", "--json"],
        ["info", "corpora/new", "--json"],
    ):
        facts = json.loads(program(*command, cwd=place).stdout)
        assert facts["lacking"] == {
            "tokens": 12,
            "share": 0.2,
            "symbols": 3,
            "most_common": [["☃", 6], ["\u3000", 3], ["寒", 3]],
        }
    assert "lacking" not in json.loads(program("info", "corpora/text", "--json", cwd=place).stdout)


def test_a_run_a_checkpoint_and_a_corpus_have_the_same_tokenizer(program, place):
    digests = set()
    for n, like in enumerate(["text", "checkpoints/text", "checkpoints/text/last", "corpora/text"]):
        said(program, place, "new.txt", "--like", like, "-o", f"corpora/{n}")
        digests.add(TokenizedCorpus.open(place / "corpora" / str(n)).digest)
    assert len(digests) == 1


def test_an_english_model_learns_to_read_poems(program, place):
    (place / "english.txt").write_text(ENGLISH)
    said(program, place, "english.txt")
    talk = said(program, place, "poem.txt", "--like", "english", "--extend-vocabulary")
    new = len(set(POEM) - set(ENGLISH))
    old = TokenizedCorpus.open(place / "corpora" / "english").tokenizer
    assert f"added {new} symbols to the {old.vocabulary_size} that were there" in talk
    assert "the vocabulary has every symbol of this text" in talk
    corpus = TokenizedCorpus.open(place / "corpora" / "poem")
    assert corpus.tokenizer.token_bytes[: old.vocabulary_size] == old.token_bytes
    pieces = [corpus.tokens(split).tolist() for split in ("train", "validation")]
    assert corpus.tokenizer.decode(pieces[0] + pieces[1]).decode() == POEM
    cut = ["--like", "english", "--extend-vocabulary", "--min-count", "2", "-o", "corpora/cut"]
    assert "a lower --min-count adds more" in said(program, place, "poem.txt", *cut)
    counts = TokenizedCorpus.open(place / "corpora" / "cut").tokenizer.vocabulary.counts
    assert len(counts) > old.vocabulary_size
    assert min(counts[old.vocabulary_size :]) == 2


@pytest.mark.parametrize(
    "option",
    ["--tokenizer char", "--vocab-size 9", "--min-count 1", "--unknown skip", "--lowercase",
     "--words text", "--subword unigram"],
)  # fmt: skip
def test_options_that_would_make_another_tokenizer_are_refused_by_name(program, place, option):
    name = option.split()[0]
    for extend in ([], ["--extend-vocabulary"]):
        if extend and name == "--min-count":
            continue
        talk = said(program, place, "new.txt", "--like", "text", *extend, *option.split(), code=2)
        assert talk.startswith("charnn: --like takes the tokenizer of text as it is; leave out")
        assert f"leave out {name}" in talk
        assert talk.count("\n") == 1
    assert not (place / "corpora" / "new").exists()


def test_what_cannot_be_extended_and_what_is_no_model(program, place):
    said(program, place, "text.txt", "--tokenizer", "subword", "-o", "corpora/sub")
    for arguments, code, words in (
        (["--like", "sub", "--extend-vocabulary"], 2, "a subword vocabulary cannot be extended"),
        (["--extend-vocabulary"], 2, "--extend-vocabulary needs --like"),
        (["--like", "nowhere"], 1, "no such checkpoint: nowhere"),
    ):
        talk = said(program, place, "new.txt", *arguments, code=code)
        assert words in talk
        assert talk.count("\n") == 1


def test_documents_that_no_end_token_parts_are_told(program, place):
    note = "this tokenizer has no end token"
    like = ["--like", "corpora/text"]
    assert note in said(program, place, "new.txt", *like, "--document", "line", "-o", "corpora/a")
    assert note in said(program, place, "new.txt", "poem.txt", *like, "-o", "corpora/b")
    assert note not in said(program, place, "new.txt", *like, "-o", "corpora/c")
    said(program, place, "text.txt", "--document", "line", "-o", "corpora/lines")
    like = ["--like", "corpora/lines"]
    talk = said(program, place, "new.txt", *like, "--document", "blank", "-o", "corpora/d")
    assert note not in talk
    assert "every line end ends a document, whatever --document says" in talk
    talk = said(program, place, "new.txt", "poem.txt", *like, "-o", "corpora/e")
    assert "note: t" not in talk.replace("note: the vocabulary", "")


def test_an_empty_tally_counts_nothing_that_is_lacking():
    tally = UnknownTally()
    tokenizer(unknown="byte").encode(TEXT, tally)
    assert tally == UnknownTally()
