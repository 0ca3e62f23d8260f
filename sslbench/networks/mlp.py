"""Multilayer perceptron; with no hidden layer, a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sslbench.networks.base import Network
from sslbench.rng import Rng


class MLP(Network):
    """Linear layers with ReLU between them. Oliver et al. 2018 use three hidden layers of 10 units on two moons."""

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        widths = [inputs, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def stem(self, x: Tensor) -> Tensor:
        """(n, inputs) -> logits (n, classes): there is no dropout, so this is all of it."""
        h = x.mT  # (units, n): of a stack of small layers, products along the examples take a fifth of the time
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            h = layer.weight @ (F.relu(h) if place else h) + layer.bias.unsqueeze(-1)
        return h.mT

    def head(self, hidden: Tensor, rng: Rng | None) -> Tensor:
        """Logits as they are."""
        del rng
        return hidden
