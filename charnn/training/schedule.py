"""How many steps a budget buys, and the learning rate of each."""

import math
import statistics
from collections.abc import Sequence

#: How often the learning rate is halved before training gives up.
MOST_HALVINGS = 3


def learning_rate(step: int, steps: int | None, peak: float, warm_up: int) -> float:
    """The learning rate of step ``step`` (from 0): a linear rise, then a linear fall to zero.

    Args:
        step: the step's number.
        steps: how many there will be; None while that is not known: there is no fall yet.
        peak: the highest rate.
        warm_up: the steps of the rise; at most a tenth of all.
    """
    warm_up = warm_up_steps(steps, warm_up)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    if steps is None:
        return peak
    return peak * max(steps - step, 0) / max(steps - warm_up, 1)


def warm_up_steps(steps: int | None, warm_up: int) -> int:
    """The steps until the rate is at its peak: what was asked for, or a tenth of all steps."""
    return warm_up if steps is None else min(warm_up, steps // 10)


#: The peak learning rates of the cells for up to 65 symbols (docs/recipes.md).
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


def default_rate(vocabulary: int, cell: str) -> float:
    """The peak learning rate that suits: an LSTM's is 0.012 for up to 65 symbols, then as 1/√V.

    Found by experiment (docs/recipes.md): with thousands of symbols, rates that are best for
    letters keep the network from learning more than how frequent each symbol is. A GRU
    wants half of it, and cells without gates bear a third: sooner or later their gradients explode.
    """
    return _RATES[cell] * min(1.0, math.sqrt(65 / vocabulary))


#: The share of a budget in minutes that is spent before the number of steps is fixed.
_TIMED_SHARE = 0.1
_TIMED_STEPS = 10
_TIMED_SECONDS = 30.0

#: What reading a token costs without learning from it, as a share of a training step's cost.
_READING_COST = 0.5


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
    validation = _READING_COST * step * validation_tokens / tokens_per_step
    # Validations happen every `interval(...)` steps; solve for the steps by iterating twice.
    steps = remaining / step
    for _ in range(2):
        between = interval(math.ceil(steps), tokens_per_step, validation_tokens)
        steps = remaining / (step + validation / between)
    return max(1, int(steps))


def interval(steps: int, tokens_per_step: int, validation_tokens: int) -> int:
    """Steps between validations: about twenty in a run, but so that they cost little of it."""
    affordable = math.ceil(4 * validation_tokens / tokens_per_step)
    return max(1, math.ceil(steps / 20), affordable)
