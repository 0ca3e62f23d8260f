"""Evaluation over training: learning curves, the three accuracies and the final metrics of one seed.

Only this file sees the labels of unlabelled and test examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench import metrics
from sslbench.engine.outcome import Curves
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem


class Evaluation:
    """Collects what one seed's predictor is worth, at the points of its learning curve."""

    def __init__(self, problem: Problem, watched: int, rng: Rng) -> None:
        """
        Args:
            watched: unlabelled examples, at most, whose pseudo-labels are followed over training: those first whose label is
                known, so that it can be told whether they are right.
            rng: draws which ones.
        """
        self.problem = problem
        drawn = problem.unlabelled[rng.permutation(len(problem.unlabelled))]
        known = problem.y[drawn] >= 0
        self.watched = torch.cat([drawn[known], drawn[~known]])[:watched]
        """Indices of the watched examples into the problem's inputs, int64."""
        self._parts = {"validation": problem.validation, "unlabelled": self.watched, "test": problem.test}
        self.indices = torch.cat(list(self._parts.values()))
        """Indices into the problem's inputs (m,) of which `add` wants the probabilities."""
        self._y = {name: problem.y[part].numpy() for name, part in self._parts.items()}
        self._known = self._y["unlabelled"] >= 0
        self._points: list[dict[str, float | None]] = []
        self._pseudo_labels: list[np.ndarray] = []
        self._final = np.empty((0, problem.classes))

    def add(self, step: int, probabilities: Tensor, training: Mapping[str, float | None]) -> None:
        """One point of the learning curve.

        Args:
            step: training steps done.
            probabilities: (m, classes), of `indices`.
            training: what the training reports of the steps since the last point.
        """
        parts = torch.split(probabilities.cpu(), [len(part) for part in self._parts.values()])
        p = {name: part.numpy() for name, part in zip(self._parts, parts, strict=True)}
        self._final = p["test"]
        self._pseudo_labels.append(p["unlabelled"].argmax(axis=1).astype(np.int16))
        has_validation = len(self._y["validation"]) > 0
        point: dict[str, float | None] = {
            "step": step,
            **training,
            "test_accuracy": metrics.accuracy(p["test"], self._y["test"]),
            "validation_accuracy": metrics.accuracy(p["validation"], self._y["validation"]),
            "validation_nll": metrics.nll(p["validation"], self._y["validation"]) if has_validation else None,
            "pseudo_label_accuracy": metrics.accuracy(p["unlabelled"][self._known], self._y["unlabelled"][self._known]),
            "pseudo_label_coverage": metrics.coverage(p["unlabelled"]),
        }
        self._points.append({n: None if v is None or math.isnan(v) else v for n, v in point.items()})

    def saved(self) -> tuple[list[dict[str, float | None]], Tensor]:
        """The points so far, and the watched pseudo-labels at each (points, watched) int16."""
        rows = (
            np.stack(self._pseudo_labels) if self._pseudo_labels else np.empty((0, len(self.watched)), dtype=np.int16)
        )
        return list(self._points), torch.from_numpy(rows)

    def restore(self, points: Sequence[Mapping[str, float | None]], pseudo_labels: Tensor) -> None:
        """Go on from what `saved` gave.

        Raises:
            ValueError: it is of another evaluation.
        """
        if pseudo_labels.shape != (len(points), len(self.watched)):
            raise ValueError(f"{len(points)} points and pseudo-labels of shape {tuple(pseudo_labels.shape)}")
        self._points = [dict(point) for point in points]
        self._pseudo_labels = list(pseudo_labels.numpy().astype(np.int16))

    @property
    def curves(self) -> Curves:
        """A series for each name over all points, None where a point has no value of that name."""
        names = dict.fromkeys(name for point in self._points for name in point)
        return {name: [point.get(name) for point in self._points] for name in names}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """`pseudo_labels` (points, watched) over training, and the labels `watched_y` (watched,), -1 where nobody knows it."""
        return {"pseudo_labels": np.stack(self._pseudo_labels), "watched_y": self._y["unlabelled"].astype(np.int16)}

    def metrics(self) -> dict[str, Any]:
        """Final metrics on the test set, and accuracy at the end, at the selected checkpoint and at the best on test."""
        p, y = self._final, self._y["test"]
        curves = self.curves
        test = np.array(curves["test_accuracy"], dtype=float)
        selected, oracle = self._selected(), int(test.argmax())
        steps = curves["step"]
        return {
            "accuracy": {
                "final": float(test[-1]),
                "selected": None if selected is None else float(test[selected]),
                "oracle": float(test[oracle]),
            },
            "selected_step": None if selected is None else steps[selected],
            "oracle_step": steps[oracle],
            "nll": metrics.nll(p, y),
            "ece": metrics.ece(p, y),
            "per_class_accuracy": metrics.per_class_accuracy(p, y),
            "confusion": metrics.confusion(p, y).tolist(),
        }

    def _selected(self) -> int | None:
        """The point of highest validation accuracy; of equals that of lowest validation loss. None without validation."""
        if not len(self._y["validation"]):
            return None
        accuracy, nll = (np.array(self.curves[f"validation_{of}"], dtype=float) for of in ("accuracy", "nll"))
        return int(np.lexsort((nll, -accuracy))[0])
