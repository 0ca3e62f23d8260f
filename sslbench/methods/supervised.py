"""Supervised: the labelled examples alone, the baseline that every method is paired with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar

from sslbench.methods.base import (
    Batch,
    FitMethod,
    Kind,
    Loss,
    LossMethod,
    Model,
    Predictor,
    Sizes,
    Step,
    Task,
    cross_entropy,
    method,
)
from sslbench.methods.estimators import Fits
from sslbench.rng import Rng


@method("supervised")
@dataclass(frozen=True)
class Supervised(LossMethod, FitMethod):
    """Labelled examples only: cross-entropy, with the same steps, batches and augmentation as the others."""

    unlabelled: ClassVar[bool] = False

    def order(self, sizes: Sizes) -> Iterator[Kind]:
        del sizes
        return repeat("labelled")

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        del step
        return Loss(labelled=cross_entropy(model, batch, rng))

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        del watch
        return Fits(task, rng).fit(task.x, task.y)
