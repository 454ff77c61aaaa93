"""The best model that some minutes buy: ``charnn train TEXT --minutes M`` with its defaults.

    python benchmarks/quality.py TEXT [--minutes 2.2 10] [--seeds 1 2 3] [--window 256]

The text's last tenth is held out, as always. What is judged is the model at the end of training,
not the best of those validated, so that nothing is chosen on the held-out text. Nats per token:
"carried" is ``charnn evaluate``, one piece from its first token on; "cold" cuts it into windows
that each begin with a state of zeros and read one token before the first that counts, which is how
models with a fixed context are measured (nanoGPT's loss, without its windows drawn at random).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from charnn.models import open_model
from charnn.places import corpus_of

#: Windows that are read side by side.
_ROWS = 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.2, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--window", type=int, default=256)
    arguments = parser.parse_args()
    text = arguments.text.resolve()

    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)

        def charnn(*words: object) -> dict[str, Any]:
            command = [sys.executable, "-m", "charnn", *map(str, words), "-q", "--json"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            return dict(json.loads(done.stdout.splitlines()[-1]))

        charnn("tokenize", text, "-o", "corpora/text")
        for minutes in arguments.minutes:
            carried, cold = [], []
            for seed in arguments.seeds:
                run = f"runs/{minutes:g}-{seed}"
                budget = ["--minutes", minutes, "--seed", seed]
                charnn("train", "corpora/text", "-o", run, *budget)
                facts = charnn("info", f"{run}/last")
                carried.append(charnn("evaluate", f"{run}/last")["nats_per_token"])
                cold.append(in_windows(Path(run) / "last", arguments.window))
                seconds = json.loads(Path(run, "metrics.jsonl").read_text().splitlines()[-1])
                print(
                    f"{minutes:g} minutes, seed {seed}: {facts['layers']} x {facts['hidden']}, "
                    f"{facts['step']:,} steps in {seconds['seconds'] / 60:.2f} minutes, "
                    f"carried {carried[-1]:.4f}, cold {cold[-1]:.4f}",
                    flush=True,
                )
            print(
                f"{minutes:g} minutes, {len(carried)} seeds: carried {spread(carried)}, "
                f"cold in windows of {arguments.window} {spread(cold)}",
                flush=True,
            )


def in_windows(checkpoint: Path, window: int) -> float:
    """Nats per token in windows that do not overlap; what is left at the end is not read."""
    model = open_model(checkpoint)
    corpus = corpus_of(model.checkpoint.config.corpus, checkpoint.parent)
    ids_T = corpus.tokens("validation").astype(np.int64)
    starts_N = np.arange(0, len(ids_T) - window, window)
    nats = 0.0
    for begin in range(0, len(starts_N), _ROWS):
        part_BT = ids_T[starts_N[begin : begin + _ROWS, None] + np.arange(window + 1)]
        one_B = np.ones(len(part_BT), dtype=np.int64)
        reader = model.step_model
        _, state = reader.prefill(part_BT[:, :1], one_B, reader.initial_state(len(part_BT)))
        nats += float(reader.nats(part_BT[:, 1:], window * one_B, state)[0].sum())
    return nats / (len(starts_N) * window)


def spread(values: list[float]) -> str:
    """Mean, least and most."""
    return f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main()
