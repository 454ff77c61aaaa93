"""The loss of a batch of windows, as a sum and a count: whoever needs the mean divides."""

import torch
from torch import Tensor
from torch.nn import functional as F

from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel

#: Inputs [B, T], labels [B, T], and which of them count (None: all).
Batch = tuple[Tensor, Tensor, Tensor | None]


def loss(model: LanguageModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
    """Cross-entropy of the labels.

    Returns:
        The sum of nats (a scalar in the graph), the number of targets, and the state behind the
        windows.
    """
    inputs_BT, labels_BT, counted_BT = batch
    logits_NV, state = _logits(model, inputs_BT, state)
    labels_N = labels_BT.flatten()
    if counted_BT is None:
        return F.cross_entropy(logits_NV, labels_N, reduction="sum"), labels_N.numel(), state
    nats_N = F.cross_entropy(logits_NV, labels_N, reduction="none")
    counted_N = counted_BT.flatten()
    return nats_N[counted_N].sum(), int(counted_N.sum()), state


def costs(
    model: LanguageModel, inputs_BT: Tensor, labels_BT: Tensor, state: State
) -> tuple[Tensor, State]:
    """Cross-entropy of each label, nats [B, T], and the state behind the windows."""
    logits_NV, state = _logits(model, inputs_BT, state)
    nats_N = F.cross_entropy(logits_NV, labels_BT.flatten(), reduction="none")
    return nats_N.view_as(labels_BT), state


def _logits(model: LanguageModel, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
    logits_BTV, state = model(inputs_BT, state)
    # Half precision is enough for products, not for the sum of a softmax.
    wide = torch.promote_types(logits_BTV.dtype, torch.float32)
    return logits_BTV.flatten(0, 1).to(wide), state
