import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test

from sslbench.stats import compare_paired, mean_interval, pairs_to_reach, sign_flip, smallest_p

GAINS = [0.021, 0.014, -0.003, 0.030, 0.008, 0.017, 0.001, 0.025, -0.006, 0.012]
accuracies = st.integers(0, 10_000).map(lambda k: k / 10_000)
pairs_of_runs = st.lists(st.tuples(accuracies, accuracies), min_size=1, max_size=9)
few = settings(deadline=None, max_examples=40)


def flipped_by_hand(differences):
    observed = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in signs_of(len(differences))]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


def signs_of(n):
    return product((-1, 1), repeat=n)


# The sign-flip test


def test_sign_flip_counts_the_patterns_a_hand_would():
    # of the 8 patterns of ±1 ±2 ±4, only +++ and --- sum to 7; with -1 +2 +4 also the two that sum to ±7
    assert sign_flip([1, 2, 4], seed=0).p == 2 / 8
    assert sign_flip([-1, 2, 4], seed=0).p == 4 / 8
    assert sign_flip([1, -2, 4], seed=0).p == 6 / 8
    assert sign_flip([1, 2, -4], seed=0).p == 1  # |-1| is the smallest of the sums ±7, ±5, ±3, ±1


@few
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9))
def test_exact_sign_flip_is_the_plain_enumeration(differences):
    assert sign_flip(differences, seed=0).p == pytest.approx(flipped_by_hand(differences))


def test_exact_sign_flip_agrees_with_scipy():
    def mean(x, axis):
        return np.mean(x, axis=axis)

    expected = permutation_test(
        (np.array(GAINS),), mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    found = sign_flip(GAINS, seed=0)
    assert found.p == pytest.approx(expected)
    assert found.exact


def test_differences_equal_but_for_rounding_are_one_pattern():
    rounded = np.array([0.3 - 0.2, 0.2 - 0.1, 0.1])  # 0.09999999999999998, 0.1, 0.1
    assert sign_flip(-rounded[:1], seed=0).p == 1
    assert sign_flip([*rounded, -rounded[0]], seed=0).p == flipped_by_hand([1, 1, 1, -1])


@few
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_sign_flip_does_not_see_order_direction_or_unit(differences, random):
    shuffled = random.sample(differences, len(differences))
    p = sign_flip(differences, seed=0).p
    assert sign_flip(shuffled, seed=0).p == p
    assert sign_flip([-d for d in differences], seed=0).p == p
    assert sign_flip([d / 8 for d in differences], seed=0).p == p


@few
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9))
def test_a_tie_brings_no_evidence(differences):
    without, tied = sign_flip(differences, seed=0), sign_flip([*differences, 0], seed=0)
    assert (tied.p, tied.smallest) == (without.p, without.smallest)
    assert (tied.pairs, tied.ties) == (without.pairs + 1, without.ties + 1)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 20])
def test_wins_on_all_pairs_reach_the_smallest_p(n):
    found = sign_flip(np.arange(1, n + 1), seed=0)
    assert found.p == found.smallest == smallest_p(n) == 2 / 2**n


def test_all_ties_are_no_difference():
    found = sign_flip([0.0, 0.0, 0.0], seed=0)
    assert (found.p, found.smallest, found.ties, found.exact) == (1, 1, 3, True)


def test_five_seeds_can_never_reach_five_per_cent():
    assert smallest_p(5) == 0.0625
    assert pairs_to_reach(0.05) == 6
    assert pairs_to_reach(0.05 / 10) == 9  # 2/2⁸ = 0.0078, 2/2⁹ = 0.0039
    assert pairs_to_reach(1) == 0
    with pytest.raises(ValueError, match="above 0"):
        pairs_to_reach(0)


def test_beyond_twenty_pairs_the_draws_come_close_to_the_exact_p():
    rng = np.random.default_rng(5)
    d = np.round(rng.normal(0.3, 1, 18), 3)
    padded = np.concatenate([d, np.full(3, 1e-6)])  # three pairs that matter to nothing but the count
    drawn = sign_flip(padded, seed=1)
    assert not drawn.exact
    assert drawn.p == pytest.approx(sign_flip(d, seed=0).p, abs=0.006)  # 4 standard errors of 100,000 draws


def test_drawn_p_is_never_zero():
    found = sign_flip(np.ones(60), seed=0, draws=999)
    assert found.p == found.smallest == 1 / 1000


def test_a_seed_fixes_the_drawn_p_and_another_changes_it():
    d = np.random.default_rng(0).normal(0.2, 1, 30)
    first = sign_flip(d, seed=3)
    np.random.seed(7)  # noqa: NPY002 - the global generator must play no part
    assert sign_flip(d, seed=3) == first
    assert sign_flip(d, seed=4).p != first.p


@pytest.mark.parametrize("seed", [None, 1.5, "3"])
def test_a_seed_that_fixes_nothing_is_refused(seed):
    with pytest.raises(TypeError):
        sign_flip(np.ones(30), seed=seed)


# The bootstrap interval


def test_interval_is_scipys_bca():
    ends = bootstrap(
        (np.array(GAINS),), np.mean, n_resamples=9_999, method="BCa", random_state=np.random.default_rng(11)
    ).confidence_interval
    found = mean_interval(GAINS, seed=11)
    assert (found.low, found.high) == (ends.low, ends.high)
    assert found.low < np.mean(GAINS) < found.high
    assert found.note == ""


def test_interval_is_near_the_t_interval_for_well_behaved_data():
    x = np.random.default_rng(2).normal(3, 1, 200)
    found = mean_interval(x, seed=0)
    half = 1.972 * x.std(ddof=1) / math.sqrt(200)  # t quantile, 199 degrees of freedom
    assert found.low == pytest.approx(x.mean() - half, abs=0.02)
    assert found.high == pytest.approx(x.mean() + half, abs=0.02)


def test_a_higher_level_gives_a_wider_interval():
    narrow, wide = (mean_interval(GAINS, seed=0, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_seed_fixes_the_interval_and_another_changes_it():
    first = mean_interval(GAINS, seed=3)
    np.random.seed(7)  # noqa: NPY002
    assert mean_interval(GAINS, seed=3) == first
    assert mean_interval(GAINS, seed=4) != first


def test_one_value_has_no_interval_and_says_so():
    found = mean_interval([0.01], seed=0)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "one value" in found.note


def test_two_values_have_their_range_and_a_warning():
    found = mean_interval([0.01, 0.03], seed=0)
    assert (found.low, found.high) == (0.01, 0.03)
    assert "too narrow" in found.note


@pytest.mark.parametrize("values", [[0.1] * 2, [0.0] * 7, [0.3 - 0.2, 0.2 - 0.1, 0.1]])
def test_equal_values_have_an_interval_of_width_zero_and_say_so(values):
    found = mean_interval(values, seed=0)
    assert found.low == found.high == pytest.approx(np.mean(values))
    assert "equal" in found.note


@few
@given(st.lists(accuracies, min_size=1, max_size=6))
def test_no_sample_has_an_interval_of_nan(values):
    found = mean_interval(values, seed=0, resamples=499)
    assert found.low <= np.mean(values) + 1e-12
    assert found.high >= np.mean(values) - 1e-12


@pytest.mark.parametrize("level", [0, 1, 95, math.nan])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        mean_interval(GAINS, seed=0, level=level)


# Both together


def test_a_comparison_pairs_by_position():
    a, b = [0.95, 0.90, 0.97, 0.93], [0.94, 0.92, 0.97, 0.90]
    found = compare_paired(a, b, seed=0)
    assert found.mean == pytest.approx((0.01 - 0.02 + 0.03) / 4)
    assert found.sd == pytest.approx(np.std([0.01, -0.02, 0, 0.03], ddof=1))
    assert (found.wins, found.losses, found.ties, found.missing, found.pairs) == (2, 1, 1, 0, 4)
    assert found.test.p == flipped_by_hand([1, -2, 0, 3])


def test_a_pair_without_one_run_is_left_out_and_counted():
    found = compare_paired([0.9, math.nan, 0.8, 0.7], [0.8, 0.9, math.nan, 0.6], seed=0)
    assert (found.pairs, found.missing, found.wins) == (2, 2, 2)


def test_one_pair_is_compared_without_pretence():
    found = compare_paired([0.9], [0.8], seed=0)
    assert math.isnan(found.sd)
    assert found.test.p == 1
    assert "one value" in found.interval.note


@few
@given(pairs_of_runs)
def test_exchanging_the_methods_exchanges_the_sign(runs):
    a, b = np.array(runs).T
    there, back = (compare_paired(*pair, seed=0, resamples=199) for pair in ((a, b), (b, a)))
    assert back.mean == -there.mean
    assert (back.wins, back.losses, back.ties) == (there.losses, there.wins, there.ties)
    assert back.test.p == there.test.p


@few
@given(pairs_of_runs, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(runs, random):
    a, b = np.array(runs).T
    c, d = np.array(random.sample(runs, len(runs))).T
    one, other = compare_paired(a, b, seed=0, resamples=199), compare_paired(c, d, seed=0, resamples=199)
    assert other.mean == pytest.approx(one.mean)
    assert (other.wins, other.losses, other.ties, other.test) == (one.wins, one.losses, one.ties, one.test)


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [([0.9, 0.8], [0.9], "pair them"), ([math.nan], [0.9], "nothing to compare"), ([], [], "nothing to compare")],
)
def test_what_cannot_be_paired_is_refused(a, b, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare_paired(a, b, seed=0)
