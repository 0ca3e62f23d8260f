"""Mixup (Zhang, Cissé, Dauphin, Lopez-Paz 2018, "mixup: Beyond Empirical Risk Minimization", ICLR)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from sslbench.methods.base import log_softmax
from sslbench.rng import Rng

STEPS = 1 << 16
"""Quantiles that are computed of a Beta distribution. Between two of them a draw is interpolated."""


def beta(alpha: float, n: int, rng: Rng) -> Tensor:
    """(n,) draws from Beta(α, α), by its quantile function; ones for α = 0, which is to mix nothing."""
    if alpha == 0:
        return torch.ones(n, device=rng.key.device)
    table, place = _quantiles(alpha, rng.key.device), rng.uniform(n) * STEPS
    below = place.floor()
    start, stop = (table[below.to(torch.int64) + more] for more in (0, 1))
    return torch.lerp(start, stop, place - below)


@functools.cache
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """(STEPS + 1,) quantiles of Beta(α, α), evenly from 0 to 1."""
    return torch.from_numpy(betaincinv(alpha, alpha, np.linspace(0, 1, STEPS + 1))).to(device, torch.float32)


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """share · a + (1 − share) · b, a share (n,) for each row of a and b (n, *features)."""
    return torch.lerp(b, a, share.to(a.dtype).view(-1, *(1,) * (a.dim() - 1)))


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """(n,) -> (n, classes): 1 at the label and 0 elsewhere, of as many classes as `like` (…, classes) and of its type.

    F.one_hot looks at the labels' values on a CPU, so that a step could not be recorded.
    """
    return (labels.unsqueeze(-1) == torch.arange(like.shape[-1], device=like.device)).to(like.dtype)


def soft_nll(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each row to a soft label, in nats: (n, classes), (n, classes) -> (n,)."""
    return -(target * log_softmax(logits)).sum(dim=-1)
