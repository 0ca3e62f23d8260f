"""Views of an input: pure functions of (x, rng) that leave its label as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslbench.rng import Rng

View = Callable[[Tensor, Rng], Tensor]
"""(n, *features), rng -> (n, *features)."""


def identity(x: Tensor, rng: Rng) -> Tensor:
    """The input as it is."""
    del rng
    return x


def shift(pixels: int) -> View:
    """Each image (n, channels, height, width) moved by up to `pixels` in each direction; zeros come in at the edge."""
    if pixels == 0:
        return identity

    def view(x: Tensor, rng: Rng) -> Tensor:
        n, _, height, width = x.shape
        down, right = rng.integers(2 * pixels + 1, 2, n)
        rows = torch.arange(height, device=x.device) + down[:, None]  # (n, height), into the padded image
        columns = torch.arange(width, device=x.device) + right[:, None]  # (n, width)
        padded = F.pad(x, (pixels, pixels, pixels, pixels)).movedim(1, -1)
        image = torch.arange(n, device=x.device)[:, None, None]
        return padded[image, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)

    return view


def noise(sd: float) -> View:
    """Normal noise of standard deviation `sd` on each value."""
    return (lambda x, rng: x.add(rng.noise(*x.shape), alpha=sd)) if sd else identity
