"""The article's logistic pseudo-labelling: the engine's form against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier

from baselines import logistic
from sslbench.methods.base import Task
from sslbench.methods.pseudo_label_rounds import PseudoLabelRounds
from tests.conftest import make_scenario, rng_of


@pytest.fixture(scope="module")
def digits():
    """Pixels and labels of 300 labelled, 500 unlabelled and 200 test images, and the engine's features of them."""
    scenario = make_scenario("mnist5k-1000-sgd", labels=300)
    dataset = scenario.dataset(rng_of(0))
    split = scenario.split(dataset, rng_of(0).child("split"))
    pixels = torch.cat([dataset.x, dataset.x_test]).flatten(1).numpy().astype(np.float32)
    y = torch.cat([dataset.y, dataset.y_test]).numpy()
    rows = split.labelled.numpy(), split.unlabelled.numpy()[::7][:500], np.arange(len(dataset.y), len(y))[::5]
    features = scenario.inputs(dataset, split).numpy()
    return [pixels[r] for r in rows], [y[r] for r in rows], [features[r] for r in rows]


def test_the_features_are_the_same(digits):
    pixels, _, ours = digits
    for plain, engine in zip(logistic.features(*pixels), ours, strict=True):
        assert plain.shape[1] == 1326
        np.testing.assert_allclose(plain, engine, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_rounds_are_the_same(digits):
    _, (y, _, y_test), (x, u, x_test) = digits
    rounds, rng = 4, rng_of(0)
    order = rng.permutation(len(u)).numpy()
    states = [int(rng.integers(1 << 31, 1)) for _ in range(rounds + 1)]
    plain = logistic.pseudo_label_rounds(
        x, y, u, x_test, y_test, rounds=rounds, sample_rate=0.25, order=order, states=states
    )

    scores = []

    def watch(predict):
        scores.append(float(np.mean(predict(torch.from_numpy(x_test)).argmax(dim=1).numpy() == y_test)))

    task = Task(x, y, u, 10, lambda state: SGDClassifier(loss="log_loss", alpha=1e-5, random_state=state))
    predict = PseudoLabelRounds(sample_rate=0.25, rounds=rounds).fit(task, rng_of(0), watch)
    watch(predict)
    assert scores == plain.scores
    assert len(x) + 0.5 * len(u) < plain.rows <= len(x) + len(u)
    probabilities = predict(torch.from_numpy(x_test)).numpy()
    np.testing.assert_allclose(probabilities, plain.model.predict_proba(x_test), atol=1e-6)


def test_the_rounds_run_by_themselves(digits):
    _, (y, _, y_test), (x, u, x_test) = digits
    plain = logistic.pseudo_label_rounds(x, y, u, x_test, y_test, rounds=2)
    assert len(plain.scores) == 3
    assert min(plain.scores) > 0.6
