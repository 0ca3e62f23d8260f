"""Plain training loops: one network, one seed, one method each, a Python loop over two data loaders.

Each has the arguments of a `Run` and the method's hyperparameters, and returns the loss of each step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from baselines.augmentations import Augment, same
from baselines.losses import (
    Partners,
    Shares,
    average,
    beta_shares,
    fixmatch_loss,
    mean_teacher_loss,
    mixmatch_loss,
    pi_model_loss,
    pseudo_label_loss,
    pseudo_label_mixup_loss,
    pseudo_label_term,
    ramp,
    rise,
    supervised_loss,
    uda_loss,
    vat_loss,
)

Labelled = Iterable[tuple[Tensor, Tensor]]
"""Batches (x, y), usually a DataLoader over a TensorDataset."""
Unlabelled = Iterable[tuple[Tensor]]
"""Batches (u,), likewise."""
Watch = Callable[[int, float], None]
"""Called after each step with the steps done and the loss."""


def quiet(step: int, loss: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Run:
    """What is trained, on what, and for how long."""

    network: nn.Module
    labelled: Labelled
    unlabelled: Unlabelled
    optimizer: torch.optim.Optimizer
    steps: int
    augment: Augment = same
    watch: Watch = quiet

    @property
    def both(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(x, y, u) of each step: both loaders from the beginning, over and over."""
        for (x, y), (u,) in zip(endless(self.labelled), endless(self.unlabelled), strict=True):
            yield x, y, u


def train(run: Run, batches: Iterable[tuple[Any, ...]], loss: Callable[..., Tensor]) -> list[float]:
    """Descend `loss(step, *batch)` for each batch, step counted from 0. Returns the losses."""
    device = device_of(run.network)
    run.network.train()
    losses: list[float] = []
    for step, batch in enumerate(islice(batches, run.steps)):
        on_device = (part.to(device) if isinstance(part, Tensor) else part for part in batch)
        value = loss(step, *on_device)
        run.optimizer.zero_grad()
        value.backward()
        run.optimizer.step()
        losses.append(value.item())
        run.watch(step + 1, losses[-1])
    return losses


def train_supervised(run: Run) -> list[float]:
    """On the labelled examples alone."""
    return train(run, endless(run.labelled), lambda step, x, y: supervised_loss(run.network, run.augment(x), y))


def train_pseudo_label(
    run: Run, weight: float = 1.0, ramp_start: float = 0.1, ramp_end: float = 0.6, threshold: float = 0.0
) -> list[float]:
    """Lee 2013: both losses in each step, the second with a weight that ramps up over training."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        alpha = weight * ramp(step / run.steps, ramp_start, ramp_end)
        return pseudo_label_loss(run.network, run.augment(x), y, run.augment(u), alpha, threshold)

    return train(run, run.both, loss)


def train_pseudo_label_interleaved(
    run: Run, weight: float = 3.0, ramp_start: float = 100, ramp_end: float = 600, every: int = 50
) -> list[float]:
    """The article's loop: labelled epochs first, then unlabelled steps, and a labelled epoch after each 50th of them."""

    def loss(step: int, epochs: int, x: Tensor, y: Tensor | None) -> Tensor:
        del step
        if y is not None:
            return supervised_loss(run.network, run.augment(x), y)
        return weight * ramp(epochs, ramp_start, ramp_end) * pseudo_label_term(run.network, run.augment(x))

    return train(run, article_batches(run.labelled, run.unlabelled, round(ramp_start), every), loss)


def article_batches(
    labelled: Labelled, unlabelled: Unlabelled, before: int, every: int
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """(labelled epochs done, inputs, their labels or None) in the article's order."""
    epochs = 0
    for _ in range(before):
        for x, y in labelled:
            yield epochs, x, y
        epochs += 1
    while True:
        for i, (u,) in enumerate(unlabelled):
            yield epochs, u, None
            if i % every == 0:
                for x, y in labelled:
                    yield epochs, x, y
                epochs += 1


def train_pi_model(run: Run, weight: float = 20.0, ramp: float = 0.4) -> list[float]:
    """Laine and Aila 2017: the weight rises as exp(−5 (1 − t)²) over the first part of training."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        w = weight * rise(step / run.steps, ramp)
        return pi_model_loss(run.network, run.augment(x), y, run.augment(u), run.augment(u), w)

    return train(run, run.both, loss)


def train_vat(run: Run, direction: Callable[[Tensor], Tensor] = torch.randn_like, **settings: Any) -> list[float]:
    """Miyato et al. 2018. `settings` are those of `vat_loss`."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        del step
        return vat_loss(run.network, run.augment(x), y, run.augment(u), **settings, direction=direction)

    return train(run, run.both, loss)


def train_mean_teacher(
    run: Run, teacher: nn.Module | None = None, weight: float = 20.0, ramp: float = 0.4, decay: float = 0.99
) -> list[float]:
    """Tarvainen and Valpola 2017. `teacher` becomes the average, which is what is to be evaluated: give a copy of the network."""
    mean = copy.deepcopy(run.network) if teacher is None else teacher
    mean.train()

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        w = weight * rise(step / run.steps, ramp)
        return mean_teacher_loss(run.network, mean, run.augment(x), y, run.augment(u), run.augment(u), w)

    def watch(step: int, value: float) -> None:
        average(mean, run.network, step, decay)
        run.watch(step, value)

    return train(replace(run, watch=watch), run.both, loss)


def train_fixmatch(run: Run, strong: Augment = same, weight: float = 1.0, threshold: float = 0.95) -> list[float]:
    """Sohn et al. 2020: the run's augmentation is the weak one, `strong` the other."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        del step
        return fixmatch_loss(run.network, run.augment(x), y, run.augment(u), strong(u), weight, threshold)

    return train(run, run.both, loss)


def train_uda(run: Run, strong: Augment = same, **settings: Any) -> list[float]:
    """Xie et al. 2020. `settings` are those of `uda_loss`, without t."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return uda_loss(run.network, run.augment(x), y, run.augment(u), strong(u), step / run.steps, **settings)

    return train(run, run.both, loss)


def train_mixmatch(
    run: Run,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
    weight: float = 10.0,
    ramp: float = 0.4,
    temperature: float = 0.5,
    alpha: float = 0.75,
) -> list[float]:
    """Berthelot et al. 2019: the weight rises linearly over the first part of training."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        w = weight * min(step / run.steps / max(ramp, 1e-9), 1.0)
        views = run.augment(x), y, run.augment(u), run.augment(u)
        return mixmatch_loss(run.network, *views, w, temperature, alpha, shares, partners)

    return train(run, run.both, loss)


def train_pseudo_label_mixup(
    run: Run,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
    warm_up: float = 0.2,
    **settings: Any,
) -> list[float]:
    """Arazo et al. 2019: labels alone at first. The other `settings` are those of `pseudo_label_mixup_loss`."""

    def loss(step: int, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        x, u = run.augment(x), run.augment(u)
        if step / run.steps < warm_up:
            return supervised_loss(run.network, x, y)
        return pseudo_label_mixup_loss(run.network, x, y, u, **settings, shares=shares, partners=partners)

    return train(run, run.both, loss)


LOOPS: dict[str, Callable[..., list[float]]] = {
    "supervised": train_supervised,
    "pseudo-label": train_pseudo_label,
    "pseudo-label-interleaved": train_pseudo_label_interleaved,
    "pi-model": train_pi_model,
    "vat": train_vat,
    "mean-teacher": train_mean_teacher,
    "fixmatch": train_fixmatch,
    "uda": train_uda,
    "mixmatch": train_mixmatch,
    "pseudo-label-mixup": train_pseudo_label_mixup,
}
"""Each method's loop, by the method's name. Keyword arguments are the method's hyperparameters; and, where a loop has them, the
strong augmentation and what is drawn."""


# What the loops share ---------------------------------------------------------------------------------------------------


def loaders(
    x: Tensor, y: Tensor, u: Tensor, labelled_batch: int = 32, unlabelled_batch: int = 256
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Shuffled batches of the labelled examples x (n, *features), y (n,) and of the unlabelled ones u (m, *features)."""
    return (
        DataLoader(TensorDataset(x, y), batch_size=labelled_batch, shuffle=True),
        DataLoader(TensorDataset(u), batch_size=unlabelled_batch, shuffle=True),
    )


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Its batches, over and over."""
    while True:
        yield from loader


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


@torch.no_grad()
def accuracy(network: nn.Module, loader: Labelled) -> float:
    """Share of the loader's examples that the network, without dropout, puts into their class."""
    device = device_of(network)
    training = network.training
    network.eval()
    right = total = 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        right += (network(x).argmax(dim=1) == y).sum().item()
        total += len(y)
    network.train(training)
    return right / total
