"""Two interleaved half circles in the plane (scikit-learn's `make_moons`), drawn afresh for each seed."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import Tensor

from sslbench.data.base import Dataset
from sslbench.rng import Rng

CLASS_NAMES = ("upper", "lower")


def two_moons(points: int, test_points: int, noise: float, rng: Rng) -> Dataset:
    """Two moons, standardised by the mean and standard deviation of the training points.

    Args:
        points: training points, half of them a moon.
        test_points: test points, likewise.
        noise: standard deviation of the noise, in units of a moon's radius.
    """
    x, y = _moons(points, noise, rng.child("train"))
    x_test, y_test = _moons(test_points, noise, rng.child("test"))
    mean, sd = x.mean(dim=0), x.std(dim=0)
    return Dataset("two-moons", (x - mean) / sd, y, (x_test - mean) / sd, y_test, CLASS_NAMES, drawn=True)


def _moons(points: int, noise: float, rng: Rng) -> tuple[Tensor, Tensor]:
    """Noisy points (n, 2) float32 and their moon (n,) int64. The noise is ours, so that it has our key."""
    x, y = make_moons(points, shuffle=False, noise=None)
    clean = torch.from_numpy(x.astype(np.float32))
    return clean + noise * rng.normal(points, 2), torch.from_numpy(y.astype(np.int64))
