"""Text that is often spoilt on its way, and what is tried with it in a process of its own."""

import json
import os
import random
import resource
import sys
from functools import cache
from pathlib import Path

from charnn.cli.places import chunks_of
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.text import corpus
from charnn.text.config import TokenizerConfig
from charnn.text.pieces import UNKNOWN, read_pieces
from charnn.text.subword import SubwordTokenizer
from charnn.text.tokenizers import train_tokenizer

KNOWN = "The fox saw the moon in the well. 狐狸看见井里的月亮。\nShe said: don't drink it!\n" * 40

HOSTILE = (
    "\ufeffBOM\r\nCRLF\rCR\n\nNUL \0\u2028LS\u2029PS\x85NEL\x1cFS\x0bVT\x0cFF "
    "e\u0301 👩‍👩‍👧 \u202eRTL\u202c שלום مرحبا <eos> <unk> <s> </s> <0x41> ▁▁ � \U0010ffff\n"
).encode() + b"\xff\xfe \xc3\x28 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 \x80\xbf\r"

KINDS = {kind: TokenizerConfig(kind) for kind in ("byte", "char", "word", "subword")}

#: Bytes that a long line is made of.
LINE = "The fox saw the moon. 狐狸\r".encode()


@cache
def subwords(algorithm):
    config = TokenizerConfig("subword", subword=algorithm, vocabulary_size=320)
    return train_tokenizer([[KNOWN.encode()]], config)


# --- the memory that a line takes --------------------------------------------------------------


def take_peak():
    """The most memory held since this was last asked; Linux alone tells."""
    # Not ru_maxrss: that begins with the peak of the process which started this one.
    line = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[0]) << 10


def use_line(folder, kind, megabytes):
    """Read a line of so many MB in every way."""
    path = folder / f"{megabytes}.txt"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(LINE * ((1 << 20) // len(LINE)))
    tokenizer = train_tokenizer([[KNOWN.encode()]], KINDS[kind])
    assert sum(len(ids) for ids in tokenizer.encode_stream(chunks_of(path))) > megabytes << 17
    if kind != "subword":  # whose sample is bounded by itself
        tokenize_corpus(SourceConfig((path,)), KINDS[kind], folder / f"{kind}{megabytes}")


def measure_lines(folder):
    """Print the peaks of each tokenizer, after a line of 1 MB and after a long one, and its MB."""
    corpus.CHUNK_BYTES = 1 << 16  # what a chunk takes shall be little beside a line
    told = {}
    for kind in KINDS:
        long = 16 if kind in ("byte", "char") else 8  # the others take their time
        use_line(folder, kind, 1)  # whatever stays, stays from here on
        take_peak()
        peaks = []
        for megabytes in (2, long):
            use_line(folder, kind, megabytes)
            peaks.append(take_peak())
        told[kind] = [*peaks, long]
    print(json.dumps(told))


# --- models of strangers -----------------------------------------------------------------------


def mutant(rng, model):
    """A model with some bytes flipped, set, cut off, put in, taken out, or doubled."""
    data = bytearray(model)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 10))):
        at = rng.choice((rng.randrange(len(data) + 1), max(0, len(data) - rng.randrange(1, 120))))
        match rng.randrange(8):
            case 0 | 1:
                data[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[at:][:1])
            case 2 | 3:
                data[at : at + 1] = rng.choice((b"\0", b"\x7f", b"\x80", b"\xff", rng.randbytes(1)))
            case 4:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 5:
                del data[at : at + rng.randrange(1, 9)]
            case 6:
                data[at:at] = data[at : at + rng.randrange(1, 300)]
            case 7 if not rng.randrange(4):
                del data[at:]
    return bytes(data)


def use_mutants(algorithm, count):
    """Open one mutant after the other and use it; print how many were used and refused."""
    model = subwords(algorithm)._model
    for limit, most in ((resource.RLIMIT_DATA, 1 << 30), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    used = refused = 0
    for number in range(count):
        print(number, flush=True)
        try:
            one = SubwordTokenizer(mutant(random.Random(f"{algorithm} {number}"), model))
        except (ValueError, RuntimeError):
            refused += 1
            continue
        used += 1
        for data in (HOSTILE, KNOWN.encode()[:300], b"a" * 1500, b""):
            ids = one.encode(data)
            assert one.decode(ids) == data
            assert all(0 <= id < one.vocabulary_size for id in ids)
        assert UNKNOWN in read_pieces(one._model).types
    print(json.dumps({"used": used, "refused": refused}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lines", folder]:
            measure_lines(Path(folder))
        case ["mutants", algorithm, count]:
            use_mutants(algorithm, int(count))
