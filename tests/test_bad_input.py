"""What strangers feed a tool: bytes that are no text, files that move, pipes, devices, models."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import hostile
import numpy as np
import pytest
from conftest import TEXT, make_corpus
from hostile import HOSTILE, KINDS, KNOWN, subwords
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.cli import generate, reading
from charnn.cli.encode import _numbers
from charnn.cli.generate import read_prompt_option
from charnn.cli.places import Inputs, chunks_of
from charnn.cli.train import find_corpus
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.data.store import TokenizedCorpus
from charnn.errors import CorpusError, InputError, UsageError
from charnn.lines import whole_lines
from charnn.models import open_model
from charnn.text import corpus as corpus_module
from charnn.text import pieces as pieces_module
from charnn.text.config import TokenizerConfig
from charnn.text.corpus import find_files, survey
from charnn.text.pieces import BYTE, NORMAL, UNKNOWN, USER_DEFINED, read_pieces
from charnn.text.tokenizers import load_tokenizer, train_tokenizer


def sources(path, **options):
    return SourceConfig((path,), **options)


def all_ids(corpus):
    return [*corpus.tokens("train").tolist(), *corpus.tokens("validation").tolist()]


# --- bytes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("document", ["file", "line", "blank"])
def test_a_corpus_of_hostile_bytes_is_these_bytes(tmp_path, kind, document):
    path = tmp_path / "text"
    data = HOSTILE * 7 + TEXT.encode() * 3 + b"\xe4"
    path.write_bytes(data)
    corpus, _ = tokenize_corpus(sources(path, document=document), KINDS[kind], tmp_path / "out")
    decoded = corpus.tokenizer.decode(all_ids(corpus))
    # A part that ends without its end token gets one.
    added = len(decoded) - len(data)
    assert decoded == data or (document != "file" and 0 < added <= 4 and decoded.startswith(data))
    assert all(split.exact and not split.unknown for split in corpus.header.splits.values())
    again = TokenizedCorpus.open(corpus.path)
    assert again.digest == corpus.digest
    assert again.tokenizer.encode(HOSTILE) == corpus.tokenizer.encode(HOSTILE)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b"\0", b"\r", b"\xff", "\u2028".encode()])
def test_a_corpus_of_one_symbol(tmp_path, kind, data):
    """A BOM alone is a text of one character; subwords cannot be learned from it, and say so."""
    path = tmp_path / "text"
    path.write_bytes(data)
    if kind == "subword":
        with pytest.raises(UsageError, match="sentencepiece cannot make"):
            tokenize_corpus(sources(path), KINDS[kind], tmp_path / "out")
        return
    corpus, _ = tokenize_corpus(sources(path), KINDS[kind], tmp_path / "out")
    assert corpus.tokenizer.decode(all_ids(corpus)) == data


def test_what_is_no_utf8_is_counted_and_its_first_place_told(tmp_path):
    (tmp_path / "a").write_bytes(b"fine\n")
    (tmp_path / "b").write_bytes("狐\xe9".encode() + b"\xff\xc3")
    files = find_files([tmp_path])
    found = survey(files).invalid
    assert (found.bytes, found.file.name, found.offset) == (2, "b", 5)
    assert survey(files[:1]).invalid is None
    with pytest.raises(InputError, match="b: this is no UTF-8 text: invalid at byte 5"):
        survey(files, policy="strict")
    corpus, _ = tokenize_corpus(sources(tmp_path), TokenizerConfig(), tmp_path / ".out")
    assert corpus.header.source["invalid"]["bytes"] == 2
    assert corpus.header.source["invalid"]["first"].startswith("byte 5 of ")


@pytest.mark.parametrize("kind", list(KINDS))
def test_replacing_is_as_if_the_text_had_been_replaced_before(tmp_path, kind, monkeypatch):
    data = TEXT.encode() + HOSTILE * 3
    (tmp_path / "bad").write_bytes(data)
    (tmp_path / "good").write_bytes(data.decode("utf-8", "replace").encode())
    corpora = []
    for name, policy in (("bad", "replace"), ("good", "strict")):
        if name == "bad":  # cut anew, and through what is no UTF-8
            monkeypatch.setattr(corpus_module, "CHUNK_BYTES", 13)
        path = tmp_path / name
        corpora.append(
            tokenize_corpus(sources(path, errors=policy), KINDS[kind], tmp_path / f"{name}.out")[0]
        )
    bad, good = corpora
    for split in ("train", "validation"):
        assert bad.tokens(split).tolist() == good.tokens(split).tolist()
    assert bad.digest == good.digest


def test_a_text_that_is_no_utf8_is_refused_or_not_as_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text").write_bytes(b"fox \xff fox\n" * 9)
    with Inputs() as inputs:
        with pytest.raises(InputError, match="text: this is no UTF-8 text: invalid at byte 4"):
            find_corpus(Path("text"), inputs, errors="strict")
        corpus = find_corpus(Path("text"), inputs)
        assert corpus.header.splits["train"].exact
        with pytest.raises(UsageError, match="tokenized already, so --errors comes too late"):
            find_corpus(corpus.path, inputs, errors="replace")


def test_what_a_model_reads_is_settled_the_same_way(tmp_path):
    path = tmp_path / "text"
    data = b"f\xffox " * 30_000
    path.write_bytes(data)
    assert b"".join(chunks_of(path)) == data
    assert b"".join(chunks_of(path, "replace")) == "f�ox ".encode() * 30_000
    with pytest.raises(InputError, match="text: this is no UTF-8 text: invalid at byte 1"):
        list(chunks_of(path, "strict"))
    assert read_prompt_option(None, path) == data
    assert read_prompt_option(None, path, "replace") == "f�ox ".encode() * 30_000
    with pytest.raises(InputError, match="text: this is no UTF-8 text: invalid at byte 1"):
        read_prompt_option(None, path, "strict")
    assert read_prompt_option("\udcff", None) == b"\xff"
    with pytest.raises(InputError, match=r"U\+D800 at character 1 is half"):
        read_prompt_option("x\ud800", None)


def test_ids_of_a_text_are_mapped_and_are_those_of_the_tokenizer(workplace, tmp_path):
    model = open_model(workplace / "checkpoints" / "text")
    path = tmp_path / "text"
    path.write_bytes(TEXT.encode() + HOSTILE)
    ids_T, tally = reading.read_ids(model, path)
    assert isinstance(ids_T, np.memmap)
    policy = model.tokenizer.prompt_policy
    assert ids_T.tolist() == model.tokenizer.encode(path.read_bytes(), unknown=policy)
    assert tally.count > 9
    path.write_bytes(b"")
    assert len(reading.read_ids(model, path)[0]) == 0


# --- files that move, pipes, devices -----------------------------------------------------------


def when(stage, act):
    """A watch that acts once, as soon as a stage begins."""
    waiting = [act]

    def watch(begun, size):
        if begun == stage and waiting:
            waiting.pop()()
        return lambda done: None

    return watch


@pytest.mark.parametrize("stage", ["counting", "encoding train"])
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda path: os.truncate(path, 100), "text became shorter while it was read"),
        (lambda path: path.write_bytes(b""), "text became shorter while it was read"),
        (lambda path: path.unlink(), "cannot read .*text: No such file"),
        (lambda path: path.write_bytes(TEXT.encode()[::-1]), "text changed while it was read"),
        (lambda path: path.write_text("!" + TEXT), "text changed while it was read"),
    ],
    ids=["truncated", "emptied", "gone", "written anew", "another"],
)
def test_a_text_that_changes_while_it_is_read_is_an_error(tmp_path, stage, act, message):
    path = tmp_path / "text"
    path.write_text(TEXT)
    with pytest.raises(InputError, match=message):
        tokenize_corpus(
            sources(path),
            TokenizerConfig(),
            tmp_path / "out",
            watch=when(stage, lambda: act(path)),
        )
    assert [one.name for one in tmp_path.iterdir()] == ["text"] * path.exists()


@pytest.mark.parametrize("stage", ["counting", "encoding train"])
def test_of_a_text_that_grows_what_was_there_first_is_taken(tmp_path, stage):
    path = tmp_path / "text"
    path.write_text(TEXT)

    def grow():
        with path.open("a") as file:
            file.write("Ω" * 100_000)

    corpus, _ = tokenize_corpus(
        sources(path), TokenizerConfig(), tmp_path / "out", watch=when(stage, grow)
    )
    assert corpus.tokenizer.decode(all_ids(corpus)).decode() == TEXT


def test_the_same_file_twice_is_no_change(tmp_path):
    path = tmp_path / "text"
    path.write_text(TEXT)
    twice = SourceConfig((path, path), test=(path,))
    corpus, _ = tokenize_corpus(twice, TokenizerConfig(), tmp_path / "out")
    assert corpus.header.splits["test"].bytes == len(TEXT.encode())


def test_a_folder_with_loops_pipes_and_devices_is_its_files(tmp_path):
    inner = tmp_path / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / "z.txt").write_text("z")
    (inner / "a.txt").write_text("a")
    (inner / "up").symlink_to(tmp_path)
    (inner / "here").symlink_to(inner)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to a file").symlink_to(inner / "a.txt")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("h")
    os.mkfifo(tmp_path / "pipe")
    found = [str(path.relative_to(tmp_path)) for path in find_files([tmp_path])]
    assert found == ["b/c/a.txt", "to a file", "z.txt"]
    with pytest.raises(InputError, match=r"no such file or folder: .*self"):
        find_files([tmp_path / "self"])


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path):  # whoever runs the tests may be allowed to read everything
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match=r"cannot read the folder .*closed: Permission denied"):
        find_files([tmp_path])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="what Linux alone has")
def test_a_file_that_cannot_be_read_is_named():
    for path in (Path("/proc/self/mem"), Path("/proc/self/fd")):
        with pytest.raises(InputError, match=f"{path}"):
            list(chunks_of(path))
        with pytest.raises(InputError, match=f"{path}"):
            read_prompt_option(None, path)


@contextmanager
def fed(path, data):
    """A pipe, and somebody who writes into it."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    yield
    writer.join()


def test_a_pipe_is_read_like_a_file(tmp_path, workplace):
    data = HOSTILE * 3000  # more than a pipe holds
    (tmp_path / "file").write_bytes(data)
    pipe = tmp_path / "pipe"
    with fed(pipe, data):
        assert b"".join(chunks_of(pipe)) == data
    pipe.unlink()
    with fed(pipe, data), Inputs() as inputs:
        copy = inputs.path(pipe)
        assert inputs.path(tmp_path / "file") == tmp_path / "file"
        assert copy.read_bytes() == data
        assert inputs.name(copy) == "stdin"
    assert not copy.exists()
    pipe.unlink()
    model = open_model(workplace / "checkpoints" / "text")
    with fed(pipe, data):
        piped, _ = reading.read_ids(model, pipe)
    assert np.array_equal(piped, reading.read_ids(model, tmp_path / "file")[0])


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, b"a line\n")
    chunks = chunks_of(pipe)
    assert next(chunks) == b"a line\n"
    os.close(writer)
    assert list(chunks) == []


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
def test_what_has_no_end_is_not_waited_for(device, workplace, monkeypatch):
    if not Path(device).exists():
        pytest.skip("not here")
    with Inputs() as inputs, pytest.raises(InputError, match=f"{device} is a device, which has no"):
        inputs.path(device)
    model = open_model(workplace / "checkpoints" / "text")
    for limit in (None, 100):  # which may never be reached
        with pytest.raises(InputError, match=f"{device} is a device, which has no end"):
            reading.read_ids(model, Path(device), limit)
    monkeypatch.setattr(generate, "_LONGEST_PROMPT", 1 << 20)
    with pytest.raises(InputError, match=f"{device}: the prompt is longer than 1 MiB"):
        read_prompt_option(None, Path(device))
    monkeypatch.setattr("charnn.lines._LONGEST_BYTES", 1 << 20)
    if device != "/dev/urandom":
        with pytest.raises(InputError, match="zeros: line 1 is longer than 1 MiB"):
            list(whole_lines(chunks_of(Path(device)), "zeros"))


def test_nothing_is_an_empty_text(tmp_path):
    with Inputs() as inputs, pytest.raises(InputError, match="the corpus is empty"):
        tokenize_corpus(sources(inputs.path("/dev/null")), TokenizerConfig(), tmp_path / "out")


def test_a_line_is_counted_until_it_is_too_long(monkeypatch):
    monkeypatch.setattr("charnn.lines._LONGEST_BYTES", 8)
    lines = b"1234567\n\n" + b"x" * 7 + b"\n"

    def read(data):
        pieces = (data[n : n + 3] for n in range(0, len(data), 3))
        return [line for block in whole_lines(pieces, "text") for line in block]

    assert read(lines) == lines.splitlines(keepends=True)
    for more in (b"12345678\n", b"123456789", b"x" * 99):
        with pytest.raises(InputError, match="text: line 4 is longer"):
            read(lines + more)


def test_a_number_without_end_is_no_id():
    read = 0

    def digits():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"1" * 4096

    with pytest.raises(InputError, match="not an id: '11111111111111111111'"):
        list(_numbers(digits()))
    assert read == 1


def child(*arguments):
    """Run ``hostile.py`` in another process."""
    places = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, hostile.__file__, *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells")
def test_memory_does_not_grow_with_a_line(tmp_path):
    """Encoding one of 2 MB and one of 8 or 16, and learning from it (but for subwords)."""
    result = child("lines", str(tmp_path))
    assert result.returncode == 0, result.stderr.decode()
    for kind, (before, after, megabytes) in json.loads(result.stdout).items():
        assert after - before < (megabytes - 2) << 20, kind


# --- models of strangers -----------------------------------------------------------------------

ALGORITHMS = ("unigram", "bpe")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(text=st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.text("the fox 狐a ")))
@settings(max_examples=60)
def test_a_model_written_anew_cuts_text_as_before(algorithm, text):
    """Against sentencepiece with its own model."""
    import sentencepiece

    before, after = (sentencepiece.SentencePieceProcessor() for _ in range(2))
    model = subwords(algorithm)._model
    before.LoadFromSerializedProto(model)
    after.LoadFromSerializedProto(read_pieces(model).to_model())
    assert after.encode(text) == before.encode(text)
    assert after.get_piece_size() == before.get_piece_size()
    table = [after.id_to_piece(id) for id in range(after.get_piece_size())]
    assert table == [before.id_to_piece(id) for id in range(before.get_piece_size())]


def test_what_was_read_is_what_is_written():
    for algorithm in ALGORITHMS:
        read = read_pieces(subwords(algorithm)._model)
        assert read_pieces(read.to_model()) == read
        assert {*read.types} == {NORMAL, UNKNOWN, USER_DEFINED, BYTE}


def altered(**changes):
    """A model with one of its pieces changed: the last, a normal one."""
    read = read_pieces(subwords("unigram")._model)
    return replace(
        read, **{name: (*getattr(read, name)[:-1], value) for name, value in changes.items()}
    ).to_model()


def with_part(number, data):
    return subwords("unigram")._model + pieces_module._block(number, data)


def preparation(*fields):
    return with_part(3, b"".join(fields))


NUMBER, BLOCK = pieces_module._number, pieces_module._block
PLAIN = NUMBER(3, 0) + NUMBER(4, 0)
EVIL = {
    "nothing": (lambda: b"", "no pieces"),
    "text": (lambda: b"no model", "no sentencepiece model|breaks off"),
    "a text in JSON": (lambda: b"{}" * 100, "no sentencepiece model|breaks off"),
    "half": (lambda: subwords("unigram")._model[:777], "no sentencepiece model|breaks off|has not"),
    "a block of 2^63 bytes": (lambda: b"\x0a" + b"\xff" * 8 + b"\x7f", "breaks off"),
    "a number without end": (lambda: b"\x0a" + b"\xff" * 99, "breaks off"),
    "a group": (lambda: b"\x0b\x0c", "no sentencepiece model"),
    "an empty piece": (lambda: altered(texts=b""), "empty, too long"),
    "a long piece": (lambda: altered(texts=b"x" * 65), "empty, too long"),
    "NUL": (lambda: altered(texts=b"a\0b"), "holds NUL"),
    "no UTF-8": (lambda: altered(texts=b"\xff"), "utf-8"),
    "a piece twice": (lambda: altered(texts=b"\n"), "comes twice"),
    "two unknown pieces": (lambda: altered(types=UNKNOWN), "not one unknown"),
    "257 bytes": (lambda: altered(types=BYTE), "not 256 bytes"),
    "a control piece": (lambda: altered(types=3), "unknown part 3"),
    "an unused piece": (lambda: altered(types=5), "unknown part 3"),
    "a type of 2^32 + 1": (
        lambda: with_part(1, BLOCK(1, b"x") + NUMBER(3, (1 << 32) + 1)),
        "part 3",
    ),
    "no number": (lambda: altered(scores=float("nan")), "score nan"),
    "an endless score": (lambda: altered(scores=float("-inf")), "score -inf"),
    "a huge score": (lambda: altered(scores=1e38), "score 9.99"),
    "characters": (lambda: with_part(2, NUMBER(3, 4)), "neither unigram nor BPE"),
    "an algorithm that is a text": (
        lambda: with_part(2, BLOCK(3, b"x")),
        "neither unigram nor BPE",
    ),
    "a table of characters": (
        lambda: preparation(PLAIN, BLOCK(2, struct.pack("<I", 1 << 31))),
        "changes",
    ),
    "a table in text": (lambda: preparation(PLAIN, BLOCK(6, b"a\tb")), "changes the text"),
    "a prefix": (lambda: preparation(NUMBER(4, 0)), "changes the text"),
    "spaces left out": (lambda: preparation(NUMBER(3, 0)), "changes the text"),
    "spaces as they are": (lambda: preparation(PLAIN, NUMBER(5, 0)), "does not mark spaces"),
    "another table": (lambda: with_part(5, BLOCK(2, b"abcd")), "part 5"),
    "tests of its own": (lambda: with_part(4, BLOCK(1, b"abcd")), "part 4"),
}


@pytest.mark.parametrize("name", list(EVIL))
def test_an_evil_model_is_refused_before_its_parser_sees_it(name, tmp_path, monkeypatch):
    make, message = EVIL[name]
    subwords("unigram").save(tmp_path)
    (tmp_path / "subword.model").write_bytes(make())
    monkeypatch.setattr("sentencepiece.SentencePieceProcessor", None)
    with pytest.raises(InputError, match=message) as refused:
        load_tokenizer(tmp_path)
    assert str(tmp_path / "subword.model") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_without_end_is_not_read_as_a_whole(tmp_path, monkeypatch):
    subwords("unigram").save(tmp_path)
    monkeypatch.setattr("charnn.text.subword.MOST_BYTES", 1000)
    monkeypatch.setattr(pieces_module, "MOST_BYTES", 1000)
    (tmp_path / "subword.model").unlink()
    (tmp_path / "subword.model").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="too large"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("char", {"tokens": ["a", "\ud800"], "counts": [1, 1]}),
        ("char", {"tokens": ["ab"], "counts": [1]}),
        ("char", {"tokens": ["a", "a"], "counts": [1, 1]}),
        ("char", {"tokens": ["a"], "counts": [1], "end_text": "\udcff"}),
        ("char", {"tokens": [1], "counts": [1]}),
        ("word", {"tokens": ["x\ud800"], "counts": [1]}),
        ("byte", {"end_text": 3}),
        ("byte", {"end_text": "\ud800"}),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused_in_one_line(kind, fields, tmp_path):
    train_tokenizer([[b"a b"]], TokenizerConfig(kind)).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(InputError) as refused:
        load_tokenizer(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_mutant_harms_nobody(algorithm, count):
    """In another process, whose memory is bounded: it must live to tell."""
    result = child("mutants", algorithm, str(count))
    *_, last = result.stdout.splitlines()
    assert result.returncode == 0, (result.returncode, last, result.stderr[-2000:])
    told = json.loads(last)
    print(algorithm, told)
    assert told["used"] + told["refused"] == count
    assert told["used"] > 0 < told["refused"]


# --- the real program --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory, workplace):
    """A folder with the model of the workplace, and a corpus whose tokenizer keeps all bytes."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "checkpoints").symlink_to(workplace / "checkpoints")
    make_corpus(folder, config=TokenizerConfig("char", unknown="byte"))
    (folder / "hostile").write_bytes(HOSTILE)
    return folder


def test_encode_and_decode_return_the_bytes(program, place):
    encoded = program("encode", "-m", "corpora/text", stdin=HOSTILE, cwd=place)
    assert encoded.returncode == 0, encoded.stderr
    assert encoded.stderr == b""
    decoded = program("decode", "-m", "corpora/text", stdin=encoded.stdout, cwd=place)
    assert decoded.stdout == HOSTILE
    strict = program("encode", "-m", "corpora/text", "--errors", "strict", "hostile", cwd=place)
    assert (strict.returncode, strict.stderr.count(b"\n")) == (1, 1)
    assert f"hostile: this is no UTF-8 text: invalid at byte {HOSTILE.index(0xFF)}" in (
        strict.stderr.decode()
    )


def test_bytes_in_arguments_come_out_as_they_were(program, place):
    arguments = ["generate", "-n", "1", "-q", "-p", b"The \xff\xc3 fox"]
    result = program(*arguments, cwd=place, LC_ALL="C", PYTHONUTF8="0")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"The \xff\xc3 fox")


def test_no_name_reaches_a_terminal_as_a_command_to_it(program, place):
    name = "\x1b[2Jb.txt"
    (place / name).write_text("fox " * 500)
    told = program("tokenize", name, cwd=place)
    assert told.returncode == 0, told.stderr
    assert "corpora/�[2Jb:" in told.stderr.decode()
    path = "corpora/\x1b[2Jb"
    trained = program("train", path, "--cell", "ngram", "-o", "runs/\x1b[2Jc", cwd=place)
    for result in (
        told,
        program("tokenize", name, cwd=place),
        program("info", path, cwd=place),
        trained,
        program("info", "runs/\x1b[2Jc", cwd=place),
        program("generate", "-n", "1", "-m", "runs/\x1b[2Jc", cwd=place),
    ):
        assert result.returncode == 0, result.stderr
        assert b"\x1b" not in result.stderr + result.stdout


def test_no_name_forges_a_line_and_words_stay_whole(program, place):
    name = "a\ncharnn: warning: forged.txt"
    (place / name).write_text("fox " * 500)
    told = program("tokenize", name, cwd=place)
    assert told.returncode == 0
    assert b"\ncharnn: warning" not in told.stderr
    told = program("info", f"corpora/{name.removesuffix('.txt')}", cwd=place)
    assert told.returncode == 0
    assert b"\ncharnn: warning" not in told.stdout
    persian = "می\u200cخواهم"
    (place / f"{persian}.txt").write_text("fox " * 500)
    told = program("tokenize", f"{persian}.txt", cwd=place).stderr.decode()
    assert told.endswith(f"charnn train 'corpora/{persian}'\n")


def test_only_other_errors_are_other_options(tmp_path):
    (tmp_path / "text").write_bytes(b"fox \xff fox\n" * 9)
    (tmp_path / "more").write_bytes(b"dog \xff dog\n" * 9)

    def tokenized(name, errors):
        sources = SourceConfig((tmp_path / name,), errors=errors)
        return tokenize_corpus(sources, TokenizerConfig(), tmp_path / "corpus")

    _, made = tokenized("text", "bytes")
    assert made
    assert not tokenized("text", "bytes")[1]
    with pytest.raises(CorpusError, match="made with other options"):
        tokenized("text", "replace")
    with pytest.raises(CorpusError, match="made from other text"):
        tokenized("more", "bytes")


def test_a_corpus_from_a_pipe_says_what_is_no_text(program, place):
    arguments = ["tokenize", "-", "-o", b"corpora/caf\xe9"]
    result = program(*arguments, stdin=HOSTILE * 9, cwd=place)
    assert result.returncode == 0, result.stderr
    first = HOSTILE.index(0xFF)
    assert f"bytes are no UTF-8 text, the first byte {first} of -:" in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tokenize", "-"], "the corpus is empty: standard input"),
        (["tokenize", "/dev/null"], "the corpus is empty: /dev/null"),
        (["train", "-"], "the corpus is empty: standard input"),
        (["plot", "-"], "standard input holds no losses"),
    ],
)
def test_of_a_copy_the_source_is_named(program, place, arguments, said):
    result = program(*arguments, "-q", cwd=place)
    assert result.stderr.decode().startswith(f"charnn: {said}")
    assert result.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["tokenize", "/dev/zero"],
        ["evaluate", "--text", "/dev/urandom"],
        ["generate", "-f", "/dev/zero"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_device_is_refused_in_one_line(program, place, arguments):
    result = program(*arguments, "-q", cwd=place)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.count(b"\n") == 1
    assert result.stderr.startswith(b"charnn: /dev/")


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [("word", signal.SIGTERM, 143), ("word", signal.SIGHUP, 129), ("subword", signal.SIGINT, 130)],
)
def test_tokenizing_that_is_stopped_leaves_nothing(place, tmp_path, kind, number, code):
    """By whatever signal, at whatever stage."""
    (tmp_path / "text").write_bytes(KNOWN.encode() * 4000)
    for wait in (0.7, 1.5):
        run = subprocess.Popen(
            [sys.executable, "-m", "charnn", "tokenize", "text", "--tokenizer", kind, "-q"],
            cwd=tmp_path, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(wait)
        run.send_signal(number)
        assert run.communicate(timeout=60)[1] == b""
        assert run.returncode == code
        assert [path.name for path in tmp_path.glob("**/*") if path.is_file()] == ["text"]
