"""Methods that are wrong on purpose, one mistake each; and the good one that they are derived from."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sslbench.data import load
from sslbench.methods.base import FitMethod, Loss, LossMethod, NonNegative, cross_entropy, log_softmax
from sslbench.methods.estimators import predictor

CALLS: list[int] = []


def entropy(logits: Tensor) -> Tensor:
    log_p = log_softmax(logits)
    return -(log_p.exp() * log_p).sum(dim=-1).mean()


@dataclass(frozen=True)
class Good(LossMethod):
    """Entropy minimisation (Grandvalet and Bengio 2005)."""

    weight: NonNegative = 0.3
    """Weight of the entropy."""

    def labelled(self, model, batch, rng):
        return cross_entropy(model, batch, rng)

    def loss(self, model, batch, step, rng):
        return Loss(self.labelled(model, batch, rng), self.unlabelled_term(model, batch, rng), self.weight)

    def unlabelled_term(self, model, batch, rng):
        return entropy(model(batch.u, rng))


@dataclass(frozen=True)
class ComparesWithItself(Good):
    """Unpublished: a tensor minus itself."""

    def unlabelled_term(self, model, batch, rng):
        p = model(batch.u, rng)
        return (p - p).square().mean()


@dataclass(frozen=True)
class Detached(Good):
    """Unpublished: a term without gradient."""

    def unlabelled_term(self, model, batch, rng):
        return entropy(model(batch.u, rng)).detach()


@dataclass(frozen=True)
class NeverRises(Good):
    """Unpublished: a weight that stays 0."""

    def loss(self, model, batch, step, rng):
        return Loss(self.labelled(model, batch, rng), self.unlabelled_term(model, batch, rng), 0.0 * step.progress)


@dataclass(frozen=True)
class IgnoresThePool(Good):
    """Unpublished: the unlabelled term is taken of the labelled examples."""

    def unlabelled_term(self, model, batch, rng):
        return entropy(model(batch.x, rng))


@dataclass(frozen=True)
class NeverUnlabelled(Good):
    """Unpublished: an order without unlabelled steps."""

    def order(self, sizes):
        while True:
            yield "labelled"

    def loss(self, model, batch, step, rng):
        return Loss(self.labelled(model, batch, rng))


@dataclass(frozen=True)
class ReadsTheDataSet(Good):
    """Unpublished: takes hidden labels from the data set itself."""

    def unlabelled_term(self, model, batch, rng):
        return super().unlabelled_term(model, batch, rng) * load("mnist5k").y[:1000].float().mean()


@dataclass(frozen=True)
class LooksAtItsCaller(Good):
    """Unpublished: finds the labels of the engine in a frame above it."""

    def unlabelled_term(self, model, batch, rng):
        frame = sys._getframe()
        while "training" not in frame.f_locals:
            frame = frame.f_back
        return super().unlabelled_term(model, batch, rng) * frame.f_locals["training"].y[:200].float().mean()


@dataclass(frozen=True)
class DrawsFromTorch(Good):
    """Unpublished: noise from torch's global generator."""

    def unlabelled_term(self, model, batch, rng):
        return entropy(model(batch.u + 0.1 * torch.randn(batch.u.shape), rng))


@dataclass(frozen=True)
class DrawsFromNumPy(Good):
    """Unpublished: a factor from NumPy's global generator."""

    def unlabelled_term(self, model, batch, rng):
        return super().unlabelled_term(model, batch, rng) * np.random.rand()  # noqa: NPY002


@dataclass(frozen=True)
class CountsOutside(Good):
    """Unpublished: counts its calls in a global list."""

    def unlabelled_term(self, model, batch, rng):
        CALLS.append(1)
        return super().unlabelled_term(model, batch, rng) * len(CALLS)


@dataclass(frozen=True)
class KeepsState(Good):
    """Unpublished: counts its calls on itself."""

    def unlabelled_term(self, model, batch, rng):
        object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
        return super().unlabelled_term(model, batch, rng) * self.calls


@dataclass(frozen=True)
class KeepsAList(Good):
    """Unpublished: the same in a field, which looks frozen."""

    seen: tuple[list[int], ...] = field(default_factory=lambda: ([],))
    """What it has seen."""

    def unlabelled_term(self, model, batch, rng):
        self.seen[0].append(1)
        return super().unlabelled_term(model, batch, rng) * len(self.seen[0])


@dataclass(frozen=True)
class FreezesTheBiases(Good):
    """Unpublished: parameters that no gradient reaches."""

    def loss(self, model, batch, step, rng):
        parts = {n: p.detach() if n.endswith("bias") else p for n, p in model.parameters.items()}
        return super().loss(model.at(parts), batch, step, rng)


@dataclass(frozen=True)
class DividesByClassCounts(Good):
    """Unpublished: each class weighs as much, and one without labels divides by zero."""

    def labelled(self, model, batch, rng):
        logits = model(batch.x, rng)
        counts = torch.zeros(logits.shape[-1]).index_add(0, batch.y, torch.ones(len(batch.y)))
        return cross_entropy(model, batch, rng) + 0 * (1 / counts).mean() * logits.mean()


@dataclass(frozen=True)
class ForgetsTheMean(Good):
    """Unpublished: a loss for each example."""

    def unlabelled_term(self, model, batch, rng):
        log_p = log_softmax(model(batch.u, rng))
        return -(log_p.exp() * log_p).sum(dim=-1)


@dataclass(frozen=True)
class Explodes(Good):
    """Unpublished: NaN after some steps."""

    def loss(self, model, batch, step, rng):
        loss = super().loss(model, batch, step, rng)
        return Loss(loss.labelled / (step.index < 3), loss.unlabelled, loss.weight)


@dataclass(frozen=True)
class AsksForItems(Good):
    """Unpublished: reads a tensor's value, which a stack has many of."""

    def unlabelled_term(self, model, batch, rng):
        value = super().unlabelled_term(model, batch, rng)
        return value * 2 if value.item() > 0.1 else value


@dataclass(frozen=True)
class CountsItsStack(Good):
    """Unpublished: other numbers in a stack, where it is called once for all seeds."""

    def unlabelled_term(self, model, batch, rng):
        CALLS.append(1)
        return super().unlabelled_term(model, batch, rng) * (1 + len(CALLS) % 2)


@dataclass(frozen=True)
class CountsItsSteps(Good):
    """Unpublished: a schedule in Python, which a recorded step does not see."""

    def init(self, *args, **kwargs):
        CALLS.clear()
        return super().init(*args, **kwargs)

    def unlabelled_term(self, model, batch, rng):
        CALLS.append(1)
        return super().unlabelled_term(model, batch, rng) * (1 if len(CALLS) < 9 else 2)


@dataclass(frozen=True)
class ReadsValues(Good):
    """Unpublished: a condition in Python on what a tensor holds."""

    def unlabelled_term(self, model, batch, rng):
        term = super().unlabelled_term(model, batch, rng)
        return term * 2 if float(term.detach()) > 1 else term


@dataclass(frozen=True)
class OtherBaseline(Good):
    """Unpublished: with weight 0 it is not supervised training."""

    def labelled(self, model, batch, rng):
        return 1.1 * cross_entropy(model, batch, rng)


@dataclass(frozen=True)
class OtherBaselineAndSaysSo(OtherBaseline):
    """Unpublished: as it says."""

    exempt: ClassVar = {"weight zero": "its labelled term is scaled"}


@dataclass(frozen=True)
class ExemptsItself(Good):
    """Unpublished: would rather not be looked at."""

    exempt: ClassVar = {"blind": "trust me"}


@dataclass(frozen=True)
class NoSuchView(Good):
    """Unpublished: a view that no scenario has."""

    views: ClassVar = ("upside-down",)


@dataclass(frozen=True)
class Undocumented(Good):
    weight: float = 0.3


@dataclass(frozen=True)
class FieldUndocumented(Good):
    """Unpublished: a field without a docstring."""

    power: float = 1.0


@dataclass(frozen=True)
class Sourceless(Good):
    """Entropy minimisation."""


@dataclass
class Mutable(LossMethod):  # a frozen class cannot have an heir that is not
    """Unpublished: fields that can be assigned."""

    loss = Good.loss


class Plain(Good):
    """Unpublished: no decorator."""


@dataclass(frozen=True)
class NoDefault(LossMethod):
    """Unpublished: a field that must be given."""

    weight: float
    """Weight."""


@dataclass(frozen=True)
class WrongDefault(Good):
    """Unpublished: a default that its own type refuses."""

    weight: NonNegative = -1.0
    """Weight."""


@dataclass(frozen=True)
class UnknownType(Good):
    """Unpublished: a type that is not imported."""

    share: Fraktion = 0.5  # noqa: F821
    """Share."""


@dataclass(frozen=True)
class SearchesNothing(Good):
    """Unpublished: a search over no field."""

    search: ClassVar = {"wieght": (0.1, 1.0)}


class NoMethod:
    """Unpublished: neither a LossMethod nor a FitMethod."""


# Fit methods ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodFit(FitMethod):
    """One round of self-training (Scudder 1965)."""

    def fit(self, task, rng, watch):
        x, y, u = (a.reshape(len(a), -1) if a.ndim > 1 else a for a in (task.x, task.y, task.u))
        first = self.estimator(x, y)
        both = np.concatenate([x, u]), np.concatenate([y, self.pseudo(first.predict(u), task)])
        return self.predictor(self.estimator(*both), task.classes)

    def estimator(self, x, y):
        return LogisticRegression(max_iter=1000).fit(x, y)

    def pseudo(self, predicted, task):
        return predicted

    def predictor(self, estimator, classes):
        predict = predictor(estimator, classes)
        return lambda x: predict(x.flatten(1))


@dataclass(frozen=True)
class FitIgnoresThePool(GoodFit):
    """Unpublished: never reads u."""

    def fit(self, task, rng, watch):
        return self.predictor(self.estimator(task.x.reshape(len(task.x), -1), task.y), task.classes)


@dataclass(frozen=True)
class FitDrawsFromNumPy(GoodFit):
    """Unpublished: flips labels by NumPy's global generator."""

    def pseudo(self, predicted, task):
        return np.where(np.random.rand(len(predicted)) < 0.1, 0, predicted)  # noqa: NPY002


@dataclass(frozen=True)
class FitReadsTheDataSet(GoodFit):
    """Unpublished: takes hidden labels from the data set itself."""

    def pseudo(self, predicted, task):
        return load("mnist5k").y[: len(predicted)].numpy() if task.classes == 10 else predicted


@dataclass(frozen=True)
class FitForgetsColumns(GoodFit):
    """Unpublished: has columns for the classes it saw alone."""

    def predictor(self, estimator, classes):
        return lambda x: torch.from_numpy(estimator.predict_proba(x.flatten(1).numpy())).float()


@dataclass(frozen=True)
class FitNotNormalised(GoodFit):
    """Unpublished: scores, and no probabilities."""

    def predictor(self, estimator, classes):
        predict = super().predictor(estimator, classes)
        return lambda x: 2 * predict(x)
