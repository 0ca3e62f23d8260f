"""Convolutions of 5 x 5 by minimal filtering: fewer multiplications, all of them in matrix products.

Lavin and Gray (2016), "Fast Algorithms for Convolutional Neural Networks", after Winograd, Toom and Cook. An image is cut into
tiles of 8 x 8 that overlap by 4. A tile and the kernel are taken for polynomials; their values at 8 points are multiplied, and
the tile's 4 x 4 results interpolated from the products: 64 of them for each two channels, where a convolution takes 400.

It rounds in float32 to 2e-6 of the results' spread, ten times a convolution's.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

KERNEL, TILE = 5, 4
"""Height and width of the kernel, and of a tile's results."""
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated, beside infinity. Of those that were tried, these round the least."""
_VALUES = len(_POINTS) + 1


def filtered(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """As F.conv2d(x, weight, bias): (n, channels, height, width), (out, channels, 5, 5), (out,) -> (n, out, h, w).

    It has all derivatives.
    """
    n, channels, height, width = x.shape
    plane = _plane(height, width, x.dtype)
    kernels = _kernel_values(plane.down.tiles, weight.permute(2, 3, 1, 0))
    values = _to_values(plane, x.permute(2, 3, 0, 1))
    products = torch.bmm(values.view(len(kernels), -1, channels), kernels)  # its rows are tiles across, and images
    results = _to_results(plane, products).view(*plane.results, n, len(bias))
    return (results + bias).permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)  # channels_last


class Filter:
    """The same with the images in the innermost place, and the kernels' values made once for many passes."""

    def __init__(self, weight: Tensor, bias: Tensor, height: int, width: int) -> None:
        """
        Args:
            weight: (out, channels, 5, 5).
            bias: (out,).
            height, width: of the images.
        """
        self._plane = plane = _plane(height, width, weight.dtype)
        kernels = _kernel_values(plane.down.tiles, weight.permute(2, 3, 0, 1))
        across = kernels.unsqueeze(1).expand(-1, plane.across.tiles, -1, -1)
        self._kernels, self._bias = across.flatten(0, 1), bias.unsqueeze(1)

    def __call__(self, images: Tensor) -> Tensor:
        """(height, width, channels, n) -> (h, w, out, n)."""
        n = images.shape[-1]
        values = _to_values(self._plane, images)
        products = torch.bmm(self._kernels, values.view(len(self._kernels), -1, n))
        results = _to_results(self._plane, products).view(*self._plane.results, -1, n)
        return results.add_(self._bias)


def _to_values(plane: _Plane, images: Tensor) -> Tensor:
    """(height, width, *inner) -> (8 points x tiles down, 8 points x tiles across, inner)."""
    height, width = images.shape[:2]
    values = (plane.down.values @ images.reshape(height, -1)).view(-1, width, math.prod(images.shape[2:]))
    return _to_each(plane.across.values, values)


def _to_results(plane: _Plane, products: Tensor) -> Tensor:
    """The products, of the shape of the values in all but the inner places -> (h, w, inner)."""
    results = _to_each(plane.across.results, products.view(len(plane.down.values), len(plane.across.values), -1))
    return plane.down.results @ results.flatten(1)


def _to_each(matrix: Tensor, them: Tensor) -> Tensor:
    """(a, b), (many, b, columns) -> (many, a, columns)."""
    return torch.bmm(matrix.expand(len(them), *matrix.shape), them)


@dataclass(frozen=True)
class _Axis:
    """What one direction of images takes."""

    tiles: int
    values: Tensor
    """(8 points x tiles, side): from an image's places to the values of its tiles."""
    results: Tensor
    """(side - 4, 8 points x tiles): from the products to the results."""


@dataclass(frozen=True)
class _Plane:
    down: _Axis
    across: _Axis

    @property
    def results(self) -> tuple[int, int]:
        """Height and width of the results."""
        return len(self.down.results), len(self.across.results)


def _plane(height: int, width: int, dtype: torch.dtype) -> _Plane:
    return _Plane(_axis(height, dtype), _axis(width, dtype))


@functools.lru_cache(maxsize=64)
def _axis(side: int, dtype: torch.dtype) -> _Axis:
    length = side - KERNEL + 1
    tiles = -(-length // TILE)
    # Interpolation is of the product of two polynomials, whose coefficients are as many as the points. A correlation is the
    # transpose of such a product.
    interpolation, evaluation = np.linalg.inv(_evaluation(_VALUES)).T, _evaluation(TILE).T
    values, results = np.zeros((_VALUES, tiles, side)), np.zeros((length, _VALUES, tiles))
    for tile in range(tiles):
        first = tile * TILE
        seen, left = min(_VALUES, side - first), min(TILE, length - first)  # the last tile may reach beyond the image
        values[:, tile, first : first + seen] = interpolation[:, :seen]
        results[first : first + left, :, tile] = evaluation[:left]
    return _Axis(
        tiles,
        torch.tensor(values.reshape(-1, side), dtype=dtype),
        torch.tensor(results.reshape(length, -1), dtype=dtype),
    )


def _kernel_values(rows: int, kernels: Tensor) -> Tensor:
    """(5, 5, a, b) -> (8 points x rows x 8 points, a, b): the values of each kernel, for each of some rows of tiles."""
    return (_kernels(rows, kernels.dtype) @ kernels.reshape(KERNEL * KERNEL, -1)).view(-1, *kernels.shape[2:])


@functools.lru_cache(maxsize=64)
def _kernels(rows: int, dtype: torch.dtype) -> Tensor:
    """(8 points x rows x 8 points, 25): from a kernel's places to its values, for each of some rows of tiles."""
    values = np.kron(_evaluation(KERNEL), _evaluation(KERNEL)).reshape(_VALUES, 1, -1)
    return torch.tensor(values.repeat(rows, axis=1).reshape(-1, KERNEL * KERNEL), dtype=dtype)


def _evaluation(coefficients: int) -> np.ndarray:
    """(8 points, coefficients): from a polynomial's coefficients to its values; at infinity that is the last coefficient."""
    return np.vstack([np.vander(_POINTS, coefficients, increasing=True), np.eye(coefficients)[-1]])
