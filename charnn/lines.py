"""Lines of text, and what each costs: many at once, or one after the other as one text.

A line is a text of its own: it begins after what an empty prompt feeds, and its line end is part of
it, predicted and counted like any character (unless the vocabulary has none). So an empty line has
a figure, a line that breaks off is strange, and the costs of all lines add up to the cost of the
file under a model that forgets at each line end.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charnn.errors import InputError
from charnn.score import characters_of
from charnn.step import State, StepModel, pad, select_rows
from charnn.text.base import Tokenizer, UnknownTally
from charnn.text.char import CharTokenizer

#: Tokens, padding included, and rows that are scored as one batch.
_BATCH_TOKENS, _BATCH_ROWS = 1 << 14, 256

#: Rows of one batch are up to twice as long as the shortest, and so many tokens more.
_SLACK = 16

#: Longer lines (bytes) are read piece by piece, so that only the line itself is ever kept.
_LONG_BYTES = 1 << 16

#: A line (bytes) is kept as a whole, so there is an end to it.
_LONGEST_BYTES = 1 << 26


@dataclass(frozen=True)
class ScoredLine:
    """What reading a line cost."""

    nats: float
    """In all."""
    tokens: int
    """How many were predicted."""
    characters: int
    """What they spell, in code points, the line end included."""
    unknown: int
    """How many tokens of the line the vocabulary lacks and lost."""
    ids_T: NDArray[np.int64] | None = None
    """What was predicted, if details were asked for."""
    nats_T: NDArray[np.float64] | None = None
    """What each of these cost."""
    bytes: int = 0
    """What they spell, the line end included."""

    @property
    def bits(self) -> float:
        """In all."""
        return self.nats / math.log(2)

    @property
    def bits_per_character(self) -> float:
        """The average cost; NaN where there is nothing that could be predicted."""
        return self.bits / self.characters if self.characters else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Likewise."""
        return self.bits / self.bytes if self.bytes else math.nan


class LineScorer:
    """Scores lines with one model.

    Args:
        model: predicts.
        tokenizer: turns lines into ids.
        context: whether lines are one text, each read in the light of all before it. Then, as in
            ``charnn.score.evaluate``, the very first token is read and not predicted.
        details: whether the cost of every token is kept.
    """

    def __init__(
        self,
        model: StepModel,
        tokenizer: Tokenizer,
        *,
        context: bool = False,
        details: bool = False,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._context, self._details = context, details
        self._characters_V = characters_of(tokenizer.token_bytes)
        if isinstance(tokenizer, CharTokenizer) and tokenizer.unknown_id is not None:
            self._characters_V[tokenizer.unknown_id] = 1  # whatever its name spells
        self._bytes_V = np.array([len(token) for token in tokenizer.token_bytes])
        _, self._start = model.prefill(*pad([[]]), model.initial_state(1))
        self._state: State | None = None
        self._has_line_end = self._knows_line_ends()
        self.unknown = UnknownTally()
        """What the vocabulary lacked in all lines so far."""

    def begin(self) -> None:
        """With context: what comes is another text."""
        self._state = None

    def score(self, lines: Sequence[bytes]) -> list[ScoredLine]:
        """What each of these lines costs, in their order.

        The lines that are no longer than usual are scored side by side, those of like length in
        one batch; that changes no figure but by rounding.

        Args:
            lines: each with its line end, if it has one.
        """
        if self._context:
            return [self._read_on(line) for line in lines]
        scored: dict[int, ScoredLine] = {}
        short: dict[int, tuple[NDArray[np.int64], int]] = {}
        for n, line in enumerate(lines):
            if len(line) > _LONG_BYTES:
                scored[n], _ = self._read(line, self._start)
            else:
                short[n] = self._encode_whole(line)
        for batch in batches({n: len(ids_T) for n, (ids_T, _) in short.items()}):
            ids_BT, lengths_B = pad([short[n][0] for n in batch])
            state = select_rows(np.zeros(len(batch), dtype=np.int64), self._start)
            nats_BT, _ = self._model.nats(ids_BT, lengths_B, state)
            for n, nats_T in zip(batch, nats_BT, strict=True):
                ids_T, unknown = short[n]
                scored[n] = self._scored(ids_T, nats_T[: len(ids_T)], unknown)
        return [scored[n] for n in range(len(lines))]

    def _read_on(self, line: bytes) -> ScoredLine:
        scored, self._state = self._read(line, self._state)
        return scored

    def _knows_line_ends(self) -> bool:
        tally = UnknownTally()
        self._tokenizer.encode("\n", tally, self._tokenizer.prompt_policy)
        return not tally.count

    def _scored(
        self, ids_T: NDArray[np.int64], nats_T: NDArray[np.float64], unknown: int
    ) -> ScoredLine:
        characters = int(self._characters_V[ids_T].sum())
        scored = ScoredLine(
            float(nats_T.sum()),
            len(ids_T),
            characters,
            unknown,
            bytes=int(self._bytes_V[ids_T].sum()),
        )
        # Copied, or a line would keep its whole batch.
        return replace(scored, ids_T=ids_T, nats_T=nats_T.copy()) if self._details else scored

    def _encode_whole(self, line: bytes) -> tuple[NDArray[np.int64], int]:
        """The ids of a line, and how many of its tokens were lost."""
        before = self.unknown.count
        ids_T = np.concatenate([np.zeros(0, dtype=np.int64), *self._encode(line)])
        return ids_T, self.unknown.count - before

    def _encode(self, line: bytes) -> Iterator[NDArray[np.int64]]:
        """The ids of a line, piece by piece."""
        if not self._has_line_end:
            line = line.removesuffix(b"\n")
        pieces = (line[n : n + _LONG_BYTES] for n in range(0, len(line), _LONG_BYTES))
        yield from self._tokenizer.encode_stream(
            pieces, self.unknown, self._tokenizer.prompt_policy
        )

    def _read(self, line: bytes, state: State | None) -> tuple[ScoredLine, State | None]:
        """Read a line of any length piece by piece; a state of None begins a text with it."""
        before = self.unknown.count
        total = ScoredLine(0.0, 0, 0, 0)
        kept = [(np.zeros(0, dtype=np.int64), np.zeros(0))]
        for piece_T in self._encode(line):
            ids_T = piece_T
            if state is None and len(ids_T):
                _, state = self._model.prefill(*pad([ids_T[:1]]), self._model.initial_state(1))
                kept.append((ids_T[:1], np.full(1, np.nan)))
                ids_T = ids_T[1:]
            if state is None or not len(ids_T):
                continue
            nats_1T, state = self._model.nats(*pad([ids_T]), state)
            total = _sum(total, self._scored(ids_T, nats_1T[0], 0))
            if self._details:
                kept.append((ids_T, nats_1T[0]))
        total = replace(total, unknown=self.unknown.count - before)
        if self._details:
            ids, nats = zip(*kept, strict=True)
            total = replace(total, ids_T=np.concatenate(ids), nats_T=np.concatenate(nats))
        return total, state


def _sum(a: ScoredLine, b: ScoredLine) -> ScoredLine:
    tokens, characters = a.tokens + b.tokens, a.characters + b.characters
    return ScoredLine(a.nats + b.nats, tokens, characters, 0, bytes=a.bytes + b.bytes)


def whole_lines(chunks: Iterable[bytes], name: str = "") -> Iterator[list[bytes]]:
    """Cut a stream after each line feed, and nowhere else: the lines that each chunk completes.

    Nothing is waited for but the end of a line, and no more than one unfinished line is kept.

    Args:
        chunks: the stream.
        name: what it is called.

    Raises:
        InputError: a line is longer than 64 MiB.

    >>> list(whole_lines([b"one\\r\\n\\ntw", b"o\\nthr", b"ee"]))
    [[b'one\\r\\n', b'\\n'], [b'two\\n'], [b'three']]
    """
    held = bytearray()
    count = 0
    for chunk in chunks:
        first = chunk.find(b"\n") + 1
        if len(held) + (first or len(chunk)) > _LONGEST_BYTES:
            raise InputError(
                f"{name}: line {count + 1} is longer than {_LONGEST_BYTES >> 20} MiB",
                "charnn evaluate --text reads a text of any length as one",
            )
        if not first:
            held += chunk
            continue
        held += chunk[:first]
        *others, last = chunk[first:].split(b"\n")
        lines = [bytes(held), *(line + b"\n" for line in others)]
        count += len(lines)
        yield lines
        held = bytearray(last)
    if held:
        yield [bytes(held)]


def batches(lengths: Mapping[int, int]) -> Iterator[list[int]]:
    """Group rows of like length, so that little is padded and no batch is too large.

    Args:
        lengths: of each row, by its number.

    >>> list(batches({0: 3, 1: 9000, 2: 4, 3: 9000}))
    [[0, 2], [1], [3]]
    """
    batch: list[int] = []
    for n in sorted(lengths, key=lambda n: lengths[n]):
        if batch and (
            len(batch) == _BATCH_ROWS
            or (len(batch) + 1) * lengths[n] > _BATCH_TOKENS
            or lengths[n] > 2 * lengths[batch[0]] + _SLACK
        ):
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch
