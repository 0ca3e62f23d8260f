"""The Pareto front against cases worked by hand, and its definition against whatever comes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench.stats import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


def test_a_case_worked_by_hand() -> None:
    #         a     b     c     d     e     f
    costs = [1.0, 2.0, 3.0, 4.0, 2.5, 5.0]
    scores = [80.0, 85.0, 84.0, 90.0, 85.0, 89.0]
    # c and e cost more than b for no more; f is beaten by d in both. a is the cheapest, d the best.
    assert pareto_front(costs, scores) == [0, 1, 3]


def test_the_front_comes_by_cost_and_keeps_equals() -> None:
    assert pareto_front([3, 1, 1, 2], [9, 5, 5, 7]) == [1, 2, 3, 0]


def test_what_is_not_known_is_left_out() -> None:
    assert pareto_front([1, math.nan, 2], [5, 99, math.nan]) == [0]
    assert pareto_front([], []) == []


def test_rows_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        pareto_front([1, 2], [1])


@given(POINTS)
def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is(points: list[tuple[int, int]]) -> None:
    front = pareto_front([c for c, _ in points], [s for _, s in points])
    for i, (cost, score) in enumerate(points):
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        assert (i in front) == (not beaten)
