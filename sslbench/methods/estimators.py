"""scikit-learn classifiers as predictors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench.methods.base import Predictor, Task
from sslbench.rng import Rng

UNLABELLED = -1
"""scikit-learn's label of an example without one."""


def flat(x: np.ndarray) -> np.ndarray:
    """Inputs (n, *features) as scikit-learn takes them: (n, values)."""
    return x.reshape(len(x), -1)


def fitted(task: Task, x: np.ndarray, y: np.ndarray, rng: Rng) -> Predictor:
    """The task's estimator, fitted on x (n, features) and y (n,), its random state drawn from `rng`."""
    assert task.estimator is not None
    estimator = task.estimator(int(rng.integers(1 << 31, 1)))
    estimator.fit(x, y)
    return predictor(estimator, task.classes)


def predictor(estimator: Any, classes: int) -> Predictor:
    """A fitted scikit-learn classifier as a predictor. A class that it never saw gets probability 0."""
    columns = torch.as_tensor(np.asarray(estimator.classes_, dtype=np.int64))

    def predict(x: Tensor) -> Tensor:
        seen = torch.as_tensor(estimator.predict_proba(x.cpu().flatten(1).numpy()), dtype=torch.float32)
        return torch.zeros(len(x), classes).index_copy_(1, columns, seen)

    return predict
