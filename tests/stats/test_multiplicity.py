import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench.stats import holm

p_values = st.lists(st.floats(0, 1), max_size=12)


def test_holm_is_the_hand_worked_one():
    # sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, and the last is raised to .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one():
    assert holm([0.5, 0.6, 0.9]).tolist() == [1, 1, 1]


def test_one_comparison_needs_no_adjustment_and_none_gives_none():
    assert holm([0.04]).tolist() == [0.04]
    assert holm([]).shape == (0,)


@given(p_values)
def test_holm_lies_between_no_adjustment_and_bonferronis(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p))).all()


@given(p_values)
def test_holm_keeps_the_order_of_the_p_values(p):
    assert (np.diff(holm(p)[np.argsort(p, kind="stable")]) >= 0).all()


@given(p_values, st.randoms(use_true_random=False))
def test_holm_does_not_see_the_order_of_the_comparisons(p, random):
    order = random.sample(range(len(p)), len(p))
    assert holm(np.array(p)[order]).tolist() == holm(p)[order].tolist()


def rejected_step_by_step(p, alpha):
    """Holm's procedure as he words it: from the smallest on, reject while p is at most alpha / (comparisons left)."""
    rejected = set()
    for step, i in enumerate(np.argsort(p)):
        if p[i] * (len(p) - step) > alpha:
            break
        rejected.add(int(i))
    return rejected


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_comparing_with_alpha_rejects_what_holms_steps_reject(p, alpha):
    assert set(np.flatnonzero(holm(p) <= alpha)) == rejected_step_by_step(p, alpha)


def test_holm_agrees_with_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for p in np.random.default_rng(0).uniform(0, 0.2, (20, 7)):
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


@pytest.mark.parametrize("p", [[-0.1], [1.1], [0.5, np.nan]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm(p)
