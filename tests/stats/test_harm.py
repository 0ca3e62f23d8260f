import math

import pytest

from sslbench.stats import measure_harm


def test_harm_is_counted_on_the_same_seeds():
    found = measure_harm([0.95, 0.80, 0.90, 0.70], [0.90, 0.90, 0.90, 0.72])
    assert found.share == 2 / 4
    assert found.mean == pytest.approx((0.10 + 0.02) / 2)
    assert found.worst == pytest.approx(0.10)
    assert (found.pairs, found.missing) == (4, 0)


def test_a_mean_gain_can_hide_harm():
    found = measure_harm([0.99, 0.99, 0.60], [0.80, 0.80, 0.80])
    assert (found.share, found.worst) == (pytest.approx(1 / 3), pytest.approx(0.2))


@pytest.mark.parametrize("method", [[0.9, 0.8], [0.95, 0.85]])
def test_equal_or_better_is_no_harm(method):
    found = measure_harm(method, [0.9, 0.8])
    assert (found.share, found.mean, found.worst) == (0, 0, 0)


def test_rounding_is_no_harm():
    assert measure_harm([0.3], [0.1 + 0.2]).share == 0


def test_a_seed_without_a_run_is_counted_as_missing():
    found = measure_harm([0.8, math.nan], [0.9, 0.9])
    assert (found.share, found.pairs, found.missing) == (1, 1, 1)
    with pytest.raises(ValueError, match="nothing to compare"):
        measure_harm([math.nan], [0.9])
