"""Whole cold processes against ``python -c "import torch"``, and against a bare Typer program.

    python benchmarks/bench_startup.py [--rounds 11]

All take turns. The model that generates is a 2 x 256 LSTM on characters, made on the spot with
random weights. The bare program has one command without options; ``--help``, ``--nose`` and
completion are measured against its own. Processor time is told beside the clock's, because it says
more on a machine that is busy.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from charnn.architecture import ModelConfig, expected_shapes
from charnn.checkpoint import CheckpointConfig, link, write_checkpoint
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer

FABLES = Path(__file__).parent.parent / "corpora" / "fables.txt"


def make_checkpoint(run: Path) -> None:
    tokenizer = train_tokenizer([[FABLES.read_bytes()]], TokenizerConfig())
    model, size = ModelConfig(), tokenizer.vocabulary_size
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in expected_shapes(model, size).items()
    }
    config = CheckpointConfig(model, size, tokenizer.start_id, tokenizer.end_id, 0, None)
    link(run, "best", write_checkpoint(run, config, weights, tokenizer))


BARE = """\
import typer

app = typer.Typer()


@app.command()
def hello() -> None:
    print("hello")


app(prog_name="bare")
"""


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """What a process takes: by the clock, and of the processor."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, capture_output=True, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    python = sys.executable
    charnn = [python, "-m", "charnn"]
    with tempfile.TemporaryDirectory() as folder:
        run, program = Path(folder) / "checkpoints" / "run", Path(folder) / "bare.py"
        make_checkpoint(run)
        program.write_text(BARE)
        bare = [python, str(program)]
        asks = {"_CHARNN_COMPLETE": "bash"}
        bare_asks = {"_BARE_COMPLETE": "complete_bash", "COMP_WORDS": "bare --", "COMP_CWORD": "1"}
        commands = {
            "import torch": ([python, "-c", "import torch"], {}, "import torch"),
            "import numpy": ([python, "-c", "import numpy"], {}, "import torch"),
            "charnn generate -n 200": (
                [*charnn, "generate", "-n", "200", "-m", str(run)], {}, "import torch",
            ),
            "python -c pass": ([python, "-c", "pass"], {}, "python -c pass"),
            "import charnn": ([python, "-c", "import charnn"], {}, "python -c pass"),
            "bare": (bare, {}, "bare"),
            "charnn --version": ([*charnn, "--version"], {}, "bare"),
            "bare --help": ([*bare, "--help"], {}, "bare --help"),
            "charnn --help": ([*charnn, "--help"], {}, "bare --help"),
            "charnn train --help": ([*charnn, "train", "--help"], {}, "bare --help"),
            "bare --nose": ([*bare, "--nose"], {}, "bare --nose"),
            "charnn trian": ([*charnn, "trian"], {}, "bare --nose"),
            "charnn train --nose": ([*charnn, "train", "--nose"], {}, "bare --nose"),
            "bare --<Tab>": (bare, bare_asks, "bare --<Tab>"),
            "charnn <Tab>": ([*charnn, ""], asks, "bare --<Tab>"),
            "charnn train --<Tab>": ([*charnn, "train", "--"], asks, "bare --<Tab>"),
            "charnn generate -m <Tab>": ([*charnn, "generate", "-m", ""], asks, "bare --<Tab>"),
        }  # fmt: skip
        times = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, (command, environment, _) in commands.items():
                measured = seconds(command, environment)
                if turn:  # the first warms up
                    times[name].append(measured)
    print(f"{'':<26}  seconds  processor   ratio  processor's   to   (medians of {rounds})")
    for name, (_, _, base) in commands.items():
        (wall, used), (wall_base, used_base) = (
            map(statistics.median, zip(*times[one], strict=True)) for one in (name, base)
        )
        print(
            f"{name:<26}  {wall:7.3f}  {used:9.3f}  {wall / wall_base:6.3f}  "
            f"{used / used_base:11.3f}   {base}"
        )


if __name__ == "__main__":
    main()
