"""UDA (Xie, Dai, Hovy, Luong, Le 2020, "Unsupervised Data Augmentation for Consistency Training", NeurIPS)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

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
    kl,
    method,
    nll,
    softmax,
)
from sslbench.rng import Rng


@method("uda")
@dataclass(frozen=True)
class UDA(LossMethod):
    """A strong view should be predicted as its example is, sharpened, where that is confident; labels are let in gradually.

        L = mean CE(f(x), y) over the labelled x with p_y(x) ≤ η_t
            + λ · mean 1[max p̄(u) > β] · KL(q ‖ softmax f(A(u))),   q = softmax(f̄(u) / τ)   (Xie et al. 2020, sections 2.2, 2.4)
        η_t = a_t (1 − 1 / K) + 1 / K,   a_t = t / T,   1 − exp(−5 t / T)   or   exp(5 t / T − 5)

    f̄ is the network without dropout and K the number of classes. The first mean is over the labelled examples that are left, the
    second over all unlabelled ones. Training signal annealing (η_t) leaves out what is learned already, lest a few labels
    be learned by heart. λ, τ and β are the paper's for CIFAR-10. Its weak input is the example as it is; here it is the
    scenario's weak view, as for every method.
    """

    views: ClassVar[tuple[str, ...]] = ("strong",)
    exempt: ClassVar[Mapping[str, str]] = {"weight zero": "training signal annealing leaves out labelled examples"}
    search: ClassVar[Search] = {
        "weight": Around(10),
        "threshold": (0.5, 0.7, 0.8, 0.9),
        "temperature": (0.4, 0.7, 1.0),
        "annealing": ("none", "log", "linear", "exp"),
    }

    weight: NonNegative = 1.0
    """λ: weight of the consistency term, per unit of cross-entropy (both in nats)."""
    threshold: Fraction = 0.8
    """β: unlabelled examples whose highest class probability is not above this are left out."""
    temperature: Positive = 0.4
    """τ: temperature of the target; below 1 it is sharper than the prediction."""
    annealing: Literal["none", "log", "linear", "exp"] = "linear"
    """Schedule of η_t. "exp" lets labels in late and suits very few labels, "log" early, "none" takes them all."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        logits = model(batch.x, rng)
        losses = nll(logits, batch.y)
        left = (losses.detach() >= -self.ceiling(step, logits.shape[-1]).log()).to(losses.dtype)
        labelled = (left * losses).sum() / left.sum().clamp(min=1)
        logits = model.frozen()(batch.u)
        kept = (softmax(logits).max(dim=-1).values > self.threshold).to(labelled.dtype)
        target = softmax(logits / self.temperature)
        return Loss(
            labelled,
            unlabelled=(kept * kl(target, model(batch.views[0], rng))).mean(),
            weight=self.weight,
            diagnostics={"kept": kept.mean(), "labels_left": left.mean()},
        )

    def ceiling(self, step: Step, classes: int) -> Tensor:
        """η_t: 0-d. A labelled example whose class is more probable than this is left out."""
        t = step.progress
        a = {"log": 1 - torch.exp(-5 * t), "linear": t, "exp": torch.exp(5 * t - 5), "none": t * 0 + 1}[self.annealing]
        return a * (1 - 1 / classes) + 1 / classes
