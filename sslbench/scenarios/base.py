"""What a scenario is, and the problem that it poses at one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from sslbench.data import Dataset, Split, balanced_split
from sslbench.errors import BadInput, unknown
from sslbench.methods.base import Count, NonNegative, Positive, Sizes
from sslbench.registry import SCENARIOS, Registry
from sslbench.rng import Rng
from sslbench.views import View


@dataclass(frozen=True, eq=False)
class Problem:
    """A scenario at one seed: the inputs, who is labelled, and what only the evaluation may see."""

    x: Tensor
    """All inputs (n, *features), float32: the training pool, then the test set."""
    y: Tensor
    """All labels (n,), int64: of the unlabelled and the test examples for the evaluation alone. -1 where nobody knows it."""
    labelled: Tensor
    """Indices into x (labelled,), int64; likewise the next three."""
    unlabelled: Tensor
    validation: Tensor
    test: Tensor
    class_names: tuple[str, ...]
    data_sha256: str
    split_sha256: str

    @property
    def classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """The base of every scenario: a frozen dataclass whose fields are its parameters."""

    labels: Count
    """Labelled examples, the same number of each class."""
    validation: Annotated[int, Ge(0)] | None = None
    """Validation examples. Default: as many as labels, and at most a tenth of the pool."""
    steps: Count = 350
    """Training steps, of every method alike."""
    labelled_batch: Count = 32
    """Labelled examples in a step; all of them, where there are fewer."""
    unlabelled_batch: Count = 64
    """Unlabelled examples in a step; all of them, where there are fewer."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam (β 0.9, 0.999), or stochastic gradient descent."""
    lr: Positive = 3e-3
    """Learning rate."""
    momentum: NonNegative = 0.0
    """Momentum of stochastic gradient descent."""
    weight_decay: NonNegative = 0.0
    """L2 penalty on the weights, as torch.optim has it."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over training: constant, or a half cosine down to 0."""
    points: Count = 10
    """Points of the learning curves, evenly spread over the steps, the last at the end."""

    watched: Count = 250
    """Unlabelled examples, at most, whose pseudo-labels are followed over training and judged. No method sees that."""
    tsne: bool = False
    """Place the labelled and the watched examples on a plane, so that the report can draw how pseudo-labels move. Takes seconds
    a seed, of a thousand examples."""

    family: ClassVar[str]
    paths: ClassVar[tuple[str, ...]] = ()
    """Fields that name files or folders. In a suite file a relative one starts at the file's folder; records and keys have the
    last part of it alone: no machine's folders are in them, and moving the data changes nothing."""
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Of a method, by its name: hyperparameters that suit this scenario better than the method's defaults. A suite
    file can override them."""

    # What a family defines ------------------------------------------------------------------------------------------

    def dataset(self, rng: Rng) -> Dataset:
        """The data set, drawn from `rng` where it is synthetic."""
        raise NotImplementedError

    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in their order."""
        raise NotImplementedError

    def network(self, problem: Problem) -> nn.Module:
        """A fresh network for the problem; its weights are drawn by the engine."""
        raise NotImplementedError

    def views(self) -> Mapping[str, View]:
        """Augmentations by name: "weak", through which every batch of every method goes, and "strong"."""
        raise NotImplementedError

    def missing_classes(self) -> tuple[int, ...]:
        """Classes without labels."""
        return ()

    def inputs(self, dataset: Dataset, split: Split) -> Tensor:
        """The network's inputs (pool + test, *features), float32. What is fitted is fitted on the labelled set alone."""
        del split
        return torch.cat([dataset.x, dataset.x_test]).float()

    def estimator(self) -> Callable[[int], Any] | None:
        """Makes a scikit-learn classifier from a random state, where the scenario trains one instead of a network."""
        return None

    def arrays(self, problem: Problem, predict: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        """What is worth keeping of a trained predictor beside its metrics, by name."""
        del problem, predict
        return {}

    # What follows from it -------------------------------------------------------------------------------------------

    def split(self, dataset: Dataset, rng: Rng) -> Split:
        """Who is labelled at this seed. Raises BadInput on counts that cannot be had."""
        validation = self.validation_size(len(dataset.y) // 10)
        return balanced_split(dataset.y, dataset.classes, self.labels, validation, rng, self.missing_classes())

    def validation_size(self, most: int) -> int:
        """Wanted size of the validation set: as many as labels and at most `most`, if none is given.

        Raises:
            BadInput: it is larger than the labelled set.
        """
        if self.validation is None:
            return min(self.labels, most)
        if self.validation > self.labels:
            raise BadInput(
                f"validation = {self.validation} is larger than the labelled set of {self.labels}, which nobody who has "
                "so few labels could afford: give at most as many."
            )
        return self.validation

    def problem(self, rng: Rng) -> Problem:
        """The problem at the seed that `rng` stands for. It does not depend on the method."""
        dataset = self.dataset(rng.child("data"))
        split = self.split(dataset, rng.child("split"))
        return Problem(
            x=self.inputs(dataset, split),
            y=torch.cat([dataset.y, dataset.y_test]),
            labelled=split.labelled,
            unlabelled=split.unlabelled,
            validation=split.validation,
            test=torch.cat([split.test, torch.arange(len(dataset.y), len(dataset.y) + len(dataset.y_test))]),
            class_names=dataset.class_names,
            data_sha256=dataset.sha256,
            split_sha256=split.sha256,
        )

    def sizes(self, split: Split | Problem) -> Sizes:
        """How many examples there are and how many make a batch."""
        labelled, unlabelled = len(split.labelled), len(split.unlabelled)
        return Sizes(labelled, unlabelled, min(self.labelled_batch, labelled), min(self.unlabelled_batch, unlabelled))

    def view(self, name: str) -> View:
        """The augmentation of that name.

        Raises:
            BadInput: the scenario has no such view.
        """
        views = self.views()
        if name not in views:
            raise unknown(f"view of a {self.family} scenario", name, views)
        return views[name]


scenario: Registry[type[Scenario]] = SCENARIOS
"""Registers a scenario class with field values under a name: `@scenario("mnist-50", data="mnist", labels=50)`."""
