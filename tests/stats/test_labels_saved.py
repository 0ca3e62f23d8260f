import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.stats import labels_saved
from sslbench.stats.labels_saved import equivalent_labels

COUNTS = [10, 100, 1000]
CURVE = np.array([[0.5, 0.5], [0.7, 0.7], [0.9, 0.9]])
"""Supervised gains 0.2 for each tenfold of labels, on both seeds."""
NOISE = np.random.default_rng(0).normal(0, 0.02, (4, 12))


def noisy(accuracy):
    curve = np.array([0.5, 0.7, 0.9])[:, None] + NOISE[:3]
    return curve, accuracy + NOISE[3]


def worth(accuracy, counts=COUNTS, curve=CURVE):
    return labels_saved(counts, curve, 10, [accuracy] * 2, seed=0, resamples=50).worth


@pytest.mark.parametrize(
    ("accuracy", "labels"),
    [(0.5, 10), (0.6, 10**1.5), (0.7, 100), (0.8, 10**2.5), (0.85, 10**2.75), (0.9, 1000)],
)
def test_worth_is_read_off_the_log_scale(accuracy, labels):
    assert worth(accuracy) == pytest.approx(labels)


@pytest.mark.parametrize(("accuracy", "labels", "where"), [(0.49, 0, "below range"), (0.91, math.inf, "above range")])
def test_outside_the_measured_range_it_says_so(accuracy, labels, where):
    found = labels_saved(COUNTS, CURVE, 10, [accuracy] * 2, seed=0, resamples=50)
    assert (found.worth, found.where) == (labels, where)
    assert (found.interval.low, found.interval.high) == (labels, labels)


def test_supervised_is_worth_its_own_labels():
    curve, _ = noisy(0)
    found = [labels_saved(COUNTS, curve, n, row, seed=0) for n, row in zip(COUNTS, curve, strict=True)]
    assert [f.worth for f in found] == pytest.approx(COUNTS)
    assert [(f.interval.low, f.interval.high) for f in found] == [(pytest.approx(n), pytest.approx(n)) for n in COUNTS]
    assert found[1].saved == pytest.approx(0)


def test_a_dip_is_levelled_by_isotonic_regression():
    curve = [[0.5, 0.5], [0.8, 0.8], [0.6, 0.6], [0.9, 0.9]]  # the dip and its neighbour become 0.7
    counts = [10, 100, 1000, 10_000]
    assert worth(0.7, counts, curve) == pytest.approx(100)  # the first label count that reaches it
    assert worth(0.6, counts, curve) == pytest.approx(10**1.5)
    assert worth(0.8, counts, curve) == pytest.approx(10**3.5)


def test_a_mean_of_more_seeds_weighs_more_in_the_levelling():
    means, accuracy = np.array([0.8, 0.6]), 0.75
    assert equivalent_labels(np.log([10, 100]), means, np.array([3.0, 1.0]), accuracy) == pytest.approx(10)
    assert equivalent_labels(np.log([10, 100]), means, np.array([1.0, 1.0]), accuracy) == math.inf


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 100), min_size=2, max_size=6), st.integers(0, 100), st.integers(0, 20))
def test_worth_never_falls_as_the_method_improves(curve, accuracy, gain):
    counts, ones = np.log(10.0 ** np.arange(1, len(curve) + 1)), np.ones(len(curve))
    before, after = (
        equivalent_labels(counts, np.array(curve) / 100, ones, k / 100) for k in (accuracy, accuracy + gain)
    )
    assert before <= after


def test_the_order_of_the_label_counts_does_not_matter():
    curve, method = noisy(0.8)
    found = labels_saved(COUNTS, curve, 10, method, seed=0)
    assert labels_saved(COUNTS[::-1], curve[::-1], 10, method, seed=0) == found


def test_the_interval_is_the_bootstrap_written_the_obvious_way():
    curve, method = noisy(0.8)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(2_000):
        picked = rng.integers(0, 12, 12)
        drawn.append(np.interp(method[picked].mean(), curve[:, picked].mean(axis=1), np.log(COUNTS)))
    found = labels_saved(COUNTS, curve, 10, method, seed=0).interval
    assert np.log([found.low, found.high]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)


def test_the_interval_holds_the_worth():
    curve, method = noisy(0.8)
    found = labels_saved(COUNTS, curve, 10, method, seed=0)
    assert 10 < found.interval.low < found.worth < found.interval.high < 1000
    assert found.interval.note == ""


def test_a_seed_fixes_the_interval_of_labels_and_another_changes_it():
    curve, method = noisy(0.8)
    first = labels_saved(COUNTS, curve, 10, method, seed=3, resamples=200)
    np.random.seed(7)  # noqa: NPY002 - the global generator must play no part
    assert labels_saved(COUNTS, curve, 10, method, seed=3, resamples=200) == first
    assert labels_saved(COUNTS, curve, 10, method, seed=4, resamples=200).interval != first.interval


def test_seeds_that_were_not_run_are_left_out():
    curve, method = noisy(0.8)
    curve[2, 6:] = np.nan
    found = labels_saved(COUNTS, curve, 10, method, seed=0)
    expected = 10 ** (2 + (method.mean() - curve[1].mean()) / (curve[2, :6].mean() - curve[1].mean()))
    assert found.worth == pytest.approx(expected)
    assert found.interval.low < found.worth < found.interval.high


def test_a_label_count_of_one_seed_is_noted():
    curve, method = noisy(0.8)
    curve[2, 1:] = np.nan
    assert "1 of 4 means" in labels_saved(COUNTS, curve, 10, method, seed=0).interval.note


def test_one_seed_has_no_interval_and_says_so():
    found = labels_saved(COUNTS, CURVE[:, :1], 50, [0.8], seed=0)
    assert found.worth == pytest.approx(10**2.5)
    assert (found.interval.low, found.interval.high) == (0, math.inf)
    assert str(found) == "50 labels are worth 320 labels (no interval: one seed)"


def test_the_result_reads_as_a_sentence():
    curve, method = noisy(0.8)
    found = labels_saved(COUNTS, curve, 50, method, seed=0)
    low, high = (f"{float(f'{end:.2g}'):.0f}" for end in (found.interval.low, found.interval.high))
    assert str(found) == f"50 labels are worth {float(f'{found.worth:.2g}'):.0f} labels ({low} to {high})"


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (0.99, "more than 1000 labels"),
        (0.905, "more than 1000 labels (900 to more than 1000)"),
        (0.51, "11 labels (fewer than 10 to 13)"),
        (0.3, "fewer than 10 labels"),
    ],
)
def test_the_sentence_leaves_open_what_is_out_of_range(accuracy, words):
    centred = NOISE - NOISE.mean(axis=1, keepdims=True)
    found = labels_saved(COUNTS, CURVE[:, :1] + centred[:3], 50, accuracy + centred[3], seed=0)
    assert str(found) == f"50 labels are worth {words}"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"method": [0.8]}, "label counts, seeds"),
        ({"counts": [10, 100]}, "label counts, seeds"),
        ({"counts": [10, 10, 1000]}, "distinct"),
        ({"counts": [0, 100, 1000]}, "positive"),
        ({"method": [math.nan, math.nan]}, "no accuracy at all"),
        ({"level": 95}, "level"),
    ],
)
def test_what_cannot_be_read_off_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        labels_saved(**{"counts": COUNTS, "supervised": CURVE, "labels": 10, "method": [0.8, 0.8], "seed": 0} | change)
