"""Pseudo-label (Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method", ICML workshop)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sslbench.errors import BadInput
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
    cross_entropy,
    method,
    nll,
    softmax,
)
from sslbench.rng import Rng


def ramp(t: Tensor, start: float, end: float) -> Tensor:
    """Lee's α(t) / α_f, equation 16: 0 before `start`, 1 from `end` on, linear between."""
    return ((t - start) / max(end - start, 1e-9)).clamp(0, 1)


@method("pseudo-label")
@dataclass(frozen=True)
class PseudoLabel(LossMethod):
    """Train on the network's own most likely class as if it were the label, with a weight α(t) that ramps up.

        L = CE(f(x), y) + α(t) · CE(f(u), argmax f̄(u))                     (Lee 2013, equation 15)

    f̄ is the network without dropout. Lee counts t in epochs; here it is the share of the training done, so that
    one setting serves every budget.
    """

    search: ClassVar[Search] = {"weight": Around(10), "threshold": (0.0, 0.8, 0.95), "ramp_end": Range(0.2, 1.0)}

    weight: NonNegative = 1.0
    """α_f: the final weight of the unlabelled term, per unit of cross-entropy."""
    ramp_start: Fraction = 0.1
    """T1: share of the training before which α is 0."""
    ramp_end: Fraction = 0.6
    """T2: share of the training from which α is α_f."""
    threshold: Fraction = 0.0
    """Pseudo-labels less probable than this are left out. 0, as in the paper, takes them all."""

    def __post_init__(self) -> None:
        if self.ramp_end < self.ramp_start:
            raise BadInput(f"ramp_end must be at least ramp_start ({self.ramp_start}), not {self.ramp_end}.")

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        labelled = cross_entropy(model, batch, rng)
        with torch.no_grad():
            confidence, pseudo = softmax(model(batch.u)).max(dim=-1)
        kept = (confidence >= self.threshold).to(labelled.dtype)
        losses = nll(model(batch.u, rng), pseudo)
        return Loss(
            labelled,
            unlabelled=(kept * losses).mean(),
            weight=self.weight * ramp(step.progress, self.ramp_start, self.ramp_end),
            diagnostics={"kept": kept.mean()},
        )
