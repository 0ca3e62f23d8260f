"""Probability of improvement: how likely one method is above another on a run of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import DECIMALS, Array, generator, matrix, probability
from sslbench.stats.intervals import RESAMPLES, Interval


@dataclass(frozen=True)
class Improvement:
    """Probability of improvement of a over b."""

    probability: float
    """Mean over scenarios of P(A > B) + P(A = B) / 2, in [0, 1]; 0.5 means neither is above."""
    per_scenario: tuple[float, ...]
    """The same in each scenario; NaN where no seed has both scores."""
    interval: Interval
    """Percentile bootstrap interval of `probability`, stratified by scenario."""


def probability_of_improvement(
    a: ArrayLike, b: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Improvement:
    """Chance that a run of `a` scores above a run of `b`, both of shape (scenarios, seeds), ties counted half.

    In one scenario with n seeds, (1/n²) Σᵢ Σⱼ [aᵢ > bⱼ] + [aᵢ = bⱼ] / 2, the Mann-Whitney statistic; then the mean over
    scenarios (Agarwal et al. 2021, arXiv:2108.13264, section 4). It says how often, not how much.

    The interval resamples seeds within each scenario. The seeds drawn are the same for both methods, since runs of one
    seed share their split. A seed without one of the scores (NaN) is left out; a scenario without any is too.

    Raises:
        ValueError: the shapes differ, or no seed has both scores.
    """
    x, y = (np.round(matrix(v, name), DECIMALS) for v, name in ((a, "a"), (b, "b")))
    if x.shape != y.shape:
        raise ValueError(f"a has shape {x.shape} and b has {y.shape}: pair them, with NaN where a run is missing.")
    probability(level, "level")
    both = ~np.isnan(x + y)
    tables = [_above(p[kept], q[kept]) for p, q, kept in zip(x, y, both, strict=True)]
    used = [table for table in tables if table.size]
    if not used:
        raise ValueError("No seed has a score of both a and b in any scenario: there is nothing to compare.")
    found = tuple(float(table.mean()) if table.size else np.nan for table in tables)
    rng = generator(seed)
    drawn = np.mean([_resampled(table, resamples, rng) for table in used], axis=0)  # (resamples,)
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    interval = Interval(float(low), float(high), level, _note(used))
    return Improvement(float(np.nanmean(found)), found, interval)


def _above(x: Array, y: Array) -> Array:
    """[xᵢ > yⱼ] + [xᵢ = yⱼ] / 2, shape (seeds, seeds)."""
    return (np.sign(x[:, None] - y[None, :]) + 1) / 2


def _resampled(table: Array, resamples: int, rng: np.random.Generator) -> Array:
    """The mean of `table` over rows and columns drawn together with replacement, shape (resamples,)."""
    n = len(table)
    times = rng.multinomial(n, np.full(n, 1 / n), size=resamples)  # (resamples, seeds): how often each is drawn
    return np.asarray(((times @ table) * times).sum(axis=1) / n**2, dtype=np.float64)


def _note(tables: list[Array]) -> str:
    single = sum(len(table) == 1 for table in tables)
    if single:
        return f"{single} of {len(tables)} scenarios have one seed: their spread is left out"
    if all(np.ptp(table) == 0 for table in tables):
        return "every run of one is above every run of the other, in each scenario: no spread was seen"
    return ""
