"""What a validation set of a given size can tell."""

from __future__ import annotations

import math

from sslbench.stats._inputs import probability


def accuracy_noise(accuracy: float, examples: int) -> float:
    """Standard error of an accuracy over n examples, √(p̃ (1 − p̃) / ñ), with two more right and two more wrong ones.

    ñ = n + 4, p̃ = (p n + 2) / ñ (Agresti and Coull 1998): beyond a few examples the usual √(p (1 − p) / n), but not 0 where
    all of a few examples are right.

    Raises:
        ValueError: no example, or an accuracy outside [0, 1].
    """
    if examples < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy {accuracy} over {examples} examples: give one in [0, 1] over at least 1.")
    p = (accuracy * examples + 2) / (examples + 4)
    return math.sqrt(p * (1 - p) / (examples + 4))


def examples_to_tell(difference: float, level: float = 0.95) -> int:
    """Examples after which an accuracy is known to within `difference` (of 1): n = ln(2 / (1 − level)) / (2 d²).

    Hoeffding's inequality, which Oliver et al. 2018 (arXiv:1804.09170) apply to validation sets.

    Raises:
        ValueError: a difference or level outside (0, 1).
    """
    miss = 1 - probability(level, "level")
    return math.ceil(math.log(2 / miss) / (2 * probability(difference, "difference") ** 2))
