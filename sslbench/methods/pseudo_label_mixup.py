"""Pseudo-labelling with mixup (Arazo et al. 2019, "Pseudo-Labeling and Confirmation Bias in Deep Semi-Supervised Learning")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from sslbench.methods.base import (
    Around,
    Batch,
    Fraction,
    Loss,
    LossMethod,
    Model,
    NonNegative,
    Range,
    Search,
    Step,
    log_softmax,
    method,
    rows_of,
    softmax,
)
from sslbench.methods.mixup import beta, mix, one_hot, soft_nll
from sslbench.rng import Rng


@method("pseudo-label-mixup")
@dataclass(frozen=True)
class PseudoLabelMixup(LossMethod):
    """Soft pseudo-labels, mixed up with the labelled examples so that the network does not confirm its own mistakes.

        L = mean CE over labelled rows + w · (mean CE over unlabelled rows + λ_A R_A + λ_H R_H)
        rows mixed: x = δ x_p + (1 − δ) x_q,  target likewise,  δ ~ Beta(α, α)       (Arazo et al. 2019, equations 6 and 7)
        R_A = Σ_c p_c log(p_c / h̄_c),   p uniform, h̄ the mean prediction over the batch                  (equation 4)
        R_H = −mean Σ_c h_c log h_c                                                                      (equation 5)

    p and q are rows of the labelled and unlabelled batch together, and R_A and R_H are taken over all of them. R_A
    assumes that the classes are about equally frequent.

    The paper keeps a pseudo-label for each example of the pool, made in the epoch before. Here it is made in the step, by the
    network without dropout: it is never old, budgets of less than an epoch have one too, and nothing is
    kept between steps; but an error can confirm itself from one step to the next instead of from epoch to epoch. The paper's
    ten epochs on labels alone are a share of the training here, in which labelled rows are not mixed and w is 0. The weights of
    the regularisers and α are the paper's. One mean over all rows, as there, would be w = unlabelled / labelled rows.
    """

    exempt: ClassVar[Mapping[str, str]] = {"weight zero": "its labelled examples are mixed, too"}
    search: ClassVar[Search] = {"weight": Around(10), "alpha": (0.5, 1.0, 4.0), "warm_up": Range(0.05, 0.5)}

    weight: NonNegative = 1.0
    """w: weight of the unlabelled rows and the regularisers, per unit of the labelled rows' cross-entropy."""
    warm_up: Fraction = 0.2
    """Share of the training before which the labelled set is trained on alone."""
    alpha: NonNegative = 4.0
    """α of the Beta distribution; 0 mixes nothing."""
    prior: NonNegative = 0.8
    """λ_A: weight of the class prior, in which all classes are equally frequent."""
    entropy: NonNegative = 0.4
    """λ_H: weight of the entropy."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        pseudo = softmax(model.frozen()(batch.u))
        x = torch.cat([batch.x, batch.u])
        y = torch.cat([one_hot(batch.y, pseudo), pseudo])
        own = rng.child("mixup")  # so that the passes below draw the dropout that they draw in other methods
        warm = step.progress < self.warm_up
        share = torch.where(warm, 1.0, beta(self.alpha, len(x), own))
        other = own.permutation(len(x))
        x, y = mix(x, rows_of(x, other), share), mix(y, rows_of(y, other), share)
        n = len(batch.x)
        first, second = model(x[:n], rng), model(x[n:], rng)
        log_h = log_softmax(torch.cat([first, second]))
        log_mean = log_h.logsumexp(dim=0) - math.log(len(x))
        prior = -math.log(len(log_mean)) - log_mean.mean()
        entropy = -(log_h.exp() * log_h).sum(dim=-1).mean()
        return Loss(
            labelled=soft_nll(first, y[:n]).mean(),
            unlabelled=soft_nll(second, y[n:]).mean() + self.prior * prior + self.entropy * entropy,
            weight=self.weight * (~warm).to(x.dtype),
            diagnostics={"prior": prior.detach(), "entropy": entropy.detach()},
        )
