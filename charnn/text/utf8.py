"""UTF-8 as it comes: text, with every byte that is no UTF-8 kept as a character of its own.

An invalid byte 0x80..0xFF stands in a ``str`` as U+DC80..U+DCFF, as Python keeps such bytes in
names of files (PEP 383, "surrogateescape"). No UTF-8 has these code points, so any bytes are one
``str``, and that is these bytes again.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from charnn.errors import InputError
from charnn.text.config import InvalidPolicy

#: What a byte that is no UTF-8 is in a ``str``, as a character class of a regular expression.
INVALID = "\udc80-\udcff"

_HANDLER = "surrogateescape"
_INVALID = re.compile(f"[{INVALID}]")


def encode_utf8(text: str) -> bytes:
    r"""The bytes that a text stands for.

    >>> encode_utf8("caf\udcc3")
    b'caf\xc3'

    Raises:
        InputError: it holds half a surrogate pair, which no bytes stand for.
    """
    try:
        return text.encode("utf-8", _HANDLER)
    except UnicodeEncodeError as error:
        raise InputError(
            f"U+{ord(text[error.start]):04X} at character {error.start} is half a surrogate pair,"
            " and no text"
        ) from None


def decode_utf8(chunks: Iterable[bytes]) -> Iterator[str]:
    r"""Bytes as text, wherever they are cut; what is no UTF-8 is kept byte by byte.

    >>> list(decode_utf8([b"caf\xc3", b"\xa9\xff", b"\xc3"]))
    ['caf', 'é\udcff', '\udcc3']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(_HANDLER)
    for chunk in chunks:
        if text := decoder.decode(chunk):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


@dataclass
class InvalidTally:
    """The bytes of a stream that are no UTF-8."""

    count: int = 0
    first: int = 0
    """The place of the first of them, in bytes."""

    def add(self, count: int, first: int) -> None:
        """Note ``count`` bytes, the first of them at ``first``."""
        if not self.count:
            self.first = first
        self.count += count


def read_utf8(
    chunks: Iterable[bytes],
    policy: InvalidPolicy,
    tally: InvalidTally | None = None,
    *,
    name: object = "",
) -> Iterator[bytes]:
    r"""Settle what is no UTF-8 in a stream of bytes, wherever it is cut.

    >>> b"".join(read_utf8([b"a\xff\xe4", b"\xb8b"], "replace")).decode()
    'a��b'

    Args:
        chunks: the bytes.
        policy: "bytes" keeps them, "replace" makes one U+FFFD of each malformed sequence (as the
            Unicode Standard 3.9 recommends), "strict" refuses them.
        tally: counts the bytes that are no UTF-8.
        name: what the stream is called.

    Raises:
        InputError: there are some, and the policy is "strict".
    """
    tally = tally or InvalidTally()
    offset = 0
    for text in decode_utf8(chunks):
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            first = offset + len(encode_utf8(text[: error.start]))
            if policy == "strict":
                raise InputError(
                    f"{name}: this is no UTF-8 text: invalid at byte {first}",
                    "--errors bytes keeps such bytes, --errors replace makes them U+FFFD",
                ) from None
            tally.add(len(_INVALID.findall(text)), first)
            data = encode_utf8(text)
        offset += len(data)
        # No malformed sequence goes on behind a piece, so each can be replaced by itself.
        yield data.decode("utf-8", "replace").encode() if policy == "replace" else data
