"""The README says what is so."""

import re
import subprocess
import sys

import pytest
from conftest import Program
from readme import ROOT, Readme

from charnn.cli.app import program as root
from charnn.cli.lazy import walk
from charnn.data.store import TokenizedCorpus
from charnn.models import open_model
from charnn.score import evaluate

README = (ROOT / "README.md").read_text()
ALL = {context.command_path.removeprefix("charnn").strip(): one for one, context in walk(root())}
GROUPS = {name for name, command in ALL.items() if hasattr(command, "members")}
COMMANDS = set(ALL) - GROUPS


def shown_commands() -> list[list[str]]:
    readme = Readme.read(ROOT / "README.md")
    parts = (part for line in readme.commands + readme.spans for part in re.split(r" *\| *", line))
    return [part.split() for part in parts if part.startswith("charnn ")]


def named(words: list[str]) -> str:
    """The command of a line: one word, or two where the first is a group."""
    return " ".join(words[1:3]) if words[1] in GROUPS else words[1]


def test_every_command_stands_in_the_readme():
    shown = {named(words) for words in shown_commands()}
    of_all = {name for param in ALL[""].params for name in param.opts}
    assert shown - COMMANDS <= {"COMMAND", "--help"} | of_all
    assert shown >= COMMANDS


@pytest.fixture(scope="module")
def helps(program: Program) -> dict[str, str]:
    return {
        command: program(*command.split(), "--help", COLUMNS="200").stdout.decode()
        for command in ("", *COMMANDS)
    }


def test_every_option_in_the_readme_exists(helps):
    for words in shown_commands():
        for word in words[2:]:
            option = word.strip(",;().")
            if option.startswith("-") and option != "-":
                known = helps.get(named(words), "--help")
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known), words
    everywhere = "\n".join(helps.values())
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in everywhere, option


def test_every_place_in_the_readme_exists():
    table = README[README.index("## What's where") :].split("\n## ")[0]
    places = re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.M)))
    assert len(places) > 12
    for place in places:
        assert (ROOT / place).exists(), place


def test_the_readmes_torch_lines_give_the_loss_that_evaluate_gives(workplace):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1].replace("tinyshakespeare", "text")
    assert len(code.strip().splitlines()) <= 13  # ten lines and what they import
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, capture_output=True, check=True
    )
    printed = float(re.search(rb"tensor\(([\d.]+)", result.stdout)[1])
    model = open_model(workplace / "checkpoints" / "text")
    ids = TokenizedCorpus.open(workplace / "corpora" / "text").tokens("validation")
    measured = evaluate(model.step_model, ids, model.tokenizer.token_bytes)
    assert measured.tokens == len(ids) - 1
    assert printed == pytest.approx(measured.nats_per_token, abs=1e-4)


def test_the_tools_options_are_documented(helps):
    for command, text in helps.items():
        options = re.findall(r"^  ((?:-\w, )?--[\w-]+)((?:.|\n   )*)", text, re.M)
        assert options
        for flags, said in options:
            assert len(said.split()) > 1, (command, flags)
