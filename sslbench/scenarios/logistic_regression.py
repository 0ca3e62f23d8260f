"""Logistic regression on quadratic features of principal components, as in the article (Shenoy 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Lt
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures
from torch import Tensor, nn

from sslbench.data import Dataset, Split, load
from sslbench.errors import BadInput
from sslbench.methods.base import Count, NonNegative, Positive
from sslbench.networks import MLP
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario
from sslbench.scenarios.batched_sgd import BatchedSGD
from sslbench.views import View, chain, drop, noise


@scenario("mnist5k-1000-logreg", data="mnist5k", labels=1000)
@scenario("mnist-1000-logreg", data="mnist", labels=1000)
@scenario("mnist5k-1000-sgd", data="mnist5k", labels=1000, model="sgd")
@scenario("mnist-1000-sgd", data="mnist", labels=1000, model="sgd")
@scenario("mnist5k-1000-sgd-batched", data="mnist5k", labels=1000, model="sgd-batched")
@scenario("mnist-1000-sgd-batched", data="mnist", labels=1000, model="sgd-batched")
@scenario("mnist5k-1000-trees", data="mnist5k", labels=1000, model="boosted-trees", degree=1)
@scenario("mnist-1000-trees", data="mnist", labels=1000, model="boosted-trees", degree=1)
@dataclass(frozen=True, kw_only=True)
class LogisticRegression(Scenario):
    """Normalizer → PCA → PolynomialFeatures, fitted on the labelled images, and a linear model.

    The linear model is one layer that the engine trains, so that every loss method runs on it, or (`model = "sgd"`)
    scikit-learn's SGDClassifier, as in the article, for fit methods. `model = "boosted-trees"` puts scikit-learn's
    HistGradientBoostingClassifier in its place, the non-linear model that the article suggests; it needs no products of
    features, so give it degree 1.
    """

    family: ClassVar[str] = "logistic-regression"
    hyperparameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {"vat": {"radius": 0.02}}

    data: str
    """The data set: mnist5k, mnist, fashion-mnist or kmnist."""
    model: Literal["linear", "sgd", "sgd-batched", "boosted-trees"] = "linear"
    """A linear layer; scikit-learn's SGDClassifier; the same in batches and with warm starts, several times faster; or
    scikit-learn's HistGradientBoostingClassifier."""
    components: Count = 50
    """Principal components."""
    degree: Count = 2
    """Degree of the polynomial features: 50 components and degree 2 make 1,326 features."""
    alpha: Positive = 1e-5
    """Regularisation of the SGDClassifier."""
    trees: Count = 100
    """Boosting iterations, of one tree a class."""
    view_noise: NonNegative = 0.01
    """The weak view adds normal noise of this standard deviation to each feature."""
    strong_noise: NonNegative = 0.02
    """The strong view adds normal noise of this standard deviation …"""
    strong_drop: Annotated[float, Ge(0), Lt(1)] = 0.2
    """… and then zeroes each feature with this probability, and scales up the others."""
    lr: Positive = 0.03

    def dataset(self, rng: Rng) -> Dataset:
        del rng
        return load(self.data)

    def split(self, dataset: Dataset, rng: Rng) -> Split:
        most = min(self.labels, dataset.x[0].numel())
        if self.components > most:
            raise BadInput(
                f"components = {self.components} cannot be fitted on {self.labels} labelled images of "
                f"{dataset.x[0].numel()} pixels: give at most {most}."
            )
        return super().split(dataset, rng)

    def class_names(self) -> tuple[str, ...]:
        return load(self.data).class_names

    def network(self, problem: Problem) -> nn.Module:
        return MLP(problem.x.shape[1], (), problem.classes)

    def views(self) -> Mapping[str, View]:
        return {"weak": noise(self.view_noise), "strong": chain(noise(self.strong_noise), drop(self.strong_drop))}

    def inputs(self, dataset: Dataset, split: Split) -> Tensor:
        pixels = torch.cat([dataset.x, dataset.x_test]).flatten(1).numpy().astype(np.float32)
        features = make_pipeline(
            Normalizer(),
            PCA(self.components, svd_solver="full"),
            PolynomialFeatures(self.degree),
        ).fit(pixels[split.labelled.numpy()])
        return torch.from_numpy(np.ascontiguousarray(features.transform(pixels), dtype=np.float32))

    def estimator(self) -> Callable[[int], Any] | None:
        if self.model == "linear":
            return None
        if self.model == "sgd":
            return lambda state: SGDClassifier(loss="log_loss", alpha=self.alpha, random_state=state)
        if self.model == "sgd-batched":
            return lambda state: BatchedSGD(alpha=self.alpha, random_state=state, warm_start=True)
        return lambda state: HistGradientBoostingClassifier(max_iter=self.trees, random_state=state)
