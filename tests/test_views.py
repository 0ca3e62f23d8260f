"""Views move and disturb, and do it by their key."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.rng import Rng
from sslbench.views import affine, chain, cutout, drop, exposure, identity, noise, shift
from tests.conftest import KINDS_OF_INPUT, make_scenario, rng_of

NAMED = [(kind, name) for kind in KINDS_OF_INPUT for name in ("weak", "strong")]


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


VIEWS = [shift(2), noise(0.5), affine(20, 0.2, 0.15, 3), exposure(0.4), cutout(3), drop(0.2)]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_repeats_with_its_key(view):
    x = torch.randn(6, 1, 8, 8)
    assert torch.equal(view(x, Rng.root(0)), view(x, Rng.root(0)))
    assert not torch.equal(view(x, Rng.root(0)), view(x, Rng.root(1)))


def test_nothing_to_do_is_the_identity():
    assert shift(0) is identity
    assert noise(0.0) is identity
    x = torch.randn(3, 2)
    assert identity(x, Rng.root(0)) is x


@given(
    n=st.integers(1, 6),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    strength=st.floats(0, 3),
    size=st.integers(0, 14),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_strong_view_of_images_keeps_shape_and_range(n, height, width, strength, size, seed):
    m = strength
    view = chain(affine(20 * m, 0.2 * m, 0.15 * m, 3 * m), exposure(0.4 * m), cutout(size))
    x = Rng.root(seed).uniform(n, 1, height, width)
    found = view(x, Rng.root(seed + 1))
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert torch.equal(found, view(x, Rng.root(seed + 1)))
    keys = torch.stack([Rng.root(seed + k).key for k in (1, 2)])
    stack = torch.vmap(lambda x, key: view(x, Rng(key)))(torch.stack([x, x]), keys)
    for one, key in zip(stack, keys, strict=True):
        torch.testing.assert_close(one, view(x, Rng(key)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_the_views_of_a_scenario_disturb_each_example_otherwise(kind, name):
    scenario = make_scenario(KINDS_OF_INPUT[kind])
    problem = scenario.problem(rng_of(0))
    x = problem.x[:1].expand(20, *problem.x.shape[1:]).contiguous()
    before = x.clone()
    found = scenario.view(name)(x, Rng.root(0))
    assert found.shape == x.shape
    assert torch.equal(x, before)
    assert len(found.flatten(1).unique(dim=0)) >= 12  # 25 places for a shifted image
    assert not torch.equal(found, scenario.view(name)(x, Rng.root(1)))


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_the_strong_view_is_further_from_the_example_than_the_weak_one(kind):
    scenario = make_scenario(KINDS_OF_INPUT[kind])
    x = scenario.problem(rng_of(0)).x[:200]
    weak, strong = (
        (scenario.view(name)(x, Rng.root(0)) - x).flatten(1).norm(dim=1).mean() for name in ("weak", "strong")
    )
    assert float(strong) > float(weak)


def test_nothing_to_turn_leaves_an_image_as_it_is():
    x = torch.rand(5, 1, 7, 9)
    torch.testing.assert_close(affine(0, 0, 0, 0)(x, Rng.root(0)), x)
    torch.testing.assert_close(exposure(0)(x, Rng.root(0)), x)
    assert torch.equal(cutout(0)(x, Rng.root(0)), x)
    assert drop(0) is identity


def test_an_image_turns_by_its_degrees_and_keeps_its_lengths():
    x = torch.zeros(300, 1, 31, 61)
    x[:, 0, 15, 45] = 1  # 15 pixels to the right of the centre
    found = affine(60, 0, 0, 0)(x, Rng.root(0))[:, 0]
    mass = found.sum(dim=(1, 2))
    rows, columns = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(61.0) - 30, indexing="ij")
    down, right = ((found * places).sum(dim=(1, 2)) / mass for places in (rows, columns))
    torch.testing.assert_close((down.square() + right.square()).sqrt(), torch.full((300,), 15.0), rtol=0, atol=0.5)
    angles = torch.rad2deg(torch.atan2(down, right))
    assert -62 < float(angles.min()) < -55
    assert 55 < float(angles.max()) < 62


def test_an_image_grows_and_shrinks_by_its_share():
    x = torch.zeros(300, 1, 41, 41)
    x[:, 0, 15:26, 15:26] = 1
    side = affine(0, 0, 0.3, 0)(x, Rng.root(0)).sum(dim=(1, 2, 3)).sqrt() / 11
    assert 0.68 < float(side.min()) < 0.75
    assert 1.25 < float(side.max()) < 1.32


def test_cutout_blanks_one_square_and_nothing_else():
    found = cutout(4)(torch.ones(200, 1, 12, 12), Rng.root(0))
    blank = 144 - found.sum(dim=(1, 2, 3))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert float(blank.max()) == 16
    assert float(blank.min()) >= 4


@pytest.mark.parametrize("features", [50, 800])
def test_dropped_features_keep_their_expectation(features):
    found = drop(0.2)(torch.ones(20_000 // features, features), Rng.root(0))
    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert float(found.mean()) == pytest.approx(1, abs=0.03)
