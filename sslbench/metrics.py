"""Metrics of class probabilities: pure functions on arrays.

Throughout, `p` is (n, classes) float with rows that sum to 1, and `y` is (n,) int with values in [0, classes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def accuracy(p: Floats, y: Ints) -> float:
    """Share of rows whose most probable class is the label. NaN without rows."""
    return float(np.mean(p.argmax(axis=1) == y)) if len(y) else float("nan")


def nll(p: Floats, y: Ints) -> float:
    """Mean negative log-likelihood of the label in nats; a probability of 0 counts as 1e-12."""
    return float(-np.mean(np.log(np.maximum(p[np.arange(len(y)), y].astype(np.float64), 1e-12))))


def ece(p: Floats, y: Ints, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): Σ_b |b|/n · |accuracy(b) − confidence(b)| over equal bins."""
    confidence = p.max(axis=1).astype(np.float64)
    correct = (p.argmax(axis=1) == y).astype(np.float64)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def confusion(p: Floats, y: Ints) -> Ints:
    """(classes, classes) counts: rows are the true class, columns the predicted one."""
    classes = p.shape[1]
    counts: Ints = np.bincount(y * classes + p.argmax(axis=1), minlength=classes**2).reshape(classes, classes)
    return counts


def per_class_accuracy(p: Floats, y: Ints) -> list[float]:
    """Recall of each class: (classes,). NaN for a class without rows."""
    counts = confusion(p, y)
    total = counts.sum(axis=1)
    return [float(hit / n) if n else float("nan") for hit, n in zip(counts.diagonal(), total, strict=True)]


def coverage(p: Floats, threshold: float = 0.95) -> float:
    """Share of rows whose highest probability is at least `threshold`."""
    return float(np.mean(p.max(axis=1) >= threshold)) if len(p) else float("nan")
