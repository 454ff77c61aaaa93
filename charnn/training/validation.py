"""The loss on the held-out text while training goes on."""

from collections.abc import Callable
from typing import Any

import torch

from charnn.data.windows import EvaluationLanes
from charnn.nn.language_model import LanguageModel
from charnn.training.loss import loss

_LANES, _LENGTH, _WARM_UP = 64, 256, 128
_LOGITS = 1 << 24


def validate(
    model: LanguageModel,
    tokens: Any,
    device: torch.device,
    stop: Callable[[], bool] = lambda: False,
) -> float | None:
    """Nats per token over all true successors of a held-out text, of two tokens at least.

    None if ``stop``, which is asked for every window, says so.

    The text is read in lanes side by side; each begins with a state that has read the tokens
    before it. ``charnn.score.evaluate`` reads it in one piece, so it may differ a little.
    """
    # The logits of a window must not take more memory than a training step does.
    positions = max(_LOGITS // model.vocabulary, _LANES)
    length = min(_LENGTH, max(positions // _LANES, 32))
    lanes = min(_LANES, positions // length, len(tokens) // _LENGTH)
    lanes = max(lanes, 1)
    warm_up = _WARM_UP if lanes > 1 else 0
    state = model.initial_state(lanes)
    nats, count = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for arrays in EvaluationLanes(tokens, lanes, length, warm_up):
            if stop():
                model.train()
                return None
            inputs, labels, scored = (torch.from_numpy(array).to(device) for array in arrays)
            window_nats, window_count, state = loss(model, (inputs, labels, scored), state)
            nats += float(window_nats)
            count += window_count
            if not window_count:  # warmed up: but before the first lane there is nothing
                state = tuple(torch.cat((0 * array[:1], array[1:])) for array in state)
    model.train()
    return nats / count
