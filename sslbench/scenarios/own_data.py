"""A user's own data: a CSV file, an NPZ file or a folder of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le, Lt
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from sslbench.data import Dataset, Split, balanced_split, stratified_split
from sslbench.data.files import SEPARATORS, load_own
from sslbench.data.splits import label_counts, tested_of
from sslbench.errors import BadInput
from sslbench.methods.base import Count, NonNegative
from sslbench.networks import MLP, ConvNet
from sslbench.networks.convnet import SMALLEST
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario
from sslbench.scenarios.two_moons import boundary
from sslbench.views import View, chain, drop, noise, shift, strong


@dataclass(frozen=True, kw_only=True)
class OwnData(Scenario):
    """Data of your own, with all labels known or with some (-1 stands for none).

    At each seed a share of the labelled rows is kept for testing, unless there is a test set; `labels` of the others are
    labelled, some are for validation, and all that is left is unlabelled. So are the rows without a label, always: what a method
    makes of them is never counted, right or wrong.
    """

    paths: ClassVar[tuple[str, ...]] = ("path", "test")

    path: str
    """A CSV or NPZ file, or a folder with a sub-folder of images for each class."""
    test: str | None = None
    """A file or folder of the same kind with the test set. An NPZ file may have it inside (`x_test`, `y_test`), a folder too
    (`test/`)."""
    test_fraction: Annotated[float, Ge(0.01), Lt(1)] = 0.3
    """Where there is no test set: the share of each class's labelled rows that is for testing, drawn anew at each seed."""
    draw: Literal["balanced", "stratified"] | None = None
    """How labels are drawn: the same number of each class, or in the shares that the classes have. Default: balanced where all
    labels are known and most are hidden to compare the methods; stratified where some are not known."""
    model: Literal["network", "logistic-regression", "random-forest"] = "network"
    """A network; or scikit-learn's LogisticRegression or RandomForestClassifier, for methods that wrap an estimator."""

    def dataset(self, rng: Rng) -> Dataset:
        del rng
        return self.loaded()

    def loaded(self) -> Dataset:
        """The data set, loaded once a process."""
        raise NotImplementedError

    def split(self, dataset: Dataset, rng: Rng) -> Split:
        share = 0.0 if len(dataset.y_test) else self.test_fraction
        counts = label_counts(dataset.y, dataset.classes)
        balanced = self.draw == "balanced" or (self.draw is None and sum(counts) == len(dataset.y))
        left = sum(counts) - sum(tested_of(counts, share))
        spare = max(left - self.labels - balanced * dataset.classes, 0)
        split = (balanced_split if balanced else stratified_split)(
            dataset.y,
            dataset.classes,
            self.labels,
            self.validation_size(min(left // 10, spare)),
            rng,
            test=share,
            names=dataset.class_names,
        )
        if not len(split.unlabelled):
            raise BadInput("no row is left unlabelled: give fewer labels, or rows without a label (-1).")
        return split

    def class_names(self) -> tuple[str, ...]:
        return self.loaded().class_names

    def estimator(self) -> Callable[[int], Any] | None:
        if self.model == "network":
            return None
        if self.model == "random-forest":
            return lambda state: RandomForestClassifier(random_state=state)
        return lambda state: LogisticRegression(max_iter=1000, random_state=state)


@scenario("own-features")
@dataclass(frozen=True, kw_only=True)
class OwnFeatures(OwnData):
    """Your own rows of numbers, from a CSV or NPZ file.

    They are standardised, by mean and standard deviation of all rows but those for testing, and go through an MLP. In a suite
    file: `[scenario.NAME] base = "own-features"`; `sslbench new scenario` writes one.
    """

    family: ClassVar[str] = "own-features"
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {"vat": {"radius": 0.5}, "pi-model": {"weight": 1.0}}

    label_column: str | None = None
    """Column of a CSV file that has the labels: names or whole numbers; -1 or nothing where there is none."""
    ignore: tuple[str, ...] = ()
    """Columns of a CSV file that are no features."""
    hidden: tuple[Count, ...] = (64, 64)
    """Units of the hidden layers."""
    view_noise: NonNegative = 0.1
    """The weak view adds normal noise of this standard deviation to each feature, in units of its own standard deviation."""
    strong_noise: NonNegative = 0.2
    """The strong view adds normal noise of this standard deviation …"""
    strong_drop: Annotated[float, Ge(0), Lt(1)] = 0.2
    """… and then zeroes each feature with this probability, and scales up the others."""

    def loaded(self) -> Dataset:
        dataset = load_own(self.path, self.label_column, self.test, None, self.ignore)
        if dataset.x.dim() != 2:
            raise BadInput(f'{self.path} holds images: base = "own-images" is for them.')
        return dataset

    def network(self, problem: Problem) -> nn.Module:
        return MLP(problem.x.shape[1], self.hidden, problem.classes)

    def views(self) -> Mapping[str, View]:
        return {"weak": noise(self.view_noise), "strong": chain(noise(self.strong_noise), drop(self.strong_drop))}

    def inputs(self, dataset: Dataset, split: Split) -> Tensor:
        return _standardised(dataset, split.test) if len(split.test) else _standardised_pool(dataset)

    def arrays(self, problem: Problem, predict: Callable[[Tensor], Tensor]) -> dict[str, np.ndarray]:
        return boundary(problem, predict) if problem.x.shape[1] == problem.classes == 2 else {}


@scenario("own-images")
@dataclass(frozen=True, kw_only=True)
class OwnImages(OwnData):
    """Your own images, from a folder or an NPZ file.

    A folder has a sub-folder for each class, perhaps `unlabelled/`, perhaps `test/`. Pixels are scaled to [0, 1] and go through
    the article's convolution network. In a suite file: `[scenario.NAME] base = "own-images"`; `sslbench new scenario` writes one.
    """

    family: ClassVar[str] = "own-images"
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {"vat": {"radius": 2.0}}

    size: Annotated[int, Ge(1)] | None = None
    """Height and width that images are resized to. Default: as they are."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    """Dropout of the network."""
    shift: Annotated[int, Ge(0), Lt(SMALLEST)] = 2
    """The weak view moves an image by up to so many pixels in each direction; 0 leaves it as it is."""
    strength: Annotated[float, Ge(0), Le(3)] = 1.0
    """Magnitude of the strong view. At 1 it turns an image by up to 20°, slides its rows by up to 0.2 pixels a pixel of height,
    scales it by up to 15 %, moves it by up to 3 pixels, and changes brightness and contrast by up to 40 %."""
    cutout: Annotated[int, Ge(0)] = 6
    """The strong view blanks a square of so many pixels."""

    def loaded(self) -> Dataset:
        if Path(self.path).suffix.lower() in SEPARATORS:
            raise BadInput(f'{self.path} holds features: base = "own-features" is for them.')
        dataset = load_own(self.path, None, self.test, self.size)
        if dataset.x.dim() != 4:
            raise BadInput(f'{self.path} holds features: base = "own-features" is for them.')
        if self.model == "network" and (small := [side for side in dataset.x.shape[2:] if side < SMALLEST]):
            raise BadInput(
                f"images of {small[0]} pixels are too small for the convolution network: give size = {SMALLEST} or more, or "
                "the pixels as features."
            )
        return dataset

    def network(self, problem: Problem) -> nn.Module:
        channels, height, width = problem.x.shape[1:]
        return ConvNet(problem.classes, self.dropout, image=(channels, height, width))

    def views(self) -> Mapping[str, View]:
        return {"weak": shift(self.shift), "strong": strong(self.strength, self.cutout)}

    def inputs(self, dataset: Dataset, split: Split) -> Tensor:
        del split
        return _pixels(dataset) if self.model == "network" else _pixels(dataset).flatten(1)


@functools.lru_cache(maxsize=4)
def _pixels(dataset: Dataset) -> Tensor:
    """Pixels in [0, 1], pool and test: the same tensor for every seed, so that a stack holds it once."""
    x = torch.cat([dataset.x, dataset.x_test])
    return x.float() / 255 if x.dtype == torch.uint8 else x


@functools.lru_cache(maxsize=4)
def _standardised_pool(dataset: Dataset) -> Tensor:
    """Likewise features, where every seed has the same test set."""
    return _standardised(dataset, torch.empty(0, dtype=torch.int64))


def _standardised(dataset: Dataset, test: Tensor) -> Tensor:
    """Features (pool + test, features) float32, by mean and standard deviation of the pool without the rows `test`.

    A feature that is the same throughout stays at 0.
    """
    seen = torch.ones(len(dataset.x), dtype=torch.bool)
    seen[test] = False
    pool = dataset.x[seen]
    mean, sd = pool.mean(dim=0), pool.std(dim=0, correction=0)
    varies = pool.amax(dim=0) > pool.amin(dim=0)
    scaled: Tensor = (torch.cat([dataset.x, dataset.x_test]) - mean) / torch.where(varies, sd, 1)
    return scaled.float()
