"""Few labels: an image data set of which only so many examples are labelled, the same number of each class."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from sslbench.data import Dataset, Split, load
from sslbench.networks import ConvNet
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario
from sslbench.views import View, shift, strong


def unit_rows(images: Tensor) -> Tensor:
    """Images (n, 1, height, width) of grey values, each row of pixels divided by its L2 norm (as in the article)."""
    return F.normalize(images.float(), dim=-1)


@scenario("mnist5k-10", data="mnist5k", labels=10)
@scenario("mnist5k-20", data="mnist5k", labels=20)
@scenario("mnist5k-50", data="mnist5k", labels=50)
@scenario("mnist5k-1000", data="mnist5k", labels=1000)
@scenario("mnist-10", data="mnist", labels=10)
@scenario("mnist-20", data="mnist", labels=20)
@scenario("mnist-50", data="mnist", labels=50)
@scenario("mnist-1000", data="mnist", labels=1000)
@scenario("fashion-mnist-10", data="fashion-mnist", labels=10)
@scenario("fashion-mnist-20", data="fashion-mnist", labels=20)
@scenario("fashion-mnist-50", data="fashion-mnist", labels=50)
@scenario("fashion-mnist-1000", data="fashion-mnist", labels=1000)
@scenario("kmnist-10", data="kmnist", labels=10)
@scenario("kmnist-20", data="kmnist", labels=20)
@scenario("kmnist-50", data="kmnist", labels=50)
@scenario("kmnist-1000", data="kmnist", labels=1000)
@dataclass(frozen=True, kw_only=True)
class LabelCount(Scenario):
    """Images with few labels, and the article's convolution network."""

    family: ClassVar[str] = "label-count"
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {"vat": {"radius": 2.0}}

    data: str
    """The data set: mnist5k, mnist, fashion-mnist or kmnist."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    """Dropout of the network."""
    relu_logits: bool = False
    """A ReLU on the network's logits, as in the article's code."""
    shift: Annotated[int, Ge(0), Le(14)] = 2
    """The weak view moves an image by up to so many pixels in each direction; 0 leaves it as it is."""
    strength: Annotated[float, Ge(0), Le(3)] = 1.0
    """Magnitude of the strong view. At 1 it turns an image by up to 20°, slides its rows by up to 0.2 pixels a pixel of height,
    scales it by up to 15 %, moves it by up to 3 pixels, and changes brightness and contrast by up to 40 %."""
    cutout: Annotated[int, Ge(0), Le(28)] = 6
    """The strong view blanks a square of so many pixels."""

    def dataset(self, rng: Rng) -> Dataset:
        del rng
        return load(self.data)

    def class_names(self) -> tuple[str, ...]:
        return load(self.data).class_names

    def network(self, problem: Problem) -> nn.Module:
        return ConvNet(problem.classes, self.dropout, self.relu_logits)

    def views(self) -> Mapping[str, View]:
        # The rows of a turned image are not of length 1 any more. They stay so: a network recognises such digits as well.
        return {"weak": shift(self.shift), "strong": strong(self.strength, self.cutout)}

    def inputs(self, dataset: Dataset, split: Split) -> Tensor:
        del split
        return _inputs(dataset)


@functools.lru_cache(maxsize=4)
def _inputs(dataset: Dataset) -> Tensor:
    """The same tensor for every seed: a stack then holds it once."""
    return unit_rows(torch.cat([dataset.x, dataset.x_test]))
