"""How far back a gradient reaches: ∂loss_T/∂h_t, as backpropagation through time carries it.

Bengio, Simard & Frasconi (1994), "Learning Long-Term Dependencies with Gradient Descent is
Difficult"; Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
networks", section 2.

The network is unrolled a step at a time, each a window of one token for the modules of
``charnn.nn``, so that the state between steps is in the graph, which the kernels of a whole window
hide. The gradient is that by the state which step t hands on: by h_t with c_t held fixed, and by
c_t with h_t held fixed. So the loss at T depends on h_T and not on c_T, and the curve of c begins
at a distance of 1. In a stack, h_t also reaches the loss by the layers above. All in float64: what
vanished is small, and not 0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charnn.architecture import CellName, ModelConfig
from charnn.checkpoint import Checkpoint
from charnn.errors import CorpusError
from charnn.nn.cells import Elman, State
from charnn.nn.language_model import LanguageModel, import_weights

#: The parts of a layer's state.
PARTS = ("h", "c")

#: Tokens that are read before a window, so that its state is as if carried.
WARM_UP = 128

#: Seeds are numbers of 32 bits; the complement of one draws other numbers.
_SEEDS = (1 << 32) - 1

#: About how much memory the graph of a batch takes, and the bytes of a row, step, layer and unit.
_GRAPH_BYTES, _UNIT_BYTES = 256 << 20, 200


class Linear(Elman):
    """An Elman layer without its nonlinearity: h' = W_ih x + b_ih + W_hh h + b_hh."""

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
        """Run a window."""
        (hidden_BH,) = state
        outputs = []
        for x_BI in x_BTI.unbind(1):
            hidden_BH = F.linear(x_BI, self.weight_ih_l0, self.bias_ih_l0) + F.linear(
                hidden_BH, self.weight_hh_l0, self.bias_hh_l0
            )
            outputs.append(hidden_BH)
        return torch.stack(outputs, 1), (hidden_BH,)


def trained(checkpoint: Checkpoint) -> LanguageModel:
    """The recurrent model of a checkpoint, in float64."""
    assert isinstance(checkpoint.config.model, ModelConfig)
    model = LanguageModel(checkpoint.config.model, checkpoint.config.vocabulary)
    import_weights(model, checkpoint.weights)
    return model.double().eval()


def fresh(
    cell: CellName | str,
    hidden: int,
    vocabulary: int,
    seed: int,
    spectral_radius: float | None = None,
) -> LanguageModel:
    """A new model of one layer, as training makes it, in float64.

    Args:
        cell: its name; "linear" is an Elman cell without its nonlinearity.
        hidden: H; also the size of the embedding.
        vocabulary: V.
        seed: of all its weights. Cells of one seed have the same embedding.
        spectral_radius: if given, the recurrent weights of an Elman cell are scaled until their
            largest eigenvalue has this absolute value.
    """
    elman = cell if cell != "linear" else "elman"
    config = ModelConfig(cell=elman, layers=1, hidden=hidden, embedding=hidden)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(config, vocabulary).double().eval()
    # Drawn once more, for how many numbers were drawn before depends on the cell.
    generator = torch.Generator().manual_seed(~seed & _SEEDS)
    nn.init.normal_(model.embedding.weight, generator=generator)  # type: ignore[union-attr]
    bound = hidden**-0.5
    nn.init.uniform_(model.output.weight, -bound, bound, generator=generator)
    (layer,) = model.recurrent.layers
    if cell == "linear":
        linear = Linear(hidden, hidden).double()
        linear.load_state_dict(layer.state_dict())
        model.recurrent.layers[0] = layer = linear
    if spectral_radius is not None:
        assert isinstance(layer, Elman)
        with torch.no_grad():
            radius = torch.linalg.eigvals(layer.weight_hh_l0).abs().max()
            layer.weight_hh_l0.mul_(spectral_radius / radius)
    return model


def cut_windows(
    ids_T: NDArray[Any], distance: int, count: int, warm_up: int = WARM_UP
) -> NDArray[np.int64]:
    """Windows [N, W + D + 2] of a text, evenly spread: warm-up, D + 1 inputs, and the last label.

    Args:
        ids_T: the text.
        distance: D.
        count: N, at most; each position T in the text serves once.
        warm_up: W, where the text is long enough.

    Raises:
        CorpusError: the text is too short for one.
    """
    there = len(ids_T) - (distance + 1)
    if there < 1:
        raise CorpusError(
            f"a text of {len(ids_T):,} tokens is too short for a distance of {distance:,}",
            "use more text or a smaller --distance",
        )
    length = min(warm_up, there - 1) + distance + 2
    starts_N = np.unique(np.linspace(0, len(ids_T) - length, count).astype(np.int64))
    windows_NL: NDArray[np.int64] = ids_T[starts_N[:, None] + np.arange(length)].astype(np.int64)
    return windows_NL


def gradient_norms(
    model: LanguageModel,
    windows_NL: NDArray[np.int64],
    distance: int,
    advance: Callable[[int], None] = lambda positions: None,
) -> NDArray[np.float64]:
    """Norms of the gradient of the loss at each window's end by the states before it.

    The loss is that of a position T, -log P(x_{T+1} | x_1 ... x_T), nats. Many windows are one
    batch, and one backward pass: the sum of their losses keeps the rows apart.

    Args:
        model: in float64, and made for evaluation.
        windows_NL: what ``cut_windows`` gives.
        distance: D.
        advance: is told how many positions were done.

    Returns:
        [layers, arrays of a state, N, D + 1], the last by the distance T - t.
    """
    layers = len(model.recurrent.layers)
    row_bytes = (distance + 1) * layers * model.recurrent.hidden * _UNIT_BYTES
    rows = max(1, _GRAPH_BYTES // row_bytes)
    parts = []
    for begin in range(0, len(windows_NL), rows):
        ids_BL = torch.from_numpy(windows_NL[begin : begin + rows])
        inputs_BS, labels_B = ids_BL[:, -distance - 2 : -1], ids_BL[:, -1]
        flat = _read(model, ids_BL[:, : -distance - 2])
        with torch.no_grad():
            x_BSI = model.embed(inputs_BS)
        arrays = model.recurrent.arrays
        state = [flat[n * arrays : (n + 1) * arrays] for n in range(layers)]

        def loss(hidden_BH: Tensor, labels_B: Tensor = labels_B) -> Tensor:
            logits_BV = model.output(model.project(hidden_BH[:, None]))[:, 0]
            return F.cross_entropy(logits_BV, labels_B, reduction="sum")

        gradients = state_gradients(list(model.recurrent.layers), loss, x_BSI, state)
        norms = [[[_norms(g_BH) for g_BH in array] for array in zip(*layer, strict=True)]
                 for layer in zip(*gradients, strict=True)]  # fmt: skip
        parts.append(np.array(norms)[:, :, ::-1].swapaxes(2, 3))
        advance(len(ids_BL))
    return np.concatenate(parts, axis=2)


def state_gradients(
    layers: Sequence[Callable[[Tensor, State], tuple[Tensor, State]]],
    loss: Callable[[Tensor], Tensor],
    x_BTI: Tensor,
    state: Sequence[State],
) -> list[list[State]]:
    """The gradient of a loss on the last output by every state of every layer: [T][layers][B, H].

    Args:
        layers: each takes a window [B, 1, I] and a state, as those of ``charnn.nn.cells``.
        loss: of what the top layer hands on at the end, [B, H]; a sum over rows.
        x_BTI: what is read.
        state: of each layer, before that.
    """
    nodes: list[list[State]] = []
    for x_BI in x_BTI.unbind(1):
        handed_on, after = x_BI[:, None], []
        for layer, before in zip(layers, state, strict=True):
            _, new = layer(handed_on, before)
            # Not so where neither the weights are learned nor anything before is in the graph.
            new = tuple(a if a.requires_grad else a.detach().requires_grad_() for a in new)
            # Every state begins with what is handed on: both ways begin at one node.
            handed_on = new[0][:, None]
            after.append(new)
        nodes.append(after)
        state = after
    flat = [array for step in nodes for layer in step for array in layer]
    gradients = iter(torch.autograd.grad(loss(state[-1][0]), flat, materialize_grads=True))
    return [[tuple(next(gradients) for _ in layer) for layer in step] for step in nodes]


def parameter_norms(model: LanguageModel, windows_NL: NDArray[np.int64], distance: int) -> Any:
    """The norm, for each window, of the gradient by all parameters at once, [N].

    The loss is the mean over the window's D + 1 labels, nats per token, and the gradient stops at
    its beginning, as in training; there it is clipped as the mean over a batch of windows, which
    is shorter the more of them there are.
    """
    parameters = list(model.parameters())
    norms = []
    for ids_L in windows_NL:
        ids_1L = torch.from_numpy(ids_L[None])
        inputs_1S, labels_S = ids_1L[:, -distance - 2 : -1], ids_1L[0, -distance - 1 :]
        logits_1SV, _ = model(inputs_1S, _read(model, ids_1L[:, : -distance - 2]))
        gradients = torch.autograd.grad(F.cross_entropy(logits_1SV[0], labels_S), parameters)
        norms.append(_norms(torch.cat([gradient.flatten() for gradient in gradients])[None])[0])
    return np.array(norms)


def _read(model: LanguageModel, ids_BW: Tensor) -> State:
    """The state behind a warm-up, which may be empty."""
    state = model.initial_state(len(ids_BW))
    if not ids_BW.shape[1]:
        return state
    with torch.no_grad():
        return model.features(ids_BW, state)[1]


def _norms(vectors_BN: Tensor) -> NDArray[np.float64]:
    """The length of each row, also where its squares would not fit a float."""
    greatest_B1 = vectors_BN.abs().amax(1, keepdim=True)
    scale_B1 = torch.where((greatest_B1 > 0) & greatest_B1.isfinite(), greatest_B1, 1.0)
    lengths_B: NDArray[np.float64] = (
        torch.linalg.vector_norm(vectors_BN / scale_B1, dim=1) * scale_B1[:, 0]
    ).numpy()
    return lengths_B
