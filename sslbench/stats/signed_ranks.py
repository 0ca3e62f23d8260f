"""Wilcoxon's signed-rank test, of one pair of methods and of all pairs, across scenarios."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from sslbench.stats._inputs import Array, differences, matrix
from sslbench.stats.multiplicity import holm
from sslbench.stats.sign_flips import SignFlip, sign_flip


@dataclass(frozen=True, eq=False)  # arrays have no one truth of being equal
class PairwiseWilcoxon:
    """Signed-rank tests of all pairs of methods."""

    p: Array
    """Holm-adjusted, symmetric, shape (methods, methods); 1 on the diagonal."""
    unadjusted: Array
    """Before Holm's adjustment, of the same shape."""
    smallest: float
    """The smallest adjusted p that the first of so many pairs could reach on so many scenarios."""


def wilcoxon(a: ArrayLike, b: ArrayLike, *, seed: int) -> SignFlip:
    """Two-sided signed-rank test of the scores `a` and `b`, both of shape (scenarios,).

    The sign-flip test of the signed ranks of |a - b|, ties sharing their average rank and zeros left out (Wilcoxon
    1945; Demšar 2006, section 3.1.3). So it is exact, with ties too, up to 20 scenarios; beyond, patterns are drawn
    from `seed`. A scenario without one of the scores is left out.

    Raises:
        ValueError: the shapes differ, or no scenario has both scores.
    """
    d, _ = differences(a, b)
    signed = np.zeros_like(d)
    untied = d != 0
    signed[untied] = np.sign(d[untied]) * rankdata(np.abs(d[untied]))
    return sign_flip(signed, seed=seed)


def pairwise_wilcoxon(scores: ArrayLike, *, seed: int) -> PairwiseWilcoxon:
    """Signed-rank tests between all methods of `scores`, shape (scenarios, methods), with Holm's adjustment.

    Each pair is tested on the scenarios where both have a score.

    Raises:
        ValueError: fewer than two methods, or a pair without a common scenario.
    """
    x = matrix(scores, "scores")
    methods = x.shape[1]
    if methods < 2:
        raise ValueError(f"scores hold {methods} method(s): give at least 2 to compare.")
    pairs = list(itertools.combinations(range(methods), 2))
    tests = [wilcoxon(x[:, i], x[:, j], seed=seed) for i, j in pairs]
    unadjusted = [test.p for test in tests]
    smallest = min(1.0, len(tests) * min(test.smallest for test in tests))
    return PairwiseWilcoxon(_square(holm(unadjusted), methods), _square(unadjusted, methods), smallest)


def _square(values: ArrayLike, size: int) -> Array:
    """The upper triangle's values, row by row, as a symmetric matrix with 1 on the diagonal."""
    square = np.ones((size, size))
    square[np.triu_indices(size, 1)] = values
    return np.minimum(square, square.T)
