import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.stats import crossed_lottery, nested_lottery

tables = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).normal(0.8, 0.1, (4, 3)))
few = settings(deadline=None, max_examples=30)


def test_crossed_components_are_the_hand_worked_ones():
    # MS_split = 9, MS_training = 4, MS_e = 1
    found = crossed_lottery([[1, 2], [3, 6]])
    assert (found.split, found.training, found.residual) == (4, 1.5, 1)
    assert found.share_of_split == pytest.approx(4 / 6.5)
    assert found.share_of_training == pytest.approx(1.5 / 6.5)
    assert found.share_of_residual == pytest.approx(1 / 6.5)
    assert found.truncated == ()


def test_nested_components_are_the_hand_worked_ones():
    # MS_between = 2 (4 + 0 + 4) / 2 = 8, MS_within = (2 + 2 + 2) / 3 = 2
    found = nested_lottery([[1, 3], [3, 5], [5, 7]])
    assert (found.split, found.training, found.residual) == (3, 2, 0)
    assert found.share_of_split == pytest.approx(0.6)


def test_unequal_numbers_of_runs_are_weighed():
    # means 2 and 6 of 3 and 1 runs, grand mean 3; MS_between = 12, MS_within = 1; n₀ = 4 - 10/4 = 1.5
    found = nested_lottery([[1, 2, 3], [6, np.nan, np.nan], [np.nan] * 3])
    assert found.training == pytest.approx(1)
    assert found.split == pytest.approx(11 / 1.5)


def test_a_negative_estimate_is_zero_and_named():
    crossed = crossed_lottery([[1, 2], [2, 1]])  # both main effects vanish, all is interaction
    assert (crossed.split, crossed.training, crossed.residual) == (0, 0, 1)
    assert crossed.truncated == ("split", "training")
    nested = nested_lottery([[1, 2], [2, 1]])
    assert (nested.split, nested.share_of_training, nested.truncated) == (0, 1, ("split",))


@pytest.mark.parametrize("lottery", [crossed_lottery, nested_lottery])
def test_no_variance_has_no_shares(lottery):
    found = lottery(np.full((3, 3), 0.1 + 0.2))
    assert (found.total, found.share_of_split, found.share_of_training, found.share_of_residual) == (0, 0, 0, 0)
    assert found.truncated == ()


@few
@given(tables)
def test_exchanging_the_axes_exchanges_the_components(table):
    there, back = crossed_lottery(table), crossed_lottery(table.T)
    assert (there.split, there.training) == (pytest.approx(back.training), pytest.approx(back.split))


@few
@given(tables, st.floats(-5, 5))
def test_a_shift_changes_nothing_and_a_unit_only_the_variances(table, shift):
    for lottery in (crossed_lottery, nested_lottery):
        found, moved = lottery(table), lottery(100 * table + shift)
        assert moved.total == pytest.approx(1e4 * found.total)
        assert moved.share_of_split == pytest.approx(found.share_of_split, abs=1e-9)


def test_known_components_are_found_again():
    rng = np.random.default_rng(0)
    split, training, noise = rng.normal(0, 3, (300, 1)), rng.normal(0, 2, (1, 300)), rng.normal(0, 1, (300, 300))
    found = crossed_lottery(split + training + noise)
    assert (found.split, found.training, found.residual) == pytest.approx((9, 4, 1), rel=0.15)
    own_seeds = nested_lottery(split + rng.normal(0, 2, (300, 300)))
    assert (own_seeds.split, own_seeds.training) == pytest.approx((9, 4), rel=0.15)


@pytest.mark.parametrize(
    ("lottery", "table", "complaint"),
    [
        (crossed_lottery, [[1, 2]], "at least 2 of each"),
        (crossed_lottery, [[1, 2], [3, np.nan]], "1 of 4 runs"),
        (nested_lottery, [[1, 2]], "at least 2 splits"),
        (nested_lottery, [[1], [2]], "2 training seeds"),
        (nested_lottery, np.full((2, 2), np.nan), "0 split"),
    ],
)
def test_too_few_runs_are_refused(lottery, table, complaint):
    with pytest.raises(ValueError, match=complaint):
        lottery(table)
