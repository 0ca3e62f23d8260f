import math

import pytest

from sslbench.stats import summarise


def test_mean_and_sample_sd_are_the_hand_worked_ones():
    found = summarise([2, 4, 4, 4, 5, 5, 7, 9])  # squared deviations sum to 32
    assert found.mean == 5
    assert found.sd == pytest.approx(math.sqrt(32 / 7))
    assert (found.n, found.missing) == (8, 0)


def test_missing_runs_are_left_out_and_counted():
    found = summarise([1.0, math.nan, 3.0])
    assert (found.mean, found.n, found.missing) == (2, 2, 1)
    assert found.sd == pytest.approx(math.sqrt(2))


def test_one_value_shows_no_spread():
    found = summarise([0.9])
    assert (found.mean, found.n) == (0.9, 1)
    assert math.isnan(found.sd)


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_no_value_has_no_mean_and_says_so_by_its_count(values):
    found = summarise(values)
    assert found.n == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.sd)


@pytest.mark.parametrize(("values", "complaint"), [([[1.0]], "shape"), ([math.inf, 1.0], "infinite")])
def test_what_is_no_sample_is_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        summarise(values)
