"""How many steps a budget buys, and the course of the learning rate."""

import math
import statistics
from collections.abc import Sequence

#: How often the learning rate is halved before training gives up.
MOST_HALVINGS = 3


def learning_share(step: int, steps: int | None, warm_up: int) -> float:
    """The share of the peak rate in step ``step`` (from 0): a linear rise, then a fall to zero.

    Args:
        step: the step's number.
        steps: how many there will be; None while that is not known: there is no fall yet.
        warm_up: the steps of the rise; at most a tenth of all.
    """
    warm_up = warm_up_steps(steps, warm_up)
    if step < warm_up:
        return (step + 1) / warm_up
    if steps is None:
        return 1.0
    return max(steps - step, 0) / max(steps - warm_up, 1)


def warm_up_steps(steps: int | None, warm_up: int) -> int:
    """The steps until the rate is at its peak: what was asked for, or a tenth of all steps."""
    return warm_up if steps is None else min(warm_up, steps // 10)


#: The share of a budget in minutes that is spent before the number of steps is fixed.
_TIMED_SHARE = 0.1
_TIMED_STEPS = 10
_TIMED_SECONDS = 30.0

#: What reading a token costs without learning from it, as a share of a training step's cost.
_READING_COST = 0.5

#: What validations may cost, as a share of what the steps do.
_VALIDATION_SHARE = 1 / 16


def is_timed(steps: int, seconds: float, budget: float) -> bool:
    """Whether enough steps were timed to fix the number of all of them."""
    return steps >= _TIMED_STEPS and seconds >= min(_TIMED_SHARE * budget, _TIMED_SECONDS)


def affordable_steps(
    step_seconds: Sequence[float],
    remaining: float,
    tokens_per_step: int,
    validation_tokens: int,
) -> int:
    """How many more steps fit into ``remaining`` seconds, validation included."""
    step = statistics.median(step_seconds)
    # How often it is validated depends on the steps; solve for them by iterating twice.
    steps = remaining / step
    for _ in range(2):
        validations = validation_seconds(math.ceil(steps), step, tokens_per_step, validation_tokens)
        steps = remaining / (step + validations / math.ceil(steps))
    return max(1, int(steps))


def validation_seconds(
    steps: int, step_seconds: float, tokens_per_step: int, validation_tokens: int
) -> float:
    """What the validations of so many steps take in all."""
    one = _READING_COST * step_seconds * validation_tokens / tokens_per_step
    return one * steps / interval(steps, tokens_per_step, validation_tokens)


def interval(steps: int, tokens_per_step: int, validation_tokens: int) -> int:
    """Steps between validations: about twenty in a run, but so that they cost little of it."""
    affordable = _READING_COST * validation_tokens / tokens_per_step / _VALIDATION_SHARE
    return max(1, math.ceil(steps / 20), math.ceil(affordable))
