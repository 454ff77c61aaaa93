"""What a sentencepiece model says, read and checked before its own parser sees it.

That parser is C++: a model from a stranger can make it abort, or read where nothing is. So the
file is read here, only what charnn's own models hold is believed, and from that a model is written
anew: sentencepiece never sees a byte that was not checked. The format is a protobuf
(sentencepiece_model.proto): pieces with their scores and types, and how text is prepared.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: The types of pieces.
NORMAL, UNKNOWN, USER_DEFINED, BYTE = 1, 2, 4, 6

UNIGRAM, BPE = 1, 2

#: Of a file, and of a piece: sentencepiece learns pieces of up to 16 characters.
MOST_BYTES, _MOST_PIECE_BYTES = 1 << 26, 64

#: Scores are log-probabilities, or minus the place in the order of merges.
_MOST_SCORE = 1e9

# How a field is stored: a number of any size, bytes with their size in front, or so many bytes.
_NUMBER, _BLOCK = 0, 2
_SIZES = {1: 8, 5: 4}


@dataclass(frozen=True)
class Pieces:
    """The part of a sentencepiece model that decides what becomes of a text."""

    algorithm: int
    """Unigram or BPE."""
    texts: tuple[bytes, ...]
    """UTF-8."""
    scores: tuple[float, ...]
    types: tuple[int, ...]

    def has(self, text: bytes) -> bool:
        """Whether a text of its own has a piece; if not, it is spelled in bytes."""
        return (text, NORMAL) in zip(self.texts, self.types, strict=True)

    @property
    def spelled(self) -> range:
        """The ids of bytes 0 to 255."""
        first = self.types.index(BYTE)
        return range(first, first + 256)

    def to_model(self) -> bytes:
        """A model that keeps all text: no normalization, nothing added, nothing removed."""
        pieces = [
            # A block 1 that holds a block 1, four bytes 2 and a number 3.
            b"\x0a%c\x0a%c%b\x15%b\x18%c"
            % (len(text) + 9, len(text), text, struct.pack("<f", score), kind)
            for text, score, kind in zip(self.texts, self.scores, self.types, strict=True)
        ]
        # No pieces for beginning, end and padding (41, 42, 43), and byte fallback (35).
        without = b"".join(_number(field, -1) for field in (41, 42, 43))
        trained = _number(3, self.algorithm) + _number(35, 1) + without
        prepared = _block(1, b"identity") + _number(3, 0) + _number(4, 0)
        return b"".join(pieces) + _block(2, trained) + _block(3, prepared)


def read_pieces(model: bytes) -> Pieces:
    """Read a sentencepiece model that charnn made.

    Raises:
        ValueError: it is none; what is wrong with it.
    """
    if len(model) > MOST_BYTES:
        raise ValueError("it is too large")
    algorithm = UNIGRAM
    pieces = []
    for number, value in _fields(model):
        if not isinstance(value, bytes):
            raise ValueError("it is no sentencepiece model")
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            algorithm = _algorithm(value)
        elif number == 3:
            _check_preparation(value)
        elif value:
            raise ValueError(f"it has a part {number}, which charnn does not make")
    if not pieces:
        raise ValueError("it has no pieces")
    texts, scores, types = zip(*pieces, strict=True)
    read = Pieces(algorithm, texts, scores, types)
    _check_whole(read)
    return read


def _piece(data: bytes) -> tuple[bytes, float, int]:
    text, score, kind = b"", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and value in (NORMAL, UNKNOWN, USER_DEFINED, BYTE):
            kind = int(value)
        else:
            raise ValueError(f"a piece has an unknown part {number}")
    if not 0 < len(text) <= _MOST_PIECE_BYTES or b"\0" in text:
        raise ValueError("a piece is empty, too long, or holds NUL")
    if not abs(score) <= _MOST_SCORE:
        raise ValueError(f"a piece has the score {score}")
    return text, score, kind


def _algorithm(data: bytes) -> int:
    found = dict(_fields(data)).get(3, UNIGRAM)
    if found not in (UNIGRAM, BPE):
        raise ValueError("its algorithm is neither unigram nor BPE")
    return int(found)


def _check_preparation(data: bytes) -> None:
    fields = dict(_fields(data))
    tables, prefix, stripped, marked = (2, 6), 3, 4, 5
    if any(map(fields.get, tables)) or fields.get(prefix, 1) or fields.get(stripped, 1):
        raise ValueError("it changes the text")
    if fields.get(marked, 1) != 1:
        raise ValueError("it does not mark spaces")


def _check_whole(pieces: Pieces) -> None:
    b"\n".join(pieces.texts).decode()
    if len(set(pieces.texts)) != len(pieces.texts):
        raise ValueError("a piece comes twice")
    if pieces.types.count(UNKNOWN) != 1:
        raise ValueError("it has not one unknown piece")
    if pieces.types.count(BYTE) != 256 or pieces.texts[pieces.spelled.start :][:256] != _BYTES:
        raise ValueError("it has not 256 bytes in order")


_BYTES = tuple(b"<0x%02X>" % byte for byte in range(256))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, in their order: number, and what it holds."""
    at, end = 0, len(data)
    while at < end:
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)
        kind = key & 7
        if kind == _NUMBER:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BLOCK and at < end:
            size, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError("it is no sentencepiece model")
        if size > end - at:
            raise ValueError("it breaks off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the place behind it."""
    value = 0
    for n, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            return value, at + n + 1
    raise ValueError("it breaks off")


def _written(value: int) -> bytes:
    value &= (1 << 64) - 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _number(field: int, value: int) -> bytes:
    return _written(field << 3 | _NUMBER) + _written(value)


def _block(field: int, data: bytes) -> bytes:
    return _written(field << 3 | _BLOCK) + _written(len(data)) + data
