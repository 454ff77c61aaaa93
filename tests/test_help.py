"""Help, the manual, and what is said to those who type something wrong."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helping import WIDTHS, all_help, golden, pages
from terminals import on_a_terminal

from charnn.cli import app
from charnn.cli.lazy import Group, walk
from charnn.cli.manual import draw
from charnn.cli.manual.__main__ import manual
from charnn.cli.manual.terminal import wrap_command

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "help"
PAGES = {page.command: page for page in pages()}
COMMANDS = [(command, context) for command, context in walk(app.program())]


# --- what help shows ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_help_is_as_it_was(width):
    """If it is to be another: ``make man``."""
    assert all_help(width).encode() == golden(GOLDEN, width).read_bytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut(width):
    for page in PAGES.values():
        drawn = draw(page, width)
        assert max(map(len, drawn.splitlines())) <= width
        assert "…" not in drawn
        words = " ".join(drawn.split())
        for section in page.sections:
            for entry in section.entries:
                assert f"{entry.label} {entry.text}".strip() in words
        for paragraph in page.paragraphs:
            assert paragraph in words


def test_every_option_and_default_is_told():
    for command, context in COMMANDS:
        drawn = " ".join(draw(PAGES[context.command_path], 80).split())
        for param in command.get_params(context):
            if param.hidden:
                continue
            for name in (*param.opts, *param.secondary_opts):
                told = param.name.upper() if param.param_type_name == "argument" else name
                assert re.search(rf"(?<![\w-]){re.escape(told)}(?![\w-])", drawn), (command, name)
            default = param.show_default if isinstance(param.show_default, str) else param.default
            if param.show_default and isinstance(default, str | int | float) and default:
                assert isinstance(default, bool) or f"default: {default}" in drawn
            for choice in param.type_descriptor.choices or ():
                assert choice in drawn


def test_every_command_has_a_summary_and_examples():
    for command, context in COMMANDS:
        page = PAGES[context.command_path]
        assert page.summary.endswith(".")
        assert page.examples
        assert all("charnn" in example for example in page.examples)
        if isinstance(command, Group):
            for name, summary in command.summaries.items():
                assert summary == PAGES[f"{page.command} {name}"].summary


def test_many_options_stand_in_groups():
    for command, context in COMMANDS:
        page = PAGES[context.command_path]
        options = [param for param in command.params if param.param_type_name == "option"]
        longest = max((len(section.entries) for section in page.sections), default=0)
        assert len(options) <= 10 or longest <= 12, context.command_path


def test_a_wrapped_example_is_still_one_command():
    for page in PAGES.values():
        for example in page.examples:
            lines = wrap_command(example, 40)
            joined = "\n".join(lines).replace(" \\\n", " ")  # as a shell reads it
            assert shlex.split(joined) == shlex.split(example)
            assert all(line.endswith(" \\") for line in lines[:-1])


# --- the real program ---------------------------------------------------------------------------


def test_in_a_pipe_help_is_the_golden_one(program):
    result = program("inspect", "neurons", "--help", COLUMNS="40", FORCE_COLOR="1")
    assert result.returncode == 0
    assert result.stderr == b""
    shown = all_help(40).partition("$ charnn inspect neurons --help\n")[2].partition("\n$ ")[0]
    assert result.stdout.decode() == shown


def help_on_a_terminal(columns: int, **environment: str) -> str:
    return on_a_terminal(["info", "--help"], columns=columns, **environment)


def test_a_terminal_gives_width_and_colours():
    shown = help_on_a_terminal(40)
    assert "\x1b[" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == draw(PAGES["charnn info"], 40) + "\n"


def test_a_terminal_may_refuse_colours():
    assert help_on_a_terminal(80, NO_COLOR="1") == draw(PAGES["charnn info"], 80) + "\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_refused_by_either(monkeypatch, name, value):
    from charnn.cli.console import takes_colours

    monkeypatch.setattr("sys.stdout", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert takes_colours()
    monkeypatch.setenv(name, value)
    assert not takes_colours()


LIGHT = [
    ["--help"],
    ["--version"],
    ["train", "--help"],
    ["inspect", "gates", "--help"],
    ["trian"],
    ["train", "--stepps", "3"],
    ["generate", "--temperature"],
    ["--show-completion"],
]


def test_what_starts_at_once_imports_nothing_heavy():
    """All of it in one fresh interpreter: what one of them imported would be seen at the end."""
    script = (
        "import os, sys; from charnn.cli.app import run\n"
        f"for words in {LIGHT!r}:\n"
        "    sys.argv = ['charnn', *words]; run()\n"
        "os.environ['_CHARNN_COMPLETE'] = 'bash'\n"
        "for words in (['tr'], ['train', '--'], ['train', '--cell', ''], ['generate', '-m', '']):\n"
        "    sys.argv = ['charnn', *words]; run()\n"
        "heavy = {'torch', 'numpy', 'rich', 'pydantic', 'sentencepiece', 'matplotlib'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env={**os.environ, "SHELL": "/bin/zsh"}
    )
    assert result.stdout.decode().splitlines()[-1] == "HEAVY []", result.stderr.decode()
    assert b"--cell" in result.stdout


# --- near misses --------------------------------------------------------------------------------


@pytest.fixture
def typed(monkeypatch, capfd, tmp_path):
    """Type a command line; the exit code, and what was written to stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for place in (
        "checkpoints/fables/last",
        "corpora/novel/corpus.json",
        "letter.txt",
        "fable.txt",
        "b/a.txt",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()

    def run(*words: str):
        monkeypatch.setattr("sys.argv", ["charnn", *words])
        code = app.run()
        return code, *capfd.readouterr()

    return run


NEAR = {
    "generate --temprature 1": (2, "no such option: --temprature; did you mean --temperature?"),
    "generate --no-ecoh": (2, "no such option: --no-ecoh; did you mean --no-echo?"),
    "trian": (2, "no such command: trian; did you mean train?"),
    "inspect gatse": (2, "no such command: gatse; did you mean gates?"),
    "--vresion": (2, "no such option: --vresion; did you mean --version?"),
    "train --hlep": (2, "no such option: --hlep; did you mean --help?"),
    "train --cell=lsmt": (2, "did you mean lstm?"),
    "evaluate --split tset": (2, "did you mean test?"),
    "generate -m checkpoints/fabels": (
        1,
        "no such checkpoint: checkpoints/fabels; did you mean checkpoints/fables?",
    ),
    "generate --model=fabels": (1, "no such checkpoint: fabels; did you mean checkpoints/fables?"),
    "generate -m chekpoints/fables": (1, "did you mean checkpoints/fables?"),
    "generate -m nvoel": (1, "no such checkpoint: nvoel; train one"),  # that is a corpus
    "generate -m leter": (1, "no such checkpoint: leter; train one"),  # and that a text
    "evaluate fable": (1, "did you mean checkpoints/fables?"),  # though fable.txt is here
    "plot fable": (1, "no such run: fable; did you mean checkpoints/fables?"),
    "train corpora/nvoel": (1, "did you mean corpora/novel?"),
    "train nvoel": (1, "did you mean corpora/novel?"),
    "tokenize leter.txt": (1, "no such file or folder: leter.txt; did you mean letter.txt?"),
    "generate -f letter.tx": (1, "cannot read letter.tx: No such file or directory; did you mean"),
    "tokenize b/x/y/a.txt": (1, "no such file or folder: b/x/y/a.txt"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "code", "said"), [(k, *v) for k, v in NEAR.items()], ids=NEAR)
def test_what_was_probably_meant(typed, line, code, said):
    result, written, talk = typed(*line.split())
    assert (result, written) == (code, "")
    assert talk.startswith("charnn: ")
    assert talk.count("\n") == 1
    assert said in talk


WRONG = {
    "train --steps": "option --steps requires an argument; charnn train --help tells all",
    "train --steps many": "a whole number is wanted; charnn train --help tells all",
    "generate --top-p much": "a number is wanted; charnn generate --help tells all",
    "generate --json=3": "option --json does not take a value; charnn generate --help",
    "inspect gates --tokens 0": "--tokens: it should be greater than or equal to 1; charnn inspect",
    "tokenize": "missing argument SOURCES; charnn tokenize --help tells all",
    "prime": "missing option --save-state; charnn prime --help tells all",
    "info a b c": "unexpected extra argument(s) (b c); charnn info --help tells all",
    "generate -Z": "no such option: -Z; charnn generate --help tells all",
    "a" * 300: "no such command: aaaa",
    "xyzzy": "no such command: xyzzy; charnn --help tells all",
    "--nose": "no such option: --nose; charnn --help tells all",
    "--debug": None,
}


@pytest.mark.parametrize(("line", "said"), WRONG.items(), ids=WRONG)
def test_wrong_usage_is_one_line_with_a_hint(typed, line, said):
    if said is None:  # the one that asks for tracebacks
        with pytest.raises(app.UsageError, match="no command"):
            typed(*line.split())
        return
    code, written, talk = typed(*line.split())
    assert (code, written) == (2, "")
    assert talk.startswith("charnn: ")
    assert talk.count("\n") == 1
    assert said in talk


@pytest.mark.parametrize("words", [[], ["inspect"]], ids=["charnn", "charnn inspect"])
def test_a_group_alone_shows_its_help(typed, words):
    code, written, talk = typed(*words)
    assert (code, talk) == (2, "")
    assert "Commands:" in written
    assert written.startswith("Usage: charnn")


# --- the manual ---------------------------------------------------------------------------------


def test_the_manual_is_up_to_date():
    """If it is not: ``make man``."""
    kept = {path.name: path.read_text("ascii") for path in (ROOT / "man").iterdir()}
    assert kept == manual()


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_has_nothing_to_say():
    for name in ("charnn.1", "charnn-train.1", "charnn-inspect-cliff.1"):
        result = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", ROOT / "man" / name], capture_output=True
        )
        assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_mandoc_misses_nothing_but_a_date():
    result = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", *sorted((ROOT / "man").iterdir())], capture_output=True
    )
    lines = result.stdout.decode().splitlines()
    assert [line for line in lines if "missing date" not in line] == []


# --- examples -----------------------------------------------------------------------------------

EXAMPLES = list(dict.fromkeys(line for page in PAGES.values() for line in page.examples))

#: What is parsed, but not run, and why.
NOT_RUN = {
    "charnn demo": "trains for two minutes",
    "charnn report": "takes long; test_report.py runs it",
    'charnn report checkpoints/fables -o fables.html --prompt "The fox"': "the same",
    "tail -f server.log | charnn score - --above 4": "never ends",
    "ssh host cat checkpoints/big/metrics.jsonl | charnn plot -": "needs another machine",
    "charnn evaluate --dynamic --split test": "the small corpus has no test split",
    "charnn inspect memory -m fables --context 1024 --targets 4000 -o memory.png": "it is short",
    "charnn inspect neurons --find quote": "the small corpus has no quotation marks",
    'charnn inspect neurons --find "[0-9]+" --json': "the small corpus has no digits",
    "charnn corpus fetch tinyshakespeare": "needs the network",
    "charnn corpus fetch text8 -o /data/text8.txt": "needs the network",
    "charnn corpus fetch wikitext-2 --json": "needs the network",
}


def stages(example: str) -> list[str]:
    return [stage.strip() for stage in re.split(r""" \| (?=(?:[^"]*"[^"]*")*[^"]*$)""", example)]


def redirected(stage: str) -> tuple[str, str]:
    """A command, and the file that its output goes to."""
    command, _, file = stage.partition(" > ")
    return command, file


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_parsed(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text("steps = 2\n")
    for stage in stages(example):
        name, *words = shlex.split(redirected(stage)[0])
        if name != "charnn":
            continue
        command, context = COMMANDS[0]
        while isinstance(command, Group):
            word = words.pop(0)
            command = command.get_command(context, word)
            assert command is not None, word
        assert command.make_context("charnn", words).params is not None


def test_what_is_not_run_exists():
    assert set(EXAMPLES) >= NOT_RUN.keys()


@pytest.fixture(scope="module")
def furnished(workplace, tmp_path_factory):
    """A folder in which the examples find what they name."""
    folder = tmp_path_factory.mktemp("examples") / "place"
    shutil.copytree(workplace, folder, symlinks=True)
    text = (folder / "text.txt").read_text()
    for run in ("fables-2", "novel", "hers", "his", "fables"):
        shutil.copytree(folder / "checkpoints/text", folder / "checkpoints" / run, symlinks=True)
    shutil.copytree(folder / "corpora/text", folder / "corpora/fables")
    (folder / "books").mkdir()
    (folder / "run.toml").write_text('corpus = "corpora/text"\n')
    names = ("corpus", "letter", "letters", "novel", "mixed", "other", "poems", "books/one")
    for name in names:
        (folder / f"{name}.txt").write_text(text)
    subprocess.run(f"gzip -c {folder}/text.txt > {folder}/logs.gz", shell=True, check=True)
    return folder


def shortened(words: list[str]) -> list[str]:
    """A training in two steps, of eight units; everything else as it is."""
    if words[0] != "train" or "ngram" in words:
        return words
    line = re.sub(r" --(minutes|hidden) \d+", "", " ".join(words))
    return [*line.split(), "--steps", "2", *([] if "--resume" in words else ["--hidden", "8"])]


def globbed(word: str) -> list[str]:
    """What a shell makes of ``checkpoints/*``; patterns of letters it would leave alone."""
    return sorted(map(str, Path().glob(word))) if word.endswith("/*") else [word]


@pytest.mark.parametrize("example", [line for line in EXAMPLES if line not in NOT_RUN])
def test_examples_run(example, furnished, tmp_path, monkeypatch):
    place = tmp_path / "place"
    shutil.copytree(furnished, place, symlinks=True)
    monkeypatch.chdir(place)
    data = b""
    before = ["charnn prime -f novel.txt --save-state novel.state"] if "--state" in example else []
    for stage in [*before, *stages(example)]:
        if not stage.startswith("charnn "):
            data = subprocess.run(stage, shell=True, input=data, capture_output=True).stdout
            continue
        command, file = redirected(stage)
        words = shortened(shlex.split(command)[1:])
        words = [path for word in words for path in globbed(word)]
        written, talk = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        monkeypatch.setattr("sys.argv", ["charnn", *words])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        monkeypatch.setattr("sys.stdout", written)
        monkeypatch.setattr("sys.stderr", talk)
        code = app.run()
        written.flush()
        data = written.buffer.getvalue()
        assert code == 0, talk.getvalue()
        if file:
            Path(file).write_bytes(data)
