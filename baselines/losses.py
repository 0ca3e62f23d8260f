"""Each method's loss as a function of a network and a batch.

It can be called with any network and any draws: give a network in eval mode, or one whose dropout modules play given masks;
the virtual adversarial loss takes its random direction as an argument, and those that mix take shares and partners.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shares = Callable[[float, int], Tensor]
"""(α, n) to n draws from Beta(α, α)."""
Partners = Callable[[int], Tensor]
"""n to a permutation of n rows."""


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
