"""scikit-learn's SGDClassifier with logistic loss, in batches: all classes and several rows in one matrix product."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor

WARM = 5
"""Passes over its rows that a warm start counts as done."""


class BatchedSGD(ClassifierMixin, BaseEstimator):
    """One-versus-rest logistic regression by stochastic gradient descent, as `SGDClassifier(loss="log_loss")` does it.

    The same loss, L2 penalty, "optimal" step sizes 1 / (α (t + t₀)) and stopping rule. Otherwise:

    - a step sums the gradients of `batch` rows, taken at the same weights; t counts rows, as before;
    - all classes step together and stop together, when their summed loss has not fallen by `tol` for 5 epochs;
    - the rows are shuffled once, and then in every epoch the batches are;
    - float32.

    With `batch=1` and without shuffling it is SGDClassifier to rounding.
    """

    def __init__(
        self,
        alpha: float = 1e-5,
        batch: int = 8,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 5,
        shuffle: bool = True,
        random_state: int = 0,
        warm_start: bool = False,
    ) -> None:
        """
        Args:
            alpha: weight of the L2 penalty.
            batch: rows of a step.
            max_iter: epochs, at most.
            tol: training ends when the mean loss has not fallen by it for `n_iter_no_change` epochs; None: never.
            warm_start: `fit` begins with the weights of the last fit, if that was of the same classes, and with the steps
                that are taken after `WARM` passes over its rows. (With the last fit's own, ever smaller ones, the article's
                rounds would end up to half a point above those that begin anew.)
        """
        self.alpha, self.batch, self.max_iter, self.tol = alpha, batch, max_iter, tol
        self.n_iter_no_change, self.shuffle, self.random_state = n_iter_no_change, shuffle, random_state
        self.warm_start = warm_start

    def fit(self, x: np.ndarray, y: np.ndarray) -> BatchedSGD:
        """x (n, features) float32, y (n,) labels."""
        classes, places = np.unique(y, return_inverse=True)
        begun = self.warm_start and np.array_equal(classes, getattr(self, "classes_", ()))
        self.classes_ = classes
        generator = torch.Generator().manual_seed(self.random_state)
        order = torch.randperm(len(x), generator=generator) if self.shuffle else torch.arange(len(x))
        inputs = torch.as_tensor(x)[order]
        targets = F.one_hot(torch.as_tensor(places), len(self.classes_)).to(inputs.dtype)[order]
        scores = torch.empty_like(targets)
        batches = list(zip(*(t.split(self.batch) for t in (inputs, targets, scores)), strict=True))
        if not begun:
            self._weights = inputs.new_zeros(len(self.classes_), inputs.shape[1])
            self._bias = inputs.new_zeros(len(self.classes_))
        first, one_epoch = self._first_step(), _scripted(_epoch)
        seen, best, stale = WARM * len(inputs) if begun else 0, math.inf, 0
        for epoch in range(self.max_iter):
            turn = torch.randperm(len(batches), generator=generator) if self.shuffle else torch.arange(len(batches))
            with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
                one_epoch(self._weights, self._bias, batches, turn.tolist(), self.alpha, first + seen)
            loss = float(F.binary_cross_entropy_with_logits(scores, targets, reduction="sum"))
            seen, self.n_iter_ = seen + len(inputs), epoch + 1
            stale = stale + 1 if self.tol is not None and loss / len(inputs) > best - self.tol else 0
            best = min(best, loss / len(inputs))
            if stale == self.n_iter_no_change:
                break
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """(n, features) -> (n, classes): each class's own probability, scaled to sum to 1, as SGDClassifier has it."""
        scores = torch.sigmoid(torch.addmm(self._bias, torch.as_tensor(x), self._weights.T))
        total = scores.sum(dim=1, keepdim=True)
        even = torch.full_like(scores, 1 / scores.shape[1])
        return torch.where(total > 0, scores / total, even).numpy()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(n, features) -> (n,): the most probable class."""
        predicted: np.ndarray = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return predicted

    def _first_step(self) -> float:
        """t₀, after Bottou: the first step is as long as typical weights are large."""
        typical = math.sqrt(1 / math.sqrt(self.alpha))
        slope = 1 / (1 + math.exp(-typical))
        return max(1.0, slope) / (typical * self.alpha)


def _epoch(
    weights: Tensor,
    bias: Tensor,
    batches: list[tuple[Tensor, Tensor, Tensor]],
    turn: list[int],
    alpha: float,
    time: float,
) -> None:
    """One pass over batches of inputs and targets; into the third part go the scores that each row had before its step.

    Args:
        weights, bias: (classes, features) and (classes,), changed in place.
        turn: the batches, as they are taken.
        time: t₀ + t before the first step.
    """
    scale, transposed = 1.0, weights.t()
    for i in turn:
        inputs, targets, scores = batches[i]
        rate, rows = 1 / (alpha * time), inputs.size(0)
        torch.mm(inputs, transposed, out=scores)
        torch.add(bias, scores, alpha=scale, out=scores)
        gradient = torch.sigmoid(scores).sub_(targets).t()
        # The penalty shrinks all weights in every step: a factor beside them costs less than the product.
        scale = scale * max(0.0, 1 - rate * alpha) ** rows
        weights.addmm_(gradient, inputs, alpha=-rate / scale)
        bias.sub_(gradient.sum(1), alpha=rate)
        time += rows
        if scale < 1e-4:
            weights.mul_(scale)
            scale = 1.0
    weights.mul_(scale)


@functools.cache
def _scripted(function: Callable[..., None]) -> Any:
    """As TorchScript runs it: a step is seven kernels of a few microseconds, and Python between them takes as long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what torch gives for its deprecation
        return torch.jit.script(function)
