"""Images of any layout and size as the engine takes them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sslbench.errors import BadInput


def as_images(x: np.ndarray, where: str, size: int | None) -> np.ndarray:
    """Images of any layout as (n, channels, height, width), uint8 or float32 in [0, 1]."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        x = np.moveaxis(x, -1, 1)
    if x.shape[1] not in (1, 3):
        raise BadInput(f"Images of {where} have shape {x.shape[1:]}: give 1 or 3 channels, first or last.")
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 255:
        raise BadInput(f"Pixels of {where} lie in [{low:g}, {high:g}]: give 0 to 255, or floats from 0 to 1.")
    if x.dtype.kind == "f" and high > 1 and (x != np.floor(x)).any():
        raise BadInput(
            f"Pixels of {where} are fractions up to {high:g}: give whole numbers to 255, or floats from 0 to 1."
        )
    fractions = x.dtype.kind == "f" and high <= 1
    x = np.ascontiguousarray(x.astype(np.float32 if fractions else np.uint8))
    if size is None:
        return x
    brought: np.ndarray = resized(torch.from_numpy(x), size).clamp(0, 1 if fractions else 255).numpy()
    return brought


def resized(images: Tensor, size: int) -> Tensor:
    """(…, channels, height, width) -> (…, channels, size, size): the shorter side resized, the middle cut out."""
    from torchvision.transforms.functional import center_crop, resize

    cut: Tensor = center_crop(resize(images, [size], antialias=True), [size, size])
    return cut
