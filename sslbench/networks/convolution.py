"""Convolutions in the way that is fastest on a CPU for their sizes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from sslbench.networks.winograd import KERNEL, TILE, filtered


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """As layer(x), of stride 1 and without padding: (n, channels, height, width) -> (n, out, h, w).

    On a CPU, two kinds go a way of their own. What is faster was measured on an Intel Xeon, with kernels of 5 x 5:

    - Many channels of small images, as in the article's second layer: by minimal filtering, 64 images forward 2.0 -> 1.1 ms and
      back 6.2 -> 2.4. With 4 images, or with 14 x 14 pixels, it is even; with 30 x 30, or with three channels, it is slower.
    - One channel where the gradient in x is wanted, as in the article's first layer: there the library leaves all but one of its
      lanes empty: 50 µs an image, where its other two ways take 7 and 9, and this one 10. With three channels it is even.
    """
    if x.device.type == "cpu" and layer.bias is not None:
        if filters(layer, *x.shape[-2:]):
            return filtered(x, layer.weight, layer.bias)
        if x.requires_grad and layer.in_channels == 1:
            result: Tensor = _Convolution.apply(x, layer.weight, layer.bias)
            return result
    convolved: Tensor = layer(x)
    return convolved


def filters(layer: nn.Conv2d, height: int, width: int) -> bool:
    """Whether minimal filtering of images of this size is faster on a CPU."""
    small = max(height, width) - KERNEL + 1 <= 2 * TILE
    return small and layer.in_channels >= 8 and layer.kernel_size == (KERNEL, KERNEL)


class _Convolution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        del output
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,), (x, weight), wanted = gradients, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _to_input(gradient, weight) if wanted[0] else None,
            conv2d_weight(x, weight.shape, gradient) if wanted[1] else None,
            gradient.sum(dim=(0, 2, 3)) if wanted[2] else None,
        )


def _to_input(gradient: Tensor, weight: Tensor) -> Tensor:
    """(n, out, h, w), (out, 1, tall, wide) -> (n, 1, h + tall - 1, w + wide - 1): one matrix product makes what each place of
    the kernel gives back, and these add up, first along the rows and then down the columns."""
    n, out, h, w = gradient.shape
    tall, wide = weight.shape[2:]
    given = weight.flatten(1).T @ gradient.permute(0, 2, 3, 1).reshape(-1, out).T
    given = given.view(tall, wide, n, h, w)
    rows = given.new_zeros(tall, n, h, w + wide - 1)
    for right in range(wide):
        rows[..., right : right + w] += given[:, right]
    images = given.new_zeros(n, h + tall - 1, w + wide - 1)
    for down in range(tall):
        images[:, down : down + h] += rows[down]
    return images.unsqueeze(1)
