"""Learning on top of learning: what a model trained elsewhere is worth on a text.

    python benchmarks/transfer.py NEAR.txt FAR.txt [--steps 1200] [--size medium] [--seeds 1 2 3]
                                           [--jobs 2]

NEAR is cut into halves. Models are trained on its first half, and on FAR; then, all for the same
number of steps, on its second half: from nothing; from those models, whole (--from), whole with the
embedding frozen, and with their embedding alone, frozen or not. The loss is that on the last tenth
of the second half, as ``charnn evaluate`` gives it. Characters; FAR's are extended by NEAR's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

#: What each way begins with, as options; the model trained elsewhere takes the place of MODEL.
WAYS = {
    "from nothing": [],
    "whole": ["--from", "MODEL"],
    "whole, embedding frozen": ["--from", "MODEL", "--freeze", "embedding"],
    "embedding": ["--embedding-from", "MODEL"],
    "embedding, frozen": ["--embedding-from", "MODEL", "--freeze", "embedding"],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("near", type=Path)
    parser.add_argument("far", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--size", default="medium", choices=["small", "medium", "large"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    threads = max(1, len(os.sched_getaffinity(0)) // arguments.jobs)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = arguments.near.read_text(encoding="utf-8")
        halves = text[: len(text) // 2], text[len(text) // 2 :]
        for half, part in zip(("first", "second"), halves, strict=True):
            (folder / f"{half}.txt").write_text(part, encoding="utf-8")
        (folder / "far.txt").write_bytes(arguments.far.read_bytes())

        def charnn(*words: object) -> dict[str, Any]:
            command = [sys.executable, "-m", "charnn", *map(str, words), "-q", "--json"]
            done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE)
            return dict(json.loads(done.stdout))

        def train(corpus: str, run: str, seed: int, *options: str) -> float:
            budget = ["--steps", arguments.steps, "--threads", threads]
            if "--from" not in options:  # or the size is that of the model
                budget += ["--size", arguments.size]
            charnn("train", corpus, "-o", f"runs/{run}", *budget, "--seed", seed, *options)
            return float(charnn("evaluate", f"runs/{run}")["nats_per_token"])

        for corpus in ("first", "far", "second"):
            charnn("tokenize", f"{corpus}.txt")
        elsewhere = {"near": "first", "far": "far"}
        for like in elsewhere.values():
            train(f"corpora/{like}", like, 1)
            extended = "--like", f"runs/{like}", "--extend-vocabulary"
            charnn("tokenize", "second.txt", *extended, "-o", f"corpora/second-{like}")

        def one(task: tuple[str, str, int]) -> float:
            kind, way, seed = task
            model = elsewhere[kind]
            options = [f"runs/{model}" if word == "MODEL" else word for word in WAYS[way]]
            whole = "--from" in options
            corpus = f"corpora/second-{model}" if whole else "corpora/second"
            return train(corpus, f"{kind}-{way}-{seed}", seed, *options)

        tasks = [
            (kind, way, seed) for kind in elsewhere for way in WAYS for seed in arguments.seeds
        ]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            nats = dict(zip(tasks, pool.map(one, tasks), strict=True))
        about = f"{arguments.size}, {arguments.steps} steps each, seeds {arguments.seeds}"
        print(f"{about}; nats per character")
        for kind in elsewhere:
            for way in WAYS:
                found = [nats[kind, way, seed] for seed in arguments.seeds]
                each = " / ".join(f"{value:.4f}" for value in found)
                print(f"{kind:5} {way:24} {statistics.mean(found):.4f}  ({each})", flush=True)


if __name__ == "__main__":
    main()
