"""What charnn's trainer costs over the bare loop, and what share of matrix products' rate it has.

    python benchmarks/bench_training_overhead.py [--hidden 256] [--batch 32] [--rounds 15]
                                                 [--precision auto] [--optimizer adamw]

The bare loop is nn.LSTM, loss, backward and a step of AdamW, with the same shapes, dropout and
clipping, and one fixed batch. The rate is that of products of square matrices of 2,048 rows, in
float32, by PyTorch's BLAS or by oneDNN, whichever is faster: on some processors MKL is not. All
run in one process and take turns, block by block, so that a change of the machine's speed meets
all. The share counts six operations a weight and token, for what learns; what Muon multiplies, and
what is averaged, takes time and counts for nothing.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from charnn.architecture import ModelConfig, count_parameters
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.events import Stepped
from charnn.training.loop import train

_BLOCK = 10
_SQUARE = 2048
FABLES = Path(__file__).parent.parent / "corpora" / "fables.txt"


def bare_loop(model: ModelConfig, config: TrainingConfig, vocabulary: int) -> Callable[[], None]:
    """One step of the loop that tutorials write."""
    embedding = torch.nn.Embedding(vocabulary, model.embedding)
    lstm = torch.nn.LSTM(
        model.embedding, model.hidden, model.layers, batch_first=True, dropout=config.dropout
    )
    output = torch.nn.Linear(model.hidden, vocabulary)
    parameters = [*embedding.parameters(), *lstm.parameters(), *output.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, fused=True)
    inputs, labels = torch.randint(0, vocabulary, (2, config.batch, config.bptt))
    state = None

    def step() -> None:
        nonlocal state
        hidden, new_state = lstm(F.dropout(embedding(inputs), config.dropout), state)
        state = tuple(array.detach() for array in new_state)
        logits = output(F.dropout(hidden, config.dropout))
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()

    return step


def product(square: torch.Tensor) -> Callable[[], object]:
    """The fastest product of a matrix with itself that PyTorch has."""
    ways: list[Callable[[], object]] = [lambda: torch.mm(square, square)]
    if torch.backends.mkldnn.is_available():
        linear = torch.ops.mkldnn._linear_pointwise
        ways.append(lambda: linear(square, square, None, "none", [], ""))
    return min(ways, key=lambda way: min(seconds(way) for _ in range(5)))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--precision", default="float32", help="of charnn; the bare loop: float32")
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"], help="of charnn")
    arguments = parser.parse_args()
    model = ModelConfig(hidden=arguments.hidden)
    steps = _BLOCK * (arguments.rounds + 1)
    config = TrainingConfig(
        steps=steps + 1,
        batch=arguments.batch,
        save_every=str(steps + 1),
        lr=1e-3,
        precision=arguments.precision,
        optimizer=arguments.optimizer,
        ema=0.998 if arguments.optimizer == "muon" else 0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = SourceConfig((FABLES,))
        corpus, _ = tokenize_corpus(sources, TokenizerConfig(), Path(folder) / "fables")
        events = train(corpus, model, config, Path(folder), "run")
        stepped = (event for event in events if isinstance(event, Stepped))
        bare = bare_loop(model, config, corpus.header.vocabulary)

        def block(step: Callable[[], object]) -> float:
            return seconds(lambda: [step() for _ in range(_BLOCK)]) / _BLOCK

        squared = product(torch.ones(_SQUARE, _SQUARE))
        block(bare)
        block(lambda: next(stepped))
        rounds = [
            (block(lambda: next(stepped)), block(bare), min(seconds(squared) for _ in range(3)))
            for _ in range(arguments.rounds)
        ]
        events.close()
    ratios = sorted(ours / theirs for ours, theirs, _ in rounds)
    tokens = config.batch * config.bptt
    parts = count_parameters(model, corpus.header.vocabulary)
    operations = 6 * tokens * (sum(parts.values()) - parts["embedding"])
    shares = sorted(operations / ours / (2 * _SQUARE**3 / mm) for ours, _, mm in rounds)
    ours, theirs, _ = (tokens / statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"2 x {arguments.hidden}, B={config.batch}, T={config.bptt}, {arguments.rounds} rounds")
    print(f"charnn {ours:,.0f} tokens/s, bare loop {theirs:,.0f} tokens/s")
    print(
        f"time of a step, charnn / bare loop: median {statistics.median(ratios):.3f}"
        f" (min {ratios[0]:.3f}, max {ratios[-1]:.3f})"
    )
    print(
        f"share of the matrix products' rate: median {statistics.median(shares):.3f}"
        f" (min {shares[0]:.3f}, max {shares[-1]:.3f})"
    )


if __name__ == "__main__":
    main()
