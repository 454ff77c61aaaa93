"""How fast charnn writes text, next to what else could write it and to what the machine could do.

    python benchmarks/bench_generation.py [loops] [bound] [beams] [samples] [--sizes 256 512]
    python benchmarks/bench_generation.py memory [--tokens 10000000]
    python benchmarks/bench_generation.py rounding [--seeds 40]

``loops``     sampling, next to the loops over ``nn.LSTM`` and ``nn.LSTMCell`` that tutorials write;
``bound``     a step next to the time it takes to read the weights, and what else it is made of;
``beams``     a step of beam search next to one of greedy search;
``samples``   64 samples at once next to one;
``memory``    what the process holds after the first tokens and after millions of them;
``rounding``  how often a text depends, by rounding alone, on how many are written beside it.

Without a name, the first four run. The contestants of each run in one process and take turns, in
short blocks, so that a change of the machine's speed meets all of them; every ratio is taken within
a round, and shown as the median of all rounds (least to greatest). The models have two LSTM layers
and random weights.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before NumPy is imported: no BLAS looks again.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "2"

import numpy as np

from charnn.architecture import ModelConfig, expected_shapes
from charnn.context import read_prompt
from charnn.decode.beam import BeamSearch
from charnn.decode.config import BeamConfig, Decoding, GenerationConfig, SamplingConfig
from charnn.decode.loop import generate, greedy, sampler
from charnn.engine import Engine
from charnn.generation import Piece, write
from charnn.text.byte import ByteTokenizer

Weights = dict[str, Any]

#: Makes so many steps.
Run = Callable[[int], object]

_THREADS = 2
_VOCABULARY, _START, _LAYERS, _EMBEDDING = 65, 0, 2, 64
_TEMPERATURE = 0.8

#: How long a block lasts, and how long the machine rests before it: idle threads of BLAS and OpenMP
#: spin a while before they sleep, and must not take a core from whoever is next.
_BLOCK_SECONDS, _REST_SECONDS, _WARM_STEPS = 0.1, 0.05, 10

#: The tokens of a text that beams search.
_SEARCHED_TOKENS = 100

#: When memory is looked at first.
_FIRST_TOKENS = 100_000

#: The texts that are written twice, and their length.
_TWICE_WRITTEN, _TEXT_TOKENS = 10, 500


# What touches charnn.


def architecture(hidden: int) -> ModelConfig:
    return ModelConfig(hidden=hidden, layers=_LAYERS, embedding=_EMBEDDING)


def make_weights(hidden: int) -> Weights:
    """Random weights on the scale of a trained model.

    So chosen that text neither goes round in circles nor is noise (an entropy of about 1.8 nats a
    token), and that the state forgets: what rounding adds does not grow.
    """
    rng = np.random.default_rng(0)
    scales = {"embedding": 1.0, "layers": 3 * hidden**-0.5, "output": 10 * hidden**-0.5}
    return {
        name: rng.normal(0, scales[name.partition(".")[0]], shape).astype(np.float32)
        for name, shape in expected_shapes(architecture(hidden), _VOCABULARY).items()
    }


def make_engine(hidden: int, weights: Weights) -> Engine:
    return Engine(architecture(hidden), weights, start_id=_START, end_id=None)


def make_choice(samples: int = 1) -> Callable[[Any, int], Any]:
    return sampler(SamplingConfig(temperature=_TEMPERATURE), 1, range(samples))


def sampling(engine: Engine, samples: int = 1) -> Run:
    """The whole loop, from an empty prompt on."""

    def run(steps: int) -> None:
        start = read_prompt(engine, [])
        choose = make_choice(samples)
        for step in generate(engine, start.logits_1V, start.state, samples, steps, choose):
            step.ids_B.tolist()

    return run


def greedy_search(engine: Engine) -> Run:
    def run(steps: int) -> None:
        start = read_prompt(engine, [])
        for step in generate(engine, start.logits_1V, start.state, 1, steps, greedy()):
            step.ids_B.tolist()

    return run


def beam_search(engine: Engine, beams: int) -> Run:
    def run(steps: int) -> None:
        start = read_prompt(engine, [])
        BeamSearch(engine, start.logits_1V, start.state, steps, BeamConfig(beams=beams)).run()

    return run


def bare_steps(engine: Engine) -> Run:
    """The model's steps alone: nothing is chosen."""
    ids_B = np.array([_START])

    def run(steps: int) -> None:
        state = engine.initial_state(1)
        for _ in range(steps):
            _, state = engine.step(ids_B, state)

    return run


def bare_choices(engine: Engine) -> Run:
    """Choosing alone, from the same logits each time."""
    logits_BV, _ = engine.step(np.array([_START]), engine.initial_state(1))

    def run(steps: int) -> None:
        choose = make_choice()
        for n in range(steps):
            choose(logits_BV, n)

    return run


def write_texts(engine: Engine, samples: int, tokens: int, seed: int) -> Iterator[tuple[int, str]]:
    """Samples and their pieces of text, as ``charnn generate`` makes them: a character a token."""
    decoding = Decoding(
        GenerationConfig(max_tokens=tokens, samples=samples, seed=seed),
        SamplingConfig(temperature=_TEMPERATURE),
    )
    for one in write(engine, ByteTokenizer(), read_prompt(engine, []), decoding):
        if isinstance(one, Piece):
            yield one.sample, one.text


def logits_of(engine: Engine, ids: list[int]) -> Any:
    """[T, V], step by step."""
    state = engine.initial_state(1)
    rows = []
    for id in ids:
        logits_1V, state = engine.step(np.array([id]), state)
        rows.append(logits_1V[0])
    return np.array(rows)


# What charnn is compared with.


def lstm_loop(hidden: int, weights: Weights) -> Callable[..., Any]:
    """The step of the usual loop: one token through ``nn.LSTM``."""
    import torch

    embedding, output = outer_layers(weights)
    lstm = torch.nn.LSTM(_EMBEDDING, hidden, _LAYERS)
    lstm.load_state_dict(
        {
            f"{name}_l{n}": torch.from_numpy(weights[f"layers.{n}.{name}"])
            for n in range(_LAYERS)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
    )

    def step(ids_B: Any, state: Any) -> Any:
        hidden_1BH, state = lstm(embedding(ids_B)[None], state)
        return output(hidden_1BH[0]), state

    return step


def cells_loop(hidden: int, weights: Weights) -> Callable[..., Any]:
    """The same with one ``nn.LSTMCell`` a layer."""
    import torch

    embedding, output = outer_layers(weights)
    cells = [torch.nn.LSTMCell(hidden if n else _EMBEDDING, hidden) for n in range(_LAYERS)]
    for n, cell in enumerate(cells):
        names = cell.state_dict()
        cell.load_state_dict({k: torch.from_numpy(weights[f"layers.{n}.{k}"]) for k in names})

    def step(ids_B: Any, state: Any) -> Any:
        x_BI = embedding(ids_B)
        states = []
        for cell, old in zip(cells, state or [None] * _LAYERS, strict=True):
            x_BI, memory_BH = cell(x_BI, old)
            states.append((x_BI, memory_BH))
        return output(x_BI), states

    return step


def outer_layers(weights: Weights) -> tuple[Any, Any]:
    import torch

    embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(weights["embedding.weight"]))
    output = torch.nn.Linear(weights["output.weight"].shape[1], _VOCABULARY)
    output.load_state_dict(
        {name: torch.from_numpy(weights[f"output.{name}"]) for name in ("weight", "bias")}
    )
    return embedding, output


def torch_sampling(step: Callable[..., Any], onednn: bool) -> Run:
    """The whole loop, as tutorials write it."""
    import torch

    def run(steps: int) -> None:
        with torch.inference_mode(), torch.backends.mkldnn.flags(onednn, allow_tf32=None):
            written = [_START]
            state = None
            for _ in range(steps):
                logits_BV, state = step(torch.tensor(written[-1:]), state)
                probs_BV = torch.softmax(logits_BV / _TEMPERATURE, dim=-1)
                written.append(torch.multinomial(probs_BV, 1).item())

    return run


def torch_logits(step: Callable[..., Any], ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        state = None
        rows = []
        for id in ids:
            logits_1V, state = step(torch.tensor([id]), state)
            rows.append(logits_1V[0].numpy())
    return np.array(rows)


def matrices(weights: Weights) -> list[Any]:
    """What a step must read: all weights, but of the first layer's input only a row."""
    inner = [
        np.concatenate([weights[f"layers.{n}.weight_{side}"] for side in sides], axis=1)
        for n, sides in enumerate([["hh"]] + [["ih", "hh"]] * (_LAYERS - 1))
    ]
    return [*inner, weights["output.weight"]]


def products(weights: Weights, rows: int = 1) -> Run:
    """The bare matrix products of a step, for so many rows."""
    rng = np.random.default_rng(1)
    pairs = [
        (matrix, rng.normal(size=(rows, matrix.shape[1])).astype(np.float32).T)
        for matrix in matrices(weights)
    ]

    def run(steps: int) -> None:
        for _ in range(steps):
            for matrix, columns in pairs:
                matrix @ columns

    return run


def readers(size: int) -> dict[str, Run]:
    """Ways to read so many bytes and do next to nothing with them."""
    buffer = np.random.default_rng(2).normal(size=size // 4).astype(np.float32)
    matrix = buffer[: len(buffer) // 1024 * 1024].reshape(-1, 1024)
    vector = np.ones(1024, np.float32)

    def multiply(steps: int) -> None:
        for _ in range(steps):
            matrix @ vector

    def dot(steps: int) -> None:
        for _ in range(steps):
            buffer.dot(buffer)

    return {"W @ x": multiply, "dot": dot}


# How it is measured.


class Rounds:
    """The contestants' seconds a step, round by round."""

    def __init__(
        self, contestants: dict[str, Run], repeats: int, block_steps: int | None = None
    ) -> None:
        steps = {name: block_steps or steps_of_a_block(run) for name, run in contestants.items()}
        self._times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(repeats):
            for name, run in contestants.items():
                time.sleep(_REST_SECONDS)
                run(_WARM_STEPS)
                self._times[name].append(seconds(run, steps[name]) / steps[name])

    def median(self, name: str) -> float:
        """Seconds a step."""
        return statistics.median(self._times[name])

    def fastest(self, names: list[str], beside: str) -> str:
        """Which of them it is: round by round, next to one and the same."""
        return min(names, key=lambda name: statistics.median(self.ratio(name, beside)))

    def ratios(self, ratio: Callable[[dict[str, float]], float]) -> "Ratios":
        """A ratio of the contestants' times, round by round."""
        rows = zip(*self._times.values(), strict=True)
        return Ratios([ratio(dict(zip(self._times, row, strict=True))) for row in rows])

    def ratio(self, over: str, under: str) -> "Ratios":
        """The one's time over the other's."""
        return self.ratios(lambda times: times[over] / times[under])


class Ratios(list[float]):
    """Shown as the median, the least and the greatest."""

    def __format__(self, spec: str) -> str:
        middle, least, most = (
            format(value, spec) for value in (statistics.median(self), min(self), max(self))
        )
        return f"{middle:>6} {f'({least}–{most})':<16}"


def seconds(run: Run, steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return time.perf_counter() - began


def steps_of_a_block(run: Run) -> int:
    step = min(seconds(run, _WARM_STEPS) for _ in range(4)) / _WARM_STEPS
    return max(_WARM_STEPS, round(_BLOCK_SECONDS / step))


def show(line: str) -> None:
    print(line.rstrip(), flush=True)


def loops(sizes: list[int], repeats: int) -> None:
    import torch

    torch.set_num_threads(_THREADS)
    rivals = {"nn.LSTM": lstm_loop, "nn.LSTMCell": cells_loop}
    targets = {
        (256, "nn.LSTM"): 2,
        (512, "nn.LSTM"): 3.5,
        (256, "nn.LSTMCell"): 1.8,
        (512, "nn.LSTMCell"): 2.5,
    }
    ids = np.random.default_rng(3).integers(0, _VOCABULARY, 100).tolist()
    print(f"\n{'loops':8}{'':24}{'tokens/s':>10}   charnn is faster")
    for hidden in sizes:
        weights = make_weights(hidden)
        engine = make_engine(hidden, weights)
        contestants = {"charnn": sampling(engine)}
        for rival, make in rivals.items():
            step = make(hidden, weights)
            assert np.allclose(logits_of(engine, ids), torch_logits(step, ids), 1e-3, 1e-3), rival
            for onednn in (True, False):
                name = f"{rival}, oneDNN {'on' if onednn else 'off'}"
                contestants[name] = torch_sampling(step, onednn)
        rounds = Rounds(contestants, repeats)
        better = {
            rounds.fastest(
                [name for name in contestants if name.startswith(f"{rival},")], "charnn"
            ): rival
            for rival in rivals
        }
        for name in contestants:
            line = f"2x{hidden:<6}{name:24}{1 / rounds.median(name):10,.0f}"
            if name != "charnn":
                line += f"   {rounds.ratio(name, 'charnn'):.2f}"
            if target := targets.get((hidden, better.get(name, ""))):
                line += f"  target ≥ {target}"
            show(line)


def bound(repeats: int) -> None:
    parts = []
    print(f"\n{'bound':8}{'reads MB':>9}{'W @ x GB/s':>12}{'dot GB/s':>10}{'step µs':>9}   share")
    for hidden in (512, 1024):
        weights = make_weights(hidden)
        engine = make_engine(hidden, weights)
        size = sum(matrix.nbytes for matrix in matrices(weights))
        reading = readers(size)
        contestants = {
            **reading,
            "loop": sampling(engine),
            "products": products(weights),
            "step": bare_steps(engine),
            "choice": bare_choices(engine),
        }
        rounds = Rounds(contestants, repeats)
        multiply, dot = (size / rounds.median(name) / 1e9 for name in reading)
        share = rounds.ratio(rounds.fastest([*reading], "loop"), "loop")
        show(
            f"2x{hidden:<6}{size / 1e6:9.1f}{multiply:12.1f}{dot:10.1f}"
            f"{rounds.median('loop') * 1e6:9.0f}   {share:.0%}  target ≥ 60%"
        )
        differences: dict[str, Callable[[dict[str, float]], float]] = {
            "matrix products": lambda times: times["products"],
            "rest of the step": lambda times: times["step"] - times["products"],
            "choosing": lambda times: times["choice"],
            "rest of the loop": lambda times: times["loop"] - times["step"] - times["choice"],
        }
        for name, difference in differences.items():
            of_loop = rounds.ratios(lambda times, part=difference: part(times) / times["loop"])
            parts.append(f"2x{hidden:<6}{name:20}{of_loop:.0%}")
    print(f"\n{'':8}{'part of a step':20} share")
    show("\n".join(map(str.rstrip, parts)))


def beams(repeats: int) -> None:
    weights = make_weights(512)
    engine = make_engine(512, weights)
    contestants = {
        "greedy": greedy_search(engine),
        "beam 5": beam_search(engine, 5),
        "products": products(weights),
        "products, 5 rows": products(weights, 5),
        "products, 8 rows": products(weights, 8),
    }
    rounds = Rounds(contestants, repeats, _SEARCHED_TOKENS)
    print(f"\n{'beams':8}{'':28}{'µs':>8}   over a greedy step")
    for name in contestants:
        line = f"2x512   {name:28}{rounds.median(name) * 1e6:8.0f}"
        if name != "greedy":
            line += f"   {rounds.ratio(name, 'greedy'):.2f}"
        show(line + ("  target ≤ 4" if name == "beam 5" else ""))
    five = rounds.ratios(lambda times: 5 * times["products"] / times["greedy"])
    show(f"2x512   {'5 x products':28}{5e6 * rounds.median('products'):8.0f}   {five:.2f}")


def samples(repeats: int) -> None:
    print(f"\n{'samples':8}{'1: tokens/s':>12}{'64: tokens/s':>14}   64 over 1")
    for hidden, target in ((128, 6), (512, 3)):
        engine = make_engine(hidden, make_weights(hidden))
        rounds = Rounds({"1": sampling(engine), "64": sampling(engine, 64)}, repeats)
        one, many = 1 / rounds.median("1"), 64 / rounds.median("64")
        gain = rounds.ratios(lambda times: 64 * times["1"] / times["64"])
        show(f"2x{hidden:<6}{one:12,.0f}{many:14,.0f}   {gain:.2f}  target ≥ {target}")


def memory(tokens: int) -> None:
    engine = make_engine(128, make_weights(128))
    written, early = 0, 0.0
    print(f"\n{'memory':8}{'tokens':>12}{'RSS MB':>10}   over the first")
    began = time.perf_counter()
    for _, text in write_texts(engine, 64, max(tokens, 2 * _FIRST_TOKENS) // 64, seed=1):
        written += len(text)
        if not early and written >= _FIRST_TOKENS:
            early = resident_megabytes()
            show(f"2x128   {written:12,}{early:10.1f}")
    late = resident_megabytes()
    rate = written / (time.perf_counter() - began)
    show(f"2x128   {written:12,}{late:10.1f}   {late / early:.3f}  target ≤ 1.05")
    show(f"64 samples at once, {rate:,.0f} tokens/s")


def resident_megabytes() -> float:
    """What Linux says that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def rounding(seeds: int) -> None:
    print(f"\n{'rounding':10}texts that differ   the first at token (median)")
    for hidden in (128, 256):
        engine = make_engine(hidden, make_weights(hidden))
        partings = []
        for seed in range(seeds):
            few, many = (first_texts(engine, samples, seed) for samples in (_TWICE_WRITTEN, 100))
            partings += [parting(*pair) for pair in zip(few, many, strict=True) if len({*pair}) > 1]
        where = f"{min(partings)} ({statistics.median(partings):.0f})" if partings else "-"
        show(f"2x{hidden:<8}{len(partings):5} of {seeds * _TWICE_WRITTEN:<10} {where}")


def first_texts(engine: Engine, samples: int, seed: int) -> list[str]:
    """The first of so many samples, as soon as they are written."""
    texts = [""] * _TWICE_WRITTEN
    for sample, text in write_texts(engine, samples, _TEXT_TOKENS, seed):
        if sample < _TWICE_WRITTEN:
            texts[sample] += text
            if all(len(text) == _TEXT_TOKENS for text in texts):
                break
    return texts


def parting(a: str, b: str) -> int:
    """Where two texts begin to differ."""
    return next(n for n, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)


def main() -> None:
    usual = ("loops", "bound", "beams", "samples")
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", help="loops, bound, ...; see the file's head")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[128, 256, 512, 1024], help="of loops"
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=10_000_000, help="of memory")
    parser.add_argument("--seeds", type=int, default=40, help="of rounding")
    arguments = parser.parse_args()
    commands: dict[str, Callable[[], None]] = {
        "loops": lambda: loops(arguments.sizes, arguments.repeats),
        "bound": lambda: bound(arguments.repeats),
        "beams": lambda: beams(arguments.repeats),
        "samples": lambda: samples(arguments.repeats),
        "memory": lambda: memory(arguments.tokens),
        "rounding": lambda: rounding(arguments.seeds),
    }
    if unknown := sorted({*arguments.what} - {*commands}):
        parser.error(f"there is no {unknown[0]}; there are {', '.join(commands)}")
    cores = len(os.sched_getaffinity(0))
    print(
        f"{cores} cores, {_THREADS} threads, NumPy {np.__version__}, torch {version('torch')};"
        f" medians of {arguments.repeats} rounds (min–max)"
    )
    for name in arguments.what or usual:
        commands[name]()


if __name__ == "__main__":
    main()
