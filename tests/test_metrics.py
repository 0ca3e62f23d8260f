"""Metrics against hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, recall_score

from sslbench import metrics

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.0, 0.1, 0.9]])
Y = np.array([0, 1, 0, 2])


def test_hand_worked_values():
    assert metrics.accuracy(P, Y) == 0.75
    assert metrics.nll(P, Y) == pytest.approx(-(math.log(0.7) + math.log(0.8) + math.log(0.3) + math.log(0.9)) / 4)
    assert metrics.confusion(P, Y).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert metrics.per_class_accuracy(P, Y) == [0.5, 1.0, 1.0]
    assert metrics.coverage(P, 0.8) == 0.5
    # bins of 0.1: confidences 0.7 right, 0.8 right, 0.4 wrong, 0.9 right, each alone in its bin
    assert metrics.ece(P, Y, bins=10) == pytest.approx((0.3 + 0.2 + 0.4 + 0.1) / 4)


def test_calibrated_is_zero_and_certain_but_wrong_is_one():
    assert metrics.ece(np.eye(2)[[0, 1]], np.array([0, 1])) == 0
    assert metrics.ece(np.eye(2)[[0, 1]], np.array([1, 0])) == 1


def test_a_probability_of_zero_is_finite():
    assert metrics.nll(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(1e-12))


def test_nothing_to_judge_is_nan():
    assert math.isnan(metrics.accuracy(P[:0], Y[:0]))
    assert math.isnan(metrics.coverage(P[:0]))
    assert math.isnan(metrics.per_class_accuracy(P, np.array([0, 1, 0, 0]))[2])


@given(st.integers(2, 5), st.integers(5, 60), st.integers(0, 1000))
def test_agreement_with_scikit_learn(classes, n, seed):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(classes), n)
    y = random.integers(classes, size=n)
    everything = list(range(classes))
    assert metrics.nll(p, y) == pytest.approx(log_loss(y, p, labels=everything))
    assert np.array_equal(metrics.confusion(p, y), confusion_matrix(y, p.argmax(1), labels=everything))
    recall = recall_score(y, p.argmax(1), labels=everything, average=None, zero_division=np.nan)
    assert metrics.per_class_accuracy(p, y) == pytest.approx(list(recall), nan_ok=True)
