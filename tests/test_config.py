"""Options from a file, from the environment, and typed."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

import numpy as np
import pytest
import typer  # noqa: TID251 (how it reads a line is what is tested)
from conftest import TEXT
from hypothesis import given, settings
from hypothesis import strategies as st
from running import final_weights

from charnn.architecture import ModelConfig
from charnn.cli import app as program
from charnn.cli.lazy import walk
from charnn.cli.options import given_options
from charnn.training import recipe
from charnn.training import run as run_folder
from charnn.training.config import TrainingConfig

ROOT = program.program()
GOLDEN = Path(__file__).parent / "golden"


def leaves():
    for command, context in walk(ROOT):
        if not hasattr(command, "members"):
            yield tuple(context.command_path.split()[1:]), command


def parsed(path, *arguments, environment=None):
    """The context of a command that has read its line."""
    context, command = typer.Context(ROOT, info_name="charnn"), ROOT
    for name in path[:-1]:
        command = command.get_command(context, name)
        context = typer.Context(command, info_name=name, parent=context)
    command = command.get_command(context, path[-1])
    with mock.patch.dict(os.environ, environment or {}):
        return command.make_context(path[-1], list(arguments), parent=context)


@pytest.fixture
def run(monkeypatch, capfd):
    """Run a command line in this process: its exit code, and what it wrote."""

    def run(*arguments, **environment):
        monkeypatch.setattr(sys, "argv", ["charnn", *map(str, arguments)])
        with mock.patch.dict(os.environ, environment):
            code = program.run()
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(result, code):
    assert result[0] == code, result
    assert result[1] == ""
    assert re.fullmatch(r"charnn: .*\n", result[2]), result[2]
    return result[2].removeprefix("charnn: ").rstrip()


# --- which goes first ---------------------------------------------------------------------------


@pytest.mark.parametrize("sources", list(itertools.product([False, True], repeat=4)))
def test_a_flag_goes_before_the_environment_and_that_before_a_table_and_the_file(sources, here):
    top, table, variable, flag = sources
    (here / "o.toml").write_text("lr = 0.1\n" * top + "[train]\nlr = 0.2\n" * table)
    context = parsed(
        ["train"],
        *["--config", "o.toml"],
        *["--lr", "0.4"] * flag,
        environment={"CHARNN_TRAIN_LR": "0.3"} if variable else {},
    )
    values = [
        value for value, is_there in zip((0.1, 0.2, 0.3, 0.4), sources, strict=True) if is_there
    ]
    assert context.params["lr"] == (values[-1] if values else TrainingConfig.lr)
    assert ("lr" in given_options(context)) == any(sources)
    assert "batch" not in given_options(context)


@pytest.mark.parametrize(
    ("path", "file", "typed", "expected"),
    [
        (["train"], "minutes = 3", ["--steps", "5"], {"minutes": None, "steps": 5}),
        (["train"], "steps = 3", ["--epochs", "2"], {"steps": None, "epochs": 2.0}),
        (["train"], "hidden = 9", ["--size", "large"], {"hidden": 256, "size": "large"}),
        (["train"], 'size = "large"', ["--hidden", "9"], {"hidden": 9, "size": "auto"}),
        (["prime", "--save-state", "s"], 'prompt = "x"', ["-f", "y"], {"prompt": None}),
    ],
)
def test_what_is_typed_replaces_what_a_file_says_in_another_way(path, file, typed, expected, here):
    (here / "o.toml").write_text(file)
    context = parsed(path[:1], *path[1:], "--config", "o.toml", *typed)
    assert {name: context.params[name] for name in expected} == expected
    kept = {name for name, value in expected.items() if name in given_options(context)}
    assert len(kept) <= 1


def test_the_environment_replaces_what_a_file_says_in_another_way(here):
    (here / "o.toml").write_text("minutes = 3")
    context = parsed(["train"], "--config", "o.toml", environment={"CHARNN_TRAIN_STEPS": "5"})
    assert (context.params["minutes"], context.params["steps"]) == (None, 5)


# --- every kind of option -----------------------------------------------------------------------

KINDS = {
    "a switch": ("generate", "greedy = true", ["--greedy"], "1", True),
    "a switch that is off": ("generate", "greedy = false", [], "no", False),
    "one of two": ("generate", "echo = false", ["--no-echo"], "false", False),
    "a number": ("train", "lr = 1e-5", ["--lr", "1e-5"], "1e-5", 1e-5),
    "a whole number": ("train", "lr = 1", ["--lr", "1"], "1", 1.0),
    "a count": ("train", "weight-decay = 0", ["--weight-decay", "0"], "0", 0.0),
    "a choice": ("train", 'cell = "gru"', ["--cell", "gru"], "gru", "gru"),
    "a path": ("generate", 'model = "a b"', ["-m", "a b"], "a b", Path("a b")),
    "text": ("generate", 'prompt = " 狐\\n"', ["-p", " 狐\n"], " 狐\n", " 狐\n"),
    "text of digits": ("train", "save-every = 500", ["--save-every", "500"], "500", "500"),
    "texts": ("generate", 'stop = ["The end", "x"]', ["--stop", "The end", "--stop", "x"],
              "The end\nx", ["The end", "x"]),
    "one text": ("generate", 'stop = "The end"', ["--stop", "The end"], "The end", ["The end"]),
    "paths": ("tokenize -", 'test = ["a b", "c"]', ["--test", "a b", "--test", "c"],
              "a b:c", [Path("a b"), Path("c")]),
    "a pair": ("inspect cliff", "start = [1, -2.5]", ["--start", "1", "-2.5"], "1 -2.5",
               (1.0, -2.5)),
    "an argument": ("train", 'corpus = "a"', ["a"], "a", Path("a")),
    "arguments": ("score", 'files = ["a", "b"]', ["a", "b"], "a:b", [Path("a"), Path("b")]),
    "its long name": ("tokenize -", "vocab-size = 9", ["--vocab-size", "9"], "9", 9),
    "another name": ("generate", "num_beams = 3", ["--num-beams", "3"], "3", 3),
    "a name that is a word of Python": ("train", 'from = "a"', ["--from", "a"], "a", "a"),
    "dashes": ("generate", "no-repeat-ngram = 3", ["--no-repeat-ngram", "3"], "3", 3),
    "underscores": ("generate", "no_repeat_ngram = 3", ["--no-repeat-ngram", "3"], "3", 3),
}  # fmt: skip


@pytest.mark.parametrize(("line", "file", "typed", "value", "expected"), KINDS.values(), ids=KINDS)
def test_every_kind_of_option(line, file, typed, value, expected, here):
    words = line.split()
    path, rest = (words, []) if words[0] == "inspect" else (words[:1], words[1:])
    key = file.split()[0].replace("-", "_")
    (here / "o.toml").write_text(file)
    ways = [
        parsed(path, *rest, "--config", "o.toml"),
        parsed(path, *rest, environment={f"CHARNN_{'_'.join(path)}_{key}".upper(): value}),
        parsed(path, *rest, *typed),
    ]
    found = [context.params for context in ways]
    changed = [k for k, v in parsed(path, *rest).params.items() if v != found[0][k]]
    assert len(changed) == (expected is not False or key == "echo")
    assert all(params == found[0] for params in found)
    if changed:
        assert found[0][changed[0]] == expected
        assert type(found[0][changed[0]]) is type(expected)
        assert changed[0] in given_options(ways[0])
        assert changed[0] in given_options(ways[1])
        places = {context.get_parameter_source(changed[0]).name for context in ways}
        assert places == {"DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE"}


def test_a_switch_that_a_file_turns_off_is_not_given(here):
    (here / "o.toml").write_text("resume = false\ntied = false\ndry-run = false")
    assert given_options(parsed(["train"], "--config", "o.toml")) == {"tied": "--tied"}


#: What each option's values are; a line, a variable and a file can hold all of them but NUL.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=9)
VALUES = {
    bool: lambda least, most: st.booleans(),
    int: lambda least, most: st.integers(-(2**70) if least is None else least, most or 2**70),
    float: lambda least, most: st.floats(least, most, allow_nan=False, allow_infinity=False),
    str: lambda least, most: TEXTS,
    Path: lambda least, most: TEXTS.map(lambda text: text.replace(":", ".")),
}

OPTIONS = [
    (path, parameter)
    for path, command in leaves()
    for parameter in command.params
    if parameter.param_type_name == "option" and parameter.name not in ("config", "print_config")
]
NEEDED = {
    "tokenize": ["x"],
    "prime": ["--save-state", "x"],
    "neurons": ["--find", "x"],
    "fetch": ["x"],
}


def values_of(kind, least, most):
    parts = get_args(kind)
    if get_origin(kind) is list:
        return st.lists(values_of(parts[0], least, most), min_size=1, max_size=3)
    if get_origin(kind) is tuple:
        return st.tuples(*(values_of(part, least, most) for part in parts))
    if get_origin(kind) is Literal:
        return st.sampled_from(parts)
    return VALUES[kind](least, most)


def toml(value):
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def words(value):
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


@settings(max_examples=300)
@given(st.data())
def test_an_option_is_the_same_from_a_file_from_the_environment_and_typed(tmp_path_factory, data):
    path, parameter = data.draw(st.sampled_from(OPTIONS))
    kind = parameter.type_descriptor.annotation
    value = data.draw(values_of(kind, parameter.min, parameter.max))
    long = [name for name in parameter.opts if name.startswith("--")]
    option = data.draw(st.sampled_from(long))
    key = option[2:]
    needed = [] if parameter.required else NEEDED.get(path[-1], [])

    file = tmp_path_factory.getbasetemp() / "options.toml"
    table = f"[{'.'.join(path)}]\n" if data.draw(st.booleans()) else ""
    spelled = data.draw(st.sampled_from([key, key.replace("-", "_")]))
    file.write_text(f"{table}{spelled} = {toml(value)}\n", encoding="utf-8")

    variable = "_".join(("charnn", *path, key)).replace("-", "_").upper()
    texts = "\n" if kind == list[str] else ":" if kind == list[Path] else " "
    if kind is bool:
        typed = [option if value else f"--no-{key}"] if value or parameter.secondary_opts else []
    elif parameter.nargs > 1:
        typed = [option, *words(value)]
    else:
        typed = [f"{option}={word}" for word in words(value)]

    ways = [
        parsed(path, *needed, "--config", str(file)),
        parsed(path, *needed, environment={variable: texts.join(words(value))}),
        parsed(path, *needed, *typed),
    ]
    for context in ways:
        assert context.params == ways[0].params
        assert given_options(context) == given_options(ways[0])
    assert ways[0].params[parameter.name] is not None


# --- what is refused ----------------------------------------------------------------------------

FILES = {
    "no number": ('lr = "fast"', 2, "o.toml: lr: a number is wanted"),
    "no whole number": ("hidden = 3.5", 2, "o.toml: hidden: a whole number is wanted"),
    "true for a number": ("hidden = true", 2, "o.toml: hidden: takes text or a number, not true"),
    "text for a switch": ('resume = "yes"', 2, "o.toml: resume: is true or false, not 'yes'"),
    "a number beyond all": (f"steps = 0x{'f' * 8000}", 2, "steps: holds a number of more than 128"),
    "several for one": ("lr = [1]", 2, "o.toml: lr: takes text or a number, not an array"),
    "a date": ("lr = 2020-02-02", 2, "lr: takes text or a number, not datetime.date(2020"),
    "NUL": ('corpus = "a\\u0000"', 2, "o.toml: corpus: cannot hold the character NUL"),
    "no choice": ('cell = "lsm"', 2, "o.toml: cell: 'lsm' is not one of 'lstm', 'elman'"),
    "out of range": ("lr = 0", 2, "--lr must be above 0 (--lr: o.toml)"),
    "unknown": ("lrr = 1", 2, "o.toml: charnn train takes no 'lrr' from a file; did you mean lr?"),
    "far off": ("xyzzy = 1", 2, "o.toml: charnn train takes no 'xyzzy' from a file"),
    "near, with dashes": ("weight_dropuot = 1", 2, "did you mean weight-dropout?"),
    "itself": ('config = "o.toml"', 2, "o.toml: charnn train takes no 'config' from a file"),
    "help": ("help = true", 2, "charnn train takes no 'help' from a file"),
    "the version": ("version = true", 2, "charnn train takes no 'version' from a file"),
    "what prints it": ("print-config = true", 2, "takes no 'print-config' from a file"),
    "twice, in two ways": ("muon-lr = 1\nmuon_lr = 1", 2, "muon_lr: that was said before"),
    "an unknown table": ("[trian]\nlr = 1", 2, "there is no 'charnn trian'; did you mean train?"),
    "an unknown name in another's table": ("[generate]\ntop_kk = 1", 2,
                                           "charnn generate takes no 'top_kk' from a file"),
    "a wrong kind in another's table": ("[generate]\ntop_k = true", 2, "top_k: takes text or a"),
    "a table in a table": ("[train.x]\n", 2, "charnn train takes no 'x' from a file"),
    "an option of no command": ("[inspect]\nlayer = 1", 2,
                                "[inspect] is for tables of commands, not for 'layer'"),
    "two budgets": ("steps = 1\nepochs = 1", 2,
                    "--steps and --epochs exclude each other (--steps, --epochs: o.toml); give"),
    "what resuming keeps": ("resume = true\nlr = 1", 2, "leave out --lr (--lr, --resume: o.toml)"),
    "a missing text": ('corpus = "no.txt"', 1, "no such corpus or text: no.txt (corpus: o.toml);"),
    "no TOML": ("lr: 1", 1, "o.toml is no TOML: Expected '=' after a key"),
    "twice": ("lr = 1\nlr = 1", 1, "o.toml is no TOML: Cannot overwrite a value"),
    "a number of many digits": ("lr = " + "1" * 5000, 1, "o.toml is no TOML: Exceeds the limit"),
    "deep": ("lr = " + "[" * 5000, 1, "o.toml is no TOML: maximum recursion depth"),
    "long": ("#" * 70_000, 1, "o.toml is no file of options: it has over 64 KiB"),
    "many parts": ("a." * 600 + "a = 1", 1, "o.toml is no file of options"),
    "an escape": ("'\x1b[31m' = 1", 1, "o.toml is no TOML: Found invalid character '\\x1b'"),
    "an escaped escape": ('"\\u001b" = 1', 2, r"charnn train takes no '\x1b' from a file"),
    "Latin 1": (b"corpus = '\xe9'", 1, "o.toml is no UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "code", "message"), FILES.values(), ids=FILES)
def test_what_a_file_cannot_say(file, code, message, here, run):
    (here / "o.toml").write_bytes(file if isinstance(file, bytes) else file.encode())
    typed = [] if "corpus" in str(file) else ["no/text"]  # what is let through, fails nevertheless
    assert message in refused(run("train", "--config", "o.toml", *typed), code)


def test_a_file_that_cannot_be_read(here, run):
    assert refused(run("info", "--config", "no"), 1) == "cannot read no: No such file or directory"
    assert refused(run("info", "--config", "."), 1) == "cannot read .: Is a directory"
    assert refused(run("info", "--config", "/dev/zero"), 1).startswith("/dev/zero is no file of")
    (here / "o.toml").touch(mode=0o000)
    if os.geteuid():
        assert "Permission denied" in refused(run("info", "--config", "o.toml"), 1)


VARIABLES = {
    "no number": ("CHARNN_TRAIN_LR", "fast", "CHARNN_TRAIN_LR: a number is wanted"),
    "no boolean": ("CHARNN_TRAIN_RESUME", "maybe", "CHARNN_TRAIN_RESUME: it should be a valid"),
    "out of range": ("CHARNN_TRAIN_LR", "0", "--lr must be above 0 (--lr: CHARNN_TRAIN_LR)"),
    "unknown": ("CHARNN_TRAIN_LRR", "1", "takes no such option from the environment; did you mean "
                "CHARNN_TRAIN_LR?"),
    "the file": ("CHARNN_TRAIN_CONFIG", "o.toml", "CHARNN_TRAIN_CONFIG: charnn train takes no"),
    "help": ("CHARNN_TRAIN_HELP", "1", "CHARNN_TRAIN_HELP: charnn train takes no such option"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), VARIABLES.values(), ids=VARIABLES)
def test_what_the_environment_cannot_say(name, value, message, here, run):
    assert message in refused(run("train", "no/text", **{name: value}), 2)


def test_a_message_tells_the_place_of_each_option_that_it_names(here, run):
    (here / "o.toml").write_text("greedy = true\ntemperature = 0.5")
    said = refused(run("generate", "--config", "o.toml", CHARNN_GENERATE_BEAM="2"), 2)
    assert said == (
        "--greedy and --beam exclude each other (--greedy: o.toml; --beam: CHARNN_GENERATE_BEAM)"
    )
    said = refused(run("generate", "--config", "o.toml"), 2)
    assert said.endswith("and --min-p do nothing (--greedy, --temperature: o.toml)")
    said = refused(run("generate", "--greedy", "--beam", "2"), 2)
    assert said == "--greedy and --beam exclude each other"
    said = refused(run("generate", CHARNN_GENERATE_MODEL="no/run"), 1)
    assert said.startswith("no such checkpoint: no/run (--model: CHARNN_GENERATE_MODEL)")


@pytest.mark.parametrize("name", ["VERSION", "HELP", "SHOW_COMPLETION", "CONFIG", "SEED"])
def test_variables_that_are_no_command_s_say_nothing(name, here, run):
    said = refused(run("info", **{f"CHARNN_{name}": "1"}), 1)
    assert said.startswith("no checkpoint in checkpoints/")


def test_an_empty_variable_is_none(here):
    assert parsed(["train"], environment={"CHARNN_TRAIN_LR": "", "CHARNN_TRAIN_X": ""})


# --- files --------------------------------------------------------------------------------------


def test_one_file_for_several_commands(here):
    (here / "o.toml").write_text(
        "seed = 5\n[train]\nlr = 0.5\n[generate]\nseed = 6\n[inspect.neurons]\ntop = 3\n[inspect]\n"
    )
    assert parsed(["train"], "--config", "o.toml").params["lr"] == 0.5
    assert parsed(["train"], "--config", "o.toml").params["seed"] == 5
    assert parsed(["generate"], "--config", "o.toml").params["seed"] == 6
    neurons = parsed(["inspect", "neurons"], "--find", "quote", "--config", "o.toml").params
    assert (neurons["top"], neurons["seed"]) == (3, 5)


def test_a_byte_order_mark_and_line_ends_of_windows(here):
    (here / "o.toml").write_bytes(b"\xef\xbb\xbfseed = 3\r\nlr = 0.5\r\n")
    params = parsed(["train"], "--config", "o.toml").params
    assert (params["seed"], params["lr"]) == (3, 0.5)


def test_a_pipe_and_standard_input(here, program):
    os.mkfifo(here / "pipe")
    writing = threading.Thread(target=(here / "pipe").write_text, args=["seed = 3"])
    writing.start()
    assert parsed(["train"], "--config", "pipe").params["seed"] == 3
    writing.join()
    result = program("info", "--config", "-", stdin=b"josn = true", cwd=here)
    assert result.stderr == (
        b"charnn: standard input: charnn info takes no 'josn' from a file; did you mean json?\n"
    )


def test_help_names_the_file_and_the_variables_once(run):
    code, out, _ = run("train", "--help", COLUMNS="200")
    assert code == 0
    assert "--config" in out
    assert re.findall(r"CHARNN_\w+", out) == ["CHARNN_COMMAND_OPTION"]


def test_toml_is_not_read_unless_asked_for():
    """Help, and a command without --config, are as fast as they were."""
    code = "import sys, charnn.cli.app as a; a.run(); sys.exit('tomllib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True)
    assert result.returncode == 0


# --- the file that repeats a run ----------------------------------------------------------------


@pytest.fixture
def text(here):
    (here / "corpus.txt").write_text(TEXT)
    return here


QUICK = ["--batch", "4", "--bptt", "8", "--threads", "1"]


def printed(run, *arguments, **environment):
    code, out, err = run("train", "--print-config", *arguments, **environment)
    assert code == 0, err
    return out


def test_a_printed_file_repeats_the_run_bit_for_bit(text, run, monkeypatch):
    typed = ["corpus.txt", "--steps", "5", "--seed", "7", *QUICK]
    (text / "o.toml").write_text(printed(run, *typed))
    assert not (text / "checkpoints").exists()
    assert run("train", "-q", *typed)[0] == 0
    # What the recipe chose is in the file: another recipe changes nothing.
    monkeypatch.setattr(recipe, "_WIDTHS", (16, 24))
    monkeypatch.setattr(recipe, "_BESIDE_MUON", 0.1)
    monkeypatch.setattr(recipe, "_dropout", lambda *_: 0.9)
    assert run("train", "-q", "--config", "o.toml")[0] == 0
    assert run("train", "-q", "--config", "checkpoints/corpus/run.toml")[0] == 0
    first, *others = (final_weights(text / "checkpoints" / f"corpus{n}") for n in ("", "-2", "-3"))
    for other in others:
        assert first.keys() == other.keys()
        assert all(np.array_equal(first[name], other[name]) for name in first)
    runs = [(text / "checkpoints" / f"corpus{n}" / "run.toml").read_text() for n in ("", "-2")]
    assert runs[0] == runs[1] == (text / "o.toml").read_text()


def test_a_printed_file_holds_every_option_of_a_run(text, run):
    told = tomllib.loads(printed(run, "corpus.txt", "--steps", "5", *QUICK, "-o", "runs/a b"))
    named = {
        (field.metadata.get("flags") or ["--" + field.name.replace("_", "-")])[-1]
        for config in (ModelConfig, TrainingConfig)
        for field in dataclasses.fields(config)
    }
    unsaid = {"--minutes", "--epochs", "--from", "--embedding-from", "--save-every"}
    keys = {name.removeprefix("--").split("/")[0] for name in named - unsaid}
    assert told.keys() == keys | {"corpus", "output"}
    assert (told["corpus"], told["output"], told["cell"]) == ("corpora/corpus", "runs/a b", "lstm")


BUDGETS = [
    (["--minutes", "3"], {"minutes": 3.0}),
    (["--steps", "3"], {"steps": 3}),
    (["--epochs", "3"], {"epochs": 3.0}),
    ([], {"epochs": 40.0}),  # so small is the text
]


@pytest.mark.parametrize(("typed", "told"), BUDGETS)
def test_a_printed_file_keeps_the_budget(typed, told, text, run):
    options = tomllib.loads(printed(run, "corpus.txt", *typed, "--threads", "1"))
    assert {key: options[key] for key in ("minutes", "steps", "epochs") if key in options} == told


def test_a_run_without_a_budget_tells_the_default(corpus):
    told = run_folder.settings(corpus, ModelConfig(), TrainingConfig())
    assert tomllib.loads(told)["minutes"] == TrainingConfig.default_minutes


RUNS: dict[str, Any] = {
    "a model": ["--hidden", "9", "--steps", "5", "--save-every", "5m"],
    "no switch": ["--steps", "5", "--no-tied", "--log-dir", "logs"],
    "counting": ["--cell", "ngram", "--order", "3", "-o", "x"],
    "a beginning": ["--from", "text", "--steps", "5"],
    "vectors": ["--embedding-from", "text", "--freeze", "embedding", "--steps", "5"],
}


@pytest.mark.parametrize("typed", RUNS.values(), ids=RUNS)
def test_what_is_printed_of_a_printed_file_is_the_same(typed, workplace, here, run):
    shutil.copytree(workplace, here, dirs_exist_ok=True, symlinks=True)
    first = printed(run, "corpora/text", *typed)
    (here / "o.toml").write_text(first)
    assert printed(run, "--config", "o.toml") == first


def test_a_vocabulary_is_not_extended_twice(workplace, here, run):
    shutil.copytree(workplace, here, dirs_exist_ok=True, symlinks=True)
    (here / "new.txt").write_text(TEXT + "ÄÖÜ\n" * 9)
    first = printed(run, "new.txt", "--from", "text", "--extend-vocabulary", "--steps", "5")
    assert tomllib.loads(first)["corpus"] == "corpora/new"
    (here / "o.toml").write_text(first)
    _, out, err = run("train", "--print-config", "--config", "o.toml")
    assert out == first
    assert "3 symbols added" in err


@pytest.mark.parametrize("kind", ["lstm", "ngram"])
def test_files_of_runs_from_before_are_read(kind, workplace, here, run):
    """They say all options, by their names in the code."""
    file = GOLDEN / "format-3" / kind / "run.toml"
    shutil.copytree(workplace, here, dirs_exist_ok=True, symlinks=True)
    told = tomllib.loads(printed(run, "--config", file, "corpora/text"))
    old = {key.replace("_", "-"): value for key, value in tomllib.loads(file.read_text()).items()}
    assert {**told, **old, "corpus": "corpora/text"} == told


def test_what_printing_goes_against(text, run):
    for other in ("--dry-run", "--json"):
        said = refused(run("train", "corpus.txt", "--print-config", other), 2)
        assert said == f"--print-config writes nothing but the file; leave out {other}"
    assert "leave out --print-config" in refused(run("train", "--print-config", "--resume"), 2)


def test_nothing_but_the_file_is_written_on_standard_output(text, program):
    result = program("train", "--print-config", "corpus.txt", "--steps", "2", cwd=text)
    assert result.returncode == 0
    assert tomllib.loads(result.stdout.decode())["steps"] == 2
    assert b"corpora/corpus" in result.stderr
