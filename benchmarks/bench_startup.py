"""Whole cold processes against ``python -c "import torch"``, taking turns.

    python benchmarks/bench_startup.py [--rounds 11]

The model that generates is a 2 x 256 LSTM on characters, made on the spot with random weights.
"""

import argparse
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


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def compare_imports(rounds: int) -> None:
    """``import charnn`` beside the bare interpreter and ``import numpy``, taking turns."""
    codes = ("pass", "import charnn", "import numpy")
    times: dict[str, list[float]] = {code: [] for code in codes}
    for _ in range(rounds + 1):  # the first round warms up
        for code in codes:
            times[code].append(seconds([sys.executable, "-c", code]))
    medians = {code: statistics.median(measured[1:]) for code, measured in times.items()}
    print(f"\n{'':<24}  seconds  of `python -c pass`")
    for code, median in medians.items():
        print(f"{code:<24}  {median:7.3f}  {median / medians['pass']:19.3f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    python, charnn = sys.executable, str(Path(sys.executable).parent / "charnn")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make_checkpoint(run)
        commands = {
            "import torch": [python, "-c", "import torch"],
            "import numpy": [python, "-c", "import numpy"],
            "charnn --help": [charnn, "--help"],
            "charnn generate -n 200": [charnn, "generate", "-n", "200", "-m", str(run)],
        }
        times = {name: [seconds(command)] for name, command in commands.items()}  # warm-up
        for measured in times.values():
            measured.clear()
        for _ in range(rounds):
            for name, command in commands.items():
                times[name].append(seconds(command))
    base = statistics.median(times["import torch"])
    print(f"{'':<24}  seconds  of `import torch`   (medians of {rounds})")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<24}  {median:7.3f}  {median / base:17.3f}")
    compare_imports(rounds)


if __name__ == "__main__":
    main()
