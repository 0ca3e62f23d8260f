"""The article's logistic pseudo-labelling in rounds, in scikit-learn (Shenoy 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures


@dataclass(frozen=True)
class Rounds:
    """What the rounds gave."""

    model: SGDClassifier
    """Fitted on the labelled rows and all that were added."""
    scores: list[float]
    """Test accuracy before each round and at the end: (rounds + 1,)."""
    rows: int
    """Rows that the last fit was on."""


def features(labelled: np.ndarray, *others: np.ndarray, components: int = 50) -> Iterator[np.ndarray]:
    """Pixels (n, 784) to quadratic features of their principal components (n, 1326), fitted on the labelled images alone."""
    # Without a solver named, scikit-learn may take a randomised one, which the article's figures do not depend on.
    pipeline = make_pipeline(Normalizer(), PCA(components, svd_solver="full"), PolynomialFeatures(2))
    pipeline.fit(labelled)
    for pixels in (labelled, *others):
        yield pipeline.transform(pixels).astype(np.float32)


def pseudo_label_rounds(
    x: np.ndarray,
    y: np.ndarray,
    u: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    rounds: int = 25,
    sample_rate: float = 0.04,
    keep_above: float = 0.6,
    keep_below: float = 0.4,
    alpha: float = 1e-5,
    order: np.ndarray | None = None,
    states: Sequence[int] | None = None,
) -> Rounds:
    """Fit, label the next slice of the unlabelled rows, add the confident ones, fit again.

    Args:
        x, y: labelled features (n, features) and their classes (n,).
        u: unlabelled features (m, features).
        order: a permutation of the unlabelled rows; drawn if not given.
        states: the random state of each of the `rounds + 1` fits; drawn if not given.
    """
    order = np.random.default_rng().permutation(len(u)) if order is None else order
    size = max(1, round(sample_rate * len(u)))

    def fitted(number: int) -> SGDClassifier:
        state = None if states is None else states[number]
        return SGDClassifier(loss="log_loss", alpha=alpha, random_state=state).fit(x, y)

    model = fitted(0)
    scores = [float(model.score(x_test, y_test))]
    for number in range(rounds):
        rows = order[number * size : (number + 1) * size]
        if not len(rows):
            break
        probabilities = model.predict_proba(u[rows])
        confidence = probabilities.max(axis=1)
        pseudo = model.classes_[probabilities.argmax(axis=1)]
        kept = (confidence > keep_above) | (confidence < keep_below)
        x, y = np.concatenate([x, u[rows][kept]]), np.concatenate([y, pseudo[kept]])
        model = fitted(number + 1)
        scores.append(float(model.score(x_test, y_test)))
    return Rounds(model, scores, len(x))
