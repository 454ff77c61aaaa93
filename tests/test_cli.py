"""The real program, in a subprocess."""

import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import TEXT
from terminals import on_a_terminal

from charnn import __version__
from charnn.cells import CELLS
from charnn.checkpoint import read_checkpoint
from charnn.cli.app import COMMANDS
from charnn.cli.console import Payload, facts
from charnn.text.config import TokenizerConfig

COMMANDS = sorted(COMMANDS)
TRAIN = ["train", "--hidden", "8", "--embedding", "4", "--batch", "4", "--bptt", "8"]


@pytest.fixture
def place(workplace, tmp_path):
    """A copy of the workplace that a test may change."""
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


def one_line(result, code):
    assert result.returncode == code, result.stderr.decode()
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("charnn: ")
    return lines[0]


# --- help and start-up -------------------------------------------------------------------------


def test_every_command_has_help_with_examples(program):
    listed = program("--help").stdout.decode()
    for command in COMMANDS:
        result = program(command, "--help")
        text = result.stdout.decode()
        assert result.returncode == 0
        assert "Examples:" in text
        assert f"charnn {command}" in text
        assert re.search(rf"^  {command} +[A-Z]", listed, re.M)
        assert "<unknown>" not in text


def test_version(program):
    assert program("--version").stdout.decode() == f"charnn {__version__}\n"


FREE_OF_TORCH = [
    *[[command, "--help"] for command in COMMANDS],
    ["--help"],
    ["--version"],
    ["generate", "-n", "5", "-q"],
    ["generate", "-n", "5", "--beam", "2", "-q"],
    ["generate", "-n", "5", "--regex", "[^e]*", "-q"],
    ["prime", "-p", "The", "--save-state", "state", "-q"],
    ["tokenize", "text.txt", "-o", "new", "-q"],
    ["tokenize", "text.txt", "-o", "new", "--like", "checkpoints/text", "-q"],
    ["evaluate", "-q"],
    ["evaluate", "--cache", "9", "-q"],
    ["evaluate", "text", "text", "--baselines", "-q"],
    ["score", "text.txt", "-q"],
    ["encode", "text.txt", "-q"],
    ["decode", "ids", "-q"],
    ["info", "-q"],
    ["plot", "-q"],
    ["plot", "-o", "curves.png", "-q"],
    ["info", "corpora/text", "-q"],
    ["train", "--nose"],
    ["train", "--cell", "ngram", "--layers", "3"],
    ["train", "corpora/text", "--cell", "ngram", "-o", "counted", "-q"],
]


@pytest.mark.parametrize("arguments", FREE_OF_TORCH, ids=" ".join)
def test_commands_that_need_no_torch_never_import_it(place, arguments):
    (place / "ids").write_text("0 1 2")
    script = (
        "import sys; from charnn.cli.app import run; sys.argv[0] = 'charnn'; code = run();"
        "heavy = {'torch', 'numpy'} if code or sys.argv[-1][:2] == '--' else {'torch'};"
        "print('HEAVY', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=place, capture_output=True
    )
    assert "HEAVY []" in result.stderr.decode(), result.stderr.decode()


# --- the main job ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["byte", "char", "word", "subword"])
def test_tokenize_train_generate(program, tmp_path, kind):
    (tmp_path / "story.txt").write_text(TEXT)
    result = program("tokenize", "story.txt", "--tokenizer", kind, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "bytes per token" in result.stderr.decode()
    assert result.stdout == b""
    result = program(*TRAIN, "--steps", "12", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "12 steps" in result.stderr.decode()
    result = program("generate", "-n", "40", "-p", "The fox 狐", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    text = result.stdout.decode()
    assert text.startswith("The fox 狐")
    assert text.endswith("\n")
    facts = json.loads(program("evaluate", "--json", cwd=tmp_path).stdout)
    assert facts["bits_per_byte"] > 0
    assert facts["unknown"] == 0
    described = json.loads(program("info", "--json", cwd=tmp_path).stdout)
    assert (described["kind"], described["tokenizer"], described["step"]) == (
        "checkpoint",
        kind,
        12,
    )


def test_evaluation_is_the_same_on_the_split_and_on_its_text(program, place):
    split = json.loads(program("evaluate", "--json", cwd=place).stdout)
    data = TEXT.encode()
    cut = int(0.9 * len(data))
    while data[cut] & 0xC0 == 0x80:
        cut -= 1
    (place / "held-out").write_bytes(data[cut:])
    text = json.loads(program("evaluate", "--json", "--text", "held-out", cwd=place).stdout)
    assert {k: v for k, v in text.items() if k != "split"} == {
        k: v for k, v in split.items() if k != "split"
    }
    piped = program("evaluate", "--json", "--text", "-", cwd=place, stdin=data[cut:])
    assert json.loads(piped.stdout)["nats_per_token"] == split["nats_per_token"]
    assert split["bytes"] == len(data) - cut - len(data[cut:].decode()[0].encode())


def test_evaluation_with_unknown_tokens_gives_no_figure_per_byte(program, place):
    result = program("evaluate", "--json", "--text", "-", cwd=place, stdin="The ☃ fox".encode())
    facts = json.loads(result.stdout)
    assert facts["unknown"] == 1
    assert facts["bits_per_byte"] is None
    assert facts["nats_per_token"] > 0


def test_encode_and_decode_are_inverse_in_a_pipe(program, place):
    ids = program("encode", cwd=place, stdin=TEXT.encode()).stdout
    assert re.fullmatch(rb"(\d+ )+\n", ids)
    assert program("decode", "-", cwd=place, stdin=ids).stdout == TEXT.encode()
    by_corpus = program("encode", "-m", "corpora/text", cwd=place, stdin=TEXT.encode())
    assert by_corpus.stdout == ids
    assert b"not an id" in program("decode", cwd=place, stdin=b"1 x2 3").stderr


def test_a_seed_repeats_and_is_reported(program, place):
    first = program("generate", "-n", "30", cwd=place)
    seed = re.search(r"seed: (\d+)", first.stderr.decode())[1]
    assert program("generate", "-n", "30", "-s", seed, cwd=place).stdout == first.stdout
    assert program("generate", "-n", "30", "-s", "0", "-q", cwd=place).stderr == b""


def test_generated_json_has_the_documented_keys(program, place):
    result = program("generate", "--json", "-n", "9", "--samples", "3", "-p", "The", cwd=place)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(record["sample"] for record in records) == [0, 1, 2]
    for record in records:
        assert {"sample", "prompt", "text", "tokens", "logprobs", "score", "finished",
                "seed", "checkpoint", "settings"} <= record.keys()  # fmt: skip
        manifest = place / "checkpoints" / "text" / "best" / "manifest.json"
        assert record["checkpoint"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
        assert record["settings"]["generation"]["samples"] == 3
        assert record["settings"]["sampling"]["temperature"] == 0.8
        assert len(record["tokens"]) == len(record["logprobs"]) == 9
        assert record["finished"] == "length"
        assert record["score"] == pytest.approx(sum(record["logprobs"]) / 9)
    texts = program("generate", "-n", "9", "--samples", "3", "-p", "The", "-s",
                    str(records[0]["seed"]), cwd=place).stdout.decode()  # fmt: skip
    by_sample = sorted(records, key=lambda record: record["sample"])
    endless = "\n".join((f"The{one['text']}").removesuffix("\n") + "\n" for one in by_sample)
    assert texts == endless


def test_stop_strings_and_echo(program, place):
    whole = program("generate", "-n", "60", "-s", "4", "--no-echo", cwd=place).stdout.decode()
    stop = whole[20:23]
    cut = program("generate", "-n", "60", "-s", "4", "--no-echo", "--stop", stop, cwd=place)
    assert cut.stdout.decode().rstrip("\n") == whole[: whole.index(stop)].rstrip("\n")
    echoed = program("generate", "-n", "5", "-s", "4", "-f", "-", cwd=place, stdin=b"She")
    assert echoed.stdout.startswith(b"She")


def test_beams_are_sorted_and_distinct(program, place):
    result = program("generate", "--beam", "4", "--nbest", "4", "-n", "12", "--json", cwd=place)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    scores = [record["score"] for record in records]
    assert len(records) == 4
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(record["tokens"]) for record in records}) == 4
    assert records[0]["seed"] is None


def test_beams_that_go_round_in_circles_are_noticed_once(program, place):
    arguments = ["generate", "--beam", "2", "-n", "400", "--nbest", "2"]
    said = program(*arguments, cwd=place).stderr.decode()
    assert said.count("goes round in circles") == 1
    assert "--no-repeat-ngram 12" in said
    helped = program(*arguments, "--no-repeat-ngram", "12", cwd=place)
    assert helped.returncode == 0
    assert "circles" not in helped.stderr.decode()


def test_beams_write_the_same_streamed_or_not(program, place):
    arguments = ["generate", "--beam", "3", "-n", "80", "-p", "The", "--stop", "wat", "-q"]
    streamed = program(*arguments, cwd=place).stdout.decode()
    (record,) = program(*arguments, "--json", cwd=place).stdout.splitlines()
    assert streamed == "The" + json.loads(record)["text"].removesuffix("\n") + "\n"


def test_lines_and_patterns(program, place):
    line = program("generate", "--until-line", "-s", "3", "-q", "-p", "She", cwd=place).stdout
    assert line.count(b"\n") == 1
    lines = program("generate", "--max-lines", "3", "-s", "3", "-q", cwd=place).stdout
    assert lines.count(b"\n") <= 3
    pattern = r"[A-Z][^e\n]{3,30}[.!]"
    for how in (["-s", "5", "--samples", "3"], ["--beam", "3", "--nbest", "2"], ["--greedy"]):
        arguments = ["generate", "--regex", pattern, "--ban", "th", "--json", "-q", *how]
        for line in program(*arguments, cwd=place).stdout.splitlines():
            text = json.loads(line)["text"]
            assert re.fullmatch(pattern, text)
            assert "th" not in text


def test_fewer_texts_than_were_asked_for_are_told(program, place):
    result = program("generate", "--beam", "4", "--nbest", "3", "--regex", "a|e", cwd=place)
    assert sorted(result.stdout.decode().split()) == ["a", "e"]
    assert "only 2 different texts were found, not 3" in result.stderr.decode()


def test_a_prompt_is_read_once_and_continued_bit_for_bit(program, place):
    prompt = "The fox saw the moon in the well."
    direct = program("generate", "-p", prompt, "-n", "50", "-s", "7", "-q", cwd=place)
    primed = program("prime", "-p", prompt, "--save-state", "fox.state", cwd=place)
    assert primed.returncode == 0
    assert primed.stdout == b""
    assert f"{len(prompt)} tokens" in primed.stderr.decode()
    assert (place / "fox.state").stat().st_size < 4096
    arguments = ["generate", "--state", "fox.state", "-n", "50", "-s", "7", "-q"]
    assert prompt.encode() + program(*arguments, cwd=place).stdout == direct.stdout
    more = program(*arguments, "-p", " She", cwd=place).stdout.decode()
    assert more.startswith(" She")
    # The model goes on learning: another checkpoint is another model.
    assert program(*TRAIN, "corpora/text", "--steps", "3", "-q", cwd=place).returncode == 0
    assert "another checkpoint's" in one_line(program(*arguments, cwd=place), 1)


def test_of_what_has_one_name_a_run_is_meant(program, place):
    for name, kind in (("text", "checkpoint"), ("corpora/text", "corpus")):
        assert json.loads(program("info", name, "--json", cwd=place).stdout)["kind"] == kind


def test_prompts_may_come_one_by_one(program, place):
    arguments = ["generate", "--interactive", "-n", "20", "-s", "1"]
    result = program(*arguments, "-q", cwd=place, stdin="The\nShe said\n☃".encode())
    assert result.returncode == 0
    assert result.stdout.startswith(b"The")
    assert b"\nShe said" in result.stdout


def test_a_given_prompt_comes_before_those_that_are_typed(program, place):
    (place / "options.toml").write_text('prompt = "She"\n')
    arguments = ["generate", "-i", "-n", "9", "-s", "1", "-q", "--json"]
    result = program(*arguments, "--config", "options.toml", cwd=place, stdin=b"The\n")
    assert result.returncode == 0, result.stderr
    prompts = [json.loads(line)["prompt"] for line in result.stdout.splitlines()]
    assert prompts == ["She", "The"]


def test_what_goes_wrong_with_a_given_prompt_ends_no_session(program, place):
    arguments = ["generate", "-i", "-q", "--no-repeat-ngram", "1", "--greedy", "-p", "The"]
    result = program(*arguments, cwd=place, stdin=b"She\n")
    assert result.returncode == 0
    assert result.stderr.count(b"left no token to go on with") == 2  # of either prompt


def test_typed_prompts_heed_errors(program, place):
    arguments = ["generate", "-i", "-n", "2", "-s", "1", "-q"]
    replaced = program(*arguments, "--errors", "replace", cwd=place, stdin=b"The\xff\n")
    assert replaced.stdout.startswith("The\ufffd".encode())
    strict = program(*arguments, "--errors", "strict", cwd=place, stdin=b"The\xff\nShe\n")
    assert strict.returncode == 0
    assert strict.stderr.decode().startswith("charnn: the prompt: this is no UTF-8 text: invalid")
    assert strict.stderr.count(b"\n") == 1
    assert strict.stdout.startswith(b"She")  # what comes next is read all the same


def test_a_program_may_talk_with_it_line_by_line(place):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-m", "charnn", "generate", "-i", "-q", "--until-line", "--json"],
        cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    ) as run:  # fmt: skip
        for prompt in ("The", "She"):
            run.stdin.write(f"{prompt}\n".encode())
            run.stdin.flush()
            assert select.select([run.stdout], [], [], 60)[0]
            assert json.loads(run.stdout.readline())["prompt"] == prompt
        run.stdin.close()
        assert run.wait(30) == 0


def test_interactive_on_a_terminal_has_history_and_survives_ctrl_c(place):
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "charnn", "generate", "-i", "-n", "9", "-s1"],
        cwd=place, stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(place / "state")},
    )  # fmt: skip
    os.close(follower)
    seen = b""

    def until(text: bytes, count: int = 1) -> None:
        nonlocal seen
        while seen.count(text) < count:
            assert select.select([leader], [], [], 60)[0], seen
            seen += os.read(leader, 4096)

    until(b"> ")
    os.write(leader, b"The fox\n")
    until(b"> ", 2)
    os.write(leader, b"half")
    until(b"half")
    time.sleep(0.5)  # Python's readline overlooks a signal while it looks at a key
    os.write(leader, b"\x03")  # Ctrl-C
    until(b"> ", 3)
    os.write(leader, b"\x1b[A\n")  # the arrow up: the line before
    until(b"> ", 4)
    os.write(leader, b"\x04")  # Ctrl-D
    assert run.wait(timeout=30) == 0
    os.close(leader)
    lines = seen.decode().replace("\r", "").splitlines()
    written = [lines[n + 1] for n, line in enumerate(lines) if line.endswith("> The fox")]
    assert len(written) == 2
    assert written[0] == written[1]
    assert "The fox" in (place / "state" / "charnn" / "history").read_text()


def test_an_unknown_prompt_is_skipped_with_one_warning(program, place):
    result = program("generate", "-n", "5", "-s", "1", "-q", "-p", "☃The☃", cwd=place)
    assert (result.returncode, result.stderr) == (0, b"")
    result = program("generate", "-n", "5", "-s", "1", "-p", "☃The☃", cwd=place)
    warnings = [line for line in result.stderr.decode().splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "2 unknown, the first U+2603 '☃' at character 0" in warnings[0]


def test_stdin_and_compressed_corpora(program, tmp_path):
    result = program("tokenize", "-", "-o", "here", "--json", cwd=tmp_path, stdin=TEXT.encode())
    facts = json.loads(result.stdout)
    assert facts["splits"]["train"]["tokens"] + facts["splits"]["validation"]["tokens"] == len(TEXT)
    again = program("tokenize", "-", "-o", "here", cwd=tmp_path, stdin=TEXT.encode())
    assert b"up to date" in again.stderr


def test_train_takes_a_text_and_a_taken_name_gets_a_number(program, tmp_path):
    (tmp_path / "story.txt").write_text(TEXT)
    for name in ("story", "story-2"):
        result = program(*TRAIN, "story.txt", "--steps", "3", "--json", cwd=tmp_path)
        assert json.loads(result.stdout)["run"] == f"checkpoints/{name}"
    assert b"charnn train --resume checkpoints/story\n" in result.stderr
    assert (tmp_path / "corpora" / "story" / "corpus.json").exists()


def test_resume_goes_on_and_keeps_its_settings(program, place):
    result = program("train", "--resume", cwd=place)
    assert "is finished" in one_line_after(result, 1)
    result = program("train", "--resume", "--steps", "5", "--json", cwd=place)
    assert json.loads(result.stdout)["step"] == 65
    assert b"run     checkpoints/text, from step 60 of 65\n" in result.stderr
    result = program("train", "--resume", "--lr", "1", "--steps", "5", cwd=place)
    assert "leave out --lr" in one_line_after(result, 2)


def one_line_after(result, code):
    assert result.returncode == code, result.stderr
    return result.stderr.decode().splitlines()[-1]


def test_resume_takes_the_last_checkpoint_and_no_other(program, place):
    run = place / "checkpoints" / "text"
    before = sorted(path.name for path in run.iterdir())
    result = program("train", "--resume", "checkpoints/text/last", "--steps", "5", cwd=place)
    assert result.returncode == 0, result.stderr
    assert "step-65" in {path.name for path in run.iterdir()} - set(before)
    for path in run.glob("step-*"):
        assert not (path / "last").exists()
    result = program("train", "--resume", "checkpoints/text/step-60", "--steps", "5", cwd=place)
    assert "another" in one_line_after(result, 2)
    result = program("train", "--resume", "--hidden", "9", cwd=place)
    assert "keeps the run's settings; leave out --hidden" in one_line_after(result, 2)


def test_resume_finds_a_corpus_that_moved_with_the_run(program, place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    shutil.copytree(place, elsewhere, symlinks=True)
    shutil.rmtree(place / "corpora")
    result = program("train", "--resume", "--steps", "2", "--threads", "1", cwd=elsewhere)
    assert result.returncode == 0, result.stderr


def test_what_can_be_read_once_only(place):
    script = "cat text.txt | charnn train - --hidden 8 --steps 2 -q -o checkpoints/piped"
    result = shell(script, place)
    assert result.returncode == 0, result.stderr
    assert (place / "corpora" / "stdin" / "corpus.json").exists()
    result = shell("charnn tokenize <(cat text.txt) --validation <(cat text.txt) -o both", place)
    assert result.returncode == 0, result.stderr
    result = shell("charnn tokenize - - -o twice < text.txt", place)
    assert (result.returncode, result.stderr) == (
        2, b"charnn: standard input can be read once only\n"
    )  # fmt: skip


def test_a_closed_stream_and_no_command(program, place):
    lost = shell("charnn info -q >&-", place)
    assert (lost.returncode, lost.stderr) == (
        1, b"charnn: standard output: Bad file descriptor\n"
    )  # fmt: skip
    quiet = shell(
        "charnn train corpora/text --hidden 8 --steps 2 -q -o checkpoints/q >&- 2>&-", place
    )
    assert quiet.returncode == 0  # it has nothing to write there
    assert (place / "checkpoints" / "q" / "best").exists()
    bare = program()
    assert bare.returncode == 2
    assert b"charnn: " not in bare.stderr


@pytest.mark.parametrize("cell", [*CELLS, "ngram"])
def test_every_cell_trains_writes_and_is_measured(program, place, cell):
    small = [] if cell == "ngram" else ["--hidden", "12", "--steps", "3", "--batch", "4"]
    command = ["train", "corpora/text", "--cell", cell, *small, "-o", "checkpoints/new", "--json"]
    trained = program(*command, cwd=place)
    assert trained.returncode == 0, trained.stderr.decode()
    facts = json.loads(trained.stdout)
    assert facts["finished"]
    evaluated = json.loads(program("evaluate", "new", "--json", cwd=place).stdout)
    if cell == "ngram":
        assert evaluated["nats_per_token"] == pytest.approx(facts["validation_nats"], abs=1e-12)
    assert 0 < evaluated["nats_per_token"] < 10
    info = json.loads(program("info", "checkpoints/new", "--json", cwd=place).stdout)
    assert info["cell"] == cell
    assert info["parameters"] == sum(info["parts"].values())
    assert (info["layers"], info["hidden"]) == ((None, None) if cell == "ngram" else (2, 12))
    assert program("info", "checkpoints/new", cwd=place).returncode == 0
    for how in (["--seed", "1"], ["--greedy"], ["--beam", "3"]):
        command = ["generate", "-m", "new", "-p", "The", "-n", "9", "--json", *how]
        written = json.loads(program(*command, cwd=place).stdout)
        assert len(written["tokens"]) == 9
        assert sum(written["logprobs"]) < 0


def test_a_corpus_whose_name_is_no_utf8_is_found_again(program, place):
    name = os.fsdecode(b"caf\xe9.txt")
    (place / name).write_text(TEXT)
    trained = program(*TRAIN, "--steps", "2", "-q", name, cwd=place)
    assert trained.returncode == 0, trained.stderr
    for command in (["evaluate", "--no-baselines"], ["train", "--resume", "--steps", "1"]):
        assert program(*command, cwd=place).returncode == 0


def test_an_ngram_model_is_not_resumed(program, place):
    program("train", "corpora/text", "--cell", "ngram", "-o", "checkpoints/new", cwd=place)
    other = program("train", "--resume", "--steps", "2", cwd=place)  # the newest that can be
    assert b"checkpoints/text, from step 60" in other.stderr
    result = program("train", "--resume", "checkpoints/new", "--steps", "2", "-q", cwd=place)
    assert "n-gram model" in one_line(result, 1)


def test_an_impossible_text_has_no_perplexity(program, place):
    options = ["--cell", "ngram", "--smoothing", "maximum-likelihood", "--order", "4"]
    trained = program("train", "corpora/text", *options, "-o", "checkpoints/new", cwd=place)
    assert trained.returncode == 0, trained.stderr.decode()
    (place / "other").write_text("nehT" * 9)
    result = program("evaluate", "new", "--text", "other", "--json", cwd=place)
    assert json.loads(result.stdout)["perplexity"] is None


def test_an_embedding_is_loaded_and_frozen(program, place):
    (place / "v.txt").write_text("e 1 2 3\n月 4 5 6\n")
    options = [
        "--embedding-from",
        "v.txt",
        "--freeze",
        "embedding",
        "--steps",
        "2",
        "--hidden",
        "8",
    ]
    result = program("train", "corpora/text", *options, "-o", "checkpoints/new", cwd=place)
    said = result.stderr.decode()
    assert "2 of " in said
    assert "keep random vectors" in said
    checkpoint = read_checkpoint(place / "checkpoints" / "new")
    row = checkpoint.tokenizer.token_bytes.index("月".encode())
    assert checkpoint.weights["embedding.weight"][row].tolist() == [4, 5, 6]


# --- bad input ---------------------------------------------------------------------------------


BAD = {
    "a missing corpus": (["tokenize", "nowhere.txt"], 1, "no such file or folder: nowhere.txt"),
    "an empty corpus": (["tokenize", "empty"], 1, "the corpus is empty: empty"),
    "no text": (["tokenize", "picture", "--errors", "strict"], 1,
                "picture: this is no UTF-8 text: invalid at byte 0"),
    "an unwritable place": (["tokenize", "text.txt", "-o", "empty/x"], 1, "cannot write corpus"),
    "another corpus there": (["tokenize", "short", "-o", "corpora/text"], 1, "from other text"),
    "no corpus there": (["tokenize", "short", "-o", "checkpoints"], 1, "no tokenized corpus"),
    "a folder of other things": (["tokenize", "short", "-o", "checkpoints", "--force"], 1,
                                 "exists and is no tokenized corpus"),
    "senseless options": (["tokenize", "short", "--tokenizer", "byte", "--min-count", "2"], 2,
                          "--min-count means nothing to the byte tokenizer"),
    "two budgets": (["train", "--minutes", "1", "--steps", "3"], 2, "exclude each other"),
    "a missing run": (["generate", "-m", "nowhere"], 1, "no such checkpoint: nowhere"),
    "a corpus as a model": (["generate", "-m", "corpora/text"], 1, "no checkpoint in"),
    "a penalty without beams": (["generate", "--length-penalty", "2"], 2, "need --beam"),
    "a steep penalty": (["generate", "--beam", "2", "--length-penalty", "200"], 2, "from -10 to"),
    "a huge seed": (["train", "--seed", "9" * 30], 2, "--seed must be below"),
    "endless minutes": (["train", "--minutes", "1e12"], 2, "--minutes must be above 0 and at most"),
    "a run without a name": (["train", "-o", "."], 2, "is no name for a run"),
    "a bad temperature": (["generate", "--temperature", "0"], 2, "--temperature must be above 0"),
    "beams and samples": (["generate", "--beam", "2", "--samples", "2"], 2, "exclude each other"),
    "a prompt that is no text": (["generate", "-f", "picture", "--errors", "strict"], 1,
                                 "picture: this is no UTF-8 text: invalid at byte 0"),
    "a pattern that cannot be": (["generate", "--regex", "Q{9}", "-n", "5"], 2, "--regex 'Q{9}'"),
    "no pattern": (["generate", "--regex", "(a", "-n", "5"], 2, "--regex '(a'"),
    "uneven groups": (["generate", "--beam", "4", "--beam-groups", "3"], 2, "must divide the 4"),
    "guides without a way": (["generate", "--no-repeat-ngram", "1", "--greedy"], 1,
                             "--no-repeat-ngram left no token to go on with"),
    "two readers of one input": (["generate", "-i", "-f", "-"], 2, "--file - reads one"),
    "nothing to read": (["prime", "--save-state", "s"], 2, "give --prompt or --file"),
    "a file in a state's place": (["prime", "-p", "The", "--save-state", "short"], 1, "exists"),
    "a stop that is no text": (["generate", "--stop", b"\xff"], 2, "no UTF-8"),
    "a folder in a state's place": (["prime", "-p", "The", "--save-state", "."], 1, "a folder"),
    "a state that is no file": (["prime", "-p", "The", "--save-state", "-"], 2, "becomes a file"),
    "a run as a text": (["train", "checkpoints/text"], 1, "is a model, and no text"),
    "a checkpoint as a text": (["tokenize", "checkpoints/text/best"], 1, "is a model, and no text"),
    "a corpus as a text": (["tokenize", "corpora/text"], 1, "is a tokenized corpus, and no text"),
    "a text as a run": (["evaluate", "text.txt"], 2, "charnn evaluate --text text.txt"),
    "a folder of runs": (["generate", "-m", "checkpoints"], 1, "name one, as checkpoints/text is"),
    "a number of two names": (["generate", "--temp", "x"], 2, "--temperature / --temp: a number"),
    "not a number": (["train", "--lr", "nan"], 2, "--lr cannot be 'nan'"),
    "debug in its place": (["generate", "--debug"], 2, "charnn --debug ..."),
    "a device in a state's place": (["prime", "-p", "The", "--save-state", "/dev/null",
                                     "--force"], 1, "/dev/null exists"),
    "a pipe for a state": (["generate", "--state", "/dev/null"], 1, "is no file"),
    "groups without beams": (["generate", "--beam-groups", "3"], 2, "need --beam"),
    "no place for a state": (["prime", "-p", "The", "--save-state", "no/s"], 1, "cannot write"),
    "a missing state": (["generate", "--state", "nowhere"], 1, "cannot read the state nowhere"),
    "no state": (["generate", "--state", "picture"], 1, "picture is no state"),
    "a missing prompt": (["generate", "-f", "nowhere"], 1, "cannot read nowhere"),
    "a missing split": (["evaluate", "--split", "test"], 1, "has no test split"),
    "too little to evaluate": (["evaluate", "--text", "letter"], 1, "nothing to predict"),
    "an unknown option": (["generate", "--nose"], 2, "--nose"),
    "an unknown command": (["generale"], 2, "generale"),
    "a bad value": (["train", "--steps", "many"], 2, "--steps: a whole number"),
    "an unknown cell": (["train", "--cell", "nose"], 2, "'nose'"),
    "both ways": (["train", "--bidirectional"], 2, "would see what it is to predict"),
    "learning to count": (["train", "--cell", "ngram", "--hidden", "9", "--lr", "1"], 2,
                          "counted, not trained; leave out --hidden, --lr"),
    "another cell on the way": (["train", "--resume", "--cell", "gru"], 2, "keeps the run's"),
    "the same cell again": (["train", "--resume", "--cell", "lstm"], 2, "keeps the run's"),
    "counting on the way": (["train", "--resume", "--order", "3"], 2, "keeps the run's settings"),
    "a rehearsal on the way": (["train", "--resume", "--dry-run"], 2, "leave out --dry-run"),
    "a rehearsal of counting": (["train", "--cell", "ngram", "--dry-run"], 2, "out --dry-run"),
    "two widths": (["train", "--hidden", "8", "--size", "small"], 2, "leave out --size"),
    "going on without a text": (["train", "--from", "text"], 2, "name the text"),
    "extending what is tokenized": (
        ["train", "text", "--from", "text", "--extend-vocabulary"], 2, "comes too late",
    ),
    "two beginnings": (["train", "--from", "a", "--embedding-from", "b"], 2, "exclude each other"),
    "an order of learning": (["train", "--order", "3"], 2, "leave out --order"),
    "no order": (["train", "--cell", "ngram", "--order", "0"], 2, "--order must be from 1"),
    "missing vectors": (["train", "--embedding-from", "no.txt"], 1, "no such file or checkpoint"),
    "no vectors": (["train", "--embedding-from", "picture"], 1, "picture:1 is no word with"),
    "vectors of other words": (["train", "--embedding-from", "vectors"], 2, "for no symbol"),
    "a size that does not fit": (["train", "--embedding-from", "vectors", "--embedding", "9"], 2,
                                 "leave out --embedding"),
    "one-hot, but frozen": (["train", "--freeze", "embedding", "--embedding", "0"], 2, "has no"),
    "a pickle": (["info", "model.pt"], 1, "pickle file can run code"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_clear_line(program, place, arguments, code, said):
    (place / "empty").touch()
    (place / "short").write_text("short")
    (place / "letter").write_text("T")
    (place / "vectors").write_text("nothing 1 2\n")
    (place / "picture").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    (place / "model.pt").touch()
    before = sorted(place.rglob("*"))
    assert said in one_line(program(*arguments, "-q", cwd=place), code)
    assert sorted(place.rglob("*")) == before


def test_a_corpus_that_is_all_held_out(program, tmp_path):
    (tmp_path / "line-end").write_text("\n")
    result = program("train", "line-end", "--steps", "2", "-q", cwd=tmp_path)
    assert "has no tokens to learn from; use more text" in one_line(result, 1)


def test_a_corpus_shorter_than_a_window(program, tmp_path):
    (tmp_path / "short.txt").write_text("short")
    result = program("train", "short.txt", "-q", cwd=tmp_path)
    assert "too few for one window" in one_line(result, 1)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_nothing_trained_yet(program, tmp_path):
    assert "train one with charnn train" in one_line(program("generate", cwd=tmp_path), 1)


def test_a_damaged_checkpoint(program, place):
    weights = place / "checkpoints" / "text" / "best" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 1
    weights.write_bytes(data)
    assert "was altered" in one_line(program("generate", "-q", cwd=place), 1)
    weights.unlink()
    assert "damaged: model.safetensors" in one_line(program("generate", "-q", cwd=place), 1)


def test_debug_shows_a_traceback(program, place):
    result = program("--debug", "generate", "-m", "nowhere", cwd=place)
    assert b"Traceback" in result.stderr
    assert result.returncode == 1


# --- streams -----------------------------------------------------------------------------------


def shell(command, cwd, **environment):
    script = f'charnn() {{ {sys.executable} -m charnn "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, capture_output=True, env={**os.environ, **environment}
    )


def test_a_reader_that_goes_away_is_no_error(place):
    result = shell("charnn generate -q -n 20000 -s 1 | head -c 5; echo ${PIPESTATUS[0]}", place)
    assert result.stderr == b""
    assert result.stdout.endswith(b"0\n")


def test_a_full_disk_is_one_line(place):
    result = shell("charnn generate -q -n 20 -s 1 > /dev/full", place)
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        "charnn: standard output: No space left on device"
    ]


def test_the_locale_changes_nothing(program, place):
    arguments = ["generate", "-n", "30", "-s", "1", "-q", "-p", "狐狸"]
    plain = program(*arguments, cwd=place)
    old = program(*arguments, cwd=place, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert old.stdout == plain.stdout
    assert (old.returncode, old.stderr) == (0, b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_saved_and_can_go_on(program, place, number, code):
    run = subprocess.Popen(
        [sys.executable, "-m", "charnn", *TRAIN, "--minutes", "5", "-o", "checkpoints/cut"],
        cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    for line in run.stderr:
        if line.startswith(b"run"):
            break
    time.sleep(1)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == code, said
    assert b"go on with: charnn train --resume checkpoints/cut" in said
    resumed = program("train", "--resume", "checkpoints/cut", "--steps", "2", cwd=place)
    assert resumed.returncode == 0, resumed.stderr


def test_a_terminal_that_goes_away_stops_training_as_a_signal_does(place):
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        ["bash", "-c", 'exec "$@" < $0 > $0 2>&1', os.ttyname(follower), sys.executable, "-m",
         "charnn", *TRAIN, "--minutes", "5", "-o", "checkpoints/hung-up"],
        cwd=place, start_new_session=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    drawn = b""
    while b"tok/s" not in drawn:
        drawn += os.read(leader, 65536)
    os.close(follower)
    os.close(leader)
    assert run.wait(timeout=60) == 128 + signal.SIGHUP
    assert read_checkpoint(place / "checkpoints" / "hung-up", "last").config.step > 0


def test_training_draws_a_bar_on_a_terminal_only(program, place):
    arguments = [*TRAIN, "--steps", "30"]
    drawn = on_a_terminal(arguments, place, ("stderr",), columns=100)
    assert "━" in drawn
    assert "tok/s" in drawn
    assert "\x1b[?25h" in drawn  # the cursor is shown again
    plain = program(*arguments, cwd=place).stderr.decode()
    assert "━" not in plain
    assert "\x1b" not in plain


# --- small parts -------------------------------------------------------------------------------


def test_json_never_holds_what_is_not_finite(capfdbinary):
    Payload().json({"a": float("nan"), "b": [float("inf"), 1.0], "c": "é"})
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == '{"a": null, "b": [null, 1.0], "c": "é"}\n'.encode()


def test_facts_are_aligned():
    assert facts({"a": 1, "long": 2}).splitlines() == ["a     1", "long  2"]


def test_options_are_views_of_the_configs(program):
    text = program("tokenize", "--help").stdout.decode()
    for name in (field.name for field in fields(TokenizerConfig)):
        flag = {"vocabulary_size": "vocab-size"}.get(name, name.replace("_", "-"))
        assert (f"--{flag}" in text) == (name != "end_text")


def test_the_bundled_corpora_are_there():
    folder = Path(__file__).parent.parent / "corpora"
    fables, poems = (folder / name for name in ("fables.txt", "poems.zh.txt"))
    assert fables.stat().st_size >= 120_000
    assert poems.stat().st_size >= 30_000
    assert fables.read_text("ascii").count('"') > 1000
    assert len(set(poems.read_text("utf-8"))) > 1000
