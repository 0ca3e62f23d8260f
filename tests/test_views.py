"""Views move and disturb, and do it by their key."""

from __future__ import annotations

import pytest
import torch

from sslbench.rng import Rng
from sslbench.views import identity, noise, shift


def test_a_shift_moves_each_image_by_whole_pixels():
    x = torch.zeros(200, 1, 9, 9)
    x[:, 0, 4, 4] = 1
    moved = shift(2)(x, Rng.root(0))
    assert moved.shape == x.shape
    assert torch.equal(moved.sum(dim=(1, 2, 3)), torch.ones(200))
    offsets = {tuple(position[2:].tolist()) for position in moved.nonzero()}
    assert offsets == {(r, c) for r in range(2, 7) for c in range(2, 7)}


def test_a_shift_brings_in_zeros():
    moved = shift(3)(torch.ones(50, 1, 8, 8), Rng.root(1))
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert float(moved.sum(dim=(1, 2, 3)).min()) >= 25


def test_noise_has_its_standard_deviation():
    x = torch.zeros(1000, 5)
    assert float(noise(0.3)(x, Rng.root(0)).std()) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("view", [shift(2), noise(0.5)])
def test_a_view_repeats_with_its_key(view):
    x = torch.randn(6, 1, 8, 8)
    assert torch.equal(view(x, Rng.root(0)), view(x, Rng.root(0)))
    assert not torch.equal(view(x, Rng.root(0)), view(x, Rng.root(1)))


def test_nothing_to_do_is_the_identity():
    assert shift(0) is identity
    assert noise(0.0) is identity
    x = torch.randn(3, 2)
    assert identity(x, Rng.root(0)) is x
