import math

import numpy as np
import pytest

from sslbench.stats import Interval, compare_paired, decide, verdict


@pytest.mark.parametrize(
    ("p", "low", "high", "expected"),
    [
        (0.01, 0.002, 0.02, "better"),
        (0.01, -0.02, -0.002, "worse"),
        (0.05, 0.002, 0.02, "better"),
        (0.06, 0.002, 0.02, "undecided"),
        (0.01, -0.001, 0.02, "undecided"),
        (0.01, 0.0, 0.02, "undecided"),
        (0.01, -math.inf, math.inf, "undecided"),
    ],
)
def test_a_verdict_needs_both_a_small_p_and_an_interval_off_zero(p, low, high, expected):
    assert verdict(p, Interval(low, high, 0.95)) == expected


def gain(mean, seeds, rng_seed=0):
    d = np.random.default_rng(rng_seed).normal(mean, 0.01, seeds)
    return compare_paired(0.9 + d, np.full(seeds, 0.9), seed=0)


def test_a_table_is_decided_with_holm():
    up, down, flat = decide([gain(0.05, 10), gain(-0.05, 10, 1), gain(0.0, 10, 2)])
    assert (up.verdict, down.verdict, flat.verdict) == ("better", "worse", "undecided")
    assert up.p == pytest.approx(3 * 2 / 2**10)
    assert up.needed is None
    assert flat.needed is not None


def test_five_seeds_decide_nothing_and_say_what_would():
    (found,) = decide([gain(0.05, 5)])
    assert (found.verdict, found.reachable) == ("undecided", False)
    assert (found.needed.total, str(found.needed)) == (6, "1 more seed")


def test_reach_depends_on_the_rest_of_the_table():
    alone = decide([gain(0.05, 7)])[0]
    assert (alone.verdict, alone.reachable) == ("better", True)
    beside_equals = decide([gain(0.05, 7, i) for i in range(4)])[0]  # 4 × 2/2⁷ > 0.05
    assert (beside_equals.verdict, beside_equals.reachable) == ("undecided", False)
    beside_decided = decide([gain(0.05, 7), *(gain(0.05, 12, i) for i in range(1, 4))])[0]  # Holm's last step
    assert (beside_decided.verdict, beside_decided.reachable) == ("better", True)


def test_identical_methods_are_undecided():
    (found,) = decide([compare_paired([0.9] * 10, [0.9] * 10, seed=0)])
    assert (found.verdict, found.reachable) == ("undecided", False)
    assert found.needed.bound == "more than"


def test_an_empty_table_has_no_verdicts():
    assert decide([]) == []
