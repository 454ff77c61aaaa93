"""Models whose probabilities are known, for tests of decoding and scoring."""

import numpy as np
from conftest import random_weights

from charnn.architecture import ModelConfig
from charnn.engine import Engine
from charnn.step import log_softmax, pad


class MarkovModel:
    """Logits depend on the last id alone; row ``start_id`` is what follows the start."""

    def __init__(self, logits_VV: np.ndarray, end_id: int | None = None) -> None:
        self.logits_VV = np.asarray(logits_VV, dtype=np.float64)
        self.vocabulary_size = self.logits_VV.shape[1]
        self.start_id = 0
        self.end_id = end_id

    def initial_state(self, batch):
        return (np.full(batch, self.start_id),)

    def step(self, ids_B, state):
        return self.logits_VV[ids_B], (np.asarray(ids_B),)

    def prefill(self, ids_BT, lengths_B, state):
        last_B = np.array(
            [ids[n - 1] if n else self.start_id for ids, n in zip(ids_BT, lengths_B, strict=True)]
        )
        return self.step(last_B, state)

    def nats(self, ids_BT, lengths_B, state):
        (last_B,) = state
        nats_BT = np.zeros(ids_BT.shape)
        for b, length in enumerate(lengths_B):
            last = last_B[b]
            for t in range(length):
                nats_BT[b, t] = -log_softmax(self.logits_VV[last])[ids_BT[b, t]]
                last = ids_BT[b, t]
            last_B = np.where(np.arange(len(last_B)) == b, last, last_B)
        return nats_BT, (last_B,)


def engine(seed=0, vocabulary=7, end_id=None, hidden=6):
    config = ModelConfig(layers=2, hidden=hidden, embedding=4)
    weights = random_weights(config, vocabulary, seed)
    return Engine(config, weights, start_id=0, end_id=end_id)


def prefilled(model, prompt=()):
    return model.prefill(*pad([list(prompt)]), model.initial_state(1))
