"""Two methods on the same seeds of one scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import differences
from sslbench.stats.intervals import RESAMPLES, Interval, mean_interval
from sslbench.stats.sign_flips import SignFlip, sign_flip


@dataclass(frozen=True)
class PairedComparison:
    """What the paired differences a - b say."""

    mean: float
    """Mean difference, in the unit of the scores."""
    sd: float
    """Standard deviation of the differences (ddof = 1); NaN where there is one pair, which shows no spread."""
    interval: Interval
    """BCa bootstrap interval of the mean difference."""
    test: SignFlip
    """Sign-flip test of no difference."""
    wins: int
    """Pairs where a is above b."""
    losses: int
    """Pairs where a is below b."""
    ties: int
    """Pairs where they are equal."""
    missing: int
    """Pairs left out because one of the two has no score."""

    @property
    def pairs(self) -> int:
        """How many pairs were compared."""
        return self.wins + self.losses + self.ties


def compare_paired(
    a: ArrayLike, b: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> PairedComparison:
    """Compare the scores `a` with `b`, both of shape (seeds,): position i is the same seed, thus the same split.

    A NaN stands for a run without a score; its pair is left out and counted. `seed` fixes every resampling. Differences
    are rounded to 12 decimals.

    Raises:
        ValueError: the shapes differ, or no pair has both scores.
    """
    d, missing = differences(a, b)
    return PairedComparison(
        mean=float(d.mean()),
        sd=float(d.std(ddof=1)) if d.size > 1 else math.nan,
        interval=mean_interval(d, seed=seed, level=level, resamples=resamples),
        test=sign_flip(d, seed=seed),
        wins=int((d > 0).sum()),
        losses=int((d < 0).sum()),
        ties=int(np.count_nonzero(d == 0)),
        missing=missing,
    )
