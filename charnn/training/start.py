"""How a run starts: what was not chosen is, and what it begins with is read."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from charnn.architecture import ModelConfig
from charnn.checkpoint import Checkpoint
from charnn.data.store import TokenizedCorpus
from charnn.errors import CorpusError, UsageError
from charnn.files import printable
from charnn.manifest import MANIFEST
from charnn.places import corpus_of, find_run
from charnn.tensors import Tensors
from charnn.training import loop
from charnn.training.beginning import weights_from
from charnn.training.config import Size, TrainingConfig
from charnn.training.events import Event
from charnn.training.process import matrix_rate
from charnn.training.recipe import Setting, complete
from charnn.training.vectors import Vectors, read_vectors


@dataclass(frozen=True)
class Start:
    """What a new run begins with."""

    corpus: TokenizedCorpus
    model: ModelConfig
    training: TrainingConfig
    vectors: Vectors | None = None
    weights: Tensors | None = None
    added: int = 0
    """Symbols that the model lacks that it begins with."""

    @property
    def warnings(self) -> list[str]:
        """What may not be meant."""
        told = []
        if self.training.freeze == "embedding":
            lacking = 0 if self.vectors is None else int((~self.vectors.found_V).sum())
            if self.added:
                told.append(f"{self.added:,} symbols that are new keep the mean of the old ones")
            if lacking:
                told.append(f"{lacking:,} symbols keep random vectors")
            told = [f"{one}, frozen too" for one in told]
            if self.vectors is None and self.weights is None:
                told.append(
                    "--freeze embedding without --from or --embedding-from keeps random vectors"
                )
        if self.corpus.header.held_out < 2:
            told.append("nothing is held out, so the last model counts as the best")
        return told

    def train(self, folder: Path, name: str, stop: Callable[[], bool]) -> Iterator[Event]:
        """Train; see ``charnn.training.loop.train``."""
        return loop.train(
            self.corpus,
            self.model,
            self.training,
            folder,
            name,
            vectors=self.vectors,
            weights=self.weights,
            stop=stop,
        )

    def rehearse(self) -> loop.Rehearsal:
        """Take some steps, and keep nothing."""
        return loop.rehearse(
            self.corpus, self.model, self.training, vectors=self.vectors, weights=self.weights
        )


def prepare(
    corpus: TokenizedCorpus,
    size: Size,
    model: ModelConfig,
    training: TrainingConfig,
    given: Set[str],
    begin: Checkpoint | None = None,
) -> Start:
    """Choose what was not given, and read what the run begins with.

    Args:
        corpus: what it learns from.
        size: of the model.
        model: its architecture.
        training: how it is trained.
        given: the names of the fields of both that stay as they are.
        begin: the model that it goes on with.

    Raises:
        UsageError: something does not fit the rest.
        CorpusError: it has no tokens, or is damaged.
        InputError: there are no vectors where they should be.
        CheckpointError: the checkpoint that has them is damaged.
    """
    vectors = weights = None
    added = 0
    if begin is not None:
        model, weights = weights_from(begin, corpus.tokenizer)
        training = replace(training, from_checkpoint=printable(begin.path))
        given = given | {field.name for field in fields(ModelConfig)}
        added = corpus.header.vocabulary - begin.config.vocabulary
    elif training.embedding_from is not None:
        path = Path(training.embedding_from)
        training = replace(training, embedding_from=printable(path))
        vectors = read_vectors(find_run(path), corpus.tokenizer)
        model, given = _fitting(model, vectors, training, given), given | {"embedding"}
    in_minutes = training.steps is None and training.epochs is None
    split = corpus.header.splits["train"]
    if not split.tokens:
        raise CorpusError(f"{corpus.path} has no tokens to learn from", "use more text")
    setting = Setting(
        split.tokens,
        split.bytes / split.tokens,
        corpus.tokenizer.vocabulary_size,  # which is as the header says, or an error
        matrix_rate(training.device, training.precision, training.threads) if in_minutes else None,
    )
    model, training = complete(setting, size, model, training, given)
    return Start(corpus, model, training, vectors, weights, added)


def _fitting(
    model: ModelConfig, vectors: Vectors, training: TrainingConfig, given: Set[str]
) -> ModelConfig:
    """The model whose embedding is as large as the vectors."""
    size = vectors.vectors_VE.shape[1]
    if "embedding" in given and model.embedding != size:
        raise UsageError(
            f"--embedding {model.embedding} does not fit {training.embedding_from}, whose vectors "
            f"have {size} numbers",
            "leave out --embedding",
        )
    if not vectors.found_V.any():
        raise UsageError(f"{training.embedding_from} has a vector for no symbol of the corpus")
    return replace(model, embedding=size)


def go_on(path: Path, settings: Mapping[str, Any], stop: Callable[[], bool]) -> Iterator[Event]:
    """Go on with a run; see ``charnn.training.loop.resume``.

    Args:
        path: the run, or its last checkpoint.
        settings: what it is told anew, some of ``charnn.training.together.FREE``.
        stop: asked after every step; see there.

    Raises:
        UsageError: the path is a checkpoint, and not the last.
    """
    run = _whole_run(path)
    config, corpus = loop.resumed_config(run)
    return loop.resume(run, corpus_of(corpus, run), replace(config, **settings), stop=stop)


def _whole_run(path: Path) -> Path:
    """The run that a path means: itself, or the one whose last checkpoint it is."""
    if not (path / MANIFEST).is_file():
        return path
    checkpoint = path.resolve()
    if (checkpoint.parent / "last").resolve() != checkpoint:
        raise UsageError(
            f"--resume goes on from a run's last checkpoint, and {path} is another",
            f"name the run: {checkpoint.parent}",
        )
    return checkpoint.parent
