"""What ``charnn score`` writes of lines: rows with a number, which can be filtered and ranked."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from charnn.cli.console import Payload
from charnn.cli.paint import harmless as without_controls
from charnn.cli.paint import paint
from charnn.lines import ScoredLine


@dataclass(frozen=True)
class Block:
    """Some lines of a file that stand one after the other."""

    file: str
    first: int
    """The number of the first line; a file begins with 1."""
    lines: Sequence[bytes]
    scored: Sequence[ScoredLine]
    versus: Sequence[ScoredLine] | None = None
    """The same lines under another model."""

    def values(self) -> list[float]:
        """The number of each line: bits per character, or those that the model saves."""
        own = [line.bits_per_character for line in self.scored]
        if self.versus is None:
            return own
        others = [line.bits_per_character for line in self.versus]
        return [other - one for one, other in zip(own, others, strict=True)]


@dataclass(frozen=True)
class Row:
    """One row of the output; it is made when it is written."""

    value: float
    """What it is filtered and ranked by."""
    write: Callable[[Payload], None]


#: Makes rows of lines.
View = Callable[[Block], Iterator[Row]]


def ranked(rows: Iterable[Row], count: int | None = None) -> list[Row]:
    """The rows with the highest values, highest first; of equals, those that came first.

    Args:
        rows: what is no number comes last.
        count: how many, and no more are kept at a time; None: all.
    """

    def place(row: Row) -> float:
        return math.inf if math.isnan(row.value) else -row.value

    return sorted(rows, key=place) if count is None else heapq.nsmallest(count, rows, place)


# --- a row for each line -----------------------------------------------------------------------


def line_rows(
    block: Block, *, plain: bool, harmless: bool, token_bytes: Sequence[bytes] | None
) -> Iterator[Row]:
    """The number, a tab, and the line as it was.

    Args:
        block: the lines.
        plain: whether the number is left out.
        harmless: whether they go to a terminal, which obeys control characters.
        token_bytes: the bytes of each id, if lines are to be painted.
    """
    for value, line, scored in zip(block.values(), block.lines, block.scored, strict=True):

        def write(
            payload: Payload, value: float = value, line: bytes = line, scored: ScoredLine = scored
        ) -> None:
            payload.end_line()
            number = b"" if plain else f"{value:.4f}\t".encode()
            if token_bytes is not None:
                painted = paint(scored, token_bytes, line.decode("utf-8", "replace"))
                end = b"\n" if line.endswith(b"\n") else b""
                payload.write(number + painted.removesuffix("\n").encode() + end)
            elif harmless:
                shown = without_controls(line.decode("utf-8", "replace")).encode()
                payload.write(number + shown)
            else:
                payload.write(number + line)

        yield Row(value, write)


def line_records(block: Block) -> Iterator[Row]:
    """A JSON object for each line; its text is without the line end."""
    versus: Sequence[ScoredLine | None] = block.versus or [None] * len(block.lines)
    lines = zip(block.values(), block.lines, block.scored, versus, strict=True)
    for number, (value, line, scored, other) in enumerate(lines, block.first):
        text = line.removesuffix(b"\n").decode("utf-8", "replace")
        record = {"file": block.file, "line": number, "text": text, **_figures(scored)}
        if other is not None:
            record |= {"versus": _figures(other), "ratio": value}
        yield Row(value, partial(Payload.json, value=record))


def _figures(scored: ScoredLine) -> dict[str, object]:
    return {
        "nats": scored.nats,
        "tokens": scored.tokens,
        "characters": scored.characters,
        "bits_per_character": scored.bits_per_character,
        "unknown": scored.unknown,
    }


# --- a row for each token ----------------------------------------------------------------------


def token_rows(block: Block, *, token_bytes: Sequence[bytes]) -> Iterator[Row]:
    """The line's number, the token's bits, and the token, between tabs."""
    for number, id, nats in _tokens(block):
        bits = nats / math.log(2)
        shown = escaped(token_bytes[id])
        text = f"{number}\t{bits:.4f}\t{shown}\n"
        yield Row(bits, partial(Payload.write, text=text))


def token_records(block: Block, *, token_bytes: Sequence[bytes]) -> Iterator[Row]:
    """A JSON object for each token."""
    for number, id, nats in _tokens(block):
        record = {
            "file": block.file,
            "line": number,
            "id": id,
            "text": token_bytes[id].decode("utf-8", "replace"),
            "nats": nats,
            "bits": nats / math.log(2),
        }
        yield Row(nats / math.log(2), partial(Payload.json, value=record))


def _tokens(block: Block) -> Iterator[tuple[int, int, float]]:
    for number, scored in enumerate(block.scored, block.first):
        if scored.ids_T is not None and scored.nats_T is not None:
            pairs = zip(scored.ids_T.tolist(), scored.nats_T.tolist(), strict=True)
            yield from ((number, id, nats) for id, nats in pairs)


def escaped(token: bytes) -> str:
    r"""A token on one line, so that its bytes can be read off it again.

    >>> print(escaped(b"the \n"), escaped(b"\\"), escaped("é".encode()), escaped(b"\xc3"))
    the \n \\ é \xc3
    """
    text = token.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else _code(c) for c in text)


def _code(character: str) -> str:
    r"""An escape that is no byte's: these are \x80 and above."""
    if (code := ord(character)) < 0x80:
        return character.encode("unicode_escape").decode()
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
