import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TEXT, make_corpus
from hypothesis import given
from hypothesis import strategies as st

from charnn.architecture import ModelConfig
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.data.store import TokenizedCorpus, dtype_for
from charnn.errors import CorpusError, InputError, OutputError, UsageError
from charnn.files import clear_leftovers, hidden_name, staged_folder, write_atomically
from charnn.text.config import TokenizerConfig
from charnn.text.corpus import survey
from charnn.training.config import TrainingConfig
from charnn.training.start import prepare


def ids_of(corpus, split="train"):
    return corpus.tokens(split).tolist()


def test_the_split_is_cut_in_bytes_at_a_character(tmp_path):
    for kind in ("byte", "char", "word", "subword"):
        corpus = make_corpus(tmp_path / kind, config=TokenizerConfig(kind))
        data = TEXT.encode()
        cut = int(0.9 * len(data))
        while data[cut] & 0xC0 == 0x80:
            cut -= 1
        decode = corpus.tokenizer.decode
        assert decode(ids_of(corpus)) == data[:cut]
        assert decode(ids_of(corpus, "validation")) == data[cut:]
        header = corpus.header.splits["validation"]
        assert header.bytes == len(data) - cut
        assert header.characters == len(data[cut:].decode())
        assert header.exact
        assert not header.unknown


@given(text=st.text("aé中😀", min_size=1), share=st.floats(0, 1))
def test_a_split_never_halves_a_character(text, share, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "text"
    path.write_bytes(text.encode())
    left, right = survey([path]).split(share)
    assert b"".join(left).decode() + b"".join(right).decode() == text
    assert 0 <= int(share * left.corpus.size) - left.size <= 3


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files(tmp_path, corpus, suffix, pack):
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    packed, _ = tokenize_corpus(SourceConfig((path,)), TokenizerConfig(), tmp_path / "packed")
    assert ids_of(packed) == ids_of(corpus)
    path.write_bytes(pack(TEXT.encode())[:-9])
    with pytest.raises(InputError, match=path.name):
        tokenize_corpus(SourceConfig((path,)), TokenizerConfig(), tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    spoiled = bytearray(pack(TEXT.encode()))
    for place in range(20, len(spoiled) - 20, 7):
        spoiled[place] ^= 0x55
    path.write_bytes(spoiled)
    with pytest.raises(InputError, match=path.name):
        tokenize_corpus(SourceConfig((path,)), TokenizerConfig(), tmp_path / "spoiled")


def test_a_folder_is_its_files_with_ends_between_them(tmp_path):
    folder = tmp_path / "books"
    (folder / "b").mkdir(parents=True)
    for name, text in (("a.txt", "one"), ("b/c.txt", "two!"), (".hidden", "no"), ("z.txt", "3")):
        (folder / name).write_text(text)
    corpus, _ = tokenize_corpus(
        SourceConfig((folder,), validation_share=0.0), TokenizerConfig(), tmp_path / "out"
    )
    end = corpus.tokenizer.end_id
    ids = ids_of(corpus)
    assert end is not None
    starts = np.fromfile(corpus.path / "train.documents", "<u8").tolist()
    assert [ids[s - 1] for s in starts[1:]] == [end, end]
    assert starts == [0, 4, 9]
    assert corpus.tokenizer.decode(ids) == b"onetwo!3"
    assert corpus.header.splits["train"].documents == 3


def test_lines_as_documents(tmp_path):
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n\nthree\n")
    sources = SourceConfig((path,), validation_share=0.0, document="line")
    corpus, _ = tokenize_corpus(sources, TokenizerConfig(), tmp_path / "out")
    assert ids_of(corpus).count(corpus.tokenizer.end_id) == 4
    assert corpus.tokenizer.decode(ids_of(corpus)) == path.read_bytes()
    assert np.fromfile(corpus.path / "train.documents", "<u8").tolist() == [0, 4, 8, 9]


def test_validation_and_test_files(tmp_path):
    paths = {}
    for name, text in (("train", "abcabcabc"), ("valid", "abd"), ("test", "abe")):
        paths[name] = tmp_path / name
        paths[name].write_text(text)
    sources = SourceConfig((paths["train"],), (paths["valid"],), (paths["test"],))
    corpus, _ = tokenize_corpus(sources, TokenizerConfig(), tmp_path / "out")
    assert corpus.tokenizer.decode(ids_of(corpus)) == b"abcabcabc"
    assert corpus.tokenizer.decode(ids_of(corpus, "validation")) == b"abd"
    assert corpus.tokenizer.decode(ids_of(corpus, "test")) == b"abe"


def test_the_same_again_is_up_to_date_and_another_is_refused(tmp_path):
    corpus = make_corpus(tmp_path)
    before = (corpus.path / "train.ids").stat().st_mtime_ns
    sources = SourceConfig((tmp_path / "text.txt",))
    again, made = tokenize_corpus(sources, TokenizerConfig(), corpus.path)
    assert not made
    assert again.digest == corpus.digest
    with pytest.raises(CorpusError, match="with other options"):
        tokenize_corpus(sources, TokenizerConfig("byte"), corpus.path)
    (tmp_path / "text.txt").write_text("other text")
    with pytest.raises(CorpusError, match="from other text"):
        tokenize_corpus(sources, TokenizerConfig(), corpus.path)
    assert (corpus.path / "train.ids").stat().st_mtime_ns == before
    replaced, made = tokenize_corpus(sources, TokenizerConfig(), corpus.path, force=True)
    assert made
    assert replaced.tokenizer.decode(ids_of(replaced)) == b"other tex"
    assert [p.name for p in corpus.path.parent.iterdir()] == ["text"]


def test_a_corpus_is_replaced_where_a_link_leads(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("some text")
    (tmp_path / "disk").mkdir()
    sources = SourceConfig((tmp_path / "text.txt",))
    tokenize_corpus(sources, TokenizerConfig(), tmp_path / "disk" / "text")
    (tmp_path / "link").symlink_to("disk/text")
    tokenize_corpus(sources, TokenizerConfig("byte"), tmp_path / "link", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link", "text.txt"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["text"]
    assert TokenizedCorpus.open(tmp_path / "disk" / "text").tokenizer.kind == "byte"
    monkeypatch.chdir(tmp_path / "link")
    for name in (".", "..", "x/.."):
        with pytest.raises(UsageError, match=rf"-o {re.escape(name)} is no name for a corpus"):
            tokenize_corpus(sources, TokenizerConfig(), Path(name), force=True)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=r"cannot write corpus .*loop: "):
        tokenize_corpus(sources, TokenizerConfig(), tmp_path / "loop")


def test_leftovers_of_a_killed_writer_are_put_right(tmp_path):
    nobody = 2**22 + 1  # above the largest process number
    (tmp_path / f".x.{nobody}-0.tmp").mkdir()
    (tmp_path / f".x.{nobody}-1.old.tmp").mkdir()
    (tmp_path / f".x.{os.getpid()}-0.tmp").mkdir()  # in a container numbers come again
    (tmp_path / f".x.{nobody}.tmp").mkdir()  # an earlier version's
    (tmp_path / f".x.{10**20}-0.tmp").mkdir()
    others = [".x.1-0.tmp", ".x.notes.tmp", ".xy.1-0.tmp"]  # process 1 always runs
    for name in others:
        (tmp_path / name).mkdir()
    clear_leftovers(tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [*others, "x"]


@pytest.mark.parametrize("number", [0, 7])
def test_a_killed_one_that_had_the_same_numbers_is_in_nobodys_way(tmp_path, monkeypatch, number):
    """In a container all is done again as it was; but chance is never the same."""
    monkeypatch.setattr("charnn.files.secrets.randbits", lambda bits: number + 1)
    (tmp_path / f".x.{os.getpid()}-{number}.tmp").mkdir()
    (tmp_path / f".x.{os.getpid()}-{number}.old.tmp").mkdir()
    with staged_folder(tmp_path / "x", what="corpus", replace=True):
        assert (tmp_path / "x").exists()  # what was moved aside is back
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
    monkeypatch.undo()
    names = set()
    for _ in range(9):
        with hidden_name(tmp_path / "x") as name:
            names.add(name)
    assert len(names) == 9


def test_threads_may_replace_the_same(tmp_path):
    def replaced(n):
        with staged_folder(tmp_path / "x", what="corpus", replace=True) as folder:
            (folder / "file").write_text(str(n))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replaced, range(200)))
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
    assert int((tmp_path / "x" / "file").read_text()) in range(200)


def test_a_file_is_written_where_a_link_leads(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_threads_leave_each_other_what_they_have_not_finished(tmp_path):
    target = tmp_path / "x"
    with staged_folder(target, what="corpus") as first:
        (first / "file").write_text("first")
        with staged_folder(target, what="corpus") as second:
            (second / "file").write_text("second")
        assert (first / "file").read_text() == "first"
        write_atomically(target / "file", b"third")
        shutil.rmtree(target)
    assert (target / "file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_no_text_is_named(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(InputError, match=r"picture\.png.*invalid at byte 0"):
        tokenize_corpus(SourceConfig((path,), errors="strict"), TokenizerConfig(), tmp_path / "out")
    corpus, _ = tokenize_corpus(SourceConfig((path,)), TokenizerConfig("byte"), tmp_path / "out")
    assert corpus.header.splits["train"].exact


def test_empty_and_missing_sources(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "hollow").mkdir()
    for name in ("empty", "hollow", "missing"):
        with pytest.raises(InputError, match=name):
            tokenize_corpus(SourceConfig((tmp_path / name,)), TokenizerConfig(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "text").write_text("abc")
    (tmp_path / "file").touch()
    sources = SourceConfig((tmp_path / "text",))
    with pytest.raises(OutputError, match="cannot write corpus"):
        tokenize_corpus(sources, TokenizerConfig(), tmp_path / "file" / "out")


def test_a_damaged_corpus_is_an_error(tmp_path):
    corpus = make_corpus(tmp_path)
    header = corpus.path / "corpus.json"
    whole = header.read_text()
    for damage in (
        lambda: header.write_text(whole[:-20]),
        lambda: header.write_text(whole.replace('"format": 1', '"format": 9')),
        lambda: header.write_text(whole.replace('"splits"', '"slips"')),
        lambda: (corpus.path / "train.ids").write_bytes(b"xx"),
        lambda: (corpus.path / "validation.ids").unlink(),
    ):
        damage()
        with pytest.raises(CorpusError, match=r"damaged|format"):
            TokenizedCorpus.open(corpus.path)
        header.write_text(whole)
    with pytest.raises(CorpusError, match="no tokenized corpus"):
        TokenizedCorpus.open(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["byte", "char", "word"])
def test_memory_does_not_grow_with_the_corpus(tmp_path, kind):
    script = (
        "from charnn.cli.app import run; run();"
        # Not ru_maxrss: that begins with the peak of the process which started this one.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    for copies in (2_000, 8_000):  # 8 MB, 32 MB
        path = tmp_path / f"{copies}.txt"
        with path.open("w") as file:
            file.writelines(TEXT for _ in range(copies))
        arguments = ["tokenize", str(path), "-o", str(tmp_path / path.stem), "--tokenizer", kind]
        result = subprocess.run(
            [sys.executable, "-c", script, *arguments, "-q"], capture_output=True, check=True
        )
        peaks.append(int(result.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_a_corpus_is_the_same_wherever_it_comes_from(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = make_corpus(tmp_path / "a"), make_corpus(tmp_path / "b")
    assert one.digest == other.digest
    assert make_corpus(tmp_path / "c", TEXT + "!").digest != one.digest


def test_names_that_are_no_utf8_and_names_that_lead_away(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text(TEXT)
    corpus, _ = tokenize_corpus(SourceConfig((path,)), TokenizerConfig(), tmp_path / "out")
    assert corpus.header.source["files"][0].endswith("caf\\xe9.txt")
    header = corpus.path / "corpus.json"
    fields = json.loads(header.read_text())
    for name in ("../out", "..", "", "a\0b"):
        header.write_text(json.dumps({**fields, "name": name}))
        with pytest.raises(CorpusError, match="malformed"):
            TokenizedCorpus.open(corpus.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bytes": "many"}, "bytes cannot be 'many'"),
        ({"bytes": -9}, "fewer than none"),
        ({"documents": -1}, "fewer than none"),
        ({"vocabulary": 0}, "malformed"),
        ({"vocabulary": -257}, "malformed"),
    ],
    ids=str,
)
def test_numbers_that_cannot_be(tmp_path, change, message):
    header = make_corpus(tmp_path).path / "corpus.json"
    fields = json.loads(header.read_text())
    (fields["splits"]["train"] if "vocabulary" not in change else fields).update(change)
    header.write_text(json.dumps(fields))
    with pytest.raises(CorpusError, match=message):
        TokenizedCorpus.open(header.parent)


@pytest.mark.parametrize("vocabulary", [2, 258, 10**9])
def test_a_model_is_not_built_for_another_vocabulary_than_the_tokenizers(tmp_path, vocabulary):
    corpus = make_corpus(tmp_path)
    lying = replace(corpus, header=replace(corpus.header, vocabulary=vocabulary))
    model, training = ModelConfig(), TrainingConfig(steps=1)
    with pytest.raises(CorpusError, match="the tokenizer is not the one it names"):
        prepare(lying, "auto", model, training, frozenset())


def test_words_by_white_space_are_not_the_text(tmp_path):
    corpus = make_corpus(tmp_path, config=TokenizerConfig("word", words="whitespace"))
    assert not corpus.header.splits["train"].exact


def test_ids_that_were_altered_are_found(tmp_path):
    corpus = make_corpus(tmp_path)
    path = corpus.path / "train.ids"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert len(TokenizedCorpus.open(corpus.path).tokens("validation")) > 0
    with pytest.raises(CorpusError, match=r"train\.ids was altered"):
        TokenizedCorpus.open(corpus.path).tokens("train")


def test_ids_take_two_bytes_while_they_can(corpus):
    assert dtype_for(1 << 16).itemsize == 2
    assert dtype_for((1 << 16) + 1).itemsize == 4
    size = (corpus.path / "train.ids").stat().st_size
    assert size == 2 * corpus.header.splits["train"].tokens


def test_the_header_is_plain_json(corpus):
    fields = json.loads((corpus.path / "corpus.json").read_bytes())
    assert fields["format"] == 1
    assert fields["vocabulary"] == corpus.tokenizer.vocabulary_size
    assert set(fields["splits"]) == {"train", "validation"}


def test_unknown_tokens_make_a_corpus_inexact(tmp_path):
    config = replace(TokenizerConfig("char"), min_count=45, unknown="skip")
    corpus = make_corpus(tmp_path, config=config)
    split = corpus.header.splits["train"]
    assert split.unknown > 0
    assert not split.exact
