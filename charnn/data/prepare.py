"""Text to a tokenized corpus: survey, split, learn the vocabulary, encode. All as streams."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charnn.data.config import END_TEXTS, SourceConfig
from charnn.data.like import Met, check_like, options_like
from charnn.data.store import (
    HEADER,
    CorpusHeader,
    SplitHeader,
    TokenizedCorpus,
    dtype_for,
    is_corpus,
)
from charnn.errors import (
    CorpusError,
    CorpusExistsError,
    InputError,
    UnknownTokenError,
    UsageError,
)
from charnn.files import cannot_write, printable, sha256_of_file, staged_folder
from charnn.text.base import Tokenizer, UnknownTally
from charnn.text.config import InvalidPolicy, TokenizerConfig
from charnn.text.corpus import PACKED, Advance, Chunks, Corpus, Slice, find_files, spool, survey
from charnn.text.tokenizers import train_tokenizer

#: Called when a stage begins, with its name and its size in bytes; returns what counts the bytes.
Watch = Callable[[str, int], Advance]


def tokenize_corpus(
    sources: SourceConfig,
    config: TokenizerConfig,
    target: Path,
    *,
    like: Tokenizer | None = None,
    extend: bool = False,
    force: bool = False,
    watch: Watch = lambda stage, size: lambda done: None,
) -> tuple[TokenizedCorpus, bool]:
    """Tokenize text into the folder ``target``, which appears whole or not at all.

    Args:
        sources: the text.
        config: the tokenizer.
        target: the folder to make, ``corpora/NAME``.
        like: the tokenizer itself, that of a model; ``config`` then asks for nothing.
        extend: whether ``like`` gets the symbols that it lacks, seen ``config.min_count`` times.
        force: whether another corpus of that name gives way.
        watch: is told of progress.

    Returns:
        The corpus, and whether it was made: False if the same text, tokenized the same way, was
        already there.

    Raises:
        InputError: a source is missing, empty, no text where that is asked for, or it changed
            while it was read.
        UsageError: ``target`` has no name, ``config`` asks for another tokenizer than ``like``, or
            ``like`` cannot be extended.
        CorpusExistsError: ``target`` holds another corpus and ``force`` is not set.
        CorpusError: ``target`` holds something else.
        OutputError: ``target`` cannot be written.
    """
    if target.name in ("", ".."):
        raise UsageError(f"-o {target} is no name for a corpus")
    check_like(config, like, extend)
    kind = like.kind if like else config.tokenizer
    names = {
        "train": find_files(sources.train),
        "validation": find_files(sources.validation),
        "test": find_files(sources.test),
    }
    surveyed = {
        split: survey(
            files,
            watch("reading", _known_size(files)),
            policy=sources.errors,
            text=kind != "byte",
        )
        for split, files in names.items()
        if files
    }
    several = len(names["train"]) > 1
    if like is None and (several or sources.document != "file"):
        config = replace(config, end_text=END_TEXTS[sources.document])
    source = {
        # A copy of standard input lies in a folder that is soon gone.
        "files": [_named(path) for path in names["train"]],
        "bytes": sum(corpus.size for corpus in surveyed.values()),
        "digests": {split: corpus.digest for split, corpus in surveyed.items()},
        **_told_of_invalid(surveyed.values(), sources.errors),
    }
    options: dict[str, Any] = {
        **(options_like(config, like, extend) if like else asdict(config)),
        "document": sources.document,
        "validation_share": 0.0 if sources.validation else sources.validation_share,
    }
    if target.exists():
        if not is_corpus(target):
            # --force replaces corpora, never a folder that holds something else.
            raise CorpusError(f"{target} exists and is no tokenized corpus", "use another -o")
        if not force:
            return _existing(target, source, options), False
    splits: dict[str, Slice] = {split: corpus.whole() for split, corpus in surveyed.items()}
    if not sources.validation and sources.validation_share:
        train, validation = surveyed["train"].split(1 - sources.validation_share)
        splits = {"train": train, "validation": validation} | (
            {"test": splits["test"]} if "test" in splits else {}
        )
    met = None
    if like is None:
        tokenizer = _train(splits, config, watch)
    else:
        tokenizer = _extended(like, splits, config, watch) if extend else like
        met = Met(tokenizer, END_TEXTS[sources.document])
    # What is encoded must be what was surveyed: the slices of a corpus are all of it, in order.
    encoded = {id(corpus): hashlib.sha256() for corpus in surveyed.values()}
    with staged_folder(target, what="corpus", replace=force) as folder:
        headers = {}
        for split, slice in splits.items():
            advance = watch(f"encoding {split}", slice.size)
            digest = encoded[id(slice.corpus)]
            headers[split] = _encode(tokenizer, slice, folder / split, advance, digest, met)
        for corpus in surveyed.values():
            if encoded[id(corpus)].hexdigest() != corpus.sha256:
                raise InputError(f"{corpus.names} changed while it was read", "try again")
        tokenizer.save(folder / "tokenizer")
        header = CorpusHeader(
            printable(Path(target.name)),
            tokenizer.kind,
            tokenizer.vocabulary_size,
            source,
            options,
            headers,
            met.lacking() if met else None,
        )
        (folder / HEADER).write_text(header.to_json(), encoding="utf-8")
    return TokenizedCorpus.open(target), True


def _told_of_invalid(corpora: Iterable[Corpus], policy: InvalidPolicy) -> dict[str, Any]:
    """For the header: how many bytes are no UTF-8, where the first is, and what became of them."""
    found = [corpus.invalid for corpus in corpora if corpus.invalid]
    if not found:
        return {}
    first = f"byte {found[0].offset} of {_named(found[0].file)}"
    count = sum(one.bytes for one in found)
    return {"invalid": {"bytes": count, "first": first, "errors": policy}}


def _named(path: Path) -> str:
    """What a header calls a file; a copy of standard input is called so."""
    return "-" if path.name == "-" else printable(path)


def _known_size(files: list[Path]) -> int:
    """The bytes that will be read; 0 where that is not known, since files are packed."""
    if any(file.suffix in PACKED for file in files):
        return 0
    return sum(file.stat().st_size for file in files)


def keep_stream(stream: BinaryIO, copy: Path) -> Path:
    """Keep what can be read only once in a file, since a corpus is read more than once."""
    with cannot_write("a copy of the input to", copy):
        return spool(stream, copy)


def _existing(target: Path, source: dict[str, Any], options: dict[str, Any]) -> TokenizedCorpus:
    corpus = TokenizedCorpus.open(target)
    same_text = corpus.header.source["digests"] == source["digests"]
    if same_text and corpus.header.options == options:
        return corpus
    before, now = (one.get("invalid", {}) for one in (corpus.header.source, source))
    # Of text that was replaced the digest is another.
    others = before.get("errors") != now.get("errors")
    other_errors = others and before == {**now, "errors": before.get("errors")}
    what = "with other options" if same_text or other_errors else "from other text"
    raise CorpusExistsError(f"{target} exists, made {what}")


@dataclass(frozen=True)
class _Documents:
    """The files of some slices, each as its chunks; iterates as often as needed."""

    slices: tuple[Slice, ...]
    advance: Advance

    def __iter__(self) -> Iterator[Chunks]:
        for slice in self.slices:
            for part in slice.parts(self.advance):
                yield part.chunks


def _train(splits: dict[str, Slice], config: TokenizerConfig, watch: Watch) -> Tokenizer:
    """Learn the vocabulary.

    Symbols are counted over all of the corpus, so that every split can be told in them; subwords
    are learned from the training split.
    """
    if config.tokenizer == "byte":
        return train_tokenizer((), config)
    learned = (splits["train"],) if config.tokenizer == "subword" else tuple(splits.values())
    advance = watch("counting", sum(slice.size for slice in learned))
    return train_tokenizer(_Documents(learned, advance), config)


def _extended(
    like: Tokenizer, splits: dict[str, Slice], config: TokenizerConfig, watch: Watch
) -> Tokenizer:
    """``like`` with what it lacks of all splits."""
    advance = watch("counting", sum(slice.size for slice in splits.values()))
    return like.extended(_Documents(tuple(splits.values()), advance), config.min_count)


def _encode(
    tokenizer: Tokenizer,
    slice: Slice,
    stem: Path,
    advance: Advance,
    read: "hashlib._Hash",
    met: Met | None,
) -> SplitHeader:
    """Write ``stem``.ids and ``stem``.documents."""
    dtype = dtype_for(tokenizer.vocabulary_size)
    bytes_of_id = np.array([len(token) for token in tokenizer.token_bytes], dtype=np.int64)
    end_id = tokenizer.end_id
    tally = UnknownTally(lacking=met.symbols if met else None)
    ids_of = partial(met.encode_stream if met else tokenizer.encode_stream, tally=tally)
    tokens = decoded = size = characters = documents = 0
    last_id = -1

    with (
        stem.with_suffix(".ids").open("wb") as ids_file,
        stem.with_suffix(".documents").open("wb") as documents_file,
    ):

        def write(ids: np.ndarray[Any, np.dtype[np.int64]]) -> None:
            nonlocal tokens, decoded, documents, last_id
            if not len(ids):
                return
            before = np.concatenate(([last_id], ids[:-1]))
            begins = before == (-1 if end_id is None else end_id)
            begins[0] |= tokens == 0
            starts = tokens + np.flatnonzero(begins)
            ids_file.write(ids.astype(dtype).tobytes())
            documents_file.write(starts.astype("<u8").tobytes())
            tokens += len(ids)
            decoded += int(bytes_of_id[ids].sum())
            documents += len(starts)
            last_id = int(ids[-1])

        def counted(chunks: Chunks) -> Chunks:
            nonlocal size, characters
            for chunk in chunks:
                read.update(chunk)
                size += len(chunk)
                characters += _characters(chunk)
                yield chunk

        for part in slice.parts(advance):
            try:
                for ids in ids_of(counted(part.chunks)):
                    write(ids)
            except (InputError, UnknownTokenError) as error:
                raise error.at(part.path) from None
            if end_id is not None and part.reaches_end and last_id != end_id:
                write(np.array([end_id]))
                size += int(bytes_of_id[end_id])
                characters += _characters(tokenizer.token_bytes[end_id])
    exact = tokenizer.exact and not tally.count and decoded == size
    digest = sha256_of_file(stem.with_suffix(".ids"))
    return SplitHeader(tokens, size, characters, documents, tally.count, exact, digest)


def _characters(data: bytes) -> int:
    return int(np.count_nonzero((np.frombuffer(data, np.uint8) & 0xC0) != 0x80))
