"""Classes by classes: what each is taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

FRAMED = "#d55e00"
"""Around what belongs to a class without labels."""


def matrix(
    axes: Axes,
    counts: np.ndarray,
    names: Sequence[str],
    missing: Sequence[int],
    *,
    left: bool = True,
    below: bool = True,
) -> None:
    """Counts (classes, classes) as shares of their rows, right answers pale so that mistakes show; framed: without labels.

    Args:
        left, below: whether the classes are named there. Each name takes a hundredth of a second, ticks without names as well.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares - np.diag(0.85 * np.diag(shares)), cmap="Blues", vmin=0, vmax=0.55)
    for place in missing:
        axes.add_patch(Rectangle((-0.5, place - 0.5), len(names), 1, fill=False, ec=FRAMED, lw=1.8, clip_on=False))
    for named, ticks in ((below, axes.set_xticks), (left, axes.set_yticks)):
        if named:
            ticks(range(len(names)), names, fontsize=7)
        else:
            ticks(())
    axes.grid(False)
