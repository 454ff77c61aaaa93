"""The loss over a sample of the vocabulary: what makes a large one affordable to learn."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from charnn.data.windows import Tokens
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel
from charnn.training.loss import Batch


class SampledLoss:
    """Cross-entropy over the labels of a batch and some more symbols, in place of all symbols.

    Importance sampling, as in Bengio & Senécal (2003) and Jean et al. (2015), "On Using Very Large
    Target Vocabulary", section 3. All positions share the candidates: the labels of the batch,
    which are draws from the text's own distribution p, and more draws from it. A symbol is among n
    draws with the probability π = 1 - (1 - p)^n, so dividing what it adds to a softmax's
    denominator by π makes the sum right on average; frequent symbols are nearly always there. The
    model is the same as ever: validation and all else sees all of the vocabulary.

    Args:
        tokens: the text that p is counted in.
        vocabulary: V.
        samples: draws beside the labels.
        device: where the batches are.
    """

    def __init__(self, tokens: Tokens, vocabulary: int, samples: int, device: torch.device) -> None:
        # What never occurs may be drawn, too: it must learn that it does not.
        counts_V = np.bincount(tokens, minlength=vocabulary) + 1.0
        p_V = counts_V / counts_V.sum()
        self._samples = samples
        self._log_absent_V = torch.from_numpy(np.log1p(-p_V)).to(device)
        self._cumulative_V = torch.from_numpy(p_V.cumsum()).to(device)

    def __call__(
        self, model: LanguageModel, batch: Batch, state: State
    ) -> tuple[Tensor, int, State]:
        """As ``charnn.training.loss.loss``; draws from PyTorch's generator."""
        inputs_BT, labels_BT, counted_BT = batch
        features_BTF, state = model.features(inputs_BT, state)
        labels_N, features_NF = labels_BT.flatten(), features_BTF.flatten(0, 1)
        if counted_BT is not None:
            labels_N, features_NF = (x[counted_BT.flatten()] for x in (labels_N, features_NF))
        ids_C, log_present_C = self.candidates(labels_N)
        logits_NC = F.linear(features_NF, model.output.weight[ids_C], model.output.bias[ids_C])
        # A position's own label is there for certain: nothing is to be made up for.
        targets_N1 = torch.searchsorted(ids_C, labels_N)[:, None]
        logits_NC = logits_NC.float() - log_present_C
        logits_NC = logits_NC.scatter_add(1, targets_N1, log_present_C[targets_N1])
        nats = F.cross_entropy(logits_NC, targets_N1[:, 0], reduction="sum")
        return nats, len(labels_N), state

    def candidates(self, labels_N: Tensor) -> tuple[Tensor, Tensor]:
        """The symbols, in order, and log π of each."""
        # Drawn on the CPU, as all that chance decides, so that a device does not change it.
        draws_S = torch.rand(self._samples, dtype=torch.float64).to(labels_N.device)
        drawn_S = torch.searchsorted(self._cumulative_V, draws_S)
        drawn_S.clamp_(max=len(self._cumulative_V) - 1)
        ids_C = torch.unique(torch.cat((labels_N, drawn_S)))
        draws = len(labels_N) + self._samples
        log_present_C = torch.log(-torch.expm1(draws * self._log_absent_V[ids_C]))
        return ids_C, log_present_C.float()
