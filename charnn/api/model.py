"""A trained model: it writes, and it measures text. Needs no torch."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

from charnn import models
from charnn.api.options import Options, Place, SeveralOptions, WritingOptions
from charnn.architecture import ModelConfig
from charnn.checkpoint import Checkpoint
from charnn.decode.config import (
    BeamConfig,
    Decoding,
    GenerationConfig,
    GuideConfig,
    SamplingConfig,
)
from charnn.errors import CheckpointError, UsageError
from charnn.generation import Generated, Piece, read_prompt_text, seeded, write
from charnn.lines import LineScorer, ScoredLine
from charnn.places import corpus_of, find_run
from charnn.score import Evaluation, evaluate
from charnn.text.base import Tokenizer, UnknownTally
from charnn.text.config import TokenizerConfig
from charnn.text.utf8 import encode_utf8

_log = logging.getLogger("charnn")

_CONFIGS = (GenerationConfig, SamplingConfig, GuideConfig, BeamConfig)
_ELSEWHERE = dict.fromkeys(("samples", "nbest"), "generate_all() writes several texts")
_ONE = Options(*_CONFIGS, without=_ELSEWHERE)
_STREAMED = Options(*_CONFIGS, without=_ELSEWHERE)
_SEVERAL = Options(*_CONFIGS)
_TOKENIZER = Options(TokenizerConfig)


class Model:
    """A trained model, as ``charnn.load`` opens it and ``charnn.train`` makes it.

    Nothing about it changes, so any number of threads may use it at once. It is pickled as the
    path and the hash of its checkpoint, and opened again where it is unpickled.
    """

    def __init__(self, opened: models.Model) -> None:
        self.checkpoint: Checkpoint = opened.checkpoint
        """All that is known of it: ``.config``, ``.weights``, ``.parameters``, ``.digest``."""
        self.tokenizer: Tokenizer = opened.tokenizer
        """How text becomes ids."""
        self._step_model = opened.step_model

    @property
    def path(self) -> Path:
        """The folder of the checkpoint; the one above it is the run's."""
        return self.checkpoint.path

    @_ONE.shown
    def generate(self, prompt: str | bytes = "", **options: Unpack[WritingOptions]) -> str:
        """Continue a prompt: what follows it, without the prompt.

        The same seed writes the same text, here and on the command line.

        Examples:
            model.generate("Once upon a time", max_tokens=200, temperature=0.7)

            model.generate("The fox", beams=5, regex=".*[.]")

        Raises:
            UsageError: an option is unknown, or makes no sense.
            InputError: the prompt is no text.
            GenerationError: what is asked for left nothing to go on with.
        """
        return "".join(self._pieces(prompt, _ONE, options))

    @_STREAMED.shown
    def stream(self, prompt: str | bytes = "", **options: Unpack[WritingOptions]) -> Iterator[str]:
        """Continue a prompt, piece by piece, as the text is made: never half a character.

        The pieces joined are what ``generate`` gives. The iterator may be dropped at any time.

        Examples:
            for piece in model.stream("Once upon a time"):
                print(piece, end="", flush=True)

        Raises:
            As ``generate``.
        """
        return self._pieces(prompt, _STREAMED, options)

    @_SEVERAL.shown
    def generate_all(
        self, prompt: str | bytes = "", **options: Unpack[SeveralOptions]
    ) -> list[Generated]:
        """Continue a prompt several times: texts with their ids, log-probabilities and scores.

        Beams come sorted, the best first; there may be fewer than ``nbest`` different ones.

        Examples:
            for one in model.generate_all("The fox", beams=5, nbest=3):
                print(one.score, one.text)

            model.generate_all(samples=100, seed=1)

        Raises:
            As ``generate``.
        """
        written = self._write(prompt, _SEVERAL, options, details=True)
        texts = [one for one in written if isinstance(one, Generated)]
        return sorted(texts, key=lambda one: one.sample)

    def score(self, text: str | bytes) -> ScoredLine:
        """How likely a text is, from its beginning on: nats, bits per character and per byte.

        As ``charnn score`` tells it of a line; a line end belongs to the text. ``ids_T`` and
        ``nats_T`` tell what each token costs.

        Examples:
            model.score("Once upon a time\\n").bits_per_character

        Raises:
            InputError: it is no text.
        """
        return self.score_all([text])[0]

    def score_all(self, texts: Iterable[str | bytes]) -> list[ScoredLine]:
        """How likely each of many texts is; much faster than one by one.

        Raises:
            InputError: one is no text.
        """
        scorer = LineScorer(self._step_model, self.tokenizer, details=True)
        return scorer.score([_bytes_of(text) for text in texts])

    def evaluate(self, text: str | bytes | None = None, *, split: str = "validation") -> Evaluation:
        """How well the model predicts: perplexity, bits per character and per byte.

        The first token is read, and all others are predicted, as ``charnn evaluate`` does it.

        Args:
            text: is measured; without it, the model's own corpus is.
            split: the part of that corpus.

        Raises:
            CorpusError: there is too little to measure, or the corpus is not found.
            InputError: the text is none.
        """
        table = self.tokenizer.token_bytes
        if text is None:
            corpus = corpus_of(self.checkpoint.config.corpus, self.path.parent)
            ids_T: Any = corpus.tokens(split)
            counts = corpus.header.splits[split]
            unknown, exact = counts.unknown, counts.exact
        else:
            import numpy as np

            tally = UnknownTally()
            policy = self.tokenizer.prompt_policy
            ids_T = np.array(self.tokenizer.encode(_bytes_of(text), tally, policy), dtype=np.int64)
            unknown, exact = tally.count, self.tokenizer.exact
        return evaluate(self._step_model, ids_T, table, unknown=unknown, exact=exact)

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text.

        Raises:
            InputError: it is no text.
            UnknownTokenError: the vocabulary lacks something, and was made to refuse that.
        """
        tally = UnknownTally()
        with _TOKENIZER.named():
            ids = self.tokenizer.encode(_bytes_of(text), tally)
        if tally.count:
            _log.warning("some of the text is not in the vocabulary and was lost: %s", tally)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; what is no UTF-8 becomes U+FFFD. ``tokenizer.decode`` gives bytes.

        Raises:
            InputError: an id is not in the vocabulary.
        """
        return self.tokenizer.decode(ids).decode("utf-8", "replace")

    def _pieces(
        self, prompt: str | bytes, options: Options, given: Mapping[str, Any]
    ) -> Iterator[str]:
        written = self._write(prompt, options, given, details=False)
        return (one.text for one in written if isinstance(one, Piece))

    def _write(
        self, prompt: str | bytes, options: Options, given: Mapping[str, Any], *, details: bool
    ) -> Iterator[Piece | Generated]:
        """What is checked and read before the first text is asked for; then the texts."""
        configs = options.read(given)
        with options.named():
            decoding = seeded(Decoding(*configs))
        context, lost = read_prompt_text(self._step_model, self.tokenizer, _bytes_of(prompt))
        if lost:
            _log.warning(lost)

        def written() -> Iterator[Piece | Generated]:
            with options.named():
                yield from write(
                    self._step_model, self.tokenizer, context, decoding, details=details
                )

        return written()

    def __repr__(self) -> str:
        config, tokenizer = self.checkpoint.config, self.tokenizer
        model = config.model
        what = (
            f"{model.cell}, {model.layers} x {model.hidden}"
            if isinstance(model, ModelConfig)
            else f"n-grams of order {model.order}"
        )
        return (
            f"<charnn.Model {str(self.path)!r}: {what}, "
            f"{sum(self.checkpoint.parameters.values()):,} parameters, "
            f"{tokenizer.vocabulary_size:,} symbols ({tokenizer.kind}), step {config.step:,}>"
        )

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return _reopen, (str(self.path), self.checkpoint.digest)


def load(path: Place | None = None) -> Model:
    """Open a trained model.

    Args:
        path: a run, a checkpoint, or the name of a run in ``checkpoints/``; without it the newest
            run there, as for ``charnn generate -m``.

    Examples:
        model = charnn.load("checkpoints/fables")

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    return Model(models.open_model(find_run(None if path is None else Path(path))))


def _reopen(path: str, digest: str) -> Model:
    model = load(path)
    if model.checkpoint.digest != digest:
        raise CheckpointError(f"{path} is not the checkpoint that was pickled")
    return model


def _bytes_of(text: str | bytes) -> bytes:
    """A text as UTF-8; what Python made of bytes that are none becomes these bytes again."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise UsageError(f"a text is str or bytes, not {type(text).__name__}")
    return encode_utf8(text)
