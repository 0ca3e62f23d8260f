"""Holm's adjustment of the p-values of one table."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import Array, vector


def holm(p: ArrayLike) -> Array:
    """Holm-adjusted p-values, shape (m,), in the order given: compare each with alpha itself.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎, the adjusted p₍ᵢ₎ is max over j ≤ i of min(1, (m - j + 1) p₍ⱼ₎) (Holm 1979). It
    bounds the chance of even one false finding among the m, whatever the dependence between them.

    Raises:
        ValueError: a p-value outside [0, 1], or NaN.
    """
    given = vector(p, "p")
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"p holds {given.tolist()}: give p-values from 0 to 1, and leave out comparisons without one.")
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(given.size, 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
