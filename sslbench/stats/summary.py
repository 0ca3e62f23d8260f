"""Mean and spread of one method over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import vector


@dataclass(frozen=True)
class Summary:
    """Mean and spread of a sample."""

    mean: float
    """In the unit of the values; NaN where n = 0."""
    sd: float
    """Sample standard deviation (ddof = 1), in the unit of the values; NaN where n < 2: one shows no spread."""
    n: int
    """How many values there are."""
    missing: int
    """How many more were NaN."""


def summarise(values: ArrayLike) -> Summary:
    """Mean, sample standard deviation and count of `values`, shape (seeds,), NaN left out and counted.

    Raises:
        ValueError: not a vector, or an infinite value.
    """
    x = vector(values, "values")
    kept = x[~np.isnan(x)]
    mean = float(kept.mean()) if kept.size else math.nan
    sd = float(kept.std(ddof=1)) if kept.size > 1 else math.nan
    return Summary(mean, sd, kept.size, x.size - kept.size)
