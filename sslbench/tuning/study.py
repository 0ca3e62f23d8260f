"""A search for values of one method on one scenario, its trials, and what it chooses of them."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from sslbench.stats import accuracy_noise
from sslbench.suite import Cell, Params, changed
from sslbench.tuning.spaces import Space


@dataclass(frozen=True)
class Trial:
    """Values that were tried, and what came of them."""

    values: Params
    accuracies: tuple[float, ...]
    """Final validation accuracy of each tuning seed, in [0, 1]; 0 for all where one diverged."""
    nll: float
    """Mean final validation loss in nats; infinite where a seed diverged."""

    @property
    def accuracy(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)

    def score(self, examples: int) -> float:
        """Higher is better: the accuracy, less up to half an example of `examples` by the loss, so that it breaks ties."""
        return self.accuracy - (1 - 1 / (1 + self.nll)) / (2 * examples)


@dataclass(frozen=True)
class Study:
    """The search for values of one method on one scenario."""

    cells: tuple[Cell, ...]
    """With the values in force, one for each tuning seed."""
    of: Literal["method", "scenario"]
    """Whose fields are looked for: the method's, or (the learning rate) the scenario's."""
    space: Space
    validation: int
    """Validation examples of a seed."""

    @property
    def method_name(self) -> str:
        return self.cells[0].method_name

    @property
    def scenario_name(self) -> str:
        return self.cells[0].scenario_name

    @property
    def in_force(self) -> Params:
        return {name: getattr(getattr(self.cells[0], self.of), name) for name in self.space}

    @property
    def examples(self) -> int:
        """Validation examples of all seeds."""
        return self.validation * len(self.cells)

    @property
    def seed(self) -> int:
        """What the sampler draws from: it depends on the names and the suite's seed, not on what else is tuned."""
        name = f"{self.cells[0].suite_seed}/{self.method_name}/{self.scenario_name}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")

    def with_values(self, values: Params) -> tuple[Cell, ...]:
        """The cells with other values.

        Raises:
            BadInput: values that the class does not take.
        """
        thing: Any = changed(getattr(self.cells[0], self.of), values)
        return tuple(dataclasses.replace(cell, **{self.of: thing}) for cell in self.cells)


@dataclass(frozen=True)
class Found:
    """What a study found."""

    study: Study
    trials: tuple[Trial, ...]

    @property
    def in_force(self) -> Trial:
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """Of the highest score, the earliest."""
        return max(self.trials, key=lambda t: t.score(self.study.examples))

    @property
    def noise(self) -> float:
        """Standard error of the validation accuracy of the values in force, at this number of examples."""
        return accuracy_noise(self.in_force.accuracy, self.study.examples)

    @property
    def chosen(self) -> Trial:
        """The best trial, if it exceeds the values in force by more than the noise; else these."""
        return self.best if self.best.accuracy - self.in_force.accuracy > self.noise else self.in_force
