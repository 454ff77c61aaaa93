"""Completion: what the program answers, and what real shells make of it."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charnn.cli import completion
from charnn.cli.app import COMMANDS, program
from charnn.cli.completion import answer

SCRIPTS = Path(completion.__file__).parent / "completions"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two runs, one corpus and some files."""
    for name in (
        "checkpoints/fables/step-100/manifest.json",
        "checkpoints/fables/step-200/manifest.json",
        "checkpoints/fables/last",
        "checkpoints/novel/last",
        "checkpoints/half-made/x",
        "corpora/fables/corpus.json",
        "corpora/.hidden/corpus.json",
        "fabulous.txt",
        "my text.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(line: str) -> list[str]:
    """What the last word of a line may become; a line that ends in a space has an empty one."""
    return [word for word, _ in answer(program(), line.split(" ")[1:]).items]


def kind(line: str) -> str:
    return answer(program(), line.split(" ")[1:]).kind


def test_commands():
    assert completed("charnn ") == list(COMMANDS)
    assert completed("charnn t") == ["tokenize", "train"]
    assert completed("charnn inspect g") == ["gates", "gradients"]
    assert dict(answer(program(), ["tr"]).items)["train"] == "Train a language model."
    assert completed("charnn --debug tr") == ["train"]


def test_options():
    assert completed("charnn train --mi") == ["--minutes"]
    assert completed("charnn generate --temp") == ["--temperature", "--temp"]
    assert completed("charnn --v") == ["--version"]
    assert completed("charnn train --he") == ["--help"]
    told = dict(answer(program(), ["generate", "--top-k"]).items)
    assert told["--top-k"] == "Draw from the K likeliest tokens; 0: all."
    assert "--bidirectional" not in completed("charnn train --b")  # it is hidden


def test_an_option_is_offered_once_unless_it_may_be_repeated():
    assert completed("charnn train --steps 3 --ste") == []
    assert completed("charnn generate --stop . --sto") == ["--stop"]


def test_values():
    assert completed("charnn train --cell g") == ["gru", "gru-reset-after"]
    assert completed("charnn train --cell=g") == ["--cell=gru", "--cell=gru-reset-after"]
    assert completed("charnn train --cell = g") == ["gru", "gru-reset-after"]  # as bash cuts it
    assert completed("charnn train --cell =") == list(completed("charnn train --cell "))
    assert completed("charnn evaluate --split te") == ["test"]
    assert completed("charnn train --steps ") == []
    assert kind("charnn train --steps ") == "words"  # a number is no file
    assert completed("charnn inspect cliff --start 1 ") == []
    assert completed("charnn inspect cliff --start 1 2 --act") == ["--activation"]


def test_public_corpora_are_names_with_what_they_are():
    assert kind("charnn corpus fetch ti") == "words"
    ((name, told),) = answer(program(), ["corpus", "fetch", "ti"]).items
    assert name == "tinyshakespeare" and "Shakespeare" in told
    assert "text8" in completed("charnn corpus fetch ")


def test_models(place):
    runs = ["checkpoints/fables", "checkpoints/novel"]
    assert completed("charnn generate -m ") == runs
    assert completed("charnn generate -m checkpoints/f") == [*runs[:1], "checkpoints/fables/"]
    assert completed("charnn generate -m nov") == ["novel"]
    assert completed("charnn score --versus nov") == ["novel"]
    assert completed("charnn train --from nov") == ["novel"]
    assert completed("charnn evaluate novel fab") == ["fables"]
    assert kind("charnn generate -m nov") == "paths"


@pytest.mark.parametrize("run", ["checkpoints/fables", "fables"])
def test_the_steps_of_a_run(place, run):
    steps = [f"{run}/step-100/", f"{run}/step-200/"]
    assert completed(f"charnn generate -m {run}/") == steps
    assert completed(f"charnn generate -m {run}/step-2") == steps[1:]


def test_corpora_and_files(place):
    everything = completed("charnn train ")
    assert everything == ["checkpoints/fables", "checkpoints/novel", "corpora/fables"]
    assert completed("charnn train fab") == ["fables", "fabulous.txt"]
    assert "corpora/fables" in completed("charnn info corp")
    assert kind("charnn tokenize ") == "files"
    assert kind("charnn generate -f ") == "files"
    assert kind("charnn generate -p ") == "words"


def test_after_two_dashes_there_are_no_options(place):
    assert completed("charnn train -- --mi") == []


def test_what_cannot_be_completed_has_no_answer(capfdbinary):
    assert completion.respond(program(), ["trian", "--"]) == 0
    assert capfdbinary.readouterr() == (b"", b"")


# --- the scripts --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_that_is_shown_is_that_of_the_shell_in_use(shell):
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    line = f"{sys.executable} -m charnn --show-completion; true"
    result = subprocess.run([found, "-c", line], capture_output=True)
    assert result.stdout == (SCRIPTS / f"charnn.{shell}").read_bytes(), result.stderr


def test_installing_says_what_it_does_and_does_it_once(monkeypatch, tmp_path, capfd):
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".zshrc").write_text("alias ll='ls -l'")
    for shell in ("bash", "zsh", "fish", "zsh"):
        completion.install(shell)
    data, config = tmp_path / ".local" / "share" / "charnn", tmp_path / ".config"
    assert (data / "completion.bash").read_text() == completion.script("bash")
    assert (config / "fish/completions/charnn.fish").read_text() == completion.script("fish")
    lines = (tmp_path / ".zshrc").read_text().splitlines()
    assert lines[0] == "alias ll='ls -l'"
    assert lines[1:] == [f"source {data}/completion.zsh  # completion of charnn"]
    assert str(tmp_path / ".bashrc") in capfd.readouterr().err


@pytest.fixture
def on_path(tmp_path_factory):
    """A folder with ``charnn`` in it, to be put on the path of a shell."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "charnn").write_text(f'#!/bin/sh\nexec {sys.executable} -m charnn "$@"\n')
    (folder / "charnn").chmod(0o755)
    return folder


class Terminal:
    """A shell on a pseudo-terminal: keys in, and what appears."""

    def __init__(self, command: list[str], **environment: str) -> None:
        leader, follower = pty.openpty()
        self._leader, self.seen = leader, ""
        subprocess.run(["stty", "cols", "200", "rows", "50"], stdin=follower, check=True)
        known = {**os.environ, "TERM": "xterm", "PS1": "ready> ", **environment}
        self._run = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=follower, stdout=follower, stderr=follower, env=known,
        )  # fmt: skip
        os.close(follower)

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def until(self, text: str) -> None:
        """Read on until this appears, behind what was seen before."""
        begin = len(self.seen)
        while text not in self.seen[begin:]:
            assert select.select([self._leader], [], [], 120)[0], (text, self.seen)
            self.seen += os.read(self._leader, 4096).decode("utf-8", "replace")

    def completed(self, keys: str) -> str:
        """What a line has become: it is printed, as words, between brackets."""
        self.press(keys + "\x05 '>]'\x01printf '%s ' '[<' \n")  # to its end, to its beginning
        self.until(">] ")
        return self.seen.rpartition("[< ")[2].partition(" >]")[0]

    def close(self) -> None:
        os.killpg(self._run.pid, signal.SIGKILL)
        self._run.wait()
        os.close(self._leader)


def bash(on_path: Path, *words: str) -> list[str]:
    """What bash's function makes of these words."""
    quoted = " ".join(f"'{word}'" for word in words)
    line = (
        f"source {SCRIPTS / 'charnn.bash'}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '_charnn charnn; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{on_path}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "--norc", "-c", line], capture_output=True, env={**os.environ, "PATH": path}
    )
    assert result.stderr == b""
    return result.stdout.decode().splitlines()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_reads_the_answer(place, on_path):
    (place / "checkpoints" / "a b").mkdir()
    (place / "checkpoints" / "a b" / "last").touch()
    assert bash(on_path, "charnn", "train", "--cell", "=", "gr") == ["gru", "gru-reset-after"]
    assert bash(on_path, "charnn", "generate", "-m", "a") == ["a b"]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_on_a_terminal(place, on_path):
    shell = Terminal(["bash", "--norc"], PATH=f"{on_path}:{os.environ['PATH']}")
    shell.until("ready> ")
    shell.press(f"source {SCRIPTS / 'charnn.bash'}\n")
    shell.until("ready> ")
    assert shell.completed("charnn tra\t--mi\t") == "charnn train --minutes"
    # No answer of ours: the shell's own file names.
    assert shell.completed("charnn tokenize my\t") == "charnn tokenize my text.txt"
    shell.close()


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_on_a_terminal(place, on_path):
    shell = Terminal(["zsh", "-f", "-i"], PATH=f"{on_path}:{os.environ['PATH']}")
    shell.until("ready> ")
    shell.press(
        f"autoload -Uz compinit; compinit -u -D; source {SCRIPTS / 'charnn.zsh'}; print lo''aded\n"
    )
    shell.until("loaded")
    assert shell.completed("charnn tra\t--mi\t") == "charnn train --minutes"
    assert shell.completed("charnn generate -m nov\t") == "charnn generate -m novel"
    assert shell.completed("charnn tokenize my\t") == "charnn tokenize my text.txt"
    shell.close()


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(place, on_path):
    def offered(line: str) -> list[str]:
        script = f"source {SCRIPTS / 'charnn.fish'}; complete -C '{line}'"
        known = {**os.environ, "PATH": f"{on_path}:{os.environ['PATH']}", "HOME": str(place)}
        result = subprocess.run(
            ["fish", "--no-config", "-c", script], capture_output=True, env=known
        )
        return result.stdout.decode().splitlines()

    assert offered("charnn tra") == ["train\tTrain a language model."]
    assert offered("charnn generate -m nov") == ["novel"]
    assert offered("charnn train --cell g") == ["gru", "gru-reset-after"]
    assert "my text.txt" in "\n".join(offered("charnn tokenize my"))
