"""Twice the text, twice the time: pathological inputs of n and of 2n bytes, taking turns.

    python benchmarks/bench_tokenizers.py [--megabytes 10] [--rounds 3] [--only word,subword]
        [--encode-only]

One letter over and over, and one line of random letters without a space: every search for the end
of a word or a line goes as far as it can. Learning is what ``charnn tokenize`` does first (it reads
all of the text); encoding is what it does then, and what every model does with a text. Times are of
the processor, since a busy machine must not decide; the text comes in pieces of 1 MiB.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

from charnn.text.base import CHUNK_BYTES, Tokenizer
from charnn.text.config import TokenizerConfig
from charnn.text.tokenizers import train_tokenizer

TOKENIZERS = {
    "byte": TokenizerConfig("byte"),
    "char": TokenizerConfig("char"),
    "word": TokenizerConfig("word"),
    "subword": TokenizerConfig("subword"),
    "bpe": TokenizerConfig("subword", subword="bpe"),
}
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
INPUTS: dict[str, Callable[[int], bytes]] = {
    "one letter": lambda size: b"a" * size,
    "one line": lambda size: bytes(random.Random(0).choices(LETTERS, k=size)),
}


def pieces_of(data: bytes) -> list[bytes]:
    return [data[n : n + CHUNK_BYTES] for n in range(0, len(data), CHUNK_BYTES)]


def encode(tokenizer: Tokenizer, pieces: list[bytes]) -> None:
    for _ in tokenizer.encode_stream(pieces):
        pass


def seconds(task: Callable[[], object]) -> float:
    began = time.process_time()
    task()
    return time.process_time() - began


def compare(task: Callable[[list[bytes]], object], data: bytes, rounds: int) -> list[float]:
    """The time of the first half (n bytes) and of all (2n bytes), medians."""
    half, whole = pieces_of(data[: len(data) // 2]), pieces_of(data)
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for measured, pieces in zip(times, (half, whole), strict=True):
            measured.append(seconds(lambda pieces=pieces: task(pieces)))
    return [statistics.median(measured) for measured in times]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TOKENIZERS))
    parser.add_argument("--encode-only", action="store_true", help="subwords learn for minutes")
    arguments = parser.parse_args()
    size = int(arguments.megabytes * (1 << 20))
    print(f"{arguments.megabytes:g} MiB and twice that, medians of {arguments.rounds} rounds")
    print(f"{'input':<12}{'tokenizer':<12}{'':<8}{'n':>9}{'2n':>9}{'2n / n':>9}")
    for name, make in INPUTS.items():
        data = make(2 * size)
        for kind in arguments.only.split(","):
            config = TOKENIZERS[kind]
            tokenizer = train_tokenizer([pieces_of(data[: 1 << 20])], config)
            tasks = {"encode": lambda pieces, tokenizer=tokenizer: encode(tokenizer, pieces)}
            if kind != "byte" and not arguments.encode_only:
                tasks["learn"] = lambda pieces, config=config: train_tokenizer([pieces], config)
            for what, task in tasks.items():
                one, two = compare(task, data, arguments.rounds)
                row = f"{one:9.2f}{two:9.2f}{two / one:9.2f}"
                print(f"{name:<12}{kind:<12}{what:<8}{row}", flush=True)


if __name__ == "__main__":
    main()
