"""Every cell at as many parameters as the default LSTM: its speed, and what it learns.

    python benchmarks/bench_cells.py speed [--rounds 15]
    python benchmarks/bench_cells.py losses TEXT [--minutes 2 | --steps 1000] [--seeds 1 2 3]

``speed`` lets all cells take turns in one process, block by block, and gives medians: tokens a
second as the machine is, and the time of a token relative to the LSTM's of the same round.

``losses`` runs ``charnn train TEXT --cell X --hidden H`` and ``charnn evaluate --json`` for each
cell and seed, in the folder where it is started, and prints a line each. Minutes are timed for the
first seed; the others take as many steps, so that whatever else runs changes no figure.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

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
        config = TrainingConfig(steps=100_000, save_every="1000000", lr=1e-3)
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


def losses(text: Path, minutes: str, steps: str, seeds: list[int], cells: list[CellName]) -> None:
    charnn = [sys.executable, "-m", "charnn"]
    bought = dict.fromkeys(cells, steps)
    for seed in seeds:
        for cell in cells:
            budget = ["--steps", bought[cell]] if bought[cell] else ["--minutes", minutes]
            hidden = str(equal_size(cell).hidden)
            run = f"checkpoints/{cell}-{seed}-{steps or minutes + 'm'}"
            options = ["--cell", cell, "--hidden", hidden, "--seed", str(seed), *budget]
            command = [*charnn, "train", str(text), *options, "-o", run, "-q", "--json"]
            trained = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
            bought[cell] = str(trained["steps"])
            command = [*charnn, "evaluate", run, "-q", "--json"]
            evaluated = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
            print(
                f"{cell:16} seed {seed}  {trained['step']:6} steps  {trained['seconds']:5.0f} s"
                f"  {evaluated['nats_per_token']:.4f} nats",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    speeds = commands.add_parser("speed")
    speeds.add_argument("--rounds", type=int, default=15)
    learning = commands.add_parser("losses")
    learning.add_argument("text", type=Path)
    budget = learning.add_mutually_exclusive_group()
    budget.add_argument("--minutes", default="2")
    budget.add_argument("--steps", default="")
    learning.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    learning.add_argument("--cells", nargs="+", default=CELLS)
    arguments = parser.parse_args()
    if arguments.command == "speed":
        speed(arguments.rounds)
    else:
        minutes, steps = arguments.minutes, arguments.steps
        losses(arguments.text, minutes, steps, arguments.seeds, arguments.cells)


if __name__ == "__main__":
    main()
