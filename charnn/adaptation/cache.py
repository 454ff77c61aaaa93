"""The continuous cache: what followed where the network was in a like state follows again.

Grave, Joulin & Usunier (2017), "Improving Neural Language Models with a Continuous Cache",
arXiv 1612.04426, section 3:

    p(w) = (1 - λ) p_model(w) + λ p_cache(w)
    p_cache(w) ∝ Σ_i 1[w = x_{i+1}] exp(θ h_t·h_i)    over the last N positions i < t

h is the output of the top layer. While nothing is in the cache the model stands alone.
"""

import numpy as np
from numpy.typing import NDArray

from charnn.engine import Engine
from charnn.step import Floats, Ids, State, log_softmax

#: Queries that are compared at a time, and keys they are compared with: that bounds the memory.
_QUERIES, _KEYS = 512, 2048

#: Values that are no ids, and are not seen: padding; a row's first id, which nothing predicted.
_PADDING, _FIRST = -1, -2

#: Above it no score is; what is subtracted where all scores are -inf is its negative.
_HIGHEST = np.finfo(np.float64).max


class CacheModel:
    """A recurrent model with a cache of what it read: a StepModel, on NumPy alone.

    Its state is the model's and two arrays more: for the M <= N ids that were read last, oldest
    first, what the top layer showed before each, ``keys_BMH``, and the ids, ``values_BM``.

    Args:
        model: p_model, and the network whose states are compared.
        window: N, in tokens.
        theta: θ, how much more the likest states count.
        share: λ, from 0 to below 1.
    """

    def __init__(self, model: Engine, window: int, theta: float, share: float) -> None:
        self.vocabulary_size, self.start_id = model.vocabulary_size, model.start_id
        self.end_id = model.end_id
        self._model, self._window, self._theta = model, window, theta
        with np.errstate(divide="ignore"):
            self._log_share, self._log_rest = np.log(share), np.log1p(-share)

    def initial_state(self, batch: int) -> State:
        """Nothing was read, and the cache is empty."""
        state = self._model.initial_state(batch)
        shown_BH = self._model.top(state)
        return *state, shown_BH[:, None][:, :0], np.zeros((batch, 0), np.int64)

    def step(self, ids_B: Ids, state: State) -> tuple[Floats, State]:
        """Read one id a row: log-probabilities [B, V] and the new state."""
        return self.prefill(ids_B[:, None], np.ones(len(ids_B), np.int64), state)

    def prefill(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read ragged prompts; an empty one reads ``start_id``."""
        if not ids_BT.shape[1]:
            ids_BT = np.zeros((len(lengths_B), 1), dtype=np.int64)
        ids_BT = np.where(lengths_B[:, None] == 0, self.start_id, ids_BT)
        lengths_B = np.maximum(lengths_B, 1)
        for begin in range(0, ids_BT.shape[1], _QUERIES):
            part_BQ = ids_BT[:, begin : begin + _QUERIES]
            *_, state = self._read(part_BQ, (lengths_B - begin).clip(0, _QUERIES), state)
        return self._log_probs(state), state

    def nats(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[NDArray[np.float64], State]:
        """What reading costs: -log P of every id given all before it."""
        nats_BT = np.zeros(ids_BT.shape)
        for begin in range(0, ids_BT.shape[1], _QUERIES):
            part_BQ = ids_BT[:, begin : begin + _QUERIES]
            remaining_B = (lengths_B - begin).clip(0, _QUERIES)
            keys_BKH, values_BK, state = self._read(part_BQ, remaining_B, state)
            for b, length in enumerate(remaining_B):
                row = slice(begin, begin + length)
                before = values_BK.shape[1] - part_BQ.shape[1]
                end = before + length
                nats_BT[b, row] = self._costs(
                    ids_BT[b, row], keys_BKH[b, :end], values_BK[b, :end], before
                )
        return nats_BT, state

    def _read(self, ids_BQ: Ids, lengths_B: Ids, state: State) -> tuple[Floats, Ids, State]:
        """Read: the pairs of the window and of the ids, side by side, and the new state."""
        *model_state, keys_BMH, values_BM = state
        seen_BQH, new_state = self._model.look(ids_BQ, lengths_B, tuple(model_state))
        new_BQ = ids_BQ.copy()
        new_BQ[(values_BM == _PADDING).all(axis=1), :1] = _FIRST
        keys_BKH = np.concatenate((keys_BMH, seen_BQH), axis=1)
        values_BK = np.concatenate((values_BM, new_BQ), axis=1)
        # A row's window ends with its last id: shorter rows are padded on the left.
        ends_B1 = (values_BM.shape[1] + lengths_B)[:, None]
        columns_BM = ends_B1 + np.arange(-min(self._window, int(ends_B1.max())), 0)
        rows_B1 = np.arange(len(ids_BQ))[:, None]
        kept_BMH = keys_BKH[rows_B1, columns_BM.clip(0)]
        kept_BM = np.where(columns_BM < 0, _PADDING, values_BK[rows_B1, columns_BM.clip(0)])
        return keys_BKH, values_BK, (*new_state, kept_BMH, kept_BM)

    def _costs(
        self, ids_Q: Ids, keys_KH: Floats, values_K: Ids, before: int
    ) -> NDArray[np.float64]:
        """-log P of the ids, whose own pairs are those from ``before`` on: each sees older ones."""
        queries_QH = keys_KH[before:].astype(np.float64)
        log_model_Q = -self._model.costs(keys_KH[before:], ids_Q)
        log_hit_Q, log_all_Q = np.full((2, len(ids_Q)), -np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            for begin in range(0, len(keys_KH), _KEYS):
                part = slice(begin, begin + _KEYS)
                scores_QK = queries_QH @ keys_KH[part].T.astype(np.float64)
                scores_QK *= self._theta
                columns_K = np.arange(len(keys_KH))[part]
                ages_QK = np.arange(before, len(keys_KH))[:, None] - columns_K
                seen_QK = (ages_QK >= 1) & (ages_QK <= self._window) & (values_K[part] >= 0)
                scores_QK[~seen_QK] = -np.inf
                highest_Q1 = np.maximum(scores_QK.max(axis=1, keepdims=True), -_HIGHEST)
                np.exp(scores_QK - highest_Q1, out=scores_QK)
                hits_QK = scores_QK * (ids_Q[:, None] == values_K[part])
                for sums_Q, weights_QK in ((log_all_Q, scores_QK), (log_hit_Q, hits_QK)):
                    logs_Q = highest_Q1[:, 0] + np.log(weights_QK.sum(axis=1))
                    np.logaddexp(sums_Q, logs_Q, out=sums_Q)
            log_cache_Q = log_hit_Q - log_all_Q
        return -self._mix(log_model_Q, log_cache_Q)

    def _mix(
        self, log_model: NDArray[np.float64], log_cache: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log p of log p_model and log p_cache; the latter is no number where nothing is cached."""
        with np.errstate(invalid="ignore"):
            mixed = np.logaddexp(self._log_rest + log_model, self._log_share + log_cache)
        return np.where(np.isnan(log_cache), log_model, mixed)

    def _log_probs(self, state: State) -> NDArray[np.float64]:
        """What follows, [B, V]."""
        *model_state, keys_BMH, values_BM = state
        shown_BH = self._model.top(tuple(model_state))
        log_model_BV = log_softmax(self._model.logits(shown_BH))
        scores_BM = self._theta * np.einsum("bmh,bh->bm", keys_BMH, shown_BH, dtype=np.float64)
        scores_BM[values_BM < 0] = -np.inf
        weights_BM = np.exp(scores_BM - scores_BM.max(axis=1, keepdims=True, initial=-_HIGHEST))
        sums_BV = np.zeros(log_model_BV.shape)
        np.add.at(sums_BV, (np.arange(len(sums_BV))[:, None], values_BM.clip(0)), weights_BM)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_cache_BV = np.log(sums_BV / sums_BV.sum(axis=1, keepdims=True))
        return self._mix(log_model_BV, log_cache_BV)
