"""The bootstrap interval of a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from sslbench.stats._inputs import DECIMALS, generator, present, probability

RESAMPLES = 9_999
"""Bootstrap resamples, where the caller names no other number."""

FEW = 5
"""With fewer values a bootstrap interval is known to be too narrow, and says so."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval. Its ends are numbers or ±infinity, never NaN."""

    low: float
    high: float
    level: float
    """Nominal coverage, in (0, 1)."""
    note: str = ""
    """Why the interval is not to be taken at its word; empty where it is."""


def mean_interval(values: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES) -> Interval:
    """BCa bootstrap interval of the mean of `values`, shape (n,), NaN left out.

    Bias-corrected and accelerated (Efron 1987, "Better bootstrap confidence intervals"), by
    `scipy.stats.bootstrap`. Three cases stand apart, each named in `note`: one value has no interval (its ends are
    infinite); equal values have one of width zero; fewer than 5 give one that is too narrow, as no resampled mean
    leaves their range.

    Raises:
        ValueError: no value, or a level outside (0, 1).
    """
    x = present(values, "values")
    probability(level, "level")
    if x.size == 1:
        return Interval(-math.inf, math.inf, level, "one value: no interval")
    if np.ptp(x) <= 10.0**-DECIMALS:
        mean = float(x.mean())
        return Interval(mean, mean, level, f"all {x.size} values equal: no spread was seen")
    ends = bootstrap(
        (x,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        random_state=generator(seed),  # named so from scipy 1.13 on; `rng` only from 1.15
    ).confidence_interval
    note = f"{x.size} values: too narrow" if x.size < FEW else ""
    return Interval(float(ends.low), float(ends.high), level, note)
