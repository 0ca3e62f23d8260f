"""Two moons with a few labelled points, after Oliver et al. 2018 (arXiv:1804.09170, figure 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sslbench.data import Dataset
from sslbench.data.two_moons import CLASS_NAMES, two_moons
from sslbench.methods.base import Count, NonNegative, Positive
from sslbench.networks import MLP
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario
from sslbench.views import View, noise

GRID = 80
"""Points along each axis of the stored decision boundary."""


@scenario("two-moons-6", labels=6)
@dataclass(frozen=True, kw_only=True)
class TwoMoons(Scenario):
    """Two half circles, three labelled points on each, and a network of three hidden layers of ten units.

    The paper gives the network and the picture; noise, optimiser and the methods' settings are ours: call it
    "Oliver-style".
    """

    family: ClassVar[str] = "two-moons"
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pi-model": {"weight": 300.0},
        "mean-teacher": {"weight": 300.0},
        "vat": {"weight": 3.0, "radius": 0.3, "entropy": 0.1},
    }

    training_points: Count = 1000
    """Points of the training pool, half of them on each moon."""
    test_points: Count = 1000
    """Points of the test set, likewise."""
    noise: NonNegative = 0.1
    """Standard deviation of the points about their half circle, in units of its radius."""
    view_noise: NonNegative = 0.1
    """The weak view adds normal noise of this standard deviation, in units of the standardised coordinates."""
    strong_noise: NonNegative = 0.2
    """The strong view adds normal noise of this standard deviation, in the same units."""
    hidden: tuple[Count, ...] = (10, 10, 10)
    """Units of the hidden layers."""
    steps: Count = 3000
    unlabelled_batch: Count = 1000
    lr: Positive = 0.02

    def dataset(self, rng: Rng) -> Dataset:
        return two_moons(self.training_points, self.test_points, self.noise, rng)

    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES

    def network(self, problem: Problem) -> nn.Module:
        return MLP(2, self.hidden, problem.classes)

    def views(self) -> Mapping[str, View]:
        return {"weak": noise(self.view_noise), "strong": noise(self.strong_noise)}

    def arrays(self, problem: Problem, predict: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        return boundary(problem, predict)


def boundary(problem: Problem, predict: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
    """Of two classes in the plane: the decision boundary as a grid of probabilities, with the points that it was learned from."""
    low, high = problem.x.min(dim=0).values - 0.3, problem.x.max(dim=0).values + 0.3
    xs, ys = (torch.linspace(float(low[i]), float(high[i]), GRID) for i in range(2))
    grid = torch.cartesian_prod(ys, xs).flip(-1)
    return {
        "boundary_x": xs.numpy(),
        "boundary_y": ys.numpy(),
        "boundary_p": predict(grid)[:, 1].reshape(GRID, GRID).numpy(),
        "points": problem.x[problem.unlabelled].numpy(),
        "labelled": problem.x[problem.labelled].numpy(),
        "labelled_y": problem.y[problem.labelled].numpy(),
    }
