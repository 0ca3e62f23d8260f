"""What is timed: methods on scenarios, and the plain loop's view of each."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from baselines import augmentations, loops, networks
from sslbench.engine.batches import Stream
from sslbench.methods.base import LossMethod, method
from sslbench.networks import MLP, ConvNet
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario, scenario
from sslbench.suite import seed_rng


@dataclass(frozen=True)
class Setting:
    """A method on a scenario, as both sides train it."""

    method: str
    scenario: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the scenario's parameters."""
    method_changes: Mapping[str, Any] = field(default_factory=dict)

    def posed(self) -> Scenario:
        entry = scenario.get(self.scenario)
        return entry.thing(**{**entry.preset, **self.changes})

    def chosen(self) -> LossMethod:
        """The method with what the scenario recommends for it."""
        entry = method.get(self.method)
        suited = self.posed().hyperparameters.get(self.method, {})
        made = entry.thing(**{**entry.preset, **suited, **self.method_changes})
        assert isinstance(made, LossMethod)
        return made

    def hyperparameters(self) -> dict[str, Any]:
        """What the plain loop takes as keyword arguments: the method's fields."""
        chosen = self.chosen()
        assert dataclasses.is_dataclass(chosen)
        return dataclasses.asdict(chosen)


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "convolution 32 + 256": ("mnist5k-50", {"labelled_batch": 32, "unlabelled_batch": 256}),
    "convolution 50 + 128": ("mnist5k-50", {"labelled_batch": 50, "unlabelled_batch": 128}),
    "two moons 6 + 1000": ("two-moons-6", {}),
    "linear 32 + 64": ("mnist5k-1000-logreg", {}),
}
"""The networks at the batch sizes that are timed: labelled + unlabelled."""

UNTIMELY = {"pseudo-label-interleaved": {"ramp_start": 0.0}, "pseudo-label-mixup": {"warm_up": 0.0}}
"""Settings for timing: without the phases on labels alone, so that a few steps show what the method costs."""


def setting(method_name: str, network: str, **changes: Any) -> Setting:
    name, given = NETWORKS[network]
    return Setting(method_name, name, {**given, **changes}, UNTIMELY.get(method_name, {}))


def seeds(count: int) -> list[Rng]:
    return [seed_rng(0, seed) for seed in range(count)]


# The plain side -----------------------------------------------------------------------------------------------------


def plain_network(posed: Scenario, problem: Problem) -> nn.Module:
    """The ordinary module that the scenario's network is the engine's form of, with torch's own initial weights.

    Raises:
        TypeError: there is none in `baselines.networks`.
    """
    ours = posed.network(problem)
    if isinstance(ours, ConvNet):
        return networks.ConvNet(problem.classes, ours.dropout, ours.relu_logits)
    if isinstance(ours, MLP):
        *hidden, last = ours.layers
        assert isinstance(last, nn.Linear)
        if not hidden:
            return networks.Linear(last.in_features, last.out_features)
        widths = [layer.out_features for layer in hidden if isinstance(layer, nn.Linear)]
        return networks.MLP(problem.x.shape[1], widths, problem.classes)
    raise TypeError(f"baselines.networks has no form of {type(ours).__name__}")


def plain_optimizer(posed: Scenario, network: nn.Module) -> torch.optim.Optimizer:
    if posed.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=posed.lr, weight_decay=posed.weight_decay)
    return torch.optim.SGD(network.parameters(), lr=posed.lr, momentum=posed.momentum, weight_decay=posed.weight_decay)


def plain_augmentation(posed: Scenario) -> augmentations.Augment:
    """The scenario's weak view as a plain function that draws from torch's own generator."""
    if hasattr(posed, "shift"):
        return augmentations.shift(posed.shift)
    if hasattr(posed, "view_noise"):
        return augmentations.noise(posed.view_noise)
    raise TypeError(f"baselines.augmentations has no augmentation for {type(posed).__name__}")


def plain_strong(posed: Scenario) -> augmentations.Augment:
    """The scenario's strong view, likewise."""
    if hasattr(posed, "strength") and hasattr(posed, "cutout"):
        return augmentations.distort(posed.strength, posed.cutout)
    if hasattr(posed, "strong_noise"):
        return augmentations.noise_and_drop(posed.strong_noise, getattr(posed, "strong_drop", 0.0))
    raise TypeError(f"baselines.augmentations has no strong augmentation for {type(posed).__name__}")


def plain_arguments(name: str, posed: Scenario, network: nn.Module) -> dict[str, Any]:
    """What the loop of a method takes beside its run and its hyperparameters: a strong augmentation, a teacher."""
    offered: dict[str, Callable[[], Any]] = {
        "strong": lambda: plain_strong(posed),
        "teacher": lambda: copy.deepcopy(network),
    }
    return {key: make() for key, make in offered.items() if key in taken(name)}


def taken(name: str) -> Collection[str]:
    """Names of the arguments of a method's loop."""
    return inspect.signature(loops.LOOPS[name]).parameters.keys()


class Rows:
    """The engine's batches as a DataLoader's batch sampler. A pass is `a_pass` of them, and the next pass goes on from there."""

    def __init__(self, stream: Stream, a_pass: int) -> None:
        self.stream, self.a_pass, self.done = stream, a_pass, 0

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.stream.batches(self.done, self.done + self.a_pass).tolist():
            self.done += 1
            yield rows

    def __len__(self) -> int:
        return self.a_pass


def plain_loaders(posed: Scenario, problem: Problem, rng: Rng) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """DataLoaders over TensorDatasets, of the batches that the engine takes at this seed."""
    sizes = posed.sizes(problem)
    labelled = Stream(problem.labelled, sizes.labelled_batch, rng.child("labelled batches"))
    unlabelled = Stream(problem.unlabelled, sizes.unlabelled_batch, rng.child("unlabelled batches"))
    return (
        DataLoader(TensorDataset(problem.x, problem.y), batch_sampler=Rows(labelled, sizes.labelled_steps)),
        DataLoader(TensorDataset(problem.x), batch_sampler=Rows(unlabelled, sizes.unlabelled_steps)),
    )


def plain_run(
    posed: Scenario, problem: Problem, rng: Rng, network: nn.Module, augment: augmentations.Augment | None = None
) -> loops.Run:
    """The run of a plain loop: on the engine's batches of this seed, as long as the scenario's training.

    Args:
        augment: the weak view, by default `plain_augmentation`.
    """
    loaders, optimizer = plain_loaders(posed, problem, rng), plain_optimizer(posed, network)
    return loops.Run(network, *loaders, optimizer, posed.steps, augment or plain_augmentation(posed))
