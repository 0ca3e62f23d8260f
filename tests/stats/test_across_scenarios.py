import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.stats import (
    critical_difference,
    friedman,
    holm,
    indistinct_groups,
    pairwise_wilcoxon,
    probability_of_improvement,
    ranks,
    wilcoxon,
)

few = settings(deadline=None, max_examples=30)
NAN = math.nan
FOUR_BY_THREE = [[0.9, 0.8, 0.7], [0.9, 0.7, 0.8], [0.9, 0.8, 0.7], [0.8, 0.9, 0.7]]
"""Four scenarios; the rank sums of the three methods are 5, 8 and 11."""


def scores(scenarios, methods, seed=0, gaps=0.0):
    return np.random.default_rng(seed).normal(0, 1, (scenarios, methods)) + np.asarray(gaps)


# Ranks and Friedman


def test_the_best_has_rank_one_and_ties_share_the_average():
    assert ranks([[0.9, 0.8, 0.7], [0.7, 0.9, 0.9], [0.5, 0.5, 0.5]]).tolist() == [[1, 2, 3], [3, 1.5, 1.5], [2, 2, 2]]


def test_a_missing_score_has_no_rank_and_moves_no_other():
    assert ranks([[0.9, NAN, 0.7]])[0, [0, 2]].tolist() == [1, 2]
    assert np.isnan(ranks([[0.9, NAN, 0.7]])[0, 1])
    assert np.isnan(ranks([[NAN, NAN]])).all()


def test_rounding_breaks_no_tie():
    assert ranks([[0.3, 0.1 + 0.2]]).tolist() == [[1.5, 1.5]]


@few
@given(st.integers(1, 6), st.integers(2, 6), st.integers(0, 1000))
def test_ranks_of_a_scenario_sum_to_the_same(scenarios, methods, seed):
    x = np.round(scores(scenarios, methods, seed))  # rounding makes ties
    assert ranks(x).sum(axis=1) == pytest.approx(methods * (methods + 1) / 2)
    assert ranks(-x) == pytest.approx(methods + 1 - ranks(x))


def test_friedman_is_the_hand_worked_one():
    found = friedman(FOUR_BY_THREE)
    assert found.statistic == pytest.approx(12 / (4 * 3 * 4) * (25 + 64 + 121) - 3 * 4 * 4)  # 4.5
    assert found.p == pytest.approx(math.exp(-4.5 / 2))  # χ² with 2 degrees of freedom
    assert found.mean_ranks == (1.25, 2.0, 2.75)


@pytest.mark.parametrize("x", [scores(8, 4), np.round(scores(8, 4), 0), scores(15, 5, gaps=[0, 0, 1, 1, 2])])
def test_friedman_agrees_with_scipy(x):
    expected = scipy.stats.friedmanchisquare(*x.T)
    found = friedman(x)
    assert (found.statistic, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


def test_friedman_uses_the_scenarios_that_every_method_finished():
    found = friedman([*FOUR_BY_THREE, [NAN, 0.9, 0.8]])
    assert (found.scenarios, found.missing) == (4, 1)
    assert found.statistic == friedman(FOUR_BY_THREE).statistic


def test_methods_tied_everywhere_do_not_differ():
    found = friedman(np.ones((5, 3)))
    assert (found.statistic, found.p, found.mean_ranks) == (0, 1, (2, 2, 2))


@pytest.mark.parametrize(("x", "complaint"), [(np.ones((5, 2)), "at least 3"), (np.ones((1, 3)), "at least 2")])
def test_friedman_refuses_what_it_cannot_test(x, complaint):
    with pytest.raises(ValueError, match=complaint):
        friedman(x)


# Signed ranks


@pytest.mark.parametrize("n", [1, 4, 9, 15])
def test_wilcoxon_is_scipys_exact_one_without_ties(n):
    a, b = scores(n, 2, seed=n).T
    assert wilcoxon(a, b, seed=0).p == pytest.approx(scipy.stats.wilcoxon(a, b, method="exact").pvalue)


def test_wilcoxon_is_exact_with_ties_too():
    # signed ranks 1.5 1.5 3 -4: sum 2; of 16 patterns the sums at most 1 in size: ±(1.5+1.5-3) and so on
    a = np.array([0.1, 0.1, 0.2, -0.3])
    signed = [1.5, 1.5, 3, -4]
    sums = [abs(np.dot(s, signed)) for s in itertools.product((-1, 1), repeat=4)]
    assert wilcoxon(a, np.zeros(4), seed=0).p == np.mean([total >= 2 for total in sums])


def test_wilcoxon_leaves_zeros_out_of_the_ranks():
    # signed ranks -1 -2 3 4; a sum as large needs negatives of at most 3: {}, 1, 2, 3, 1 2, and their mirror images
    found = wilcoxon([0.0, 0.0, -0.1, -0.2, 0.3, 0.4], np.zeros(6), seed=0)
    assert found.p == 10 / 16
    assert (found.pairs, found.ties) == (6, 2)


def test_wilcoxon_of_equal_scores_finds_nothing():
    assert wilcoxon([0.9, 0.8], [0.9, 0.8], seed=0).p == 1


def test_wilcoxon_of_many_scenarios_is_near_scipys():
    a, b = scores(40, 2, gaps=[0.3, 0]).T
    assert wilcoxon(a, b, seed=0).p == pytest.approx(scipy.stats.wilcoxon(a, b, method="exact").pvalue, abs=0.006)


def test_all_pairs_are_tested_and_adjusted_together():
    x = scores(8, 3, gaps=[0, 0.5, 3])
    found = pairwise_wilcoxon(x, seed=0)
    expected = [scipy.stats.wilcoxon(x[:, i], x[:, j], method="exact").pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.unadjusted[np.triu_indices(3, 1)] == pytest.approx(expected)
    assert found.p[np.triu_indices(3, 1)] == pytest.approx(holm(expected))
    assert (found.p == found.p.T).all()
    assert (np.diag(found.p) == 1).all()


def test_few_scenarios_and_many_methods_can_show_nothing_and_say_so():
    assert pairwise_wilcoxon(scores(7, 5), seed=0).smallest == pytest.approx(10 * 2 / 2**7)  # 0.156


def test_a_pair_is_tested_where_both_have_a_score():
    x = scores(8, 3)
    x[0, 2] = NAN
    found = pairwise_wilcoxon(x, seed=0)
    assert found.unadjusted[0, 1] == wilcoxon(x[:, 0], x[:, 1], seed=0).p
    assert found.unadjusted[0, 2] == wilcoxon(x[1:, 0], x[1:, 2], seed=0).p


def test_one_method_has_no_pairs():
    with pytest.raises(ValueError, match="at least 2"):
        pairwise_wilcoxon(np.ones((5, 1)), seed=0)


# Critical-difference groups


def symmetric(size, pairs):
    alike = np.eye(size, dtype=bool)
    for i, j in pairs:
        alike[i, j] = alike[j, i] = True
    return alike


def test_groups_are_maximal_cliques_by_rank():
    alike = symmetric(4, [(0, 1), (1, 2), (0, 2), (2, 3)])
    assert indistinct_groups(alike, [1, 2, 3, 4]) == ((0, 1, 2), (2, 3))
    assert indistinct_groups(alike, [4, 3, 2, 1]) == ((3, 2), (2, 1, 0))


def test_a_group_may_pass_over_a_method_between():
    assert indistinct_groups(symmetric(3, [(0, 2)]), [1, 2, 3]) == ((0, 2),)


def test_methods_all_alike_are_one_group_and_all_different_none():
    assert indistinct_groups(np.ones((4, 4), dtype=bool), [1, 2, 3, 4]) == ((0, 1, 2, 3),)
    assert indistinct_groups(np.zeros((4, 4), dtype=bool), [1, 2, 3, 4]) == ()


@few
@given(st.integers(2, 6), st.data())
def test_every_pair_alike_shares_a_group_and_no_other_does(methods, data):
    pairs = list(itertools.combinations(range(methods), 2))
    chosen = set(data.draw(st.lists(st.sampled_from(pairs))))
    groups = indistinct_groups(symmetric(methods, chosen), data.draw(st.permutations(range(methods))))
    joined = {tuple(sorted(pair)) for group in groups for pair in itertools.combinations(group, 2)}
    assert joined == chosen
    assert not any(set(a) < set(b) for a in groups for b in groups)


def test_groups_refuse_what_is_no_relation():
    with pytest.raises(ValueError, match="symmetric"):
        indistinct_groups([[True, True], [False, True]], [1, 2])
    with pytest.raises(ValueError, match="symmetric"):
        indistinct_groups(np.ones((2, 2)), [1, 2, 3])


def test_a_clearly_better_method_stands_alone():
    found = critical_difference(scores(12, 3, gaps=[0, 0, 5]), seed=0)
    assert found.friedman.p < 0.01
    assert [sorted(group) for group in found.groups] == [[0, 1]]


def test_without_friedman_all_methods_are_one_group():
    # the first is above the second on all 7, but the third's rank, now best and now worst, drowns it
    x = [[0.5 + 0.01 * i, 0.4, 0.9 if i < 4 else 0.1] for i in range(7)]
    found = critical_difference(x, seed=0)
    assert found.friedman.p > 0.05
    assert found.pairwise.p[0, 1] == pytest.approx(3 * 2 / 2**7)  # 0.047
    assert found.groups == ((0, 2, 1),)


def test_a_critical_difference_leaves_out_the_same_scenarios_everywhere():
    x = scores(12, 3, gaps=[0, 0, 5])
    holed = np.vstack([x, [NAN, 9.0, -9.0]])
    found, expected = critical_difference(holed, seed=0), critical_difference(x, seed=0)
    assert (found.pairwise.p == expected.pairwise.p).all()
    assert found.groups == expected.groups
    assert found.friedman.missing == 1


# Probability of improvement


def test_probability_of_improvement_counts_pairs_and_half_ties():
    # a against b: 3 > 2, 3 > 1, 1 < 2, 1 = 1, so 2.5 of 4
    found = probability_of_improvement([[3, 1]], [[2, 1]], seed=0)
    assert found.probability == 2.5 / 4
    assert found.per_scenario == (2.5 / 4,)


def test_probability_of_improvement_is_the_mean_mann_whitney_u():
    a, b = np.round(scores(5, 9, 1), 1), np.round(scores(5, 9, 2), 1)
    expected = [scipy.stats.mannwhitneyu(p, q).statistic / 81 for p, q in zip(a, b, strict=True)]
    found = probability_of_improvement(a, b, seed=0)
    assert found.per_scenario == pytest.approx(expected)
    assert found.probability == pytest.approx(np.mean(expected))


def test_its_interval_is_the_bootstrap_written_the_obvious_way():
    a, b = scores(3, 8, 1) + 0.5, scores(3, 8, 2)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(4_000):
        picked = rng.integers(0, 8, (3, 8))
        x, y = (np.take_along_axis(v, picked, axis=1) for v in (a, b))
        drawn.append((x[:, :, None] > y[:, None, :]).mean() + (x[:, :, None] == y[:, None, :]).mean() / 2)
    found = probability_of_improvement(a, b, seed=0).interval
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


@few
@given(st.integers(0, 1000))
def test_improvement_of_one_is_the_lack_of_it_of_the_other(seed):
    a, b = np.round(scores(3, 5, seed), 1), np.round(scores(3, 5, seed + 1), 1)
    there, back = (probability_of_improvement(*pair, seed=0, resamples=499) for pair in ((a, b), (b, a)))
    assert there.probability + back.probability == pytest.approx(1)
    assert there.interval.low + back.interval.high == pytest.approx(1)
    assert 0 <= there.interval.low <= there.interval.high <= 1


def test_a_method_against_itself_is_a_coin():
    x = scores(4, 6)
    assert probability_of_improvement(x, x, seed=0).probability == 0.5


def test_a_seed_fixes_the_interval_of_improvement_and_another_changes_it():
    a, b = scores(3, 8, 1) + 0.3, scores(3, 8, 2)
    first = probability_of_improvement(a, b, seed=3, resamples=500)
    np.random.seed(7)  # noqa: NPY002 - the global generator must play no part
    assert probability_of_improvement(a, b, seed=3, resamples=500) == first
    assert probability_of_improvement(a, b, seed=4, resamples=500).interval != first.interval


def test_missing_runs_are_left_out_of_the_improvement():
    found = probability_of_improvement([[3, 1, NAN], [NAN, 1, 2]], [[2, 1, 0], [1, NAN, 0]], seed=0)
    assert found.per_scenario == (2.5 / 4, 1)
    assert "1 of 2 scenarios have one seed" in found.interval.note
    empty = probability_of_improvement([[3, 1], [NAN, 1]], [[2, 1], [1, NAN]], seed=0)
    assert empty.probability == 2.5 / 4
    assert math.isnan(empty.per_scenario[1])


def test_a_method_always_above_has_an_interval_without_width_and_says_so():
    found = probability_of_improvement([[3, 4]], [[1, 2]], seed=0)
    assert (found.probability, found.interval.low, found.interval.high) == (1, 1, 1)
    assert "no spread" in found.interval.note


def test_improvement_refuses_what_cannot_be_compared():
    with pytest.raises(ValueError, match="pair them"):
        probability_of_improvement([[1, 2]], [[1]], seed=0)
    with pytest.raises(ValueError, match="nothing to compare"):
        probability_of_improvement([[NAN]], [[1.0]], seed=0)
