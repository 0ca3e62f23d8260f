"""Virtual adversarial training (Miyato, Maeda, Koyama, Ishii 2018, arXiv:1704.03976)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sslbench.methods.base import (
    Around,
    Batch,
    Count,
    Loss,
    LossMethod,
    Model,
    NonNegative,
    Positive,
    Search,
    Step,
    cross_entropy,
    kl,
    log_softmax,
    method,
    softmax,
)
from sslbench.rng import Rng


def unit(v: Tensor) -> Tensor:
    """Each example of v (n, *features) divided by its L2 norm over all its features, whatever their shape."""
    flat = v.flatten(1)
    return (flat / (flat.norm(dim=1, keepdim=True) + 1e-12)).view_as(v)


@method("vat")
@dataclass(frozen=True)
class VAT(LossMethod):
    """The prediction should not change in the direction in which it changes most.

        L = CE(f(x), y) + λ · mean KL(p(u) ‖ p(u + r)) + λ · β · mean H(p(u + r))
        r = ε g / |g|,   g = ∇_r KL(p(u) ‖ p(u + r)) at r = ξ d,   d a random unit vector   (equations 5 to 15)

    p(u) is a constant. The power iteration repeats d ← g / |g|. The entropy term H is the paper's VAT+EntMin; it is
    taken at u + r, where the forward pass is needed anyway.
    """

    search: ClassVar[Search] = {"radius": Around(10), "weight": Around(10), "entropy": (0.0, 0.1, 0.3, 1.0)}

    weight: NonNegative = 1.0
    """λ: weight of the smoothness term, per unit of cross-entropy (both in nats)."""
    radius: Positive = 2.0
    """ε: length of the adversarial perturbation, in the units of an input vector's L2 norm."""
    xi: Positive = 1e-2
    """ξ: length of the probe from which the gradient is taken, in the same units."""
    iterations: Count = 1
    """Power iterations."""
    entropy: NonNegative = 0.0
    """β: weight of the conditional entropy, per unit of the smoothness term. 0 leaves it out."""

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        del step
        labelled = cross_entropy(model, batch, rng)
        target = softmax(model.frozen()(batch.u))
        logits = model(batch.u + self.perturbation(model, batch.u, target, rng))
        smoothness = kl(target, logits).mean()
        if self.entropy:
            log_p = log_softmax(logits)
            smoothness = smoothness - self.entropy * (log_p.exp() * log_p).sum(dim=-1).mean()
        return Loss(labelled, unlabelled=smoothness, weight=self.weight)

    def perturbation(self, model: Model, u: Tensor, target: Tensor, rng: Rng) -> Tensor:
        """r (n, *features): the direction of the greatest change of p near u, times ε."""
        frozen = model.frozen()

        def divergence(d: Tensor) -> Tensor:
            return kl(target, frozen(u + self.xi * d)).sum()

        d = unit(rng.noise(*u.shape))
        for _ in range(self.iterations):
            d = unit(frozen.gradient(divergence, d))
        return self.radius * d
