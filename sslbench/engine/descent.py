"""Gradient descent on parameters that are parts of one tensor, so that a step of it is a handful of operations.

No value is read where it can be seen, so that a step can be recorded. (torch's optimizers read the number of the step on a CPU,
and a first one imports torch's compiler, for a second.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_WHOLE = 64
"""The size of `whole` is a multiple of it. A fused kernel rounds the ends of a tensor, which fill no vector register, otherwise
than its middle; so the bits of a seed do not depend on its place in a stack."""


def joined(values: Sequence[Tensor], stacked: bool) -> tuple[Tensor, list[Tensor]]:
    """Parameters as parts of one tensor: each (stack, …) -> all of them (stack, size), and each as a leaf within it.

    Args:
        stacked: if not, there is no stack: each (…) -> (size,). Those with four dimensions lie there channels_last.

    Returns:
        The whole, with zeros at its end, and the parts.
    """
    sizes = [value[0].numel() if stacked else value.numel() for value in values]
    whole = _together(values, stacked)
    parts = []
    for part, value in zip(whole[..., : sum(sizes)].split(sizes, dim=-1), values, strict=True):
        if not stacked and value.dim() == 4:
            o, i, h, w = value.shape
            part = part.view(o, h, w, i).permute(0, 3, 1, 2)
        else:
            part = part.unflatten(-1, value.shape[int(stacked) :])
        parts.append(part.detach().requires_grad_())
    return whole, parts


def _together(values: Sequence[Tensor], stacked: bool) -> Tensor:
    """As they lie in the whole, and zeros to its next multiple of `_WHOLE`."""
    laid_out = [_laid_out(value, stacked) for value in values]
    missing = -sum(part.shape[-1] for part in laid_out) % _WHOLE
    return torch.cat([*laid_out, laid_out[0].new_zeros(*laid_out[0].shape[:-1], missing)], dim=-1)


def _laid_out(value: Tensor, stacked: bool) -> Tensor:
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
        # float32 is what fused kernels on CUDA read
        dtype = torch.float64 if whole.device.type == "cpu" else torch.float32
        self.rate = torch.full((), lr, dtype=dtype, device=whole.device)
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
        gradient = _together(gradients, self._stacked)
        self._descend(gradient + self._decay * self._whole if self._decay else gradient)

    def _initial(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def _descend(self, gradient: Tensor) -> None:
        raise NotImplementedError


def _adam(whole: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: Tensor, rate: Tensor) -> Tensor:
    step.add_(1)
    torch._fused_adam_(
        [whole],
        [gradient],
        [mean],
        [square],
        [],
        [step],
        lr=rate,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
    return whole


# One kernel that returns what it changes: torch's own returns nothing, and reads the rate and the number of the step on a CPU.
torch.library.define(
    "sslbench::adam",
    "(Tensor(a!) whole, Tensor gradient, Tensor(b!) mean, Tensor(c!) square, Tensor(d!) step, Tensor rate) -> Tensor(a!)",
)
torch.library.impl("sslbench::adam", ("cpu", "cuda"), _adam)
torch.library.register_fake("sslbench::adam", lambda whole, *_: whole)
_adam_op = torch.ops.sslbench.adam.default


class Adam(Descent):
    """Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1, by torch's fused kernel: β 0.9 and 0.999, ε 1e-8."""

    def _initial(self) -> dict[str, Tensor]:
        step = torch.zeros((), device=self._whole.device)
        return {"step": step, "mean": torch.zeros_like(self._whole), "square": torch.zeros_like(self._whole)}

    def _descend(self, gradient: Tensor) -> None:
        """θ ← θ − lr · m̂ / (√v̂ + ε)."""
        _adam_op(self._whole, gradient, self.state["mean"], self.state["square"], self.state["step"], self.rate)


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
