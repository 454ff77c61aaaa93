"""What charnn's trainer costs over the bare loop: nn.LSTM + loss + backward + step.

    python benchmarks/bench_training_overhead.py [--hidden 256] [--rounds 15] [--precision auto]

Both run in one process and take turns, block by block, so that a change of the machine's speed
meets both. The bare loop has the same shapes, dropout, clipping and optimizer, and one fixed batch.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from charnn.architecture import ModelConfig
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.events import Stepped
from charnn.training.loop import train

_BLOCK = 10
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--precision", default="float32", help="of charnn; the bare loop: float32")
    arguments = parser.parse_args()
    model = ModelConfig(hidden=arguments.hidden)
    steps = _BLOCK * (arguments.rounds + 1)
    config = TrainingConfig(
        steps=steps + 1, save_every=str(steps + 1), lr=1e-3, precision=arguments.precision
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = SourceConfig((FABLES,))
        corpus, _ = tokenize_corpus(sources, TokenizerConfig(), Path(folder) / "fables")
        events = train(corpus, model, config, Path(folder), "run")
        stepped = (event for event in events if isinstance(event, Stepped))
        bare = bare_loop(model, config, corpus.header.vocabulary)

        def block(step: Callable[[], object]) -> float:
            began = time.perf_counter()
            for _ in range(_BLOCK):
                step()
            return (time.perf_counter() - began) / _BLOCK

        block(bare)
        block(lambda: next(stepped))
        pairs = [(block(lambda: next(stepped)), block(bare)) for _ in range(arguments.rounds)]
        events.close()
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    tokens = config.batch * config.bptt
    ours, theirs = (tokens / statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"2 x {arguments.hidden}, B={config.batch}, T={config.bptt}, {arguments.rounds} rounds")
    print(f"charnn {ours:,.0f} tokens/s, bare loop {theirs:,.0f} tokens/s")
    print(
        f"time of a step, charnn / bare loop: median {statistics.median(ratios):.3f}"
        f" (min {ratios[0]:.3f}, max {ratios[-1]:.3f})"
    )


if __name__ == "__main__":
    main()
