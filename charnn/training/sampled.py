"""The loss over a sample of the vocabulary: what makes a large one affordable to learn."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from charnn.data.windows import Tokens
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel
from charnn.training.loss import Batch

#: Tokens that are counted at a time.
_COUNTED = 1 << 24

#: A logit that adds nothing to a sum, and of which a gradient can be taken where all are such.
_NEVER = -1e30


class RowGradients:
    """Gradients of weights of which a step touches few rows: dense, in memory that is kept.

    A dense one from autograd would be made anew in every step, once for each use of the weights.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def make_dense(self, parameters: Sequence[Tensor]) -> None:
        """Replace gradients that are sparse; the parameters are the same each time."""
        for n, parameter in enumerate(parameters):
            if parameter.grad is None or not parameter.grad.is_sparse:
                continue
            rows = parameter.grad.coalesce()
            ids_R = rows.indices()[0]
            dense, before_R = self._kept.get(n) or (torch.zeros_like(parameter), ids_R)
            dense.index_fill_(0, before_R, 0.0).index_copy_(0, ids_R, rows.values())
            self._kept[n] = dense, ids_R
            parameter.grad = dense


class SampledLoss:
    """Cross-entropy over each position's own label and a sample of the vocabulary.

    Importance sampling, as in Bengio & Senécal (2003) and Jean et al. (2015), "On Using Very Large
    Target Vocabulary", section 3. All positions share S draws from how frequent symbols are in the
    text. One of probability p is among them with the probability π = 1 - (1 - p)^S, so dividing
    what it adds to a softmax's denominator by π makes the sum right on average; frequent symbols
    are nearly always there. The label is there for certain, and counts once. The model is the same
    as ever: validation and all else sees all of the vocabulary.

    Args:
        tokens: the text that symbols are counted in.
        vocabulary: V.
        draws: S.
        device: where the batches are.
    """

    def __init__(self, tokens: Tokens, vocabulary: int, draws: int, device: torch.device) -> None:
        # What never occurs may be drawn, too: it must learn that it does not.
        counts_V = np.ones(vocabulary)
        for begin in range(0, len(tokens), _COUNTED):
            counts_V += np.bincount(tokens[begin : begin + _COUNTED], minlength=vocabulary)
        p_V = counts_V / counts_V.sum()
        self._draws = draws
        self._cumulative_V = torch.from_numpy(p_V.cumsum()).to(device)
        log_present_V = np.log(-np.expm1(draws * np.log1p(-p_V)))
        self._log_present_V = torch.from_numpy(log_present_V.astype(np.float32)).to(device)

    def __call__(
        self, model: LanguageModel, batch: Batch, state: State
    ) -> tuple[Tensor, int, State]:
        """As ``charnn.training.loss.loss``; draws from PyTorch's generator."""
        inputs_BT, labels_BT, counted_BT = batch
        features_BTF, state = model.features(inputs_BT, state)
        labels_N, features_NF = labels_BT.flatten(), features_BTF.flatten(0, 1)
        if counted_BT is not None:
            labels_N, features_NF = (x[counted_BT.flatten()] for x in (labels_N, features_NF))
        weight_VF, bias_V = model.output.weight, model.output.bias
        own_NF = F.embedding(labels_N, weight_VF, sparse=True)
        own_N = (features_NF * own_NF).sum(1).float() + bias_V[labels_N]
        ids_C = self.draw()
        drawn_CF = F.embedding(ids_C, weight_VF, sparse=True)
        # In place, for nothing in a step is as large.
        logits_NC = F.linear(features_NF, drawn_CF).float()
        logits_NC += bias_V[ids_C] - self._log_present_V[ids_C]
        logits_NC.masked_fill_(labels_N[:, None] == ids_C, _NEVER)
        nats = (torch.logaddexp(own_N, logits_NC.logsumexp(1)) - own_N).sum()
        return nats, len(labels_N), state

    def draw(self) -> Tensor:
        """The symbols that were drawn, each once, in order."""
        # On the CPU, as all that chance decides, so that a device does not change it.
        at_S = torch.rand(self._draws, dtype=torch.float64).to(self._cumulative_V.device)
        drawn_S = torch.searchsorted(self._cumulative_V, at_S)
        drawn_S.clamp_(max=len(self._cumulative_V) - 1)
        ids_C: Tensor = torch.unique(drawn_S)
        return ids_C
