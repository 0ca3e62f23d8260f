"""How often, and how far, a method ends below the supervised baseline."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from sslbench.stats._inputs import differences


@dataclass(frozen=True)
class Harm:
    """Seeds of one scenario on which the unlabelled data did harm."""

    share: float
    """Share of the pairs where the method ends below supervised, in [0, 1]."""
    mean: float
    """Mean shortfall on those pairs, in the unit of the scores, ≥ 0; 0 where there are none."""
    worst: float
    """Largest shortfall, in the unit of the scores, ≥ 0; 0 where there is none."""
    pairs: int
    """Pairs compared."""
    missing: int
    """Pairs left out because one of the two has no score; a run that diverged is one of them, and no benefit either."""


def measure_harm(method: ArrayLike, supervised: ArrayLike) -> Harm:
    """Harm of `method` against `supervised` in one scenario, both of shape (seeds,), paired by position.

    The shortfall on a seed is max(0, supervised - method). A mean difference hides it: a method can gain on average and
    still ruin one split in five.

    Raises:
        ValueError: the shapes differ, or no pair has both scores.
    """
    shortfall, missing = differences(supervised, method)
    harmed = shortfall[shortfall > 0]
    mean, worst = (float(harmed.mean()), float(harmed.max())) if harmed.size else (0.0, 0.0)
    return Harm(harmed.size / shortfall.size, mean, worst, shortfall.size, missing)
