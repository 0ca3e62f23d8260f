"""Dropout with visible randomness."""

from __future__ import annotations

from torch import Tensor

from sslbench.rng import Rng


def dropout(x: Tensor, p: float, rng: Rng | None, *, channels: bool = False) -> Tensor:
    """Zero each value (of (n, *features)) with probability p and scale the rest by 1 / (1 - p). Without `rng`, x itself.

    Args:
        channels: zero whole channels of (n, channels, height, width) together (Dropout2d).
    """
    if rng is None or p == 0:
        return x
    shape = (*x.shape[:2], 1, 1) if channels else x.shape
    return x * (rng.uniform(*shape) >= p).to(x.dtype).mul(1 / (1 - p))
