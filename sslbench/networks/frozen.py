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
    """Whether `convolved` may be taken and is faster."""
    parameters = (first.weight, first.bias, second.weight, second.bias)
    if x.device.type != "cpu" or any(given is None or given.requires_grad for given in (x, *parameters)):
        return False
    return len(x) >= FEWEST and x.shape[1] == 1 and filters(second, *_sides(first, x))


def convolved(first: nn.Conv2d, second: nn.Conv2d, x: Tensor, chunk: int) -> Tensor:
    """second(relu(max_pool2d(first(x), 2))), of layers of stride 1 and without padding.

    Args:
        x: (n, channels, height, width).
        chunk: images at a time.

    Returns:
        (n, out, h, w).
    """
    assert first.bias is not None, "`suits` says so"
    assert second.bias is not None, "`suits` says so"
    last = Filter(second.weight, second.bias, *_sides(first, x))
    parts = [last(_pooled(part.permute(2, 3, 1, 0), first.weight, first.bias)) for part in x.split(chunk)]
    return torch.cat(parts, dim=-1).permute(3, 2, 0, 1)


def _pooled(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(max_pool2d(conv2d(x, weight, bias), 2)) of images (height, width, channels, n): (h, w, out, n).

    The four places that are pooled see a window that is larger by one than the kernel, both ways; all windows are the columns of
    one matrix. The upper two places see all lines of a window but the last, the lower two all but the first.
    """
    out, channels, kernel, _ = weight.shape
    line = (kernel + 1) * channels
    windows = images.contiguous().unfold(0, kernel + 1, 2).unfold(1, kernel + 1, 2)  # (h, w, channels, n, down, right)
    h, w, _, n = windows.shape[:4]
    windows = windows.permute(4, 5, 2, 0, 1, 3).reshape((kernel + 1) * line, -1)
    upper_and_lower = windows.unfold(0, kernel * line, line).mT  # (2, kernel * line, columns), without a copy
    weight = weight.permute(0, 2, 3, 1)
    left_and_right = torch.stack([F.pad(weight, (0, 0, *beside)) for beside in ((0, 1), (1, 0))]).view(2 * out, -1)
    places = torch.bmm(left_and_right.expand(2, -1, -1), upper_and_lower)
    pooled = places.view(4, out, -1).amax(0).view(out, h, w, n)
    return (pooled.permute(1, 2, 0, 3).contiguous() + bias.unsqueeze(1)).relu()


def _sides(first: nn.Conv2d, x: Tensor) -> tuple[int, int]:
    """Height and width of what the second layer is given."""
    height, width = ((side - kernel + 1) // 2 for side, kernel in zip(x.shape[-2:], first.kernel_size, strict=True))
    return height, width
