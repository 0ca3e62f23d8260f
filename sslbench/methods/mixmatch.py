"""MixMatch (Berthelot et al. 2019, "MixMatch: A Holistic Approach to Semi-Supervised Learning", NeurIPS)."""

from __future__ import annotations

from collections.abc import Mapping
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
    Positive,
    Search,
    Step,
    method,
    rows_of,
    softmax,
)
from sslbench.methods.mixup import beta, mix, one_hot, soft_nll
from sslbench.methods.pseudo_label import ramp
from sslbench.rng import Rng


@method("mixmatch")
@dataclass(frozen=True)
class MixMatch(LossMethod):
    """Labels guessed from two views and sharpened; labelled and unlabelled examples are then mixed with each other.

        q = sharpen(½ (p̄(u') + p̄(u''))),   sharpen(p)_i = p_i^(1/T) / Σ_j p_j^(1/T)          (Berthelot et al. 2019, equation 7)
        W = shuffle(X, U', U''),   X* = mixup(X, W),   U* = mixup((U', U''), rest of W)
        mixup(a, b) = λ' a + (1 − λ') b,   λ' = max(λ, 1 − λ),   λ ~ Beta(α, α)                        (equations 8 to 11)
        L = mean CE over X* + λ_U(t) · mean |q* − p(u*)|² over U*                                        (equations 3 to 5)

    The second mean is over examples and classes. p̄ is the network without dropout. T and α are the paper's, and K = 2. λ_U rises
    linearly, as there; the paper's 75 to 100 belong to a ramp over 16,000 steps and a million in all, the one here to
    hundreds. Of the paper's average of parameters the same is true, so the trained network itself is evaluated.
    """

    views: ClassVar[tuple[str, ...]] = ("weak",)
    exempt: ClassVar[Mapping[str, str]] = {"weight zero": "its labelled examples are mixed, too"}
    search: ClassVar[Search] = {"weight": Around(10), "alpha": (0.2, 0.5, 0.75, 1.0), "temperature": (0.3, 0.5, 0.8)}

    weight: NonNegative = 10.0
    """λ_U: the final weight of the unlabelled term, per unit of cross-entropy."""
    ramp: Fraction = 0.4
    """Share of the training over which λ_U rises to its final value."""
    temperature: Positive = 0.5
    """T: below 1 the guessed labels are sharper than the predictions."""
    alpha: NonNegative = 0.75
    """α of the Beta distribution; 0 mixes nothing."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        guesses = self.guess(model, batch)
        inputs = torch.cat([batch.x, batch.u, *batch.views])
        targets = torch.cat([one_hot(batch.y, guesses), guesses, guesses])
        own = rng.child("mixup")  # so that the passes below draw the dropout that they draw in other methods
        share = beta(self.alpha, len(inputs), own)
        share, other = torch.maximum(share, 1 - share), own.permutation(len(inputs))
        inputs, targets = mix(inputs, rows_of(inputs, other), share), mix(targets, rows_of(targets, other), share)
        x, u = inputs.split([len(batch.x), len(inputs) - len(batch.x)])
        y, q = targets.split([len(x), len(u)])
        return Loss(
            labelled=soft_nll(model(x, rng), y).mean(),
            unlabelled=(softmax(model(u, rng)) - q).square().mean(),
            weight=self.weight * ramp(step.progress, 0.0, self.ramp),
            diagnostics={"confidence": guesses.max(dim=-1).values.mean()},
        )

    def guess(self, model: Model, batch: Batch) -> Tensor:
        """q of each unlabelled example (unlabelled batch, classes)."""
        frozen = model.frozen()
        mean = torch.stack([softmax(frozen(u)) for u in (batch.u, *batch.views)]).mean(dim=0)
        powers: Tensor = (mean / mean.max(dim=-1, keepdim=True).values) ** (1 / self.temperature)
        return powers / powers.sum(dim=-1, keepdim=True)
