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


class Fits:
    """The task's estimator, fitted on one set of rows after another, each time with a random state drawn from `rng`.

    A new one each time; or, if its own `warm_start` says so, the same, which goes on from where it stood.
    """

    def __init__(self, task: Task, rng: Rng) -> None:
        self._task, self._rng = task, rng
        self._last: Any = None

    def fit(self, x: np.ndarray, y: np.ndarray) -> Predictor:
        """Fit on x (n, features) and y (n,). What the fit before gave holds until then."""
        assert self._task.estimator is not None
        state = int(self._rng.integers(1 << 31, 1))
        if getattr(self._last, "warm_start", False):
            self._last.set_params(random_state=state)
        else:
            self._last = self._task.estimator(state)
        self._last.fit(x, y)
        return predictor(self._last, self._task.classes)


def predictor(estimator: Any, classes: int) -> Predictor:
    """A fitted scikit-learn classifier as a predictor. A class that it never saw gets probability 0."""
    columns = torch.as_tensor(np.asarray(estimator.classes_, dtype=np.int64))

    def predict(x: Tensor) -> Tensor:
        seen = torch.as_tensor(estimator.predict_proba(x.cpu().flatten(1).numpy()), dtype=torch.float32)
        return torch.zeros(len(x), classes).index_copy_(1, columns, seen)

    return predict
