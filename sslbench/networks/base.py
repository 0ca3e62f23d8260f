"""A network in two parts, so that what a pass does before its first random draw need not be done twice."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from sslbench.rng import Rng

Part = Literal["whole", "stem", "head"]


class Network(nn.Module):
    """`head(stem(x), rng)`. The stem draws nothing, so a pass without dropout and one with it share its result.

    Pseudo-labelling needs both passes of the same examples in each step: the label comes from the one, the loss from the
    other.
    """

    def stem(self, x: Tensor) -> Tensor:
        """(n, *features) -> what the head takes (n, *hidden)."""
        raise NotImplementedError

    def head(self, hidden: Tensor, rng: Rng | None) -> Tensor:
        """(n, *hidden) -> logits (n, classes)."""
        raise NotImplementedError

    def forward(self, x: Tensor, rng: Rng | None = None, part: Part = "whole") -> Tensor:
        """(n, *features) -> logits (n, classes); or one part of the way."""
        if part == "stem":
            return self.stem(x)
        return self.head(x if part == "head" else self.stem(x), rng)
