"""Views of an input: pure functions of (x, rng) that leave its label as it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

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
        padded = F.pad(x, (pixels, pixels, pixels, pixels))
        windows = padded.unfold(-2, height, 1).unfold(
            -2, width, 1
        )  # (n, channels, down, right, height, width): all shifts
        return windows[torch.arange(n, device=x.device), :, down, right]

    return view


def chain(*views: View) -> View:
    """One view after the other, each with draws of its own."""

    def view(x: Tensor, rng: Rng) -> Tensor:
        for one in views:
            x = one(x, rng)
        return x

    return view


def affine(degrees: float, shear: float, scale: float, shift: float) -> View:
    """Each image (n, channels, height, width) turned, sheared, scaled and moved about its centre; zeros come in at the edge.

    Args:
        degrees: it turns by up to so much either way.
        shear: its rows slide by up to so many pixels for each pixel of height, either way.
        scale: it grows or shrinks by up to this share, below 1.
        shift: it moves by up to so many pixels in each direction, fractions among them.
    """

    def view(x: Tensor, rng: Rng) -> Tensor:
        n, _, height, width = x.shape
        turn, slant, size, *move = (2 * rng.uniform(5, n) - 1).to(x.dtype)
        angle, slant, size = turn * math.radians(degrees), slant * shear, 1 / (1 + size * scale)
        cos, sin = angle.cos() * size, angle.sin() * size
        # From a place in the view to the place in the image that is seen there, both in pixels from the centre.
        matrix = torch.stack([cos, slant * cos - sin, sin, slant * sin + cos], dim=-1).view(n, 1, 2, 2)
        centre = torch.stack([x.new_full((), m / 2) for m in (width, height)])
        across, down = (torch.arange(m, device=x.device, dtype=x.dtype) + 0.5 for m in (width, height))
        places = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1) - centre  # (height, width, 2)
        seen = (matrix @ places.flatten(0, 1).unsqueeze(-1)).squeeze(-1)  # (n, height · width, 2)
        seen = (seen + shift * torch.stack(move, dim=-1).unsqueeze(1)) / centre
        return F.grid_sample(x, seen.view(n, height, width, 2), align_corners=False)

    return view


def exposure(amount: float) -> View:
    """Brightness and then contrast of each image (n, channels, height, width) of values in [0, 1], times 1 ± `amount` at most.

    Brightness is a factor on every value, contrast one on their distance from the mean of the image, as torchvision has them.
    """

    def view(x: Tensor, rng: Rng) -> Tensor:
        brightness, contrast = (1 + amount * (2 * rng.uniform(2, len(x), 1, 1, 1) - 1)).to(x.dtype)
        x = x * brightness
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        return (mean + contrast * (x - mean)).clamp(0, 1)

    return view


def cutout(size: int) -> View:
    """A square of `size` pixels of each image (n, channels, height, width) set to 0 (DeVries and Taylor 2017, arXiv:1708.04552).

    Its centre is anywhere in the image, so that a part of it may lie outside.
    """

    def view(x: Tensor, rng: Rng) -> Tensor:
        n, _, height, width = x.shape
        top, left = rng.integers(height, n) - size // 2, rng.integers(width, n) - size // 2
        rows, columns = (torch.arange(m, device=x.device) for m in (height, width))
        down = (rows >= top[:, None]) & (rows < top[:, None] + size)  # (n, height)
        across = (columns >= left[:, None]) & (columns < left[:, None] + size)
        return x * ~(down[:, None, :, None] & across[:, None, None, :])

    return view


def drop(p: float) -> View:
    """Each value zeroed with probability p and the others divided by 1 − p, so that its expectation stays."""
    if not p:
        return identity
    least = NormalDist().inv_cdf(p)  # of noise, as that is drawn at a tenth of the cost
    return lambda x, rng: x * (rng.noise(*x.shape) >= least).to(x.dtype).mul(1 / (1 - p))


def noise(sd: float) -> View:
    """Normal noise of standard deviation `sd` on each value."""
    return (lambda x, rng: x.add(rng.noise(*x.shape), alpha=sd)) if sd else identity


def strong(strength: float, cutout_size: int) -> View:
    """The strong view of images (n, channels, height, width) of values in [0, 1], in the manner of RandAugment.

    Args:
        strength: at 1 it turns an image by up to 20°, slides its rows by up to 0.2 pixels a pixel of height, scales it by up to
            15 %, moves it by up to 3 pixels, and changes brightness and contrast by up to 40 %.
        cutout_size: pixels along a side of the square that it blanks.
    """
    m = strength
    return chain(affine(20 * m, 0.2 * m, 0.15 * m, 3 * m), exposure(0.4 * m), cutout(cutout_size))
