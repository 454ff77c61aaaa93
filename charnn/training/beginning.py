"""Learning on top of learning: another model's weights, for a vocabulary that may be larger."""

import numpy as np
from numpy.typing import NDArray

from charnn.architecture import ModelConfig, expected_shapes
from charnn.checkpoint import Checkpoint
from charnn.errors import UsageError
from charnn.tensors import Tensors
from charnn.text.base import Tokenizer


def weights_from(checkpoint: Checkpoint, tokenizer: Tokenizer) -> tuple[ModelConfig, Tensors]:
    """A trained model's architecture, and its weights for a vocabulary that begins with its own.

    What the weights hold for each token that was added is the mean over those that were there.

    Raises:
        UsageError: it is a model that counts, or the vocabulary is another one.
    """
    model = checkpoint.config.model
    if not isinstance(model, ModelConfig):
        raise UsageError(
            f"{checkpoint.path} is an n-gram model, which is counted: it cannot go on learning"
        )
    theirs, ours = checkpoint.tokenizer, tokenizer
    known = len(theirs.token_bytes)
    if theirs.kind != ours.kind or theirs.token_bytes != ours.token_bytes[:known]:
        raise UsageError(
            f"the corpus has not the vocabulary of {checkpoint.path}",
            f"make one: charnn tokenize TEXT --like {checkpoint.path.parent} -o corpora/OTHER",
        )
    shapes = expected_shapes(model, ours.vocabulary_size)
    return model, {name: _grown(checkpoint.weights[name], shape) for name, shape in shapes.items()}


def _grown(weight: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A weight with means in the rows, or columns, that it lacks."""
    for axis, size in enumerate(shape):
        if missing := size - weight.shape[axis]:
            mean = weight.mean(axis=axis, keepdims=True)
            weight = np.concatenate([weight, mean.repeat(missing, axis=axis)], axis=axis)
    return weight
