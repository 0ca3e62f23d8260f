"""Label propagation (Zhu and Ghahramani 2002, "Learning from Labeled and Unlabeled Data with Label Propagation")."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn import semi_supervised
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sslbench.methods.base import Count, FitMethod, Predictor, Range, Search, Task, method
from sslbench.methods.estimators import UNLABELLED, flat, predictor
from sslbench.rng import Rng


@method("label-propagation")
@dataclass(frozen=True)
class LabelPropagation(FitMethod):
    """scikit-learn's LabelPropagation: labels spread over the graph of nearest neighbours, and the given ones stay.

        Y ← T Y,  Y_labelled ← the labels,  until nothing changes                 (Zhu and Ghahramani 2002, section 2.2)

    T has the weight 1 / k from each example to its k nearest ones, the flattened inputs' L2 distance apart, where the paper has a
    Gaussian of the distance between all pairs: memory then grows with the examples, not with their square. A new example is
    predicted by its k nearest ones in the graph; where no label has reached them, each class is as probable.
    """

    search: ClassVar[Search] = {"neighbors": Range(3, 30, log=True)}

    neighbors: Count = 7
    """k: edges from each example, one of them to itself."""
    pool: Count = 10_000
    """Unlabelled examples in the graph, at most, drawn at random: the search for neighbours takes time with their square."""
    iterations: Count = 1000
    """Iterations, at most."""

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        del watch
        settings = {"kernel": "knn", "n_neighbors": self.neighbors, "max_iter": self.iterations}
        return fitted_on_graph(semi_supervised.LabelPropagation(**settings), task, self.pool, rng)


def fitted_on_graph(estimator: Any, task: Task, pool: int, rng: Rng) -> Predictor:
    """One of scikit-learn's graph classifiers, fitted on the labelled examples and at most `pool` unlabelled ones."""
    rows = rng.permutation(len(task.u))[:pool].numpy()
    x = flat(np.concatenate([task.x, task.u[rows]]))
    y = np.concatenate([task.y, np.full(len(rows), UNLABELLED)])
    estimator.set_params(n_neighbors=min(estimator.n_neighbors, len(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # there are as many iterations as were asked for
        estimator.fit(x, y)
    inside = predictor(estimator, task.classes)
    seen = torch.zeros(task.classes).index_fill_(0, torch.as_tensor(estimator.classes_, dtype=torch.int64), 1.0)

    def predict(x: Tensor) -> Tensor:
        with np.errstate(invalid="ignore"):  # 0 / 0 where no label has come
            probabilities = inside(x)
        return torch.where(probabilities.isfinite().all(dim=1, keepdim=True), probabilities, seen / seen.sum())

    return predict
