"""Dynamic evaluation: a model that learns from the text it is evaluated on, after scoring it.

Krause, Kahembwe, Murray & Renals (2018), "Dynamic Evaluation of Neural Sequence Models", ICML,
arXiv 1709.07432, the RMS rule with decay. For every segment s_i, once it was scored:

    θ_i = θ_{i-1} - η ∇L(s_i) / (√MS_g + ε) + clip(λ RMS_norm) (θ_g - θ_{i-1})

θ_g are the trained weights; MS_g is the mean of squared gradients over batches of the text that the
model was trained on, RMS_norm is √MS_g over its average, and λ RMS_norm is cut off at 1. L is the
mean of a segment's nats; its gradient stops where the segment begins, the state goes on.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charnn.architecture import ModelConfig
from charnn.checkpoint import Checkpoint
from charnn.data.windows import Tokens, Windows
from charnn.errors import TrainingError
from charnn.nn.language_model import LanguageModel, import_weights
from charnn.nn.recurrent import detach
from charnn.step import Floats, Ids, State
from charnn.training.loss import costs, loss
from charnn.training.process import keep_freed_memory

#: Batches of the training text whose gradients are measured, their lanes, and the logits they may
#: have: these take no more memory than a step of training.
_BATCHES, _LANES, _LOGITS = 100, 32, 1 << 24

#: ε: what is rarely seen, and had small gradients or none, must not take giant steps.
_EPSILON = 1e-3


def mean_squares(model: LanguageModel, tokens: Tokens, length: int) -> list[Tensor]:
    """MS_g of every parameter: the mean square of its gradients over windows of a text.

    Raises:
        CorpusError: the text has fewer than two tokens.
    """
    length = min(length, max(len(tokens), 2))
    lanes = max(1, min(_LANES, _LOGITS // (length * model.vocabulary), len(tokens) // length))
    windows = Windows(tokens, lanes, length)
    parameters = list(model.parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    state = model.initial_state(lanes)
    for n in range(_BATCHES):
        inputs_BT, labels_BT = (torch.from_numpy(array) for array in windows[n])
        nats, count, state = loss(model, (inputs_BT, labels_BT, None), state)
        gradients = torch.autograd.grad(nats / count, parameters)
        state = detach(state)
        for total, gradient in zip(sums, gradients, strict=True):
            total.addcmul_(gradient, gradient)
    return [total / _BATCHES for total in sums]


class DynamicModel:
    """A recurrent model that learns while it reads: a StepModel of one row.

    Its state is the recurrent state before the ids that were read but not learned from, these ids
    [1, K], and the weights [1, ...], in the order of the model's parameters. So the trained weights
    stay as they are, and wherever reading is cut, the same segments are learned from. The input
    of a segment begins with the last id of the one before it: the first K is 1, and K <= segment.

    Args:
        checkpoint: the trained model, which must be recurrent.
        tokens: the text that it was trained on.
        segment: tokens that are scored, then learned from.
        lr: η.
        decay: λ.

    Raises:
        CorpusError: the text has fewer than two tokens.
    """

    def __init__(
        self, checkpoint: Checkpoint, tokens: Tokens, segment: int, lr: float, decay: float
    ) -> None:
        config = checkpoint.config
        assert isinstance(config.model, ModelConfig)
        self.vocabulary_size, self.start_id = config.vocabulary, config.start_id
        self.end_id = config.end_id
        self._segment = segment
        keep_freed_memory()
        self._model = LanguageModel(config.model, config.vocabulary)
        import_weights(self._model, checkpoint.weights)
        self._parameters = list(self._model.parameters())
        self._trained = [parameter.detach().clone() for parameter in self._parameters]
        roots = [square.sqrt_() for square in mean_squares(self._model, tokens, segment)]
        self._rates = [lr / (root + _EPSILON) for root in roots]
        average = sum(float(root.double().sum()) for root in roots) / sum(map(Tensor.numel, roots))
        pull = decay / average if average else 0.0
        self._pulls = [(pull * root).clamp_(max=1) for root in roots]

    def initial_state(self, batch: int) -> State:
        """Nothing was read, and nothing learned."""
        assert batch == 1, "each row would learn weights of its own"
        recurrent = [array.numpy() for array in self._model.initial_state(1)]
        weights = [weight.numpy()[None] for weight in self._trained]
        return *recurrent, np.zeros((1, 0), np.int64), *weights

    def step(self, ids_B: Ids, state: State) -> tuple[Floats, State]:
        """Read one id: the logits of what follows, and the new state."""
        return self.prefill(ids_B[:, None], np.ones(1, np.int64), state)

    def prefill(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read and learn; an empty prompt reads ``start_id``."""
        ids_T = ids_BT[0, : lengths_B[0]] if lengths_B[0] else [self.start_id]
        _, state = self._read(np.asarray(ids_T), state)
        recurrent, read_K = self._restore(state)
        with torch.inference_mode():
            logits_BTV, _ = self._model(read_K[None], recurrent)
        return logits_BTV[:, -1].numpy(), state

    def nats(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[NDArray[np.float64], State]:
        """What reading costs: -log P of every id given all before it, learned from as well."""
        nats_BT = np.zeros(ids_BT.shape)
        length = int(lengths_B[0])
        nats_BT[0, :length], state = self._read(ids_BT[0, :length], state)
        return nats_BT, state

    def _restore(self, state: State) -> tuple[tuple[Tensor, ...], Tensor]:
        """Take a state's weights; what else it holds: the recurrent state, and ids [K]."""
        before = len(state) - len(self._parameters)
        *recurrent, read_1K = map(torch.from_numpy, state[:before])
        with torch.no_grad():
            for parameter, weight in zip(self._parameters, state[before:], strict=True):
                parameter.copy_(torch.from_numpy(weight[0]))
        return tuple(recurrent), read_1K[0]

    def _read(self, ids_T: Ids, state: State) -> tuple[NDArray[np.float64], State]:
        """What each id costs, and the state behind them; learns from every segment they end."""
        recurrent, read_K = self._restore(state)
        ids_N = torch.cat((read_K, torch.from_numpy(ids_T.astype(np.int64))))
        parts = []
        if not len(read_K) and len(ids_N):
            # Before anything was read, states are zeros, and only the bias speaks.
            parts.append(-self._model.output.bias.detach().log_softmax(0)[ids_N[:1]])
        while len(ids_N) > self._segment:
            nats_S, recurrent = self._learn(ids_N[: self._segment + 1], recurrent)
            parts.append(nats_S)
            ids_N = ids_N[self._segment :]
        if len(ids_N) > 1:
            with torch.no_grad():
                nats_1S, _ = costs(self._model, ids_N[None, :-1], ids_N[None, 1:], recurrent)
            parts.append(nats_1S[0])
        # Those of ids that were read before are known.
        nats_T = torch.cat(parts)[-len(ids_T) :].double().numpy() if len(ids_T) else np.zeros(0)
        _check_numbers(bool(np.isfinite(nats_T).all()))
        weights = [parameter.detach().numpy().copy()[None] for parameter in self._parameters]
        arrays = [array.numpy() for array in recurrent]
        return nats_T, (*arrays, ids_N.numpy()[None], *weights)

    def _learn(
        self, ids_N: Tensor, recurrent: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Score a segment, given the id before it as well, and then learn from it."""
        nats_1S, recurrent = costs(self._model, ids_N[None, :-1], ids_N[None, 1:], recurrent)
        mean = nats_1S.mean()
        _check_numbers(math.isfinite(mean.detach()))
        gradients = torch.autograd.grad(mean, self._parameters)
        with torch.no_grad():
            for parameter, trained, gradient, rate, pull in zip(
                self._parameters, self._trained, gradients, self._rates, self._pulls, strict=True
            ):
                parameter.lerp_(trained, pull).addcmul_(gradient, rate, value=-1)
        return nats_1S[0].detach(), detach(recurrent)


def _check_numbers(finite: bool) -> None:
    if not finite:
        raise TrainingError(
            "a model that learned while reading gives no numbers any more",
            "take a lower --dynamic-lr",
        )
