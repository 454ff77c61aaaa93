"""Every cell at as many parameters as the default LSTM: its speed, and what it learns.

    python benchmarks/bench_cells.py speed [--rounds 15]
    python benchmarks/bench_cells.py losses CORPUS [--minutes 2 | --steps 1000] [--seeds 1 2 3]

``speed`` lets all cells take turns in one process, block by block, and gives medians: tokens a
second as the machine is, and the time of a token relative to the LSTM's of the same round.

``losses`` first times each cell alone, as ``charnn train --minutes 2`` does to fix its steps. Then
it runs ``charnn train CORPUS --cell X --hidden H --steps N`` and ``charnn evaluate --json`` for
each cell and seed, in the folder where it is started, two side by side with a thread each, so that
whatever else the machine does changes no figure; and prints a line each.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np

from charnn.architecture import CellName, ModelConfig, count_parameters

_TRAIN_BLOCK, _WRITE_BLOCK = 5, 300
_VOCABULARY = 65
FABLES = Path(__file__).parent.parent / "corpora" / "fables.txt"
CELLS: tuple[CellName, ...] = get_args(CellName)


def size(config: ModelConfig) -> int:
    return sum(count_parameters(config, _VOCABULARY).values())


def equal_size(cell: CellName) -> ModelConfig:
    """The cell at the hidden size, a multiple of 8, that comes nearest to the default LSTM."""
    configs = (ModelConfig(cell=cell, hidden=hidden) for hidden in range(64, 1024, 8))
    return min(configs, key=lambda config: abs(size(config) - size(ModelConfig())))


def speed(rounds: int) -> None:
    from charnn.data.config import SourceConfig
    from charnn.data.prepare import tokenize_corpus
    from charnn.engine import Engine
    from charnn.nn.language_model import LanguageModel, export_weights
    from charnn.text.config import TokenizerConfig
    from charnn.training.config import TrainingConfig
    from charnn.training.events import Stepped
    from charnn.training.loop import train

    def trainer(model: ModelConfig, folder: Path) -> Callable[[], None]:
        config = TrainingConfig(
            steps=100_000, save_every="1000000", lr=1e-3, optimizer="adamw", ema=0.0
        )
        events = train(corpus, model, config, folder, model.cell)
        stepped = (event for event in events if isinstance(event, Stepped))

        def block() -> None:
            for _ in range(_TRAIN_BLOCK):
                next(stepped)

        return block

    def writer(model: ModelConfig) -> Callable[[], None]:
        weights = export_weights(LanguageModel(model, _VOCABULARY))
        engine = Engine(model, weights, start_id=0, end_id=None)

        def block() -> None:
            state = engine.initial_state(1)
            for t in range(_WRITE_BLOCK):
                _, state = engine.step(np.array([t % _VOCABULARY]), state)

        return block

    def seconds(block: Callable[[], None]) -> float:
        began = time.perf_counter()
        block()
        return time.perf_counter() - began

    models = {cell: equal_size(cell) for cell in CELLS}
    with tempfile.TemporaryDirectory() as folder:
        corpus, _ = tokenize_corpus(
            SourceConfig((FABLES,)), TokenizerConfig(), Path(folder) / "fables"
        )
        tasks = {
            "training": (
                {cell: trainer(model, Path(folder)) for cell, model in models.items()},
                _TRAIN_BLOCK * 32 * 64,
            ),
            "writing": ({cell: writer(model) for cell, model in models.items()}, _WRITE_BLOCK),
        }
        print(f"{'':16}{'hidden':>8}{'parameters':>12}")
        for cell, model in models.items():
            print(f"{cell:16}{model.hidden:8}{size(model):12,}")
        for task, (blocks, tokens) in tasks.items():
            for block in blocks.values():
                block()
            times = [{cell: seconds(b) for cell, b in blocks.items()} for _ in range(rounds)]
            print(f"\n{task:16}{'tokens/s':>10}  {'time / lstm':>12}  (min, max)")
            for cell in CELLS:
                ratios = sorted(round[cell] / round["lstm"] for round in times)
                rate = tokens / statistics.median(round[cell] for round in times)
                print(
                    f"{cell:16}{rate:10,.0f}  {statistics.median(ratios):12.2f}"
                    f"  ({ratios[0]:.2f}, {ratios[-1]:.2f})",
                    flush=True,
                )


def planned_steps(corpus: Path, model: ModelConfig, minutes: float) -> int:
    """How many steps ``charnn train --minutes`` fixes on, once it timed the first of them."""
    from charnn.data.store import TokenizedCorpus
    from charnn.training.config import TrainingConfig
    from charnn.training.events import Stepped
    from charnn.training.loop import train

    with tempfile.TemporaryDirectory() as folder:
        opened = TokenizedCorpus.open(corpus)
        events = train(opened, model, TrainingConfig(minutes=minutes), Path(folder), "timed")
        planned = (e.steps for e in events if isinstance(e, Stepped) and e.steps)
        steps = next(planned)
        events.close()
    return steps


def losses(corpus: Path, steps: dict[CellName, int], seeds: list[int], jobs: int) -> None:
    """Train and evaluate every cell with every seed, as the program does, ``jobs`` at a time."""

    def charnn(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "charnn", *arguments, "-q", "--json"]
        return dict(json.loads(subprocess.run(command, check=True, stdout=-1).stdout))

    def learn(task: tuple[int, CellName]) -> None:
        seed, cell = task
        options = {
            "--cell": cell,
            "--hidden": equal_size(cell).hidden,
            "--steps": steps[cell],
            "--seed": seed,
            "--threads": max(1, len(os.sched_getaffinity(0)) // jobs),
            "-o": f"checkpoints/{cell}-{steps[cell]}-{seed}",
        }
        words = (str(word) for option in options.items() for word in option)
        trained = charnn("train", str(corpus), *words)
        nats = charnn("evaluate", trained["run"])["nats_per_token"]
        print(f"{cell:16} seed {seed}  {steps[cell]:6} steps  {nats:.4f} nats", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(learn, itertools.product(seeds, steps)))


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    speeds = commands.add_parser("speed")
    speeds.add_argument("--rounds", type=int, default=15)
    learning = commands.add_parser("losses")
    learning.add_argument("corpus", type=Path)
    budget = learning.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=2)
    budget.add_argument("--steps", type=int)
    learning.add_argument("--jobs", type=int, default=2)
    learning.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    learning.add_argument("--cells", nargs="+", default=CELLS)
    arguments = parser.parse_args()
    if arguments.command == "speed":
        speed(arguments.rounds)
    else:
        steps: dict[CellName, int] = {
            cell: arguments.steps
            or planned_steps(arguments.corpus, equal_size(cell), arguments.minutes)
            for cell in arguments.cells
        }
        losses(arguments.corpus, steps, arguments.seeds, arguments.jobs)


if __name__ == "__main__":
    main()
