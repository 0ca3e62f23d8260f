"""What every function here asks of its arrays: real numbers, NaN where a run gave none, one shape."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DECIMALS = 12
"""Scores that agree to so many decimals are tied: what is left is the rounding of sums and differences."""


def vector(values: ArrayLike, name: str) -> Array:
    """`values` as a float array of shape (n,), NaN kept.

    Raises:
        ValueError: another number of dimensions, or an infinite value.
    """
    return _array(values, name, dimensions=1)


def matrix(values: ArrayLike, name: str) -> Array:
    """`values` as a float array of shape (rows, columns), NaN kept.

    Raises:
        ValueError: another number of dimensions, or an infinite value.
    """
    return _array(values, name, dimensions=2)


def present(values: ArrayLike, name: str) -> Array:
    """The values of a vector that are not NaN, shape (n,), n ≥ 1.

    Raises:
        ValueError: not a vector, an infinite value, or no value left.
    """
    x = vector(values, name)
    x = x[~np.isnan(x)]
    if x.size == 0:
        raise ValueError(f"{name} holds no value: give at least one that is not NaN.")
    return x


def differences(a: ArrayLike, b: ArrayLike) -> tuple[Array, int]:
    """a - b, shape (n,), over the pairs where both have a value, and how many pairs lack one.

    Rounded to DECIMALS decimals, so that two equal differences are equal (0.3 - 0.2 is not 0.2 - 0.1 in floats).

    Raises:
        ValueError: the shapes differ, or no pair has both values.
    """
    x, y = vector(a, "a"), vector(b, "b")
    if x.shape != y.shape:
        raise ValueError(f"a has {x.size} values and b has {y.size}: pair them, with NaN where a run is missing.")
    d = np.round(x - y, DECIMALS)
    kept = d[~np.isnan(d)]
    if kept.size == 0:
        raise ValueError(f"None of the {d.size} pairs has both values: there is nothing to compare.")
    return kept, d.size - kept.size


def generator(seed: int) -> np.random.Generator:
    """A generator that `seed` alone decides.

    Raises:
        TypeError: not an integer; None too, which would draw another seed on every call.
        ValueError: a negative seed.
    """
    return np.random.default_rng(operator.index(seed))


def probability(value: float, name: str) -> float:
    """`value`, if it lies strictly between 0 and 1.

    Raises:
        ValueError: it does not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}: give a number between 0 and 1, both excluded.")
    return value


def _array(values: ArrayLike, name: str, dimensions: int) -> Array:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != dimensions:
        raise ValueError(f"{name} has shape {x.shape}: give an array of {dimensions} dimension(s).")
    if np.isinf(x).any():
        raise ValueError(f"{name} holds an infinite value: give finite numbers, with NaN where one is missing.")
    return x
