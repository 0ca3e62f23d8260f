"""The article's convolution network (Shenoy 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbench.networks import frozen
from sslbench.networks.base import Network
from sslbench.networks.convolution import convolve
from sslbench.networks.dropout import dropout
from sslbench.networks.pooling import pooled
from sslbench.rng import Rng

CHUNK = 64
"""Images that a CPU convolves at once: more of them, with their gradients, leave its cache."""
SMALLEST = 16
"""Height and width of an image, at least, of which both layers leave something."""


class ConvNet(Network):
    """Two convolutions and two linear layers; the article's for 28 x 28 images of one channel.

    conv 1→20 k5, max-pool 2, ReLU; conv 20→40 k5, Dropout2d, max-pool 2, ReLU; linear 640→150, ReLU, dropout;
    linear 150→classes. For other images the first and the third layer take more or fewer inputs.
    """

    def __init__(
        self,
        classes: int,
        dropout: float = 0.5,
        relu_logits: bool = False,
        image: tuple[int, int, int] = (1, 28, 28),
    ) -> None:
        """
        Args:
            relu_logits: a ReLU on the logits, as in the article's code. It can leave a class without a gradient.
            image: channels, height and width of the images; height and width at least `SMALLEST`.
        """
        super().__init__()
        channels, height, width = image
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 40, 5)
        self.linear1 = nn.Linear(40 * _left(_left(height)) * _left(_left(width)), 150)
        self.linear2 = nn.Linear(150, classes)
        self.dropout, self.relu_logits = dropout, relu_logits

    def stem(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) -> (n, 40, h, w), of 28 x 28 images 8 x 8: all that comes before the first dropout."""
        if frozen.suits(self.conv1, self.conv2, x):
            return frozen.convolved(self.conv1, self.conv2, x, CHUNK)
        if x.device.type == "cpu" and len(x) > CHUNK:
            return torch.cat([self._convolved(part) for part in x.split(CHUNK)])
        return self._convolved(x)

    def head(self, hidden: Tensor, rng: Rng | None) -> Tensor:
        """(n, 40, h, w) -> logits (n, classes)."""
        x = dropout(hidden, self.dropout, rng, channels=True)
        x = F.relu(pooled(x)).flatten(1)  # (n, 640) of 28 x 28 images
        x = dropout(F.relu(self.linear1(x)), self.dropout, rng)
        logits = self.linear2(x)
        return F.relu(logits) if self.relu_logits else logits

    def _convolved(self, x: Tensor) -> Tensor:
        convolved: Tensor = convolve(self.conv2, F.relu(pooled(convolve(self.conv1, x))))  # by way of (n, 20, 12, 12)
        return convolved


def _left(side: int) -> int:
    """What a convolution of 5 pixels and a pooling of 2 leave of a side."""
    return (side - 4) // 2
