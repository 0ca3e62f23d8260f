"""Plain training loops: one network, one seed, one method each.

A method's loss is a function of a network and a batch; its loop is a function of a network, two data loaders and an optimiser.
The loss can be called with any network and any draws: give a network in eval mode, or one whose dropout modules play given
masks; the virtual adversarial loss takes its random direction as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Labelled = Iterable[tuple[Tensor, Tensor]]
"""Batches (x, y), usually a DataLoader over a TensorDataset."""
Unlabelled = Iterable[tuple[Tensor]]
"""Batches (u,), likewise."""
Augment = Callable[[Tensor], Tensor]
Watch = Callable[[int, float], None]
"""Called after each step with the steps done and the loss."""


# Losses -----------------------------------------------------------------------------------------------------------------


def supervised_loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the labelled batch."""
    return F.cross_entropy(network(x), y)


def pseudo_label_term(network: nn.Module, u: Tensor, threshold: float = 0.0) -> Tensor:
    """Cross-entropy of the unlabelled batch with what the network, without dropout, thinks most likely."""
    training = network.training
    network.eval()
    with torch.no_grad():
        confidence, pseudo = F.softmax(network(u), dim=1).max(dim=1)
    network.train(training)
    losses = F.cross_entropy(network(u), pseudo, reduction="none")
    return (losses * (confidence >= threshold)).mean()


def pseudo_label_loss(
    network: nn.Module, x: Tensor, y: Tensor, u: Tensor, alpha: float, threshold: float = 0.0
) -> Tensor:
    """Lee 2013, equation 15."""
    return supervised_loss(network, x, y) + alpha * pseudo_label_term(network, u, threshold)


def pi_model_loss(network: nn.Module, x: Tensor, y: Tensor, u1: Tensor, u2: Tensor, weight: float) -> Tensor:
    """Laine and Aila 2017, algorithm 1: two passes over two augmentations of the same examples; the second is the target."""
    labelled = supervised_loss(network, x, y)
    first = F.softmax(network(u1), dim=1)
    with torch.no_grad():
        second = F.softmax(network(u2), dim=1)
    return labelled + weight * F.mse_loss(first, second)


def vat_loss(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    u: Tensor,
    weight: float = 1.0,
    radius: float = 2.0,
    xi: float = 1e-2,
    iterations: int = 1,
    entropy: float = 0.0,
    direction: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Tensor:
    """Miyato et al. 2018, algorithm 1, with the conditional entropy of VAT+EntMin; the unlabelled passes without dropout."""
    labelled = supervised_loss(network, x, y)
    training = network.training
    network.eval()
    with torch.no_grad():
        p = F.softmax(network(u), dim=1)
    d = unit(direction(u))
    for _ in range(iterations):
        d.requires_grad_()
        divergence = F.kl_div(F.log_softmax(network(u + xi * d), dim=1), p, reduction="sum")
        (gradient,) = torch.autograd.grad(divergence, d)
        d = unit(gradient)
    log_q = F.log_softmax(network(u + radius * d), dim=1)
    network.train(training)
    smoothness = F.kl_div(log_q, p, reduction="batchmean")
    if entropy:
        smoothness = smoothness - entropy * (log_q.exp() * log_q).sum(dim=1).mean()
    return labelled + weight * smoothness


def unit(d: Tensor) -> Tensor:
    """Each example (row) of d divided by its L2 norm."""
    flat = d.flatten(1)
    return (flat / (flat.norm(dim=1, keepdim=True) + 1e-12)).view_as(d)


def ramp(t: float, start: float, end: float) -> float:
    """Lee's α(t) / α_f, equation 16."""
    return min(max((t - start) / max(end - start, 1e-9), 0.0), 1.0)


# Loops ------------------------------------------------------------------------------------------------------------------


def same(x: Tensor) -> Tensor:
    """No augmentation."""
    return x


def quiet(step: int, loss: float) -> None:
    """Nobody watches."""


def train_supervised(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
) -> list[float]:
    """Train on the labelled examples alone. Returns the loss of each step, as the other loops do."""
    del unlabelled
    device = device_of(network)
    network.train()
    losses = []
    for step, (x, y) in enumerate(islice(endless(labelled), steps)):
        x, y = x.to(device), y.to(device)
        loss = supervised_loss(network, augment(x), y)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_pseudo_label(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    weight: float = 1.0,
    ramp_start: float = 0.1,
    ramp_end: float = 0.6,
    threshold: float = 0.0,
) -> list[float]:
    """Lee 2013: both losses in each step, the second with a weight that ramps up over training."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        alpha = weight * ramp(step / steps, ramp_start, ramp_end)
        loss = pseudo_label_loss(network, augment(x), y, augment(u), alpha, threshold)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_pseudo_label_interleaved(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    weight: float = 3.0,
    ramp_start: float = 100,
    ramp_end: float = 600,
    every: int = 50,
) -> list[float]:
    """The article's loop: labelled epochs first, then unlabelled steps, and a labelled epoch after each 50th of them."""
    device = device_of(network)
    network.train()
    losses = []
    batches = article_batches(labelled, unlabelled, round(ramp_start), every)
    for step, (epochs, x, y) in enumerate(islice(batches, steps)):
        x = augment(x.to(device))
        if y is not None:
            loss = supervised_loss(network, x, y.to(device))
        else:
            loss = weight * ramp(epochs, ramp_start, ramp_end) * pseudo_label_term(network, x)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


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


def train_pi_model(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    weight: float = 20.0,
    ramp: float = 0.4,
) -> list[float]:
    """Laine and Aila 2017: the weight rises as exp(−5 (1 − t)²) over the first part of training."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        rise = min(step / steps / max(ramp, 1e-9), 1.0)
        w = weight * math.exp(-5 * (1 - rise) ** 2)
        loss = pi_model_loss(network, augment(x), y, augment(u), augment(u), w)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_vat(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    **settings: Any,
) -> list[float]:
    """Miyato et al. 2018. `settings` are those of `vat_loss`."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        loss = vat_loss(network, augment(x), y, augment(u), **settings)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


LOOPS: dict[str, Callable[..., list[float]]] = {
    "supervised": train_supervised,
    "pseudo-label": train_pseudo_label,
    "pseudo-label-interleaved": train_pseudo_label_interleaved,
    "pi-model": train_pi_model,
    "vat": train_vat,
}
"""Each method's loop, by the method's name. Keyword arguments are the method's hyperparameters."""


# What the loops share ---------------------------------------------------------------------------------------------------


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """One step of the optimiser; the loss for the log."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


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


# Augmentations ----------------------------------------------------------------------------------------------------------


def shift(pixels: int) -> Augment:
    """Each image (n, channels, height, width) moved by up to `pixels` in each direction."""

    def augment(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = F.pad(x, (pixels, pixels, pixels, pixels))
        moves = torch.randint(0, 2 * pixels + 1, (len(x), 2)).tolist()
        images = [padded[i, :, d : d + height, r : r + width] for i, (d, r) in enumerate(moves)]
        return torch.stack(images)

    return augment if pixels else same


def noise(sd: float) -> Augment:
    """Normal noise of standard deviation `sd` on each value."""
    return lambda x: x + sd * torch.randn_like(x)
