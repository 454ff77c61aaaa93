"""Text to text: a prompt goes in, and what the model writes comes out as it is made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from charnn.context import Context, read_prompt
from charnn.decode.beam import BeamSearch, Finished
from charnn.decode.config import Decoding, GenerationConfig
from charnn.decode.guides import Guide, Guides, Mask, NoRepeatNgram, RepetitionPenalty
from charnn.decode.loop import BLOCK, generate, greedy, sampler
from charnn.errors import GenerationError, InputError
from charnn.step import StepModel
from charnn.text.base import Tokenizer, UnknownTally
from charnn.text.streaming import TextStream, stop_test

#: A text whose last third repeats this often goes round in circles.
_ROUNDS = 3

#: Shorter texts may repeat themselves.
_SHORT = 60


@dataclass(frozen=True)
class Generated:
    """A text that is finished."""

    sample: int
    finished: Finished
    text: str = ""
    """What was written, without the prompt, up to the stop string or the document's end.

    Like all that follows, it is kept if details were asked for, or beams searched.
    """
    ids: tuple[int, ...] = ()
    """The generated ids."""
    log_probs: tuple[float, ...] = ()
    """Of each id, nats, under the model alone."""
    score: float = 0.0
    """The sum of the log-probabilities over the length to the power of the length penalty.

    With a repetition penalty, beams sum what it made of them.
    """
    seed: int | None = None
    """What it was drawn with; None if nothing was drawn."""


@dataclass(frozen=True)
class Piece:
    """A piece of a text that is being written."""

    sample: int
    text: str


def encode_prompt(tokenizer: Tokenizer, prompt: str | bytes) -> tuple[list[int], UnknownTally]:
    """The ids of a prompt, and what of it the vocabulary lacks: that is skipped, not refused.

    Raises:
        InputError: it is a ``str`` with half a surrogate pair.
    """
    tally = UnknownTally()
    return tokenizer.encode(prompt, tally, tokenizer.prompt_policy), tally


def read_prompt_text(
    model: StepModel, tokenizer: Tokenizer, prompt: str | bytes, after: Context | None = None
) -> tuple[Context, str]:
    """Let a model read a prompt, from nothing or after another.

    Returns:
        What the model then knows; and what of the prompt it does not know, in words.

    Raises:
        InputError: it is no UTF-8.
    """
    try:
        ids, tally = encode_prompt(tokenizer, prompt)
    except InputError as error:
        raise InputError(f"the prompt: {error.message}") from None
    lost = ""
    if tally.count:
        what = "replaced" if tokenizer.unknown_id is not None else "skipped"
        lost = f"the model never saw part of the prompt, which is {what}: {tally}"
    return read_prompt(model, ids, after), lost


def seeded(decoding: Decoding) -> Decoding:
    """The same, with a fresh seed if it draws and has none."""
    generation = decoding.generation
    if not decoding.draws or generation.seed is not None:
        return decoding
    return replace(decoding, generation=replace(generation, seed=fresh_seed()))


def write(
    model: StepModel,
    tokenizer: Tokenizer,
    context: Context,
    decoding: Decoding,
    *,
    details: bool = False,
) -> Iterator[Piece | Generated]:
    """Continue what was read.

    Yields pieces of text as they become sure, those of several samples interleaved, and each
    text as a whole once it is finished. The pieces of a sample joined are its text.

    Args:
        model: what predicts.
        tokenizer: turns ids into text.
        context: what the model has read.
        decoding: what is to be written, and how; its seed must be set, unless nothing is drawn.
        details: whether texts are kept as a whole, with ids and log-probabilities.

    Raises:
        UsageError: no text can match what is asked for.
        GenerationError: what is asked for left nothing to go on with.
    """
    guides = _guides(model, tokenizer, context, decoding)
    count = decoding.generation.samples
    if guides.complete_B(guides.initial_state(1), 1)[0]:
        # Nothing is a whole text, and the only one.
        seed = decoding.generation.seed if decoding.draws else None
        yield from (Generated(sample, "end", seed=seed) for sample in range(count))
        return
    if decoding.beam.beams:
        yield from _search(model, tokenizer, context, decoding, guides)
        return
    for first in range(0, count, BLOCK):
        samples = range(first, min(first + BLOCK, count))
        yield from _draw(model, tokenizer, context, decoding, guides, samples, details=details)


def _guides(model: StepModel, tokenizer: Tokenizer, context: Context, decoding: Decoding) -> Guides:
    config, generation = decoding.guide, decoding.generation
    guides: list[Guide] = []
    if config.repetition_penalty != 1:
        guides.append(
            RepetitionPenalty(config.repetition_penalty, model.vocabulary_size, context.ids)
        )
    if config.no_repeat_ngram:
        guides.append(NoRepeatNgram(config.no_repeat_ngram, context.ids))
    if config.ban or config.regex:
        # Takes time to import, and few ask for it.
        from charnn.decode.constraints import Constraint

        constraint = Constraint(
            tokenizer.token_bytes,
            max_tokens=generation.max_tokens,
            end_id=model.end_id,
            patterns=config.regex,
            banned=config.ban,
            stop=generation.stop,
            max_lines=generation.lines,
        )
        names = [name for name in ("ban", "regex") if getattr(config, name)]
        guides.append(Mask(constraint, " and ".join(f"--{name}" for name in names)))
    return Guides(guides)


def _draw(
    model: StepModel,
    tokenizer: Tokenizer,
    context: Context,
    decoding: Decoding,
    guides: Guides,
    samples: range,
    *,
    details: bool,
) -> Iterator[Piece | Generated]:
    config = decoding.generation
    if config.greedy:
        choose = greedy()
    else:
        assert config.seed is not None
        choose = sampler(decoding.sampling, config.seed, samples)
    rows = {row: _Row(tokenizer, sample, config) for row, sample in enumerate(samples)}
    steps = generate(
        model, context.logits_1V, context.state, len(samples), config.max_tokens, choose, guides
    )
    for n, step in enumerate(steps, start=1):
        ids_B = step.ids_B.tolist()
        log_probs_B = step.log_probs_B().tolist() if details else None
        for number, row in list(rows.items()):
            if step.blame and step.blocked_B is not None and step.blocked_B[number]:
                raise GenerationError(
                    f"{step.blame(number)} left no token to go on with after {n - 1}",
                    "ask for less",
                )
            complete = step.complete_B is not None and bool(step.complete_B[number])
            text = row.read(ids_B[number], complete=complete, last=n == config.max_tokens)
            if log_probs_B is not None:
                row.keep(text, ids_B[number], log_probs_B[number])
            if text:
                yield Piece(row.sample, text)
            if row.finished:
                del rows[number]
                yield row.generated()
        if not rows:
            break


class _Row:
    """A sample that is being written."""

    def __init__(self, tokenizer: Tokenizer, sample: int, config: GenerationConfig) -> None:
        self.sample = sample
        self.finished: Finished | None = None
        self._tokenizer = tokenizer
        self._stream = TextStream(config.stop, config.lines)
        self._pieces: list[str] = []
        self._seed = None if config.greedy else config.seed
        self._ids: list[int] = []
        self._log_probs: list[float] = []

    def read(self, id: int, *, complete: bool, last: bool) -> str:
        """Take the next id; returns the text that became sure."""
        ends = id == self._tokenizer.end_id
        piece = "" if ends else self._stream.feed(self._tokenizer.token_bytes[id])
        if self._stream.stopped:
            self.finished = "stop"
        elif ends or (complete and not last):
            self.finished = "end"
        elif last:
            self.finished = "length"
        return piece + self._stream.finish() if self.finished else piece

    def keep(self, piece: str, id: int, log_prob: float) -> None:
        """Keep what was read for the whole."""
        self._pieces.append(piece)
        self._ids.append(id)
        self._log_probs.append(log_prob)

    def generated(self) -> Generated:
        """The whole."""
        assert self.finished is not None
        score = sum(self._log_probs) / max(len(self._log_probs), 1)
        text = "".join(self._pieces)
        ids, log_probs = tuple(self._ids), tuple(self._log_probs)
        return Generated(self.sample, self.finished, text, ids, log_probs, score, self._seed)


def _search(
    model: StepModel,
    tokenizer: Tokenizer,
    context: Context,
    decoding: Decoding,
    guides: Guides,
) -> Iterator[Piece | Generated]:
    config = decoding.generation

    def text_of(ids: Sequence[int]) -> str:
        stream = TextStream(config.stop, config.lines)
        return stream.feed(tokenizer.decode(_without_end(ids, tokenizer))) + stream.finish()

    search = BeamSearch(
        model,
        context.logits_1V,
        context.state,
        config.max_tokens,
        decoding.beam,
        guides=guides,
        stopped=(
            stop_test(tokenizer.token_bytes, config.stop, config.lines)
            if config.stop or config.lines
            else None
        ),
        same=text_of,
    )
    stream = TextStream(config.stop, config.lines)
    for ids in search:
        if decoding.beam.nbest == 1:
            text = stream.feed(tokenizer.decode(_without_end(ids, tokenizer)))
            if text:
                yield Piece(0, text)
    if decoding.beam.nbest == 1 and (text := stream.finish()):
        yield Piece(0, text)
    for rank, one in enumerate(search.found):
        text = text_of(one.ids)
        if decoding.beam.nbest > 1:
            yield Piece(rank, text)
        yield Generated(rank, one.finished, text, one.ids, one.log_probs, one.score)


def _without_end(ids: Sequence[int], tokenizer: Tokenizer) -> Sequence[int]:
    return ids[:-1] if ids and ids[-1] == tokenizer.end_id else ids


def goes_in_circles(text: str) -> bool:
    """Whether the last third of a text says the same again and again.

    >>> goes_in_circles("Then he said it, " + "and he said it " * 9)
    True
    """
    if len(text) < _SHORT:
        return False
    end = text[-max(_SHORT, len(text) // 3) :]
    # A text has a period where it is found again in itself.
    return any(end.startswith(end[period:]) for period in range(1, len(end) // _ROUNDS + 1))


def fresh_seed() -> int:
    """A seed that nobody chose; short enough to type."""
    return int(np.random.SeedSequence().generate_state(1)[0]) % 1_000_000
