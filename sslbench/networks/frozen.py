"""Two convolutions with a pooling between them, where no gradient is wanted: with the images in the innermost place.

Then all rows are long, whatever the number of channels: products, maxima and sums go along the images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbench.networks.convolution import filters
from sslbench.networks.winograd import Filter

FEWEST = 32
"""Images that pay for the values of the kernels, which are made once a pass."""


def suits(first: nn.Conv2d, second: nn.Conv2d, x: Tensor) -> bool:
    """Whether `convolved` may be taken and is faster: of more than one channel it was not tried."""
    if x.device.type != "cpu" or first.bias is None or second.bias is None:
        return False
    given = (x, first.weight, first.bias, second.weight, second.bias)
    if torch.is_grad_enabled() and any(one.requires_grad for one in given):
        return False
    return len(x) >= FEWEST and x.shape[1] == 1 and filters(second, *_sides(first, x))


def convolved(first: nn.Conv2d, second: nn.Conv2d, x: Tensor, chunk: int) -> Tensor:
    """second(relu(max_pool2d(first(x), 2))), of layers of stride 1 and without padding.

    The first layer's kernel is square, the second's 5 x 5.

    Args:
        x: (n, channels, height, width).
        chunk: images at a time.

    Returns:
        (n, out, h, w).
    """
    assert first.bias is not None, "`suits` says so"
    assert second.bias is not None, "`suits` says so"
    side = first.kernel_size[0] + 1
    beside = [F.pad(first.weight.permute(0, 2, 3, 1), (0, 0, *columns)) for columns in ((0, 1), (1, 0))]
    weights = torch.stack(beside).view(1, 2 * first.out_channels, -1).expand(2, -1, -1)
    last = Filter(second.weight, second.bias, *_sides(first, x))
    parts = [last(_pooled(part.permute(2, 3, 1, 0), weights, first.bias, side)) for part in x.split(chunk)]
    return torch.cat(parts, dim=-1).permute(3, 2, 0, 1)


def _pooled(images: Tensor, weights: Tensor, bias: Tensor, side: int) -> Tensor:
    """The first layer, the pooling and the ReLU: images (height, width, channels, n) -> (h, w, out, n).

    The four places that are pooled see a window whose side is larger by one than the kernel's; all windows are the columns of one
    matrix. The upper two places see all lines of a window but the last, the lower two all but the first.

    Args:
        weights: (2, 2 * out, (side - 1) * side * channels): the same for upper and lower places; of either, the left one's first,
            then the right one's.
    """
    windows = images.contiguous().unfold(0, side, 2).unfold(1, side, 2)  # (h, w, channels, n, side, side)
    h, w, channels, n = windows.shape[:4]
    lines = windows.permute(4, 5, 2, 0, 1, 3).reshape(side * side * channels, -1)
    upper_and_lower = lines.unfold(0, weights.shape[-1], side * channels).mT  # without a copy
    places = torch.bmm(weights, upper_and_lower).view(4, len(bias), -1)
    pooled = places.amax(0).view(-1, h, w, n).permute(1, 2, 0, 3).contiguous()
    return pooled.add_(bias.unsqueeze(1)).relu_()


def _sides(first: nn.Conv2d, x: Tensor) -> tuple[int, int]:
    """Height and width of what the second layer is given."""
    height, width = ((side - kernel + 1) // 2 for side, kernel in zip(x.shape[-2:], first.kernel_size, strict=True))
    return height, width
