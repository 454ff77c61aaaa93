"""The trainable language model: embedding, recurrent layers, projection to the vocabulary."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charnn.architecture import ModelConfig
from charnn.nn.cells import State
from charnn.nn.recurrent import LockedDropout, Recurrent
from charnn.tensors import Tensors


class LanguageModel(nn.Module):
    """Predicts every next token of a batch of windows.

    Args:
        config: the architecture.
        vocabulary: V, the number of ids.
        dropout: the share of features that are dropped in training: behind the embedding, between
            the layers, and before the output.
        weight_dropout: the share of the weights from state to state that is dropped.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: int,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        E, H = config.embedding, config.hidden
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, E) if E else None
        self.recurrent = Recurrent(
            config.cell, E or vocabulary, H, config.layers, dropout, weight_dropout
        )
        self.dropout = LockedDropout(dropout)
        self.projection = nn.Linear(H, E, bias=False) if config.tied and E != H else None
        self.output = nn.Linear(E if config.tied else H, vocabulary)
        if self.embedding is not None:
            # Tied weights are also the output's, which wants them small.
            nn.init.normal_(self.embedding.weight, std=E**-0.5 if config.tied else 1.0)
            if config.tied:
                self.output.weight = self.embedding.weight
        nn.init.zeros_(self.output.bias)

    def set_embedding(self, vectors_VE: NDArray[np.float32], found_V: NDArray[np.bool_]) -> None:
        """Take these vectors for the tokens that were found; the others keep theirs."""
        assert self.embedding is not None
        with torch.no_grad():
            rows_N = torch.from_numpy(np.flatnonzero(found_V)).to(self.embedding.weight.device)
            self.embedding.weight[rows_N] = torch.from_numpy(vectors_VE[found_V]).to(rows_N.device)

    def freeze_embedding(self) -> None:
        """Let training leave the embedding as it is, and a tied output with it."""
        assert self.embedding is not None
        self.embedding.weight.requires_grad_(False)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return self.recurrent.initial_state(batch)

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read a window: logits [B, T, V] and the state behind it."""
        features_BTF, state = self.features(ids_BT, state)
        # In two dimensions: of three, PyTorch may multiply row by row, each with a copy of weights.
        logits_NV = self.output(features_BTF.flatten(0, 1))
        return logits_NV.unflatten(0, ids_BT.shape), state

    def features(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read a window: what the output's weights are multiplied with, and the state behind it."""
        hidden_BTH, state = self.recurrent(self.embed(ids_BT), state)
        return self.project(hidden_BTH), state

    def embed(self, ids_BT: Tensor) -> Tensor:
        """What the first layer reads: [B, T, E], or one-hot [B, T, V]."""
        if self.embedding is None:
            return F.one_hot(ids_BT, self.vocabulary).to(self.output.weight.dtype)
        return self.dropout(self.embedding(ids_BT))  # type: ignore[no-any-return]

    def project(self, hidden_BTH: Tensor) -> Tensor:
        """What the output's weights are multiplied with where the top layer showed this."""
        hidden_BTH = self.dropout(hidden_BTH)
        return hidden_BTH if self.projection is None else self.projection(hidden_BTH)


def _checkpoint_name(name: str) -> str:
    """A parameter's name in a checkpoint: ``layers.0.weight_ih`` for ``recurrent.layers.0...``."""
    return name.removeprefix("recurrent.").removesuffix("_l0")


def named_weights(model: LanguageModel) -> dict[str, Tensor]:
    """The parameters by their names in a checkpoint; each tied weight once."""
    return {_checkpoint_name(name): tensor for name, tensor in model.named_parameters()}


def export_weights(model: LanguageModel) -> Tensors:
    """The parameters as NumPy arrays, float32; on a CPU they share their memory with the model."""
    return {
        name: tensor.detach().to("cpu", torch.float32).numpy()
        for name, tensor in named_weights(model).items()
    }


def import_weights(model: LanguageModel, weights: Tensors) -> None:
    """Copy weights from a checkpoint into the model."""
    with torch.no_grad():
        for name, tensor in named_weights(model).items():
            tensor.copy_(torch.from_numpy(weights[name]))
