"""Which of several methods are worth their cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(costs: ArrayLike, scores: ArrayLike) -> list[int]:
    """Positions of those that no other beats at once in cost (lower is better) and in score (higher is better).

    One beats another if it is at least as good in both and better in one, so equals stand on the front together. Positions
    where either value is NaN are left out. The front comes by rising cost, at equal cost by position.

    Args:
        costs, scores: of shape (n,) each.

    Raises:
        ValueError: the shapes differ, or are not one-dimensional.
    """
    cost, score = np.asarray(costs, dtype=float), np.asarray(scores, dtype=float)
    if cost.shape != score.shape or cost.ndim != 1:
        raise ValueError(f"costs and scores must be two rows of one length, not {cost.shape} and {score.shape}")
    known = [int(i) for i in np.flatnonzero(~np.isnan(cost) & ~np.isnan(score))]

    def beaten(i: int) -> bool:
        at_least = (cost[known] <= cost[i]) & (score[known] >= score[i])
        return bool((at_least & ((cost[known] < cost[i]) | (score[known] > score[i]))).any())

    return sorted((i for i in known if not beaten(i)), key=lambda i: (cost[i], i))
