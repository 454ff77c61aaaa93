"""Text to a tokenized corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from charnn.api.options import Options, Place, TokenizerOptions, check
from charnn.data.config import DocumentMode, SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.data.store import TokenizedCorpus
from charnn.errors import CorpusExistsError, UsageError
from charnn.places import CORPORA, corpus_name, find_tokenizer
from charnn.text.config import InvalidPolicy, TokenizerConfig

_TOKENIZER = Options(TokenizerConfig)


@_TOKENIZER.shown
def tokenize(
    sources: Place | Sequence[Place],
    *,
    like: Place | None = None,
    extend_vocabulary: bool = False,
    output: Place | None = None,
    document: DocumentMode = "file",
    validation: Place | Sequence[Place] = (),
    test: Place | Sequence[Place] = (),
    validation_share: float = 0.1,
    errors: InvalidPolicy = "bytes",
    force: bool = False,
    **options: Unpack[TokenizerOptions],
) -> TokenizedCorpus:
    """Turn text into a tokenized corpus, which ``charnn.train`` takes.

    If the same text, tokenized the same way, is there already, that is opened.

    Args:
        sources: files and folders; .gz, .bz2 and .xz are unpacked.
        like: a run, checkpoint or tokenized corpus whose tokenizer is taken.
        extend_vocabulary: with ``like``: add the symbols that it lacks.
        output: the folder to make; by default ``corpora/NAME``.
        document: what makes a document; end tokens go between them.
        validation: validate on these files, not on the end of the text.
        test: keep these files as test split.
        validation_share: the share that is cut from the end for validation.
        errors: bytes that are no UTF-8: "bytes" keeps them, "replace" makes them U+FFFD, "strict"
            refuses the text.
        force: replace a corpus of that name.

    Examples:
        corpus = charnn.tokenize("corpus.txt", tokenizer="word", min_count=3)

    Raises:
        UsageError: an option is unknown, or makes no sense.
        InputError: a source is missing, empty, or no text.
        CorpusExistsError: another corpus is there.
        OutputError: it cannot be written.
    """
    (config,) = _TOKENIZER.read(options)
    check("document", document, DocumentMode)
    check("errors", errors, InvalidPolicy)
    check("validation_share", validation_share, float)
    if not (trained := _paths(sources)):
        raise UsageError("there is nothing to tokenize", "name a file or a folder")
    target = CORPORA / corpus_name(trained[0]) if output is None else Path(output)
    with _TOKENIZER.named():
        source = SourceConfig(
            trained, _paths(validation), _paths(test), validation_share, document, errors
        )
        tokenizer = None if like is None else find_tokenizer(Path(like))
        try:
            corpus, _ = tokenize_corpus(
                source, config, target, like=tokenizer, extend=extend_vocabulary, force=force
            )
        except CorpusExistsError as error:
            hint = "force=True replaces it, output chooses another place"
            raise CorpusExistsError(error.message, hint) from None
    return corpus


def _paths(places: Place | Sequence[Place]) -> tuple[Path, ...]:
    if isinstance(places, str) or not isinstance(places, Sequence):
        return (Path(places),)
    return tuple(map(Path, places))
