"""FixMatch (Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", NeurIPS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
    nll,
    softmax,
)
from sslbench.rng import Rng


@method("fixmatch")
@dataclass(frozen=True)
class FixMatch(LossMethod):
    """The confident prediction on a weak view of an example is the label of its strong view.

        L = CE(f(x), y) + λ · mean 1[max q ≥ τ] · CE(f(A(u)), argmax q),   q = softmax f̄(u)     (Sohn et al. 2020, equation 4)

    f̄ is the network without dropout, u the weak view and A(u) the strong one. The mean is over all unlabelled examples, so
    that the term grows as more of them pass. λ and τ are the paper's. Its seven unlabelled examples for each labelled one are the
    scenario's batch sizes here, as are optimiser, schedule and weight decay; its average of parameters, over a
    thousand steps, would be longer than most budgets here, so the trained network itself is evaluated.
    """

    views: ClassVar[tuple[str, ...]] = ("strong",)
    search: ClassVar[Search] = {"weight": Around(10), "threshold": (0.7, 0.8, 0.9, 0.95, 0.98)}

    weight: NonNegative = 1.0
    """λ: weight of the unlabelled term, per unit of cross-entropy."""
    threshold: Fraction = 0.95
    """τ: predictions less probable than this are left out."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        del step
        labelled = cross_entropy(model, batch, rng)
        confidence, pseudo = softmax(model.frozen()(batch.u)).max(dim=-1)
        kept = (confidence >= self.threshold).to(labelled.dtype)
        losses = nll(model(batch.views[0], rng), pseudo)
        return Loss(
            labelled,
            unlabelled=(kept * losses).mean(),
            weight=self.weight,
            diagnostics={"kept": kept.mean(), "confidence": confidence.mean()},
        )
