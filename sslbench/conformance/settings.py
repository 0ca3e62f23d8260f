"""The small problems that methods are checked on: images, points, feature vectors, and a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench.data import Dataset
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario

POOL, HELD_OUT = 300, 200
"""Unlabelled examples and test examples, at most: enough to tell right from wrong."""

# All labelled examples make one batch, so that what counts in epochs comes to its unlabelled steps soon. Of images there are few:
# a convolution in a stack is slow on a CPU, and some methods take a hundred steps until they use an unlabelled example.
_FEATURES = {"labels": 100, "labelled_batch": 100, "unlabelled_batch": 64, "components": 20}
_KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "points": ("two-moons-6", {"training_points": 300, "test_points": 100, "unlabelled_batch": 300}),
    "features": ("mnist5k-1000-logreg", _FEATURES),
    "images": ("mnist5k-20", {"labelled_batch": 20, "unlabelled_batch": 8}),
    "estimator": ("mnist5k-1000-sgd", _FEATURES),
}
KINDS = tuple(_KINDS)
"""Kinds of input, the quickest first. On the last a scikit-learn estimator is fitted; on the others a network is trained."""

Change = Callable[[Problem], Problem]


@dataclass(frozen=True)
class Setting:
    """A small scenario and its problems."""

    kind: str
    scenario: Scenario

    def with_steps(self, steps: int) -> Setting:
        return Setting(self.kind, dataclasses.replace(self.scenario, steps=steps, points=2))

    def problem(self, seed: int = 0) -> Problem:
        """The problem at a seed. Of the pool and the test set there is only a part."""
        return _problem(self.kind, seed)

    def dataset(self) -> Dataset:
        """The data set that the problem at seed 0 is made from."""
        return self.scenario.dataset(rng_of(0).child("data"))


@functools.cache
def setting(kind: str) -> Setting:
    """The setting of that kind of input."""
    name, changes = _KINDS[kind]
    entry = scenario.get(name)
    return Setting(kind, entry.thing(**{**entry.preset, **changes}))


@functools.lru_cache(maxsize=12)
def _problem(kind: str, seed: int) -> Problem:
    whole = setting(kind).scenario.problem(rng_of(seed))
    return dataclasses.replace(
        whole,
        unlabelled=whole.unlabelled[:POOL],
        validation=whole.validation[:HELD_OUT],
        test=whole.test[:HELD_OUT],
    )


def rng_of(seed: int) -> Rng:
    """What a seed's problem and training are drawn from, as in a suite."""
    return Rng.root(0).child("seed", seed)


class Probed:
    """A scenario that poses a given problem, and keeps what the trained predictor says of its inputs."""

    def __init__(self, of: Scenario, problem: Problem) -> None:
        self._of, self._problem = of, problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def problem(self, rng: Rng) -> Problem:
        del rng
        return self._problem

    def arrays(self, problem: Problem, predict: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        del problem
        return {"probe": predict(probe(self._problem)).detach().cpu().numpy()}


def probe(problem: Problem) -> Tensor:
    """Inputs that no check changes (n, *features): predictors are compared on them."""
    return problem.x[problem.labelled]


# What is changed to see whether a method notices ---------------------------------------------------------------------


def poisoned(problem: Problem) -> Problem:
    """Every label that a method may not see is another one, and the test and validation inputs are noise."""
    x, y = problem.x.clone(), problem.y.clone()
    hidden = torch.ones(len(y), dtype=torch.bool)
    hidden[problem.labelled] = False
    y[hidden] = (y[hidden] + 1) % problem.classes
    for part in (problem.validation, problem.test):
        x[part] = 1e3 * rng_of(0).child("poison", len(part)).normal(*x[part].shape)
    return dataclasses.replace(problem, x=x, y=y)


@contextlib.contextmanager
def poisoned_dataset(dataset: Dataset, labelled: Tensor) -> Iterator[None]:
    """Meanwhile the hidden labels and the test set in the data set itself are others, for whoever loads it past the batch."""
    tensors = dataset.y, dataset.y_test, dataset.x_test
    before = [t.clone() for t in tensors]
    hidden = torch.ones(len(dataset.y), dtype=torch.bool)
    hidden[labelled] = False
    try:
        dataset.y[hidden] = (dataset.y[hidden] + 1) % dataset.classes
        dataset.y_test.add_(1).remainder_(dataset.classes)
        dataset.x_test.copy_(dataset.x_test.flip(0))
        yield
    finally:
        for tensor, old in zip(tensors, before, strict=True):
            tensor.copy_(old)


def other_pool(problem: Problem) -> Problem:
    """The unlabelled inputs are others, of the same values in other places: each feature in the place of the next."""
    x, rows = problem.x.clone(), problem.unlabelled
    x[rows] = x[rows].flatten(1).roll(1, dims=1).view_as(x[rows])
    return dataclasses.replace(problem, x=x)


def without_classes(problem: Problem, gone: tuple[int, ...]) -> Problem:
    """Those classes have no label. Their examples are in the pool all the same."""
    kept = torch.stack([problem.y[problem.labelled] != c for c in gone]).all(dim=0)
    return dataclasses.replace(problem, labelled=problem.labelled[kept])
