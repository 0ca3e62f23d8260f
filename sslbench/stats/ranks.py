"""Ranks of methods across scenarios, and Friedman's test of them. The unit is the scenario."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import friedmanchisquare, rankdata

from sslbench.stats._inputs import DECIMALS, Array, matrix


@dataclass(frozen=True)
class Friedman:
    """Result of Friedman's test that all methods rank alike."""

    statistic: float
    """χ² with methods - 1 degrees of freedom, corrected for ties."""
    p: float
    """From the χ² approximation, which is rough for fewer than about 10 scenarios or 5 methods."""
    mean_ranks: tuple[float, ...]
    """Of each method over the scenarios used; 1 is best."""
    scenarios: int
    """Scenarios used: those where every method has a score."""
    missing: int
    """Scenarios left out because a method has none."""


def ranks(scores: ArrayLike) -> Array:
    """Rank of each method in each scenario, shape (scenarios, methods): 1 is the highest score, ties share the average.

    A missing score (NaN) has rank NaN, and the others of its scenario are ranked among themselves. Scores that agree to
    12 decimals are tied.

    Raises:
        ValueError: scores are not a matrix, or one is infinite.
    """
    rounded = np.round(matrix(scores, "scores"), DECIMALS)
    return np.asarray(rankdata(-rounded, axis=1, nan_policy="omit"), dtype=np.float64)


def complete(scores: ArrayLike) -> tuple[Array, int]:
    """The scenarios where every method has a score, shape (complete scenarios, methods), and how many are left out.

    Raises:
        ValueError: scores are not a matrix, or one is infinite.
    """
    given = matrix(scores, "scores")
    whole = ~np.isnan(given).any(axis=1)
    return given[whole], int((~whole).sum())


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's test on `scores`, shape (scenarios, methods), one score a cell (a mean over seeds).

    Over the scenarios where every method has a score (Friedman 1937; Demšar 2006, section 3.2.2). Where all methods are
    tied in every scenario the statistic is 0 and p is 1.

    Raises:
        ValueError: fewer than three methods, or fewer than two complete scenarios.
    """
    whole, missing = complete(scores)
    if whole.shape[1] < 3:
        raise ValueError(f"Friedman's test of {whole.shape[1]} method(s): give at least 3, or use `wilcoxon` for two.")
    if whole.shape[0] < 2:
        raise ValueError(
            f"{whole.shape[0]} scenario(s) with a score of every method and {missing} without: "
            "Friedman's test needs at least 2."
        )
    ranked = ranks(whole)
    means = tuple(ranked.mean(axis=0).tolist())
    if (ranked == ranked[0, 0]).all():
        return Friedman(0.0, 1.0, means, len(whole), missing)
    statistic, p = friedmanchisquare(*ranked.T)
    return Friedman(float(statistic), float(p), means, len(whole), missing)
