"""What is trained where nothing else is asked for, by corpus, budget and machine.

Found by experiment: docs/recipes.md tells how, and what was found to be worse.
"""

import math
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

from charnn.architecture import ModelConfig, count_parameters
from charnn.training.config import Size, TrainingConfig

#: Units of a layer, from small to large; --size auto takes one of them.
_HIDDEN = (128, 192, 256, 384, 512, 768, 1024)
_SIZES: dict[Size, int] = {"small": 128, "medium": 256, "large": 512}

#: A model is too large for its budget if it reads fewer tokens than this for each parameter.
_TOKENS_PER_PARAMETER = 6.0

#: Beyond this many symbols an output has most of the parameters, and shares the embedding's.
_MANY_SYMBOLS = 2000


#: The peak learning rates of AdamW where it has all weights, for up to 65 symbols.
_ADAMW_RATES = {
    "lstm": 0.012,
    "peephole": 0.012,
    "peephole-full": 0.012,
    "gru": 0.006,
    "gru-reset-after": 0.006,
    "elman": 0.004,
    "elman-relu": 0.004,
    "jordan": 0.004,
}

#: The share of a processor's rate in large products that training gets.
_USED_SHARE = 0.6


@dataclass(frozen=True)
class Setting:
    """What a recipe depends on."""

    tokens: int
    """Tokens to learn from."""
    vocabulary: int
    """V."""
    rate: float
    """What the machine multiplies, in floating-point operations a second."""


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
        given: names of the fields of both that were.
    """
    chosen: dict[str, Any] = {}
    many = setting.vocabulary > _MANY_SYMBOLS and model.embedding > 0
    chosen["tied"] = many
    candidates = _HIDDEN if size == "auto" else (_SIZES[size],)
    for hidden in candidates:
        wider = replace(
            model,
            **_free({"hidden": hidden, "embedding": hidden if many else 64, "tied": many}, given),
        )
        if hidden != candidates[0] and _reads(
            setting, wider, training
        ) < _TOKENS_PER_PARAMETER * _size(wider, setting):
            break
        best = wider
    epochs = _reads(setting, best, training) / setting.tokens
    settings = {
        "dropout": _dropout(epochs),
        "lr": _rate(setting.vocabulary, model.cell, training.optimizer),
    }
    return best, replace(training, **_free(settings, given))


def _free(settings: dict[str, Any], given: Set[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in given}


def _size(model: ModelConfig, setting: Setting) -> int:
    return sum(count_parameters(model, setting.vocabulary).values())


def _reads(setting: Setting, model: ModelConfig, training: TrainingConfig) -> float:
    """Tokens that the budget lets a model read."""
    if training.steps is not None:
        return training.steps * training.batch * training.bptt
    if training.epochs is not None:
        return training.epochs * setting.tokens
    seconds = 60 * (training.minutes or training.default_minutes)
    active = _size(model, setting) - setting.vocabulary * model.embedding * (not model.tied)
    return seconds * setting.rate * _USED_SHARE / (6 * active)


def _dropout(epochs: float) -> float:
    return min(0.5, max(0.1, 0.1 * math.log2(max(epochs, 1))))


def _rate(vocabulary: int, cell: str, optimizer: str) -> float:
    peak = 0.004 if optimizer == "muon" else _ADAMW_RATES[cell]
    return peak * min(1.0, math.sqrt(65 / vocabulary))
