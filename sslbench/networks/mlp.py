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
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        logits: Tensor = self.layers[-1](x)
        return logits

    def head(self, hidden: Tensor, rng: Rng | None) -> Tensor:
        """Logits as they are."""
        del rng
        return hidden
