"""The cliff of the error surface, and what gradient descent does there, clipped or not.

Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural networks", section
2.3 and figure 6 (the cliff of a network of one unit), section 3.2 (clipping by norm). All in
float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charnn.cells.arithmetic import identity, relu, sigmoid

Floats = NDArray[np.float64]
ActivationName = Literal["sigmoid", "tanh", "relu", "linear"]

#: Each activation φ, and its slope φ' told by φ itself.
_ACTIVATIONS: dict[ActivationName, tuple[Callable[[Any], Any], Callable[[Floats], Floats]]] = {
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "relu": (relu, lambda h: (h > 0).astype(np.float64)),
    "linear": (identity, np.ones_like),
}

#: An error [...] of weights [..., W], and its gradient [..., W].
Surface = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class OneUnit:
    """The error ½ (h_T - target)² of a network of one unit, h_{t+1} = φ(w h_t + b).

    >>> error, gradient = OneUnit("linear", steps=2, begin=1.0, target=0.0)(np.array([3.0, 0.0]))
    >>> error.tolist(), gradient.tolist()  # ½ (w² + w b + b)²: 9 times (2w, w + 1)
    (40.5, [54.0, 36.0])
    """

    activation: ActivationName = "sigmoid"
    steps: int = 50
    """T."""
    begin: float = 0.5
    """h_0."""
    target: float = 0.7

    def __call__(self, weights_X2: Floats) -> tuple[Floats, Floats]:
        """The error [...] at weights w, b [..., 2], and its gradient [..., 2].

        The gradient is carried forwards, beside h: dh' = φ'(w h + b) (h dw + db + w dh).
        """
        activate, slope = _ACTIVATIONS[self.activation]
        w_X, b_X = np.moveaxis(np.atleast_2d(weights_X2), -1, 0)
        h_X = np.full(w_X.shape, self.begin)
        dw_X, db_X = np.zeros(w_X.shape), np.zeros(w_X.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.steps):
                new_X = activate(w_X * h_X + b_X)
                slope_X = slope(new_X)
                dw_X, db_X = slope_X * (h_X + w_X * dw_X), slope_X * (1 + w_X * db_X)
                h_X = new_X
            off_X = h_X - self.target
            errors_X, gradients_X2 = off_X**2 / 2, np.stack((off_X * dw_X, off_X * db_X), -1)
        shape = np.shape(weights_X2)
        return errors_X.reshape(shape[:-1]), gradients_X2.reshape(shape)


@dataclass(frozen=True)
class PowerCliff:
    """½ (w^n - 1)², the error of a linear network of one unit that is to keep a 1 for n steps.

    >>> error, gradient = PowerCliff(3)(np.array([2.0]))
    >>> error.tolist(), gradient.tolist()  # ½ 7², 7 · 3 · 2²
    (24.5, [84.0])
    """

    power: int = 999

    def __call__(self, weights_X1: Floats) -> tuple[Floats, Floats]:
        """The error [...] at weights w [..., 1], and its gradient [..., 1]."""
        with np.errstate(over="ignore", invalid="ignore"):
            off_X1 = weights_X1**self.power - 1
            gradients_X1 = off_X1 * self.power * weights_X1 ** (self.power - 1)
            return off_X1[..., 0] ** 2 / 2, gradients_X1


@dataclass(frozen=True)
class Descent:
    """The path of gradient descent: N points, and what was found at each."""

    weights_NW: Floats
    errors_N: Floats
    norms_N: Floats
    """Of the gradient, before it is clipped."""

    @property
    def overflowed(self) -> bool:
        """Whether the last point, or what was found there, is no number any more."""
        last = (*self.weights_NW[-1], self.errors_N[-1], self.norms_N[-1])
        return not np.isfinite(last).all()


def descend(
    surface: Surface, start_W: Floats, lr: float, steps: int, clip_norm: float | None = None
) -> Descent:
    """Gradient descent, w - lr · g, that ends early where a weight is no number any more.

    Args:
        surface: the error and its gradient.
        start_W: the weights at the beginning.
        lr: the learning rate.
        steps: how many are taken, at most.
        clip_norm: a longer gradient is scaled down to this length (section 3.2, algorithm 1).

    Plain descent overflows at the second step, clipped it does not:

    >>> plain = descend(PowerCliff(999), np.array([1.01]), 1e-4, 100)
    >>> [f"{w:.3g}" for w in plain.weights_NW[:, 0]]
    ['1.01', '-4.26e+07', 'inf']
    >>> clipped = descend(PowerCliff(999), np.array([1.01]), 1e-4, 100, clip_norm=1.0)
    >>> f"{clipped.weights_NW[-1, 0]:.4f}", clipped.overflowed
    ('1.0000', False)
    """
    weights_W = np.array(start_W, dtype=np.float64)
    points, errors, norms = [], [], []
    for step in range(steps + 1):
        error, gradient_W = surface(weights_W)
        norm = _norm(gradient_W)
        points.append(weights_W)
        errors.append(float(error))
        norms.append(norm)
        if step == steps or not np.isfinite(weights_W).all():
            break
        if clip_norm is not None and norm > clip_norm:
            # Scaled before it is added: an infinite gradient would have no direction.
            gradient_W = gradient_W / norm * clip_norm
        with np.errstate(over="ignore", invalid="ignore"):
            weights_W = weights_W - lr * gradient_W
    return Descent(np.array(points), np.array(errors), np.array(norms))


def _norm(gradient_W: Floats) -> float:
    """The length of a vector whose squares may not fit a float."""
    greatest = float(np.abs(gradient_W).max())
    if not 0 < greatest < np.inf:
        return greatest
    return greatest * float(np.linalg.norm(gradient_W / greatest))


def error_map(surface: Surface, w_M: Floats, b_N: Floats) -> Floats:
    """The error over two weights: [N, M], a row for each b."""
    return surface(np.stack(np.meshgrid(w_M, b_N), -1))[0]
