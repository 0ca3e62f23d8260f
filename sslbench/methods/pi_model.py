"""Π-model (Laine and Aila 2017, "Temporal Ensembling for Semi-Supervised Learning", ICLR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sslbench.methods.base import (
    Around,
    Batch,
    Fraction,
    Loss,
    LossMethod,
    Model,
    NonNegative,
    Search,
    Step,
    cross_entropy,
    method,
    softmax,
)
from sslbench.rng import Rng


def rise(step: Step, ramp: float) -> Tensor:
    """w(t) / w_max: 0-d."""
    t = (step.progress / max(ramp, 1e-9)).clamp(max=1)
    return torch.exp(-5 * (1 - t).square())


@method("pi-model")
@dataclass(frozen=True)
class PiModel(LossMethod):
    """Two passes over an example, each with its own view and dropout, should agree.

        L = CE(f(x), y) + w(t) · mean |softmax f(u') − softmax f(u'')|²       (Laine and Aila 2017, algorithm 1)
        w(t) = w_max · exp(−5 (1 − min(t / T, 1))²)

    The mean is over examples and classes. The second pass is a constant: both passes are drawn alike, so the expected gradient
    is half of that through both, at two thirds of the cost.
    """

    views: ClassVar[tuple[str, ...]] = ("weak",)
    search: ClassVar[Search] = {"weight": Around(10)}

    weight: NonNegative = 20.0
    """w_max: the final weight of the consistency term, per unit of cross-entropy."""
    ramp: Fraction = 0.4
    """T: share of the training over which w(t) rises to w_max."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        labelled = cross_entropy(model, batch, rng)
        first = softmax(model(batch.u, rng))
        with torch.no_grad():
            second = softmax(model(batch.views[0], rng))
        return Loss(labelled, unlabelled=(first - second).square().mean(), weight=self.weight * rise(step, self.ramp))
