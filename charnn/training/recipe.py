"""What is trained where nothing else is asked for, by corpus, budget and machine.

Found by experiment: docs/recipes.md tells how, and what was found to be worse.
"""

import math
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

from charnn.architecture import ModelConfig, count_parameters
from charnn.training.config import Size, TrainingConfig

#: Units of a layer. --size auto takes one of them, and so do the names.
_WIDTHS = (128, 192, 256, 384, 512, 768, 1024)
_NAMED: dict[Size, int] = {"small": 128, "medium": 256, "large": 512}

#: A layer is too wide if the budget has it read fewer tokens than this for each of its weights.
_TOKENS_PER_WEIGHT = 5.0

#: With more symbols than this, the output shares the embedding's weights ...
_MANY_SYMBOLS = 2000
#: ... and beyond this it learns with a sample of them.
_TOO_MANY_SYMBOLS, _SAMPLES = 12_000, 4096

#: The peak learning rate of AdamW for up to 65 symbols, beside Muon and on its own.
_RATE_BESIDE_MUON = 0.008
_RATES = {
    "lstm": 0.012,
    "peephole": 0.012,
    "peephole-full": 0.012,
    "gru": 0.006,
    "gru-reset-after": 0.006,
    "elman": 0.004,
    "elman-relu": 0.004,
    "jordan": 0.004,
}

#: The share of a machine's rate in large products that training gets.
_USED_SHARE = 0.6


@dataclass(frozen=True)
class Setting:
    """What a recipe depends on."""

    tokens: int
    """Tokens to learn from."""
    vocabulary: int
    """V."""
    rate: float
    """Floating-point operations a second that the machine does in matrix products."""


def complete(
    setting: Setting,
    size: Size,
    model: ModelConfig,
    training: TrainingConfig,
    given: Set[str],
) -> tuple[ModelConfig, TrainingConfig]:
    """Choose what was not given.

    Args:
        setting: corpus and machine.
        size: of the model; auto goes by corpus and budget.
        model: the architecture, of which what was given stays.
        training: likewise.
        given: the names of the fields of both that were.
    """

    def with_ours(config: Any, **ours: Any) -> Any:
        return replace(config, **{name: ours[name] for name in ours.keys() - given})

    many = setting.vocabulary > _MANY_SYMBOLS and model.embedding > 0
    training = with_ours(
        training,
        samples=_SAMPLES if setting.vocabulary > _TOO_MANY_SYMBOLS else 0,
        lr=_rate(setting.vocabulary, model.cell, training.optimizer),
    )
    widths = _WIDTHS if size == "auto" else (_NAMED[size],)
    models = [
        with_ours(model, hidden=width, embedding=width if many else model.embedding, tied=many)
        for width in widths
    ]
    affordable = [
        one
        for one in models[1:]
        if _reads(setting, one, training) >= _TOKENS_PER_WEIGHT * _recurrent_weights(one, setting)
    ]
    model = max(affordable, key=lambda one: one.hidden, default=models[0])
    epochs = _reads(setting, model, training) / setting.tokens
    return model, with_ours(training, dropout=_dropout(epochs))


def _rate(vocabulary: int, cell: str, optimizer: str) -> float:
    """Rates that are best for letters keep thousands of symbols from being told apart."""
    peak = _RATE_BESIDE_MUON if optimizer == "muon" else _RATES[cell]
    return peak * min(1.0, math.sqrt(65 / vocabulary))


def _dropout(epochs: float) -> float:
    """What is read more often is sooner known by heart."""
    return min(0.5, max(0.1, 0.1 * math.log2(max(epochs, 1.0))))


def _recurrent_weights(model: ModelConfig, setting: Setting) -> int:
    parts = count_parameters(model, setting.vocabulary).items()
    return sum(count for part, count in parts if part.startswith("layers."))


def _reads(setting: Setting, model: ModelConfig, training: TrainingConfig) -> float:
    """Tokens that the budget has a model read."""
    per_step = training.batch * training.bptt
    if training.steps is not None:
        return training.steps * per_step
    if training.epochs is not None:
        return training.epochs * setting.tokens
    outputs = min(setting.vocabulary, training.samples or setting.vocabulary)
    features = model.embedding if model.tied else model.hidden
    weights = _recurrent_weights(model, setting)
    # Muon takes nine products of H x H matrices a gate, where a layer's inputs are as many.
    muon = 18 * model.hidden * weights * (training.optimizer == "muon") / per_step
    operations = 6 * (weights + outputs * features) + muon
    seconds = 60 * (training.minutes or training.default_minutes)
    return seconds * _USED_SHARE * setting.rate / operations
