"""10,000 short lines scored as ``charnn score`` does it, against one line after the other.

    python benchmarks/bench_score.py [--lines 10000] [--rounds 5] [--hidden 256] [--layers 2]

The model is an LSTM on the bundled fables' characters, made on the spot with random weights; the
lines are sentences of the fables, of 20 to 60 characters. In each round the lines that go one by
one are a sample (``--alone``), spread over all, so that both halves take about as long.
"""

import argparse
import itertools
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from charnn.architecture import ModelConfig, expected_shapes
from charnn.engine import Engine
from charnn.lines import LineScorer, whole_lines
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer

FABLES = Path(__file__).parent.parent / "corpora" / "fables.txt"

#: What ``charnn score`` reads at a time.
_BLOCK_BYTES = 1 << 16


def short_lines(count: int) -> list[bytes]:
    text = FABLES.read_text().replace("\n", " ")
    found = [one.strip() for one in re.findall(r"[^.!?]{20,58}[.!?]", text)]
    return [f"{line}\n".encode() for line in itertools.islice(itertools.cycle(found), count)]


def seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--alone", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()

    tokenizer = train_tokenizer([[FABLES.read_bytes()]], TokenizerConfig())
    model = ModelConfig(hidden=arguments.hidden, layers=arguments.layers)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in expected_shapes(model, tokenizer.vocabulary_size).items()
    }
    engine = Engine(model, weights, start_id=tokenizer.start_id, end_id=None)
    scorer = LineScorer(engine, tokenizer)
    lines = short_lines(arguments.lines)
    text = b"".join(lines)
    pieces = [text[n : n + _BLOCK_BYTES] for n in range(0, len(text), _BLOCK_BYTES)]
    sample = lines[:: max(1, len(lines) // arguments.alone)]

    def together() -> None:
        for block in whole_lines(pieces):
            scorer.score(block)

    def alone() -> None:
        for line in sample:
            scorer.score([line])

    together_s, alone_s = [], []
    for n in range(arguments.rounds + 1):
        times = seconds(together) / len(lines), seconds(alone) / len(sample)
        if n:  # the first warms up
            together_s.append(times[0])
            alone_s.append(times[1])
    ratios = sorted(one / all for one, all in zip(alone_s, together_s, strict=True))
    print(f"{len(lines):,} lines, {len(text) / len(lines):.0f} bytes each, ", end="")
    print(f"{arguments.layers} x {arguments.hidden}, {arguments.rounds} rounds")
    print(f"one by one   {1 / statistics.median(alone_s):10,.0f} lines/s")
    print(f"side by side {1 / statistics.median(together_s):10,.0f} lines/s")
    print(
        f"ratio        {statistics.median(ratios):10.2f}  "
        f"(min {ratios[0]:.2f}, max {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
