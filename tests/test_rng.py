"""Philox against its published vectors, and the promises that the draws make."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.func import vmap

from sslbench.rng import Rng, philox

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
WORD = st.integers(0, 2**32 - 1)


def reference(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 in plain Python integers, from the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(c[2] * 0xCD9E8D57, 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def computed(counter: list[int], key: list[int]) -> list[int]:
    return [int(w) for w in philox([torch.tensor(c) for c in counter], [torch.tensor(k) for k in key])]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert computed(counter, key) == answer
    assert reference(counter, key) == answer


@given(st.lists(WORD, min_size=4, max_size=4), st.lists(WORD, min_size=2, max_size=2))
def test_philox_equals_plain_integers(counter, key):
    assert computed(counter, key) == reference(counter, key)


def test_a_draw_is_philox_of_block_draw_step_and_lane():
    rng = Rng(torch.tensor([5, 6]), step=7, lane=3)
    rng.uniform(4)
    words = rng._take("bits", (8,))
    assert words.tolist() == reference([0, 1, 7, 3], [5, 6]) + reference([1, 1, 7, 3], [5, 6])


def test_drawing_advances_and_the_same_program_draws_the_same():
    a, b = Rng.root(3), Rng.root(3)
    first, second = a.normal(10), a.normal(10)
    assert not torch.equal(first, second)
    assert torch.equal(b.normal(10), first)
    assert torch.equal(b.normal(10), second)


def test_a_longer_draw_begins_like_a_shorter_one():
    assert torch.equal(Rng.root(1).normal(1000)[:40].view(10, 4)[:, 0], Rng.root(1).normal(40).view(10, 4)[:, 0])
    big = Rng.root(1).uniform(4 * (1 << 14) + 8)  # more than a chunk
    assert torch.equal(big[:100], Rng.root(1).uniform(100))


def test_children_depend_on_names_not_on_draws():
    a, b = Rng.root(0), Rng.root(0)
    a.normal(5)
    assert torch.equal(a.child("x", 1).key, b.child("x", 1).key)
    keys = {tuple(b.child(*names).key.tolist()) for names in [("x",), ("y",), ("x", 1), ("x", "1"), (1, "x"), ()]}
    assert len(keys) == 6


def test_a_child_within_a_step_belongs_to_the_step():
    keys = [Rng.root(0).at(step, lane).child("x").key.tolist() for step in (0, 1, 2) for lane in (0, 1)]
    assert len({tuple(k) for k in keys}) == 6
    for step in (0, 2):
        assert (
            Rng.root(0).at(torch.tensor(step)).child("x").key.tolist() == Rng.root(0).at(step).child("x").key.tolist()
        )


@pytest.mark.parametrize("width", [1, 2, 3, 7, 16])
def test_a_stack_draws_what_each_seed_draws_alone(width):
    def draws(key, step):
        rng = Rng(key, step, lane=2)
        return rng.normal(33, 2), rng.uniform(5), rng.integers(10, 4), rng.permutation(9), rng.bernoulli(0.3, 6)

    keys = torch.stack([Rng.root(0).child("seed", s).key for s in range(width)])
    stacked = vmap(draws, in_dims=(0, None))(keys, torch.tensor(11))
    for i in range(width):
        for together, alone in zip(stacked, draws(keys[i], 11), strict=True):
            assert torch.equal(together[i], alone)


@given(st.integers(1, 200), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_permutation_has_everything_once(n, seed):
    assert sorted(Rng.root(seed).permutation(n).tolist()) == list(range(n))


@given(st.integers(1, 2**31), st.integers(0, 100))
@settings(max_examples=40)
def test_integers_stay_in_range(high, seed):
    drawn = Rng.root(seed).integers(high, 50)
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < high


def test_the_distributions_are_right():
    n = 200_000
    rng = Rng.root(42)
    assert stats.kstest(rng.normal(n).numpy(), "norm").pvalue > 0.001
    assert stats.kstest(rng.uniform(n).numpy(), "uniform").pvalue > 0.001
    assert abs(float(rng.bernoulli(0.3, n).float().mean()) - 0.3) < 5 * math.sqrt(0.21 / n)
    counts = torch.bincount(rng.integers(7, n), minlength=7).numpy()
    assert stats.chisquare(counts).pvalue > 0.001
    firsts = torch.stack([Rng.root(s).permutation(5) for s in range(2000)])[:, 0]
    assert stats.chisquare(torch.bincount(firsts, minlength=5).numpy()).pvalue > 0.001


def test_neighbouring_streams_are_uncorrelated():
    rows = torch.stack([Rng.root(0).at(step, lane).normal(20_000) for step in (0, 1) for lane in (0, 1)])
    correlations = torch.corrcoef(rows) - torch.eye(4)
    assert float(correlations.abs().max()) < 0.03


def test_nothing_global_is_touched():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    Rng.root(0).child("x").normal(100)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        Rng.root(seed)


@pytest.mark.cuda
def test_cuda_draws_what_the_cpu_draws():
    cpu, cuda = Rng.root(9).child("x"), Rng.root(9).child("x").to("cuda")
    assert torch.equal(cuda.permutation(1000).cpu(), cpu.permutation(1000))
    assert torch.equal(cuda.uniform(1000).cpu(), cpu.uniform(1000))
    torch.testing.assert_close(cuda.normal(1000).cpu(), cpu.normal(1000), rtol=1e-5, atol=1e-5)
    assert torch.equal(cuda.noise(40, 784).cpu(), cpu.noise(40, 784))


@pytest.mark.parametrize("steps", [range(80), [0, 1, 2, 3, 9, 10, 11, 5, 6, 7], [4, 4, 5, 5], [*range(40), *range(20)]])
def test_draws_computed_ahead_are_the_same(steps):
    """A CPU computes the draws of the next steps at once where a draw comes once a step."""
    keys = torch.stack([Rng.root(0).child("seed", s).key for s in range(3)])

    def program(key, step):
        rng = Rng(key, step, lane=1)
        return rng.normal(5, 2), rng.uniform(3)

    for step in steps:
        index = torch.tensor(step)
        stacked = vmap(program, in_dims=(0, None))(keys, index)
        for i, key in enumerate(keys):
            alone = program(key, index)
            for draw, (together, single) in enumerate(zip(stacked, alone, strict=True)):
                assert torch.equal(together[i], single)
                words = torch.tensor(reference([0, draw, step, 1], key.tolist()))
                if draw == 1:
                    assert torch.equal(single, (words[:3] >> 8).float() * 2.0**-24)
        alone[1].zero_()  # a caller may write into what it drew


@pytest.mark.parametrize("features", [(64,), (1326,), (1, 28, 28), (2,)])
def test_noise_is_normal_of_that_shape_and_the_same_alone_and_stacked(features):
    keys = torch.stack([Rng.root(seed).key for seed in range(3)])
    stacked = vmap(lambda key: Rng(key, step=5).noise(7, *features))(keys)
    for key, noise in zip(keys, stacked, strict=True):
        assert noise.shape == (7, *features)
        assert noise.dtype == torch.float32
        assert torch.equal(noise, Rng(key, step=5).noise(7, *features))


def test_noise_has_the_moments_and_the_tails_of_a_standard_normal():
    noise = Rng.root(2).noise(4000, 100)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    assert stats.kstest(noise[:, 3].numpy(), "norm").pvalue > 1e-3  # over rows
    assert stats.kstest(Rng.root(4).noise(1, 4000)[0].numpy(), "norm").pvalue > 1e-3  # within a row
    assert float(noise.abs().max()) > 4


def test_noise_is_uncorrelated_between_features_rows_draws_and_steps():
    rng = Rng.root(0).at(3)
    first, second = rng.noise(300, 400), rng.noise(300, 400)
    later = Rng.root(0).at(4).noise(300, 400)
    assert not torch.equal(first, second)
    for a, b in ((first, second), (first, later)):
        assert abs(float((a * b).mean())) < 0.02
    over_rows = (first.T @ first / 300).fill_diagonal_(0)
    assert float(over_rows.abs().max()) < 6 / math.sqrt(300)
    assert float(over_rows.abs().mean()) < 1 / math.sqrt(300)
