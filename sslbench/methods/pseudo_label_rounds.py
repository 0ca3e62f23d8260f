"""Pseudo-labelling of a scikit-learn classifier in rounds, as the article (Shenoy 2019) does with logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from sslbench.methods.base import Count, FitMethod, Fraction, Positive, Predictor, Range, Search, Task, method
from sslbench.methods.estimators import Fits
from sslbench.rng import Rng


@method("pseudo-label-rounds")
@dataclass(frozen=True)
class PseudoLabelRounds(FitMethod):
    """Fit, label the next slice of the unlabelled pool, keep its confident rows, fit again (from where it stood, if the
    classifier's own `warm_start` says so).

    Each round labels the next `sample_rate` of the pool, without replacement, and adds the rows whose highest class
    probability is above `keep_above` or below `keep_below` (the article's rule, odd as the second half of it is). With
    `growth` above 1 the first rounds, when the labels are worst, label few, as the article suggests but does not try.
    """

    needs_estimator: ClassVar[bool] = True
    search: ClassVar[Search] = {"sample_rate": Range(0.01, 0.2, log=True), "keep_above": Range(0.4, 0.99)}

    sample_rate: Positive = 0.04
    """Share of the unlabelled pool that the first round labels."""
    growth: Positive = 1.0
    """Each round labels so many times as much as the one before."""
    rounds: Count = 25
    """Rounds; they end early when the pool is used up."""
    keep_above: Fraction = 0.6
    """Rows whose highest class probability is above this are added."""
    keep_below: Fraction = 0.4
    """… and rows whose highest class probability is below this."""

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        x, y = task.x, task.y
        order = rng.permutation(len(task.u)).numpy()
        fits = Fits(task, rng)
        predict = fits.fit(x, y)
        for rows in self.slices(order):
            watch(predict)
            u = task.u[rows]
            confidence, pseudo = (a.numpy() for a in predict(torch.from_numpy(u)).max(dim=-1))
            kept = (confidence > self.keep_above) | (confidence < self.keep_below)
            x, y = np.concatenate([x, u[kept]]), np.concatenate([y, pseudo[kept]])
            predict = fits.fit(x, y)
        return predict

    def slices(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """The parts of the pool that the rounds label, none of them empty."""
        start, size = 0, self.sample_rate * len(order)
        for _ in range(self.rounds):
            stop = start + max(1, round(size))
            if start >= len(order):
                return
            yield order[start:stop]
            start, size = stop, size * self.growth
