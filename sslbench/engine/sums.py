"""What is told of the steps between two points of a learning curve, summed on the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from sslbench.methods.base import Kind

TERMS = ("labelled_loss", "unlabelled_loss", "unlabelled_weight", "labelled_gradient", "unlabelled_gradient")
"""What is read of every method; the rest are its own diagnostics."""

_ABSENT = {
    "labelled": ("unlabelled_loss", "unlabelled_gradient"),
    "unlabelled": ("labelled_loss", "labelled_gradient"),
}
"""What a step of that kind does not have."""


@dataclass(frozen=True)
class Reading:
    """What was summed on the device since the last point, for each seed."""

    values: list[dict[str, float | None]]
    diverged: list[bool]


class Sums:
    """Sums of a training step's terms, on the device, for each seed of a stack."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        self._steps: Counter[str] = Counter()
        self._bad: Tensor | None = None

    def add(self, kind: Kind, terms: dict[str, Tensor], loss: Tensor) -> None:
        """Terms and loss of one step, each (stack,), whose tensors may hold the next step's values later on."""
        for name, value in terms.items():
            if name == "unlabelled_weight":
                self._last[name] = value.clone()
            elif name not in _ABSENT.get(kind, ()):
                self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
                self._steps[name] += 1
        bad = ~torch.isfinite(loss)
        self._bad = bad if self._bad is None else self._bad | bad

    def read(self, stack: int) -> Reading:
        """Means since the last reading. This waits for the device."""
        means = {name: (total / self._steps[name]).tolist() for name, total in self._sums.items()}
        means |= {name: value.tolist() for name, value in self._last.items()}
        diverged = [False] * stack if self._bad is None else self._bad.tolist()
        self._sums, self._steps, self._last = {}, Counter(), {}
        return Reading([{name: values[i] for name, values in means.items()} for i in range(stack)], diverged)

    def saved(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """What `restore` takes: tensors (stack,), and how many steps each sum is of."""
        tensors = {f"sum {n}": v for n, v in self._sums.items()} | {f"last {n}": v for n, v in self._last.items()}
        return tensors if self._bad is None else {**tensors, "bad": self._bad}, dict(self._steps)

    def restore(self, tensors: dict[str, Tensor], steps: dict[str, int]) -> None:
        """Go on from what `saved` gave."""
        self._sums = {n.removeprefix("sum "): v for n, v in tensors.items() if n.startswith("sum ")}
        self._last = {n.removeprefix("last "): v for n, v in tensors.items() if n.startswith("last ")}
        self._bad, self._steps = tensors.get("bad"), Counter({n: steps[n] for n in self._sums})
