"""Self-training (Yarowsky 1995, "Unsupervised Word Sense Disambiguation Rivaling Supervised Methods", ACL)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Lt
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from sslbench.methods.base import Count, FitMethod, Positive, Predictor, Range, Search, Task, method
from sslbench.methods.estimators import UNLABELLED, flat, predictor
from sslbench.rng import Rng


@method("self-training")
@dataclass(frozen=True)
class SelfTraining(FitMethod):
    """scikit-learn's SelfTrainingClassifier: fit, give the confident examples of the pool their labels for good, fit again.

    Around the scenario's scikit-learn classifier. Where the scenario trains a network instead, it is a logistic regression on
    the same inputs, flattened: compare it with other linear models, not with the network.
    """

    search: ClassVar[Search] = {"threshold": Range(0.5, 0.99), "c": Range(0.1, 1000.0, log=True)}

    threshold: Annotated[float, Ge(0), Lt(1)] = 0.75
    """Examples whose highest class probability is above this are labelled."""
    rounds: Count = 10
    """Rounds; they end early when no example passes."""
    c: Positive = 10.0
    """C of the logistic regression, the inverse of its L2 penalty; it has no effect on a scenario's own classifier."""

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        del watch
        if task.estimator is not None:
            base = task.estimator(int(rng.integers(1 << 31, 1)))
        else:
            base = LogisticRegression(C=self.c, max_iter=1000)
        estimator = SelfTrainingClassifier(estimator=base, threshold=self.threshold, max_iter=self.rounds)
        x, y = flat(np.concatenate([task.x, task.u])), np.concatenate([task.y, np.full(len(task.u), UNLABELLED)])
        estimator.fit(x, y)
        return predictor(estimator, task.classes)
