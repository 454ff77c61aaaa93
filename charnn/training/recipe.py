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
_WIDTHS = (128, 192, 256, 320, 384, 512, 768, 1024)
_NAMED: dict[Size, int] = {"small": 128, "medium": 256, "large": 512}

#: A layer is too wide if the budget has it read fewer tokens than this for each of its weights.
_TOKENS_PER_WEIGHT = 5.0

#: ... or if it has more weights than this for each byte of the text: read again and again, they
#: learn it by heart. In bytes, for a word tells more than a letter.
_WEIGHTS_PER_BYTE = 1.2

#: Dropout is so much for each doubling of weights x epochs / tokens, but for the first so many;
#: more where the symbols are words, most of which are rare.
_DROPOUT, _DROPOUT_FOR_WORDS = 0.05, 0.07
_FREE_DOUBLINGS = 1

#: A text is read no more often than this, unless a budget says so.
_MOST_EPOCHS = 40

#: Small texts are read in fewer lanes, so that an epoch has more steps than this.
_STEPS_PER_EPOCH = 32
_LANES = (8, 16, 32)

#: With more symbols than this, the output shares the embedding's weights ...
_MANY_SYMBOLS = 2000
#: ... and beyond this it learns with a sample of them.
_TOO_MANY_SYMBOLS, _SAMPLES = 12_000, 4096

#: The peak learning rate of AdamW for up to 65 symbols, beside Muon and on its own; and the power
#: of the number of symbols with which it falls.
_BESIDE_MUON, _FALL_BESIDE_MUON = 0.016, 1 / 4
_FALL = 1 / 2
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
_USED_SHARE = 0.75


@dataclass(frozen=True)
class Setting:
    """What a recipe depends on."""

    tokens: int
    """Tokens to learn from."""
    bytes_per_token: float
    vocabulary: int
    """V."""
    rate: float | None
    """Floating-point operations a second that the machine does in matrix products; None if that
    does not matter, for the budget is no time."""


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

    training = with_ours(
        training,
        batch=_lanes(setting, training),
        sampled_softmax=_SAMPLES if setting.vocabulary > _TOO_MANY_SYMBOLS else 0,
        lr=_rate(setting.vocabulary, model.cell, training.optimizer),
    )
    many = setting.vocabulary > _MANY_SYMBOLS and model.embedding > 0
    # An embedding that is frozen, or brought along, must not decide what the output can tell apart.
    tied = many and training.freeze == "nothing" and training.embedding_from is None
    models = []
    for width in _WIDTHS if size == "auto" else (_NAMED[size],):
        one = with_ours(model, hidden=width, tied=tied)
        models.append(with_ours(one, embedding=one.hidden if many else model.embedding))
    fitting = [one for one in models[1:] if _fits(setting, one, training)]
    model = max(fitting, key=lambda one: one.hidden, default=models[0])
    training = with_ours(training, dropout=_dropout(setting, model, training))
    if not training.has_budget and _reads(setting, model, training) >= _most_reads(setting):
        training = replace(training, epochs=_MOST_EPOCHS)
    return model, training


def _lanes(setting: Setting, training: TrainingConfig) -> int:
    """As many as a text allows."""
    most = setting.tokens // (training.bptt * _STEPS_PER_EPOCH)
    return max((lanes for lanes in _LANES if lanes <= most), default=_LANES[0])


def _most_reads(setting: Setting) -> int:
    """Tokens that are read where no budget says how many."""
    return _MOST_EPOCHS * setting.tokens


def _fits(setting: Setting, model: ModelConfig, training: TrainingConfig) -> bool:
    """Whether a budget and a text are enough for so many weights."""
    weights = _recurrent_weights(model, setting)
    enough_time = _reads(setting, model, training) >= _TOKENS_PER_WEIGHT * weights
    text_bytes = setting.tokens * setting.bytes_per_token
    return enough_time and weights <= _WEIGHTS_PER_BYTE * text_bytes


def _dropout(setting: Setting, model: ModelConfig, training: TrainingConfig) -> float:
    """Many weights that see a text often soon know it by heart."""
    epochs = _reads(setting, model, training) / setting.tokens
    weights = sum(count_parameters(model, setting.vocabulary).values())
    pressure = epochs * weights / setting.tokens
    doublings = round(math.log2(max(pressure, 1.0))) - _FREE_DOUBLINGS
    each = _DROPOUT_FOR_WORDS if setting.vocabulary > _TOO_MANY_SYMBOLS else _DROPOUT
    return round(min(each * max(doublings, 0), 0.5), 2)


def _rate(vocabulary: int, cell: str, optimizer: str) -> float:
    """Rates that are best for letters keep thousands of symbols from being told apart."""
    fewer = min(1.0, 65 / vocabulary)
    if optimizer == "muon":
        return _BESIDE_MUON * math.pow(fewer, _FALL_BESIDE_MUON)
    return _RATES[cell] * math.pow(fewer, _FALL)


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
    outputs = min(setting.vocabulary, training.sampled_softmax or setting.vocabulary)
    features = model.embedding if model.tied else model.hidden
    weights = _recurrent_weights(model, setting)
    # Muon takes nine products of H x H matrices a gate, where a layer's inputs are as many.
    muon = 18 * model.hidden * weights * (training.optimizer == "muon") / per_step
    operations = 6 * (weights + outputs * features) + muon
    assert setting.rate is not None
    affordable = training.budget_seconds * _USED_SHARE * setting.rate / operations
    return affordable if training.has_budget else min(affordable, _most_reads(setting))
