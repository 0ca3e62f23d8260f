"""How many seeds would settle a comparison."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr
from scipy.stats import chi2, t

from sslbench.stats._inputs import probability
from sslbench.stats.sign_flips import pairs_to_reach

MOST = 1_000
"""Seeds beyond which nobody waits for the answer."""

_STRATA = 2_000  # equally likely slices of the spread that a sample may show


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds would settle a pair, if its true difference and spread are those observed."""

    total: int
    """Seeds in all."""
    more: int
    """Seeds beyond those at hand."""
    bound: Literal["about", "at least", "more than"]
    """How to read both: an estimate; a lower limit, as one pair shows no spread; or the limit of the search."""

    def __str__(self) -> str:
        number = f"{self.more} more seed{'s' if self.more != 1 else ''}"
        return number if self.bound == "about" else f"{self.bound} {number}"


def seeds_needed(
    mean: float,
    sd: float,
    pairs: int,
    *,
    alpha: float = 0.05,
    comparisons: int = 1,
    power: float = 0.8,
    most: int = MOST,
) -> SeedsNeeded:
    """The smallest number of seeds at which a two-sided paired t-test finds the observed difference with `power`.

    For a pair that the seeds at hand left undecided: the answer is at least one seed more than those, and at least the
    number at which an exact sign-flip p can reach the threshold. The threshold is alpha / comparisons, Holm's first
    step and so the strictest. The observed effect is itself uncertain, and near zero it is mostly chance: read the
    answer as an order of magnitude.

    Args:
        mean, sd: of the paired differences, in one unit; sd with ddof = 1, NaN where there is one pair.
        pairs: seeds at hand.
        alpha: chance of a false finding that is accepted over all comparisons.
        comparisons: comparisons in the table.
        power: wanted chance of finding the difference.
        most: seeds at which the search ends; beyond, the answer is "more than" it.

    Raises:
        ValueError: alpha or power outside (0, 1), fewer than one comparison, or a negative sd.
    """
    probability(power, "power")
    least = max(2, pairs + 1, seeds_to_tell(comparisons, alpha))
    threshold = alpha / comparisons
    if math.isnan(sd):
        return SeedsNeeded(least, least - pairs, "at least")
    effect = effect_size(mean, sd)
    tried = range(least, most + 1)
    found = bisect_left(tried, power, key=lambda n: paired_t_power(n, effect, threshold))
    if found == len(tried):
        last = max(most, pairs)
        return SeedsNeeded(last, last - pairs, "more than")
    return SeedsNeeded(tried[found], tried[found] - pairs, "about")


def seeds_to_tell(comparisons: int, alpha: float = 0.05) -> int:
    """The fewest seeds with which any of the comparisons of a table can be told from chance, were all pairs of one sign.

    Holm's first step asks for p ≤ alpha / comparisons (Holm 1979), and n pairs reach 2 / 2ⁿ at best.

    Raises:
        ValueError: fewer than one comparison, or alpha outside (0, 1).
    """
    if comparisons < 1:
        raise ValueError(f"comparisons is {comparisons}: give at least 1.")
    return pairs_to_reach(probability(alpha, "alpha") / comparisons)


def effect_size(mean: float, sd: float) -> float:
    """|mean| / sd of paired differences, Cohen's d_z (Cohen 1988, chapter 2); 0 for 0/0, infinite for a certain one.

    Raises:
        ValueError: sd is negative or NaN.
    """
    if not sd >= 0:
        raise ValueError(f"sd is {sd}: give a standard deviation, 0 or above.")
    if mean == 0:
        return 0.0
    return abs(mean) / sd if sd > 0 else math.inf


def paired_t_power(pairs: int, effect: float, alpha: float) -> float:
    """Chance that a two-sided paired t-test on n ≥ 2 pairs finds an effect of `effect` standard deviations at `alpha`.

    P(|T| > c), c = t₁₋α⸝₂ with ν = n - 1 degrees of freedom (Cohen 1988, chapter 12). T = (Z + δ) / √(V / ν), with Z
    standard normal, V χ² of ν degrees and δ = √n · effect, so it is

        E_V[ Φ(δ - c √(V / ν)) + Φ(-δ - c √(V / ν)) ],

    here the mean over 2,000 quantiles of V, within 1e-4. (scipy's own noncentral t gives NaN for large δ in some
    versions.)

    Raises:
        ValueError: fewer than two pairs, or alpha outside (0, 1).
    """
    if pairs < 2:
        raise ValueError(f"pairs is {pairs}: a t-test needs at least 2.")
    freedom = pairs - 1
    critical = t.isf(probability(alpha, "alpha") / 2, freedom)
    limit = critical * np.sqrt(chi2.ppf((np.arange(_STRATA) + 0.5) / _STRATA, freedom) / freedom)
    shift = math.sqrt(pairs) * abs(effect)
    return float((ndtr(shift - limit) + ndtr(-shift - limit)).mean())
