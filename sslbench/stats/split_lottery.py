"""How much of the variance is the choice of labelled points, and how much the training seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import DECIMALS, matrix


@dataclass(frozen=True)
class SplitLottery:
    """Variance components of an accuracy, in its squared unit, each at least 0."""

    split: float
    """From the choice of labelled points."""
    training: float
    """From the training seed: initial weights, batches, noise."""
    residual: float
    """What neither explains alone: how the two interact. 0 in a nested design, where it is part of `training`."""
    truncated: tuple[str, ...]
    """Components whose estimate was negative and is set to 0: too small to be seen in so few runs."""

    @property
    def total(self) -> float:
        """Variance of a run with its own split and training seed."""
        return self.split + self.training + self.residual

    @property
    def share_of_split(self) -> float:
        """Share of the variance due to the choice of labelled points, in [0, 1]; 0 where there is no variance."""
        return self._share(self.split)

    @property
    def share_of_training(self) -> float:
        """Share of the variance due to the training seed, in [0, 1]; 0 where there is no variance."""
        return self._share(self.training)

    @property
    def share_of_residual(self) -> float:
        """Share of the variance that is left, in [0, 1]; 0 where there is no variance."""
        return self._share(self.residual)

    def _share(self, part: float) -> float:
        return part / self.total if self.total > 0 else 0.0


def crossed_lottery(accuracy: ArrayLike) -> SplitLottery:
    """Components when every training seed runs on every split: `accuracy` of shape (splits, training seeds).

    Two-way random effects without replication, y_st = μ + split_s + training_t + e_st, by the method of moments
    (Searle, Casella and McCulloch 1992, Variance Components, chapter 4; as a question about benchmarks: Bouthillier
    et al. 2021, arXiv:2103.03098). With a splits and b training seeds,

        σ²_e = MS_e,  σ²_split = (MS_split - MS_e) / b,  σ²_training = (MS_training - MS_e) / a.

    Raises:
        ValueError: fewer than two splits or training seeds, or a missing run.
    """
    y = matrix(accuracy, "accuracy")
    a, b = y.shape
    if a < 2 or b < 2:
        raise ValueError(f"accuracy has {a} split(s) and {b} training seed(s): give at least 2 of each.")
    if np.isnan(y).any():
        raise ValueError(
            f"{int(np.isnan(y).sum())} of {y.size} runs have no accuracy: leave out their split or training seed."
        )
    grand, rows, columns = y.mean(), y.mean(axis=1), y.mean(axis=0)
    ms_split = b * ((rows - grand) ** 2).sum() / (a - 1)
    ms_training = a * ((columns - grand) ** 2).sum() / (b - 1)
    residual = ((y - rows[:, None] - columns + grand) ** 2).sum() / ((a - 1) * (b - 1))
    return _components((ms_split - residual) / b, (ms_training - residual) / a, residual)


def nested_lottery(accuracy: ArrayLike) -> SplitLottery:
    """Components when each split has training seeds of its own: `accuracy` of shape (splits, training seeds a split).

    One-way random effects, y_st = μ + split_s + training_st, by the method of moments (Searle, Casella and McCulloch
    1992, chapter 3). A missing run is NaN. With n_s runs on split s, N in all and a splits,

        σ²_training = MS_within,  σ²_split = (MS_between - MS_within) / n₀,  n₀ = (N - Σ n_s² / N) / (a - 1).

    Raises:
        ValueError: fewer than two splits with a run, or no split with two.
    """
    y = matrix(accuracy, "accuracy")
    groups = [kept for row in y if (kept := row[~np.isnan(row)]).size]
    sizes = np.array([group.size for group in groups])
    if len(groups) < 2 or sizes.max() < 2:
        raise ValueError(
            f"accuracy holds {len(groups)} split(s) with a run, the largest of {sizes.max(initial=0)}: "
            "give at least 2 splits, and 2 training seeds on one of them."
        )
    n, a = sizes.sum(), len(groups)
    means = np.array([group.mean() for group in groups])
    grand = (sizes * means).sum() / n
    between = (sizes * (means - grand) ** 2).sum() / (a - 1)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (n - a)
    runs_a_split = (n - (sizes**2).sum() / n) / (a - 1)
    return _components((between - within) / runs_a_split, within, 0.0)


def _components(split: float, training: float, residual: float) -> SplitLottery:
    estimates = {"split": float(split), "training": float(training), "residual": float(residual)}
    rounding = 10.0 ** (-2 * DECIMALS)  # variances are squares
    truncated = tuple(name for name, value in estimates.items() if value < -rounding)
    kept = {name: value if value > rounding else 0.0 for name, value in estimates.items()}
    return SplitLottery(**kept, truncated=truncated)
