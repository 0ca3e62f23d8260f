"""Mixup (Zhang, Cissé, Dauphin, Lopez-Paz 2018, "mixup: Beyond Empirical Risk Minimization", ICLR)."""

from __future__ import annotations

import torch
from torch import Tensor

from sslbench.methods.base import log_softmax
from sslbench.rng import Rng

PROPOSALS = 8
"""Proposals for each draw of a gamma variate; all are refused with probability below 0.05⁸ = 4e-11."""


def beta(alpha: float, n: int, rng: Rng) -> Tensor:
    """(n,) draws from Beta(α, α), as a ratio of gamma variates; ones for α = 0, which is to mix nothing.

    The gamma variates are those of Marsaglia and Tsang 2000, "A simple method for generating gamma variables", with a fixed
    number of proposals, so that every draw takes as many random numbers. They draw at α + 1 and come down to α by U^(1/α), in
    logarithms: at small α most would underflow.
    """
    if alpha == 0:
        return torch.ones(n, device=rng.key.device)
    d = alpha + 1 - 1 / 3
    z = rng.normal(2, PROPOSALS, n)
    v = (1 + z / (9 * d) ** 0.5).clamp(min=1e-6) ** 3
    accepted = torch.log(1 - rng.uniform(2, PROPOSALS, n)) < 0.5 * z.square() + d - d * v + d * v.log()
    accepted = accepted & (z > -((9 * d) ** 0.5))
    first = accepted.to(torch.int64).argmax(dim=1, keepdim=True)
    log_gamma = (
        v.log().gather(1, first).squeeze(1) + torch.log(1 - rng.uniform(2, n)) / alpha
    )  # (2, n); d cancels below
    share: Tensor = torch.sigmoid(log_gamma[0] - log_gamma[1])
    return share


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """share · a + (1 − share) · b, a share (n,) for each row of a and b (n, *features)."""
    share = share.to(a.dtype).view(-1, *(1,) * (a.dim() - 1))
    return share * a + (1 - share) * b


def soft_nll(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each row to a soft label, in nats: (n, classes), (n, classes) -> (n,)."""
    return -(target * log_softmax(logits)).sum(dim=-1)
