"""A checkpoint as a StepModel, on NumPy alone.

For one token and row, a step is one matrix-vector product a layer and one for the output. The first
layer has none for its input: what the input contributes is looked up in a table, one row a token,
that was computed beforehand (where the vocabulary is small enough).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charnn.architecture import ModelConfig
from charnn.cells import CELLS
from charnn.cells.arithmetic import multiply
from charnn.cells.base import Cell, Inner
from charnn.cells.stack import Stack
from charnn.cells.trace import trace
from charnn.errors import CheckpointError
from charnn.step import Floats, Ids, State, log_softmax
from charnn.tensors import Tensors

#: The size that the first layer's table may have.
_TABLE_BYTES = 64 << 20

#: Steps that are unrolled at a time when text is scored: bounds the memory that takes.
_SCORED_STEPS = 1024

#: Logits that are made at a time when text is scored.
_SCORED_LOGITS = 1 << 22


class Engine:
    """A recurrent language model that runs without torch.

    Args:
        config: the architecture.
        weights: its tensors, by the names that ``charnn.checkpoint`` documents; float32 or float64.
        start_id: what an empty prompt feeds.
        end_id: ends a document.
    """

    def __init__(
        self, config: ModelConfig, weights: Tensors, *, start_id: int, end_id: int | None
    ) -> None:
        self.start_id = start_id
        self.end_id = end_id
        cell: Any = CELLS[config.cell]
        self._stack = Stack(
            [
                cell(**{name: weights[f"layers.{n}.{name}"] for name in cell.shapes(1, 1)})
                for n in range(config.layers)
            ]
        )
        self._embedding_VE = weights.get("embedding.weight")
        self._output_bias_V = weights["output.bias"]
        self.vocabulary_size = len(self._output_bias_V)
        if config.tied:
            assert self._embedding_VE is not None
            self._output_VH = self._embedding_VE
            if "projection.weight" in weights:
                self._output_VH = self._embedding_VE @ weights["projection.weight"]
        else:
            self._output_VH = weights["output.weight"]
        self._table_VG = self._make_table()

    def initial_state(self, batch: int) -> State:
        """Zeros: nothing was read."""
        return self._stack.initial_state(batch)

    def step(self, ids_B: Ids, state: State) -> tuple[Floats, State]:
        """Read one id a row: logits [B, V] and the new state."""
        hidden_BH, state = self._stack.advance(self._project(ids_B), state)
        return self.logits(hidden_BH), state

    def prefill(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read ragged prompts; an empty one reads ``start_id``."""
        if not ids_BT.shape[1]:
            ids_BT = np.zeros((len(lengths_B), 1), dtype=np.int64)
        empty_B = lengths_B == 0
        ids_BT = np.where(empty_B[:, None], self.start_id, ids_BT)
        lengths_B = np.maximum(lengths_B, 1)
        for begin in range(0, ids_BT.shape[1], _SCORED_STEPS):
            part = slice(begin, begin + _SCORED_STEPS)
            remaining_B = (lengths_B - begin).clip(0, _SCORED_STEPS)
            _, state = self._stack.unroll(self._project(ids_BT[:, part]), remaining_B, state)
        return self.logits(self.top(state)), state

    def nats(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[NDArray[np.float64], State]:
        """What reading costs: -log P of every id given all before it."""
        nats_BT = np.zeros(ids_BT.shape)
        for begin in range(0, ids_BT.shape[1], _SCORED_STEPS):
            part = ids_BT[:, begin : begin + _SCORED_STEPS]
            remaining_B = (lengths_B - begin).clip(0, _SCORED_STEPS)
            seen_BTH, state = self.look(part, remaining_B, state)
            scored_BT = np.arange(part.shape[1]) < remaining_B[:, None]
            nats_BT[:, begin : begin + _SCORED_STEPS][scored_BT] = self.costs(
                seen_BTH[scored_BT], part[scored_BT]
            )
        return nats_BT, state

    def look(self, ids_BT: Ids, lengths_B: Ids, state: State) -> tuple[Floats, State]:
        """Read ragged ids: what the top layer showed before each, [B, T, H], and the state.

        Each id is predicted from what was shown one step earlier. Positions from ``lengths_B[b]``
        on mean nothing.
        """
        before_BH = self.top(state)
        hidden_BTH, state = self._stack.unroll(self._project(ids_BT), lengths_B, state)
        return np.concatenate((before_BH[:, None], hidden_BTH[:, :-1]), axis=1), state

    @property
    def layers(self) -> tuple[Cell, ...]:
        """The cells, the lowest first."""
        return self._stack.layers

    def trace(self, ids_BT: Ids, state: State) -> tuple[list[Inner], State]:
        """Read at least one id a row: what goes on in each layer, and the new state.

        Returns:
            Of each layer the gates and values of its cell by name, [B, T, H] each, and the state.
        """
        return trace(self._stack, self._project(ids_BT), state)

    def top(self, state: State) -> Any:
        """What the top layer showed last."""
        return state[self._stack.top]

    def costs(self, hidden_NH: Floats, ids_N: Ids) -> NDArray[np.float64]:
        """-log P of each id where the top layer showed ``hidden_NH``: nats, float64."""
        costs_N = np.empty(len(ids_N))
        rows = max(1, _SCORED_LOGITS // self.vocabulary_size)
        for begin in range(0, len(ids_N), rows):
            part = slice(begin, begin + rows)
            log_probs_NV = log_softmax(self.logits(hidden_NH[part]))
            costs_N[part] = -log_probs_NV[np.arange(len(log_probs_NV)), ids_N[part]]
        return costs_N

    def logits(self, hidden_BH: Floats) -> Floats:
        """What follows where the top layer showed ``hidden_BH``: [B, V].

        Raises:
            CheckpointError: the weights are such that it is no number.
        """
        logits_BV: Floats = multiply(hidden_BH, self._output_VH)
        logits_BV += self._output_bias_V
        if not np.isfinite(logits_BV).all():
            raise CheckpointError(
                "what the model predicts is no number",
                "its weights, or the state that it began with, are damaged; train it again",
            )
        return logits_BV

    def _make_table(self) -> Floats | None:
        first = self._stack.layers[0]
        if self._embedding_VE is None:
            return first.project_one_hot()
        row = first.project(self._embedding_VE[:1])
        if self.vocabulary_size * row.nbytes > _TABLE_BYTES:
            return None
        return first.project(self._embedding_VE)

    def _project(self, ids: Ids) -> Floats:
        """The first layer's share of the input, for ids of any shape."""
        if self._table_VG is not None:
            return self._table_VG.take(ids, axis=0)
        assert self._embedding_VE is not None
        return self._stack.layers[0].project(self._embedding_VE[ids])
