"""Random augmentations of a batch of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Augment = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    """No augmentation."""
    return x


def shift(pixels: int) -> Augment:
    """Each image (n, channels, height, width) moved by up to `pixels` in each direction."""

    def augment(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = F.pad(x, (pixels, pixels, pixels, pixels))
        moves = torch.randint(0, 2 * pixels + 1, (len(x), 2)).tolist()
        images = [padded[i, :, d : d + height, r : r + width] for i, (d, r) in enumerate(moves)]
        return torch.stack(images)

    return augment if pixels else same


def noise(sd: float) -> Augment:
    """Normal noise of standard deviation `sd` on each value."""
    return lambda x: x + sd * torch.randn_like(x)


def distort(strength: float, cutout: int) -> Augment:
    """Each image (n, channels, height, width) of values in [0, 1] turned, sheared, scaled and moved, brighter or darker, of other
    contrast, and with a square blanked. At strength 1: 20°, 0.2 pixels a pixel of height, 15 %, 3 pixels, 40 % at most."""

    def between(n: int, most: float, x: Tensor) -> Tensor:
        return ((2 * torch.rand(n) - 1) * most * strength).to(x)

    def augment(x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        angle, slant = between(n, math.radians(20), x), between(n, 0.2, x)
        size = 1 / (1 + between(n, 0.15, x))
        across, down = between(n, 2 * 3 / width, x), between(n, 2 * 3 / height, x)
        cos, sin = size * angle.cos(), size * angle.sin()
        # The inverse map, as affine_grid has it: size · rotation · shear, and then the move.
        rows = [torch.stack([cos, slant * cos - sin, across], 1), torch.stack([sin, slant * sin + cos, down], 1)]
        grid = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        x = x * (1 + between(n, 0.4, x)).view(n, 1, 1, 1)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (mean + (1 + between(n, 0.4, x)).view(n, 1, 1, 1) * (x - mean)).clamp(0, 1)
        corners = zip(torch.randint(height, (n,)).tolist(), torch.randint(width, (n,)).tolist(), strict=True)
        for image, (y, z) in zip(x, corners, strict=True):
            top, left = y - cutout // 2, z - cutout // 2
            image[:, max(top, 0) : max(top + cutout, 0), max(left, 0) : max(left + cutout, 0)] = 0
        return x

    return augment


def noise_and_drop(sd: float, p: float) -> Augment:
    """Normal noise of standard deviation `sd` on each value, which is then zeroed with probability p."""
    return lambda x: F.dropout(x + sd * torch.randn_like(x), p)
