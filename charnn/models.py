"""Opens a checkpoint of any kind as a StepModel."""

from dataclasses import dataclass
from pathlib import Path

from charnn.architecture import ModelConfig
from charnn.checkpoint import Checkpoint, read_checkpoint
from charnn.engine import Engine
from charnn.ngram import NgramModel
from charnn.step import StepModel
from charnn.text.base import Tokenizer


@dataclass(frozen=True)
class Model:
    """A language model ready to run, with what it takes to talk to it in text."""

    checkpoint: Checkpoint
    step_model: StepModel

    @property
    def tokenizer(self) -> Tokenizer:
        """How text becomes ids."""
        return self.checkpoint.tokenizer


def open_model(path: Path) -> Model:
    """Open a checkpoint, or the best one of a run.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    checkpoint = read_checkpoint(path)
    config = checkpoint.config
    start_id, end_id, weights = config.start_id, config.end_id, checkpoint.weights
    if isinstance(config.model, ModelConfig):
        engine = Engine(config.model, weights, start_id=start_id, end_id=end_id)
        return Model(checkpoint, engine)
    ngram = NgramModel(weights, config.vocabulary, start_id=start_id, end_id=end_id)
    return Model(checkpoint, ngram)
