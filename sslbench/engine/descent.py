"""Gradient descent on parameters that are parts of one tensor, so that a step of it is a handful of operations.

No value is read, so that a step can be recorded. (torch's optimizers read the number of the step on a CPU; their fused kernels
round the ends of a tensor otherwise than its middle, so that a seed's bits would depend on its place in the stack; and a first
one imports torch's compiler, for a second.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def joined(values: Sequence[Tensor], stacked: bool) -> tuple[Tensor, list[Tensor]]:
    """Parameters as parts of one tensor: each (stack, …) -> all of them (stack, size), and each as a leaf within it.

    Args:
        stacked: if not, there is no stack: each (…) -> (size,). Those with four dimensions lie there channels_last.
    """
    whole = torch.cat([_laid_out(value, stacked) for value in values], dim=-1)
    sizes = [value[0].numel() if stacked else value.numel() for value in values]
    parts = []
    for part, value in zip(whole.split(sizes, dim=-1), values, strict=True):
        if not stacked and value.dim() == 4:
            o, i, h, w = value.shape
            part = part.view(o, h, w, i).permute(0, 3, 1, 2)
        else:
            part = part.unflatten(-1, value.shape[int(stacked) :])
        parts.append(part.detach().requires_grad_())
    return whole, parts


def _laid_out(value: Tensor, stacked: bool) -> Tensor:
    """In the order in which it lies in the whole."""
    if stacked:
        return value.flatten(1)
    return value.permute(0, 2, 3, 1).flatten() if value.dim() == 4 else value.flatten()


class Descent:
    """What a step does to `whole` with the gradients of its parts."""

    def __init__(
        self, whole: Tensor, parts: Sequence[Tensor], stacked: bool, lr: float, weight_decay: float = 0.0
    ) -> None:
        """
        Args:
            whole, parts, stacked: as `joined` has them.
            weight_decay: L2 penalty, as part of the gradient.
        """
        self._whole, self._parts, self._stacked, self._decay = whole, list(parts), stacked, weight_decay
        self.rate = torch.full((), lr, dtype=torch.float64, device=whole.device)
        """The learning rate, 0-d, above 0: to change it, write into it."""
        self.state = self._initial()
        """What it remembers: of the shape of `whole`, or 0-d. Changed in place."""

    def zero_grad(self) -> None:
        for part in self._parts:
            part.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Descend by the gradients that the parts have; a part without one has zeros."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parts]
        gradient = torch.cat([_laid_out(g, self._stacked) for g in gradients], dim=-1)
        self._descend(gradient + self._decay * self._whole if self._decay else gradient)

    def _initial(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def _descend(self, gradient: Tensor) -> None:
        raise NotImplementedError


class Adam(Descent):
    """Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, as torch.optim.Adam: β 0.9 and 0.999, ε 1e-8."""

    def _initial(self) -> dict[str, Tensor]:
        step = torch.zeros((), dtype=torch.float64, device=self._whole.device)
        return {"step": step, "mean": torch.zeros_like(self._whole), "square": torch.zeros_like(self._whole)}

    def _descend(self, gradient: Tensor) -> None:
        """θ ← θ − lr · m̂ / (√v̂ + ε), with what corrects the biases of m̂ and v̂ gathered in the denominator."""
        beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        step, mean, square = (self.state[name] for name in ("step", "mean", "square"))
        step.add_(1)
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        slowness = (1 - beta1**step) / self.rate
        denominator = square.sqrt().mul_(slowness / (1 - beta2**step).sqrt()).add_(slowness * epsilon)
        self._whole.addcdiv_(mean, denominator, value=-1)


class SGD(Descent):
    """Stochastic gradient descent with momentum, as torch.optim.SGD."""

    def __init__(
        self, whole: Tensor, parts: Sequence[Tensor], stacked: bool, lr: float, weight_decay: float, momentum: float
    ) -> None:
        self._momentum = momentum
        super().__init__(whole, parts, stacked, lr, weight_decay)

    def _initial(self) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(self._whole)} if self._momentum else {}

    def _descend(self, gradient: Tensor) -> None:
        """b ← μ b + g, θ ← θ − lr · b."""
        if self._momentum:
            gradient = self.state["momentum"].mul_(self._momentum).add_(gradient)
        self._whole.sub_(gradient * self.rate)
