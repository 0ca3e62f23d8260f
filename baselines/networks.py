"""The networks as ordinary modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNet(nn.Module):
    """The article's convolution network (Shenoy 2019): (n, 1, 28, 28) -> logits (n, classes)."""

    def __init__(self, classes: int = 10, dropout: float = 0.5, relu_logits: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 40, kernel_size=5)
        self.dropout2d = nn.Dropout2d(dropout)
        self.linear1 = nn.Linear(640, 150)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(150, classes)
        self.relu_logits = relu_logits

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.dropout2d(self.conv2(x)), 2))
        x = x.flatten(1)  # (n, 640)
        x = self.dropout(F.relu(self.linear1(x)))
        x = self.linear2(x)
        return F.relu(x) if self.relu_logits else x


class MLP(nn.Module):
    """Linear layers with ReLU between them; three hidden layers of ten units on two moons (Oliver et al. 2018)."""

    def __init__(self, inputs: int = 2, hidden: Sequence[int] = (10, 10, 10), classes: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class Linear(nn.Linear):
    """Logistic regression: (n, inputs) -> logits (n, classes)."""

    def __init__(self, inputs: int = 1326, classes: int = 10) -> None:
        super().__init__(inputs, classes)
