"""SGDClassifier in batches, held against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier

from sslbench.scenarios.batched_sgd import WARM, BatchedSGD


def blobs(n: int, classes: int, features: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (draws.normal(size=(classes, features))[y] + 0.7 * draws.normal(size=(n, features))), y


@given(
    n=st.integers(6, 60), classes=st.integers(3, 5), epochs=st.integers(1, 6), alpha=st.sampled_from([1e-5, 1e-3, 0.1])
)
@settings(max_examples=25, deadline=None)
def test_one_row_at_a_time_it_is_scikit_learns(n, classes, epochs, alpha):
    x, y = blobs(n, classes)
    theirs = SGDClassifier(loss="log_loss", alpha=alpha, shuffle=False, max_iter=epochs, tol=None).fit(x, y)
    ours = BatchedSGD(alpha=alpha, batch=1, shuffle=False, max_iter=epochs, tol=None).fit(x, y)
    assert np.array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=0, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_batches_learn_what_single_rows_learn(batch):
    x, y = blobs(600, 4)
    theirs = SGDClassifier(loss="log_loss", alpha=1e-4, random_state=0).fit(x[:400], y[:400])
    ours = BatchedSGD(alpha=1e-4, batch=batch, random_state=0).fit(x[:400].astype(np.float32), y[:400])
    accuracies = [np.mean(m.predict(x[400:].astype(np.float32)) == y[400:]) for m in (theirs, ours)]
    assert accuracies[1] >= accuracies[0] - 0.04
    assert 5 < ours.n_iter_ < 1000


def test_its_random_state_fixes_it_and_labels_need_not_begin_at_zero():
    x, y = blobs(90, 3)
    x, y = x.astype(np.float32), np.array([2, 5, 9])[y]
    a, b, c = (BatchedSGD(random_state=s, max_iter=5).fit(x, y) for s in (0, 0, 1))
    assert np.array_equal(a.predict_proba(x), b.predict_proba(x))
    assert not np.array_equal(a.predict_proba(x), c.predict_proba(x))
    assert set(a.predict(x)) <= {2, 5, 9}
    np.testing.assert_allclose(a.predict_proba(x).sum(axis=1), 1, atol=1e-6)


def test_a_warm_start_goes_on_as_if_it_had_not_stopped():
    """Weights are kept, and after as many passes the size of the steps: two fits are one long one."""
    x, y = blobs(90, 3)
    warm = BatchedSGD(batch=1, shuffle=False, max_iter=WARM, tol=None, warm_start=True)
    whole = BatchedSGD(batch=1, shuffle=False, max_iter=2 * WARM, tol=None).fit(x, y)
    first = warm.fit(x, y).predict_proba(x)
    np.testing.assert_allclose(warm.fit(x, y).predict_proba(x), whole.predict_proba(x), rtol=0, atol=1e-9)
    cold = BatchedSGD(batch=1, shuffle=False, max_iter=WARM, tol=None).fit(x, y)
    assert np.array_equal(cold.fit(x, y).predict_proba(x), first)


def test_other_classes_begin_anew():
    x, y = blobs(90, 3)
    warm = BatchedSGD(max_iter=3, tol=None, warm_start=True).fit(x, y).fit(x, y + 1)
    assert set(warm.predict(x)) <= {1, 2, 3}
    assert np.array_equal(warm.predict_proba(x), BatchedSGD(max_iter=3, tol=None).fit(x, y + 1).predict_proba(x))
