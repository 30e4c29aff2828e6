"""Shapley values of a leaf: what each column on the way to it adds to its value."""

from __future__ import annotations

import numpy as np


def _points(number: int) -> list[tuple[float, float]]:
    """Return the Gauss-Legendre points of [0, 1], and their weights."""
    points, weights = np.polynomial.legendre.leggauss(number)
    return list(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


_FEW_POINTS = [[], *(_points(number) for number in range(1, 9))]
"""The points of the polynomials of up to 16 columns."""


def shares(follows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the Shapley values of a leaf of value 1, (…, columns).

    ``follows`` says whether a row goes the leaf's way at every split on a column, ``weights`` which share of the training rows
    does. Without knowing some columns the leaf is reached with the product of 1 or 0 for those that are known and of the
    shares for the others: the path-dependent game of TreeSHAP (Lundberg et al. 2020). The Shapley weights are integrals of
    a polynomial in t over [0, 1], of degree columns - 1, for which Gauss-Legendre points are exact.
    """
    columns = follows.shape[-1]
    difference = follows - weights
    values = np.zeros(np.broadcast_shapes(follows.shape, weights.shape))
    number = -(-columns // 2)
    for t, weight in _FEW_POINTS[number] if number < len(_FEW_POINTS) else _points(number):
        values += weight * _without_each(weights + t * difference)
    return np.asarray(values * difference)


def _without_each(factors: np.ndarray) -> np.ndarray:
    """Return for each of the factors the product of all the others, without dividing: a factor may be 0."""
    columns = factors.shape[-1]
    products = np.ones_like(factors)
    for place in range(1, columns):
        products[..., place] = products[..., place - 1] * factors[..., place - 1]
    after = np.ones(factors.shape[:-1])
    for place in range(columns - 2, -1, -1):
        after = after * factors[..., place + 1]
        products[..., place] *= after
    return products
