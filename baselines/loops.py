"""Plain training loops: one network, one seed, one method each.

A method's loss is a function of a network and a batch; its loop is a function of a network, two data loaders and an optimiser.
The loss can be called with any network and any draws: give a network in eval mode, or one whose dropout modules play given
masks; the virtual adversarial loss takes its random direction as an argument, and those that mix take shares and partners.
"""

from __future__ import annotations

import copy
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
Shares = Callable[[float, int], Tensor]
"""(α, n) to n draws from Beta(α, α)."""
Partners = Callable[[int], Tensor]
"""n to a permutation of n rows."""
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


def mean_teacher_loss(
    network: nn.Module, teacher: nn.Module, x: Tensor, y: Tensor, u1: Tensor, u2: Tensor, weight: float
) -> Tensor:
    """Tarvainen and Valpola 2017, section 2: network and teacher, both with dropout, see two augmentations of the same rows."""
    labelled = supervised_loss(network, x, y)
    student = F.softmax(network(u1), dim=1)
    with torch.no_grad():
        target = F.softmax(teacher(u2), dim=1)
    return labelled + weight * F.mse_loss(student, target)


@torch.no_grad()
def average(teacher: nn.Module, network: nn.Module, t: int, decay: float) -> None:
    """Their equation 1, after training step t = 1, 2, …: while there are few steps, the teacher is the mean of them all."""
    alpha = min(1 - 1 / (t + 1), decay)
    for mean, parameter in zip(teacher.parameters(), network.parameters(), strict=True):
        mean.mul_(alpha).add_(parameter, alpha=1 - alpha)


@torch.no_grad()
def predicted(network: nn.Module, x: Tensor) -> Tensor:
    """Logits by the network without dropout."""
    training = network.training
    network.eval()
    logits: Tensor = network(x)
    network.train(training)
    return logits


def fixmatch_loss(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    weak: Tensor,
    strong: Tensor,
    weight: float = 1.0,
    threshold: float = 0.95,
) -> Tensor:
    """Sohn et al. 2020, equations 3 and 4; `weak` and `strong` are two augmentations of the same examples."""
    labelled = supervised_loss(network, x, y)
    confidence, pseudo = F.softmax(predicted(network, weak), dim=1).max(dim=1)
    losses = F.cross_entropy(network(strong), pseudo, reduction="none")
    return labelled + weight * (losses * (confidence >= threshold)).mean()


def uda_loss(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    weak: Tensor,
    strong: Tensor,
    t: float,
    weight: float = 1.0,
    threshold: float = 0.8,
    temperature: float = 0.4,
    annealing: str = "linear",
) -> Tensor:
    """Xie et al. 2020, sections 2.2 and 2.4: the consistency term with its confidence mask and sharpened targets, and training
    signal annealing at the share t of the training."""
    losses = F.cross_entropy(network(x), y, reduction="none")
    released = {"none": 1.0, "log": 1 - math.exp(-5 * t), "linear": t, "exp": math.exp(5 * (t - 1))}[annealing]
    logits = predicted(network, weak)
    classes = logits.shape[1]
    used = (torch.exp(-losses.detach()) <= released * (1 - 1 / classes) + 1 / classes).to(losses.dtype)
    labelled = (losses * used).sum() / max(used.sum().item(), 1)
    confident = F.softmax(logits, dim=1).max(dim=1).values > threshold
    target = F.softmax(logits / temperature, dim=1)
    divergences = F.kl_div(F.log_softmax(network(strong), dim=1), target, reduction="none").sum(dim=1)
    return labelled + weight * (divergences * confident).mean()


def beta_shares(alpha: float, n: int) -> Tensor:
    """Draws of torch's own generator; of α = 0 ones, which mix nothing."""
    return torch.distributions.Beta(alpha, alpha).sample((n,)) if alpha else torch.ones(n)


def mixup(x: Tensor, y: Tensor, share: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
    """Zhang et al. 2018: each row with its partner's, both inputs x (n, *features) and soft labels y (n, classes)."""
    share = share.to(x)
    of_x, of_y = share.view(-1, *[1] * (x.dim() - 1)), share.view(-1, 1)
    return of_x * x + (1 - of_x) * x[partners], of_y * y + (1 - of_y) * y[partners]


def mixmatch_loss(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    u1: Tensor,
    u2: Tensor,
    weight: float,
    temperature: float = 0.5,
    alpha: float = 0.75,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
) -> Tensor:
    """Berthelot et al. 2019, algorithm 1 with two augmentations of the unlabelled examples, and equations 3 to 5."""
    guess = (F.softmax(predicted(network, u1), dim=1) + F.softmax(predicted(network, u2), dim=1)) / 2
    sharp = guess ** (1 / temperature)
    sharp = sharp / sharp.sum(dim=1, keepdim=True)
    inputs = torch.cat([x, u1, u2])
    labels = torch.cat([F.one_hot(y, sharp.shape[1]).to(sharp), sharp, sharp])
    share = shares(alpha, len(inputs))
    share = torch.max(share, 1 - share)  # so that a row stays more itself than its partner
    inputs, labels = mixup(inputs, labels, share, partners(len(inputs)))
    n = len(x)
    labelled = F.cross_entropy(network(inputs[:n]), labels[:n])
    return labelled + weight * F.mse_loss(F.softmax(network(inputs[n:]), dim=1), labels[n:])


def pseudo_label_mixup_loss(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    u: Tensor,
    weight: float = 1.0,
    alpha: float = 4.0,
    prior: float = 0.8,
    entropy: float = 0.4,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
) -> Tensor:
    """Arazo et al. 2019, equations 4 to 7, with soft pseudo-labels of the network as it is; the mean over labelled rows and the
    weighted one over unlabelled rows apart."""
    pseudo = F.softmax(predicted(network, u), dim=1)
    classes, n = pseudo.shape[1], len(x)
    inputs, labels = torch.cat([x, u]), torch.cat([F.one_hot(y, classes).to(pseudo), pseudo])
    share = shares(alpha, len(inputs))
    inputs, labels = mixup(inputs, labels, share, partners(len(inputs)))
    first, second = network(inputs[:n]), network(inputs[n:])
    log_h = F.log_softmax(torch.cat([first, second]), dim=1)
    h = log_h.exp()
    wanted = torch.full_like(h[0], 1 / classes)
    to_prior = (wanted * torch.log(wanted / h.mean(dim=0))).sum()
    uncertainty = -(h * log_h).sum(dim=1).mean()
    unlabelled = F.cross_entropy(second, labels[n:]) + prior * to_prior + entropy * uncertainty
    return F.cross_entropy(first, labels[:n]) + weight * unlabelled


def unit(d: Tensor) -> Tensor:
    """Each example (row) of d divided by its L2 norm."""
    flat = d.flatten(1)
    return (flat / (flat.norm(dim=1, keepdim=True) + 1e-12)).view_as(d)


def ramp(t: float, start: float, end: float) -> float:
    """Lee's α(t) / α_f, equation 16."""
    return min(max((t - start) / max(end - start, 1e-9), 0.0), 1.0)


def rise(t: float, end: float) -> float:
    """Laine and Aila's exp(−5 (1 − t / end)²), and 1 from `end` on."""
    return math.exp(-5 * (1 - min(t / max(end, 1e-9), 1.0)) ** 2)


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
        w = weight * rise(step / steps, ramp)
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
    direction: Callable[[Tensor], Tensor] = torch.randn_like,
    **settings: Any,
) -> list[float]:
    """Miyato et al. 2018. `settings` are those of `vat_loss`."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        loss = vat_loss(network, augment(x), y, augment(u), **settings, direction=direction)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_mean_teacher(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    teacher: nn.Module | None = None,
    weight: float = 20.0,
    ramp: float = 0.4,
    decay: float = 0.99,
) -> list[float]:
    """Tarvainen and Valpola 2017. `teacher` becomes the average, which is what is to be evaluated: give a copy of the network."""
    device = device_of(network)
    teacher = copy.deepcopy(network) if teacher is None else teacher
    network.train()
    teacher.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        w = weight * rise(step / steps, ramp)
        loss = mean_teacher_loss(network, teacher, augment(x), y, augment(u), augment(u), w)
        losses.append(descend(loss, optimizer))
        average(teacher, network, step + 1, decay)
        watch(step + 1, losses[-1])
    return losses


def train_fixmatch(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    strong: Augment = same,
    weight: float = 1.0,
    threshold: float = 0.95,
) -> list[float]:
    """Sohn et al. 2020: `augment` is the weak augmentation, `strong` the other."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        loss = fixmatch_loss(network, augment(x), y, augment(u), strong(u), weight, threshold)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_uda(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    strong: Augment = same,
    **settings: Any,
) -> list[float]:
    """Xie et al. 2020. `settings` are those of `uda_loss`, without t."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        loss = uda_loss(network, augment(x), y, augment(u), strong(u), step / steps, **settings)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_mixmatch(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
    weight: float = 10.0,
    ramp: float = 0.4,
    temperature: float = 0.5,
    alpha: float = 0.75,
) -> list[float]:
    """Berthelot et al. 2019: the weight rises linearly over the first part of training."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = x.to(device), y.to(device), u.to(device)
        w = weight * min(step / steps / max(ramp, 1e-9), 1.0)
        loss = mixmatch_loss(network, augment(x), y, augment(u), augment(u), w, temperature, alpha, shares, partners)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


def train_pseudo_label_mixup(
    network: nn.Module,
    labelled: Labelled,
    unlabelled: Unlabelled,
    optimizer: torch.optim.Optimizer,
    steps: int,
    augment: Augment = same,
    watch: Watch = quiet,
    shares: Shares = beta_shares,
    partners: Partners = torch.randperm,
    warm_up: float = 0.2,
    **settings: Any,
) -> list[float]:
    """Arazo et al. 2019: labels alone at first. The other `settings` are those of `pseudo_label_mixup_loss`."""
    device = device_of(network)
    network.train()
    losses = []
    batches = zip(endless(labelled), endless(unlabelled), strict=True)
    for step, ((x, y), (u,)) in enumerate(islice(batches, steps)):
        x, y, u = augment(x.to(device)), y.to(device), augment(u.to(device))
        if step / steps < warm_up:
            loss = supervised_loss(network, x, y)
        else:
            loss = pseudo_label_mixup_loss(network, x, y, u, **settings, shares=shares, partners=partners)
        losses.append(descend(loss, optimizer))
        watch(step + 1, losses[-1])
    return losses


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


def distort(strength: float, cutout: int) -> Augment:
    """Each image (n, channels, height, width) of values in [0, 1] turned, sheared, scaled and moved, brighter or darker, of other
    contrast, and with a square blanked. At strength 1: 20°, 0.2 pixels a pixel of height, 15 %, 3 pixels, 40 % at most."""

    def between(n: int, most: float, x: Tensor) -> Tensor:
        return ((2 * torch.rand(n) - 1) * most * strength).to(x)

    def augment(x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        angle, slant = between(n, math.radians(20), x), between(n, 0.2, x)
        size = 1 / (1 + between(n, 0.15, x))
        across, down = between(n, 2 * 3 / width, x), between(n, 2 * 3 / height, x)
        cos, sin = size * angle.cos(), size * angle.sin()
        # The inverse map, as affine_grid has it: size · rotation · shear, and then the move.
        rows = [torch.stack([cos, slant * cos - sin, across], 1), torch.stack([sin, slant * sin + cos, down], 1)]
        grid = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        x = x * (1 + between(n, 0.4, x)).view(n, 1, 1, 1)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (mean + (1 + between(n, 0.4, x)).view(n, 1, 1, 1) * (x - mean)).clamp(0, 1)
        corners = zip(torch.randint(height, (n,)).tolist(), torch.randint(width, (n,)).tolist(), strict=True)
        for image, (y, z) in zip(x, corners, strict=True):
            top, left = y - cutout // 2, z - cutout // 2
            image[:, max(top, 0) : max(top + cutout, 0), max(left, 0) : max(left + cutout, 0)] = 0
        return x

    return augment


def noise_and_drop(sd: float, p: float) -> Augment:
    """Normal noise of standard deviation `sd` on each value, which is then zeroed with probability p."""
    return lambda x: F.dropout(x + sd * torch.randn_like(x), p)
