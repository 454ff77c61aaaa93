"""The subword tokenizer: sentencepiece, set up to keep all text.

Kudo & Richardson (2018), "SentencePiece"; unigram: Kudo (2018), "Subword Regularization"; BPE:
Sennrich et al. (2016), "Neural Machine Translation of Rare Words with Subword Units".
"""

import io
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from charnn.errors import InputError, UsageError
from charnn.files import sha256
from charnn.text.base import (
    Documents,
    Ids,
    Tokenizer,
    UnknownTally,
    split_documents,
)
from charnn.text.config import TokenizerConfig, UnknownPolicy
from charnn.text.pieces import MOST_BYTES, UNKNOWN, read_pieces
from charnn.text.utf8 import INVALID, decode_utf8, encode_utf8
from charnn.text.vocabulary import UNKNOWN_TEXT

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

#: sentencepiece writes a space as this; where a text has one of its own, it is spelled in bytes.
_SPACE = "▁"
_MARK = _SPACE.encode()

#: What sentencepiece cannot be given: its sign for a space, and bytes that are no UTF-8; and spaces
#: where they have no piece, for it spells them as it writes them.
_SPELLED = re.compile(f"([{_SPACE}{INVALID}])")
_SPELLED_WITH_SPACES = re.compile(f"([ {_SPACE}{INVALID}])")

#: Lines are cut here (characters), since sentencepiece drops long ones when it learns.
_LINE_CHARACTERS = 1000

#: Characters that sentencepiece learns from, about: of a longer text lines are drawn at random. It
#: keeps them all, many times over, and takes a minute for each million that no space divides.
_SAMPLE_CHARACTERS = 10_000_000

_DEFAULT_SIZE = 2000

#: The share of all characters that get pieces of their own; the rest is spelled in bytes.
_COVERAGE = 0.9995
_LEAST_COVERAGE = 0.98

#: The unknown piece, the line end, and 256 bytes.
_FIXED_PIECES = 258


def lines_of(texts: Iterable[str | None]) -> Iterator[list[str] | None]:
    """Cut a stream of text after line ends, long lines where they get too long; None passes.

    >>> list(lines_of(["a\\nb", "c\\n"]))
    [['a\\n'], ['bc\\n'], []]
    """
    pattern = re.compile(rf"[^\n]{{0,{_LINE_CHARACTERS - 1}}}\n|[^\n]{{{_LINE_CHARACTERS}}}")
    held = ""
    for text in texts:
        if text is None:
            yield [held] if held else []
            held = ""
            yield None
            continue
        held += text
        matches = list(pattern.finditer(held))
        if matches:
            yield [match[0] for match in matches]
            held = held[matches[-1].end() :]
    yield [held] if held else []


class SubwordTokenizer(Tokenizer):
    """Pieces that sentencepiece found, bytes for what they do not cover, line ends as tokens.

    No normalization, no added prefix, white space kept: all text returns exactly.
    """

    kind = "subword"

    def __init__(self, model: bytes, end_text: str | None = None) -> None:
        import sentencepiece

        pieces = read_pieces(model)
        processor: SentencePieceProcessor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(pieces.to_model())
        self._processor = processor
        self._model = model
        self._spelled = _SPELLED if pieces.has(_MARK) else _SPELLED_WITH_SPACES
        self.end_text = end_text
        self.stand_ins = pieces.spelled
        table = [
            UNKNOWN_TEXT.encode() if kind == UNKNOWN else text.replace(_MARK, b" ")
            for text, kind in zip(pieces.texts, pieces.types, strict=True)
        ]
        for byte, id in enumerate(pieces.spelled):
            table[id] = bytes([byte])
        if end_text is not None:
            self.end_id = len(table)
            table.append(end_text.encode())
        self.token_bytes = tuple(table)

    @classmethod
    def train(cls, documents: Documents, config: TokenizerConfig) -> Self:
        """Learn the pieces from a bounded random sample of the corpus's lines."""
        import sentencepiece

        characters: Counter[str] = Counter()
        for chunks in documents:
            for text in decode_utf8(chunks):
                characters.update(text)
        share = _SAMPLE_CHARACTERS / max(characters.total(), 1)
        draw = random.Random(0).random
        for skipped in [*"\0\n ", *filter(_SPELLED.match, characters)]:
            characters.pop(skipped, None)
        size, coverage = _size_and_coverage(characters, config.vocabulary_size)
        stopped: list[BaseException] = []
        sample = (
            _SPELLED.sub("", line.rstrip("\n").replace("\0", ""))
            for chunks in documents
            for lines in lines_of(split_documents(decode_utf8(chunks), config.end_text))
            for line in lines or ()
            if share >= 1 or draw() < share
        )
        written = io.BytesIO()
        sentencepiece.set_random_generator_seed(0)
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_noting(filter(None, sample), stopped),
                model_writer=written,
                model_type=config.subword,
                vocab_size=size - (config.end_text is not None),
                hard_vocab_limit=config.vocabulary_size is not None and config.subword == "bpe",
                max_sentence_length=4 * _LINE_CHARACTERS,
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                user_defined_symbols=["\n"],
                character_coverage=coverage,
                num_threads=4,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            if stopped:
                raise stopped[0] from None
            reason = " ".join(str(error).split()).rpartition("] ")[2]
            raise UsageError(
                f"sentencepiece cannot make {size} subwords of this corpus: {reason}",
                "choose another --vocab-size",
            ) from None
        return cls(written.getvalue(), config.end_text)

    def extended(self, documents: Documents, min_count: int | None = None) -> Self:
        raise UsageError(
            "a subword vocabulary cannot be extended: sentencepiece learns all pieces at once",
            "leave out --extend-vocabulary: what its pieces lack is spelled in bytes",
        )

    def encode_stream(
        self,
        chunks: Iterable[bytes],
        tally: UnknownTally | None = None,
        unknown: UnknownPolicy | None = None,
    ) -> Iterator[Ids]:
        """Nothing is unknown: what no piece covers is spelled in bytes."""
        for lines in lines_of(split_documents(decode_utf8(chunks), self.end_text)):
            if lines is None:
                yield np.array([self.end_id], dtype=np.int64)
                continue
            ids: list[int] = []
            for line in lines:
                whole, *rest = self._spelled.split(line)
                ids += self._processor.encode(whole)
                for odd, part in zip(rest[::2], rest[1::2], strict=True):
                    ids += [self.stand_ins[byte] for byte in encode_utf8(odd)]
                    if part:
                        ids += self._processor.encode(part)
            if tally is not None and tally.lacking is not None:
                spelled = b"".join(self.token_bytes[id] for id in ids if id in self.stand_ins)
                tally.lacking.update(spelled.decode("utf-8", "surrogateescape"))
            yield np.array(ids, dtype=np.int64)

    @property
    def digest(self) -> str:
        """Identifies what becomes of a text: beside the pieces, what sentencepiece prefers."""
        return sha256(self._model + super().digest.encode())

    def save(self, folder: Path) -> None:
        """Write sentencepiece's own model beside the two files of every tokenizer."""
        super().save(folder)
        (folder / "subword.model").write_bytes(self._model)

    def fields(self) -> dict[str, Any]:
        return {"end_text": self.end_text}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], folder: Path) -> Self:
        path = folder / "subword.model"
        end_text = fields["end_text"]
        if not (end_text is None or isinstance(end_text, str)):
            raise ValueError("end_text is malformed")
        try:
            with path.open("rb") as file:
                return cls(file.read(MOST_BYTES + 1), end_text)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"cannot read the sentencepiece model {path}: {error}") from None


def _noting(lines: Iterable[str], stopped: list[BaseException]) -> Iterator[str]:
    """Keep what goes wrong, such as Ctrl-C: sentencepiece makes an error of its own of it."""
    try:
        yield from lines
    except GeneratorExit:
        raise
    except BaseException as error:
        stopped.append(error)
        raise


def _size_and_coverage(characters: Counter[str], asked: int | None) -> tuple[int, float]:
    """The vocabulary's size, and the share of characters that fits into half of it."""
    covered = list(itertools.accumulate(sorted(characters.values(), reverse=True)))
    total = covered[-1] if covered else 1

    def needed(share: float) -> int:
        return next((n for n, seen in enumerate(covered, 1) if seen >= share * total), 0)

    most, least = needed(_COVERAGE), needed(_LEAST_COVERAGE)
    size = asked or max(_DEFAULT_SIZE, 2 * most)
    room = size - _FIXED_PIECES
    if least >= room:
        raise UsageError(
            f"{size} subwords are too few for the {len(covered)} characters of this corpus",
            f"--vocab-size must be at least {least + _FIXED_PIECES + 1}",
        )
    kept = min(most, max(room // 2, least))
    return size, min(_COVERAGE, covered[kept - 1] / total) if kept else _COVERAGE
