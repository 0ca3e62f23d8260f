"""Labels saved: how many labels the supervised baseline needs for what a method reaches with fewer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from sslbench.stats._inputs import DECIMALS, Array, generator, matrix, probability, vector
from sslbench.stats.intervals import Interval

RESAMPLES = 2_000
"""Bootstrap resamples of the seeds, each with a curve of its own."""


@dataclass(frozen=True)
class LabelsSaved:
    """The label count at which supervised reaches a method's accuracy. `str()` says it in words."""

    labels: int
    """Label count of the method."""
    worth: float
    """Label count at which supervised is as accurate; 0 below the measured range, infinity above it."""
    interval: Interval
    """Percentile bootstrap interval of `worth` over seeds; an end of 0 or infinity is outside the measured range."""
    measured: tuple[float, float]
    """Smallest and largest label count at which supervised was measured."""

    @property
    def where(self) -> Literal["below range", "within range", "above range"]:
        """Where `worth` lies with respect to the measured label counts."""
        if self.worth == 0:
            return "below range"
        return "above range" if math.isinf(self.worth) else "within range"

    @property
    def saved(self) -> float:
        """Labels that the method spares; negative where it wastes some."""
        return self.worth - self.labels

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        if low == 0 and math.isinf(high):
            why = f" (no interval: {self.interval.note or 'both ends are out of range'})"
            return f"{self.labels} labels are worth {self._in_words(self.worth)} labels{why}"
        count, _, interval = self.worth_in_words.partition(" (")
        return f"{self.labels} labels are worth {count} labels" + (f" ({interval}" if interval else "")

    @property
    def worth_in_words(self) -> str:
        """`worth` with its interval, at two digits: "310 (240 to 420)"."""
        low, high = self.interval.low, self.interval.high
        worth = self._in_words(self.worth)
        if (low == 0 and math.isinf(high)) or (low == high == self.worth and self.where != "within range"):
            return worth
        return f"{worth} ({self._in_words(low)} to {self._in_words(high)})"

    def _in_words(self, count: float) -> str:
        if count == 0:
            return f"fewer than {self.measured[0]:.0f}"
        if math.isinf(count):
            return f"more than {self.measured[1]:.0f}"
        return f"{float(f'{count:.2g}'):.0f}" if count >= 10 else f"{count:.2g}"  # two digits: no curve knows more


def labels_saved(
    counts: ArrayLike,
    supervised: ArrayLike,
    labels: int,
    method: ArrayLike,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> LabelsSaved:
    """What `labels` labels are worth to a method, in labels of the supervised baseline.

    Supervised's mean accuracies are made increasing in the label count by isotonic regression, each weighted by its
    number of seeds (Barlow et al. 1972), and joined by straight lines over log label count. `worth` is the smallest
    count at which this curve reaches the method's mean accuracy.

    The interval resamples whole seeds, so that runs which share a split stay together; a resample that leaves a label
    count, or the method, without any run is not used.

    Args:
        counts: label counts at which supervised was measured, shape (points,), distinct and positive.
        supervised: its accuracies, shape (points, seeds), NaN where a seed was not run.
        labels: label count of the method.
        method: its accuracies, shape (seeds,): the same seeds in the same order, NaN where one was not run.
        seed: fixes the resampling.
        level: nominal coverage of the interval.
        resamples: number of bootstrap resamples.

    Raises:
        ValueError: shapes that do not agree, fewer than two label counts, one not positive or given twice, or a label
            count (or the method) without any accuracy.
    """
    x, curve, points = vector(counts, "counts"), matrix(supervised, "supervised"), vector(method, "method")
    _check(x, curve, points)
    probability(level, "level")
    order = np.argsort(x)
    log_counts, runs = np.log(x[order]), np.vstack([curve[order], points])  # (points + 1, seeds), the method last
    worth = _worths(log_counts, runs, np.ones((1, runs.shape[1]), dtype=np.int64))[0]
    interval = _interval(log_counts, runs, generator(seed), level, resamples)
    return LabelsSaved(labels, float(worth), interval, (float(x.min()), float(x.max())))


def equivalent_labels(log_counts: Array, means: Array, weights: Array, accuracy: float) -> float:
    """The smallest label count at which the increasing curve through `means` reaches `accuracy`.

    Args:
        log_counts: increasing, shape (points,).
        means: mean accuracy at each, shape (points,).
        weights: how much each mean counts in the isotonic regression, shape (points,), positive.
        accuracy: in the unit of the means.

    Returns:
        A label count within the range; 0.0 where the whole curve is above `accuracy`, infinity where it is below.
    """
    fit = np.round(isotonic_regression(means, weights=weights).x, DECIMALS)
    wanted = round(accuracy, DECIMALS)
    k = int(np.searchsorted(fit, wanted, side="left"))  # fit[k - 1] < wanted ≤ fit[k]
    if k == fit.size:
        return math.inf
    if k == 0:
        return math.exp(log_counts[0]) if fit[0] == wanted else 0.0
    along = (wanted - fit[k - 1]) / (fit[k] - fit[k - 1])
    return math.exp(log_counts[k - 1] + along * (log_counts[k] - log_counts[k - 1]))


def _worths(log_counts: Array, runs: Array, times: np.ndarray) -> Array:
    """`equivalent_labels` with each seed counted `times`, shape (resamples, seeds); unusable resamples are left out."""
    present = ~np.isnan(runs)
    times, places = np.unique(times, axis=0, return_inverse=True)  # of three seeds there are ten resamples
    weights = times @ present.T  # (resamples, points + 1): runs that stand behind each mean
    usable = np.all(weights > 0, axis=1)
    weights = weights[usable].astype(np.float64)
    means = (times[usable] @ np.where(present, runs, 0.0).T) / weights
    pairs = zip(means, weights, strict=True)
    worths = np.empty(len(times))
    worths[usable] = [equivalent_labels(log_counts, m[:-1], w[:-1], float(m[-1])) for m, w in pairs]
    drawn = places.ravel()  # (numpy 2.0 gave a column)
    return worths[drawn[usable[drawn]]]


def _interval(log_counts: Array, runs: Array, rng: np.random.Generator, level: float, resamples: int) -> Interval:
    seeds = int((~np.isnan(runs)).any(axis=0).sum())
    if seeds < 2:
        return Interval(0.0, math.inf, level, "one seed")
    n = runs.shape[1]
    drawn = _worths(log_counts, runs, rng.multinomial(n, np.full(n, 1 / n), size=resamples))
    if drawn.size == 0:
        return Interval(0.0, math.inf, level, "no resample has a run at every label count")
    low = np.quantile(drawn, (1 - level) / 2, method="lower")  # no arithmetic: some are infinite
    high = np.quantile(drawn, (1 + level) / 2, method="higher")
    single = int(((~np.isnan(runs)).sum(axis=1) == 1).sum())
    note = f"{single} of {len(runs)} means rest on one seed: their spread is left out" if single else ""
    return Interval(float(low), float(high), level, note)


def _check(counts: Array, supervised: Array, method: Array) -> None:
    if supervised.shape != (counts.size, method.size):
        raise ValueError(
            f"supervised has shape {supervised.shape} beside {counts.size} label counts and {method.size} seeds of the "
            "method: give (label counts, seeds), with NaN where a seed was not run."
        )
    if counts.size < 2 or not (counts > 0).all() or np.unique(counts).size < counts.size:
        raise ValueError(f"counts are {counts.tolist()}: give at least two label counts, distinct and positive.")
    if np.isnan(np.vstack([supervised, method])).all(axis=1).any():
        raise ValueError("A label count, or the method, has no accuracy at all: leave it out.")
