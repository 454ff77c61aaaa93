"""What all cells compute with: products for a few rows, and activations."""

from typing import Any

import numpy as np

from charnn.cells.base import Array

#: Rows up to which vectors are multiplied one by one; the tile of rows that a matrix product's
#: kernels work on; rows from which nothing is gained by filling tiles.
_ONE_BY_ONE, _TILE, _MANY = 5, 8, 64


def multiply(x_BK: Array, weight_GK: Array) -> Array:
    """X W^T for the few rows of a step: [B, G], contiguous, and nobody else's.

    A matrix-vector product reads the weights once, as fast as memory gives them. A matrix product
    copies them first, so that a handful of vectors go faster one by one; and its kernels work on
    tiles, so that more rows are filled up to whole ones.
    """
    B = len(x_BK)
    product_BG: Array
    if B <= _ONE_BY_ONE:
        product_BG = np.matmul(weight_GK, x_BK[:, :, None])[:, :, 0]
    elif B > _MANY:
        product_BG = x_BK @ weight_GK.T
    else:
        if missing := -B % _TILE:
            x_BK = np.concatenate((x_BK, np.zeros((missing, x_BK.shape[1]), x_BK.dtype)))
        product_BG = np.ascontiguousarray((weight_GK @ x_BK.T).T[:B])
    return product_BG


def _constants(value: float) -> dict[Any, Array]:
    """A number as an array of each type: quicker in products than Python's."""
    return {np.dtype(kind): np.array(value, kind) for kind in (np.float32, np.float64)}


_ONE, _HALF = _constants(1), _constants(0.5)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow: (1 + tanh(x / 2)) / 2."""
    half = _HALF[x.dtype]
    y: Array = x * half
    np.tanh(y, out=y)
    y += _ONE[x.dtype]
    y *= half
    return y


def relu(x: Array) -> Array:
    """max(x, 0), the rectifier."""
    return np.maximum(x, 0)


def identity(x: Array) -> Array:
    """X itself: what a network is without its nonlinearities."""
    return x
