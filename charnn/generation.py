"""Text to text: a prompt goes in, and what the model writes comes out as it is made."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charnn.decode.beam import Finished, beam_search
from charnn.decode.config import BeamConfig, GenerationConfig, SamplingConfig
from charnn.decode.loop import BLOCK, generate, greedy, sampler
from charnn.step import Floats, State, StepModel, pad
from charnn.text.base import Tokenizer, UnknownTally
from charnn.text.streaming import TextStream, first_stop, stop_test


@dataclass(frozen=True)
class Generated:
    """A text that is finished."""

    sample: int
    text: str
    """What was written, without the prompt, up to the stop string or the document's end."""
    finished: Finished
    ids: tuple[int, ...] = ()
    """The generated ids, if details were asked for."""
    log_probs: tuple[float, ...] = ()
    """Of each id, nats, under the model alone."""
    score: float = 0.0
    """The sum of the log-probabilities over the length to the power of the length penalty."""


@dataclass(frozen=True)
class Piece:
    """A piece of a text that is being written."""

    sample: int
    text: str


def encode_prompt(tokenizer: Tokenizer, prompt: str | bytes) -> tuple[list[int], UnknownTally]:
    """The ids of a prompt, and what of it the vocabulary lacks: that is skipped, not refused.

    Raises:
        InputError: it is no UTF-8.
    """
    tally = UnknownTally()
    return tokenizer.encode(prompt, tally, tokenizer.prompt_policy), tally


def write(
    model: StepModel,
    tokenizer: Tokenizer,
    prompt: list[int],
    config: GenerationConfig,
    sampling: SamplingConfig,
    beam: BeamConfig,
    *,
    details: bool = False,
) -> Iterator[Piece | Generated]:
    """Continue a prompt.

    Yields pieces of text as they become sure, those of several samples interleaved, and each
    text as a whole once it is finished. The pieces of a sample joined are its text.

    Args:
        model: what predicts.
        tokenizer: turns ids into text.
        prompt: the ids to continue; none at all begins a text.
        config: what is to be written; its seed must be set, unless nothing is drawn.
        sampling: how the next token is drawn.
        beam: how beams are searched, if they are.
        details: whether to keep ids and log-probabilities.
    """
    ids_1T, lengths_1 = pad([prompt])
    logits_1V, state = model.prefill(ids_1T, lengths_1, model.initial_state(1))
    if beam.beams:
        yield from _search(model, tokenizer, logits_1V, state, config, beam)
        return
    for first in range(0, config.samples, BLOCK):
        samples = range(first, min(first + BLOCK, config.samples))
        yield from _draw(
            model, tokenizer, logits_1V, state, config, sampling, samples, details=details
        )


def _draw(
    model: StepModel,
    tokenizer: Tokenizer,
    logits_1V: Floats,
    state: State,
    config: GenerationConfig,
    sampling: SamplingConfig,
    samples: range,
    *,
    details: bool,
) -> Iterator[Piece | Generated]:
    if config.greedy:
        choose = greedy()
    else:
        assert config.seed is not None
        choose = sampler(sampling, config.seed, samples)
    rows = {row: _Row(tokenizer, sample, config.stop) for row, sample in enumerate(samples)}
    steps = generate(model, logits_1V, state, len(samples), config.max_tokens, choose)
    for n, step in enumerate(steps, start=1):
        ids_B = step.ids_B.tolist()
        if details:
            log_probs_B = step.log_probs_B().tolist()
            for number, row in rows.items():
                row.ids.append(ids_B[number])
                row.log_probs.append(log_probs_B[number])
        for number, row in list(rows.items()):
            text = row.read(ids_B[number], last=n == config.max_tokens)
            if text:
                yield Piece(row.sample, text)
            if row.finished:
                del rows[number]
                yield row.generated()
        if not rows:
            break


class _Row:
    """A sample that is being written."""

    def __init__(self, tokenizer: Tokenizer, sample: int, stop: tuple[str, ...]) -> None:
        self.sample = sample
        self.finished: Finished | None = None
        self.ids: list[int] = []
        self.log_probs: list[float] = []
        self._tokenizer = tokenizer
        self._stream = TextStream(stop)
        self._pieces: list[str] = []

    def read(self, id: int, *, last: bool) -> str:
        """Take the next id; returns the text that became sure."""
        if id == self._tokenizer.end_id:
            self.finished = "end"
            piece = self._stream.finish()
        else:
            piece = self._stream.feed(self._tokenizer.token_bytes[id])
            if self._stream.stopped:
                self.finished = "stop"
            elif last:
                self.finished = "length"
                piece += self._stream.finish()
        self._pieces.append(piece)
        return piece

    def generated(self) -> Generated:
        assert self.finished is not None
        score = sum(self.log_probs) / max(len(self.log_probs), 1)
        text = "".join(self._pieces)
        ids, log_probs = tuple(self.ids), tuple(self.log_probs)
        return Generated(self.sample, text, self.finished, ids, log_probs, score)


def _search(
    model: StepModel,
    tokenizer: Tokenizer,
    logits_1V: Floats,
    state: State,
    config: GenerationConfig,
    beam: BeamConfig,
) -> Iterator[Piece | Generated]:
    stopped = stop_test(tokenizer.token_bytes, config.stop) if config.stop else lambda ids: False
    found = beam_search(model, logits_1V, state, config.max_tokens, beam, stopped)
    for rank, one in enumerate(found):
        ids = one.ids[:-1] if one.finished == "end" else one.ids
        stream = TextStream()
        text = stream.feed(tokenizer.decode(ids))
        if (cut := first_stop(text, config.stop)) is not None:
            text = text[:cut]
        yield Piece(rank, text)
        yield Generated(rank, text, one.finished, one.ids, one.log_probs, one.score)


def fresh_seed() -> int:
    """A seed that nobody chose; short enough to type."""
    return int(np.random.SeedSequence().generate_state(1)[0]) % 1_000_000
