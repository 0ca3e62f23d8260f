import math

import numpy as np
import pytest
import scipy.stats

from sslbench.stats import holm, paired_t_power, seeds_needed, seeds_to_tell, smallest_p


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_for_eighty_per_cent_are_the_tabulated_ones(effect, pairs):
    """The textbook sample sizes of a two-sided paired t-test at 0.05."""
    found = seeds_needed(effect, 1.0, 5)
    assert (found.total, found.more, found.bound) == (pairs, pairs - 5, "about")
    assert paired_t_power(pairs, effect, 0.05) >= 0.8 > paired_t_power(pairs - 1, effect, 0.05)


def test_power_agrees_with_simulation():
    x = np.random.default_rng(0).normal(0.7, 1, (20_000, 12))
    t = x.mean(axis=1) / (x.std(axis=1, ddof=1) / math.sqrt(12))
    assert paired_t_power(12, 0.7, 0.05) == pytest.approx((abs(t) > 2.201).mean(), abs=0.012)


@pytest.mark.parametrize("pairs", [3, 6, 20, 200])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize("effect", [0.05, 0.3, 0.8])
def test_power_agrees_with_the_noncentral_t_distribution(pairs, alpha, effect):
    critical, shift = scipy.stats.t.isf(alpha / 2, pairs - 1), effect * math.sqrt(pairs)
    distribution = scipy.stats.nct(pairs - 1, shift)
    expected = distribution.sf(critical) + distribution.cdf(-critical)
    assert paired_t_power(pairs, effect, alpha) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("pairs", [2, 10, 1000])
def test_without_an_effect_the_power_is_alpha(pairs):
    assert paired_t_power(pairs, 0, 0.05) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("effect", [50, 1e6, 1e300, math.inf])
def test_a_certain_effect_has_power_one(effect):
    assert paired_t_power(6, effect, 0.05) == 1


def test_direction_and_unit_do_not_matter():
    assert seeds_needed(-0.01, 0.02, 5) == seeds_needed(0.01, 0.02, 5) == seeds_needed(1, 2, 5)


def test_there_are_never_fewer_seeds_than_the_sign_flip_test_needs():
    assert seeds_needed(1.0, 0.01, 3).total == 6  # a t-test would do with 3
    assert seeds_needed(1.0, 0.0, 3).total == 6
    assert seeds_needed(1.0, 0.01, 3, comparisons=10).total == 9


def test_a_wider_table_needs_more_seeds():
    assert seeds_needed(0.5, 1.0, 5, comparisons=10).total > seeds_needed(0.5, 1.0, 5).total


@pytest.mark.parametrize("comparisons", [1, 2, 21, 48, 500])
def test_fewer_seeds_can_tell_nothing_and_so_many_can(comparisons):
    least = seeds_to_tell(comparisons)
    assert holm([smallest_p(least)] * comparisons).min() <= 0.05 < holm([smallest_p(least - 1)] * comparisons).min()


def test_undecided_needs_at_least_one_more():
    assert seeds_needed(2.0, 1.0, 30).more == 1


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.0, 0.0), (1e-9, 1.0)])
def test_what_no_number_settles_is_said_with_a_number(mean, sd):
    found = seeds_needed(mean, sd, 10, most=500)
    assert (found.total, found.more, found.bound) == (500, 490, "more than")
    assert str(found) == "more than 490 more seeds"


def test_one_pair_gives_a_lower_limit():
    found = seeds_needed(0.1, math.nan, 1)
    assert (found.total, found.bound) == (6, "at least")
    assert str(found) == "at least 5 more seeds"


def test_words_count_right():
    assert str(seeds_needed(2.0, 1.0, 30)) == "1 more seed"
    assert str(seeds_needed(0.8, 1.0, 7)) == "8 more seeds"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"alpha": 0}, "alpha"), ({"power": 1}, "power"), ({"comparisons": 0}, "comparisons"), ({"sd": -1.0}, "sd")],
)
def test_what_makes_no_sense_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        seeds_needed(**{"mean": 0.1, "sd": 1.0, "pairs": 5} | change)
    with pytest.raises(ValueError, match="at least 2"):
        paired_t_power(1, 1.0, 0.05)
