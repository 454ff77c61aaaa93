"""Embeddings from elsewhere, loaded and frozen."""

import gzip

import numpy as np
import pytest
from conftest import make_corpus

from charnn.architecture import ModelConfig
from charnn.checkpoint import read_checkpoint
from charnn.errors import InputError, UsageError
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.loop import resume, resumed_config, train
from charnn.training.vectors import read_vectors

TEXT = "The cat saw the dog. The dog saw Paris.\n" * 30
WORD2VEC = b"4 3\nthe 1 2 3\ncat -0.5 0 1e-2\nparis 8 8 8\nParis 7 7 7\n"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    config = TokenizerConfig(tokenizer="word")
    return make_corpus(tmp_path_factory.mktemp("words"), TEXT, config)


def found(vectors, tokenizer):
    return {
        token.decode(): row.tolist()
        for token, row, is_found in zip(
            tokenizer.token_bytes, vectors.vectors_VE, vectors.found_V, strict=True
        )
        if is_found
    }


@pytest.mark.parametrize("name", ["word2vec", "glove", "windows", "gz", "tabs", "bom"])
def test_words_are_found_as_they_are_or_in_lower_case(words, tmp_path, name):
    data = {
        "word2vec": WORD2VEC,
        "glove": WORD2VEC.split(b"\n", 1)[1],
        "windows": WORD2VEC.replace(b"\n", b"\r\n"),
        "gz": gzip.compress(WORD2VEC),
        "bom": b"\xef\xbb\xbf" + WORD2VEC,
        "tabs": WORD2VEC.split(b"\n", 1)[1].replace(b" ", b"\t"),
    }[name]
    path = tmp_path / ("v.txt.gz" if name == "gz" else "v.txt")
    path.write_bytes(data)
    rows = found(read_vectors(path, words.tokenizer), words.tokenizer)
    cat = np.float32([-0.5, 0, 1e-2]).tolist()
    assert rows == {
        "The": [1, 2, 3],
        " The": [1, 2, 3],
        " the": [1, 2, 3],
        " cat": cat,
        " Paris": [7, 7, 7],
    }


def test_a_word_may_hold_spaces_and_the_first_line_counts(words, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"cat 1 2\n. . . 3 4\ncat 5 6\nCat 9 9\nparis 7 8\nparis 0 0\n")
    assert found(read_vectors(path, words.tokenizer), words.tokenizer) == {
        " cat": [1, 2],
        " Paris": [7, 8],
    }


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"the 1 2\ncat 1\n", ":2"),
        (b"the 1 2\ncat 1 nose\n", ":2"),
        (b"the 1 nan\n", ":1"),
        (b"the 1 1e50\n", ":1"),
        (b"the\n", ":1"),
        (b"2 3\nthe 1 2\ncat 1 2\n", ":2"),
        (b"3 2\nthe 1 2\ncat 1 2\n", "holds 2 vectors, and its first line says 3"),
        (b"", "empty"),
    ],
)
def test_what_is_no_such_file_is_refused(words, tmp_path, data, where):
    path = tmp_path / "v.txt"
    path.write_bytes(data)
    with pytest.raises(InputError, match=where):
        read_vectors(path, words.tokenizer)
    with pytest.raises(InputError, match="not text"):
        read_vectors(tmp_path / "v.bin", words.tokenizer)
    with pytest.raises(InputError, match="no such"):
        read_vectors(tmp_path / "nothing", words.tokenizer)


def run(corpus, folder, name, model=None, vectors=None, **options):
    config = TrainingConfig(**{"steps": 4, "batch": 2, "bptt": 8, **options})
    model = model or ModelConfig(hidden=8, embedding=8)
    *_, ended = train(corpus, model, config, folder, name, vectors=vectors)
    return ended.run


def embedding(run):
    return read_checkpoint(run, "last").weights["embedding.weight"]


def test_a_checkpoints_embedding_is_found_by_its_bytes(corpus, words, tmp_path):
    first = run(corpus, tmp_path, "first")
    own = read_vectors(first, corpus.tokenizer)
    assert own.found_V.all()
    assert (own.vectors_VE == read_checkpoint(first).weights["embedding.weight"]).all()
    other = found(read_vectors(first, words.tokenizer), words.tokenizer)
    assert set(other) == {t.decode() for t in words.tokenizer.token_bytes} & {
        t.decode() for t in corpus.tokenizer.token_bytes
    }
    assert len(other) > 1
    one_hot = run(corpus, tmp_path, "one-hot", ModelConfig(hidden=8, embedding=0))
    with pytest.raises(UsageError, match="no embedding"):
        read_vectors(one_hot, corpus.tokenizer)


def test_of_an_equal_vocabulary_every_row_is_taken(tmp_path):
    """Bytes for rare words and words may be spelled alike."""
    text = TEXT.replace("cat", "a") + "A rare thing"
    corpus = make_corpus(tmp_path / "rare", text, TokenizerConfig(tokenizer="word"))
    spelled = [token for token in corpus.tokenizer.token_bytes if token]
    assert len(set(spelled)) < len(spelled)
    first = run(corpus, tmp_path, "first")
    assert (read_vectors(first, corpus.tokenizer).vectors_VE == embedding(first)).all()


@pytest.mark.parametrize("tied", [False, True])
def test_a_frozen_embedding_stays_bit_for_bit_also_after_a_resume(corpus, tmp_path, tied):
    model = ModelConfig(hidden=8, embedding=8, tied=tied)
    first = embedding(run(corpus, tmp_path, "first"))
    vectors = read_vectors(tmp_path / "first", corpus.tokenizer)
    free = run(corpus, tmp_path, "free", model, vectors)
    assert not (embedding(free) == first).all()
    frozen = run(corpus, tmp_path, "frozen", model, vectors, freeze="embedding")
    assert (embedding(frozen) == first).all()
    biases = [read_checkpoint(r, "last").weights["output.bias"] for r in (frozen, free)]
    assert all(bias.any() for bias in biases)
    settings, _ = resumed_config(frozen)
    *_, ended = resume(frozen, corpus, TrainingConfig(**{**vars(settings), "steps": 3}))
    assert ended.step == 7
    assert (embedding(frozen) == first).all()


def test_what_was_not_found_keeps_its_own_vector(words, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"cat " + b" ".join([b"9"] * 8) + b"\n")
    vectors = read_vectors(path, words.tokenizer)
    got = embedding(run(words, tmp_path, "run", vectors=vectors, freeze="embedding"))
    own = embedding(run(words, tmp_path, "own", freeze="embedding"))
    assert (got[vectors.found_V] == 9).all()
    assert (got[~vectors.found_V] == own[~vectors.found_V]).all()
