"""A user's own data as a scenario: what is known, what is hidden, and what nobody knows."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

import sslbench
from sslbench.engine import run
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.training import Training
from sslbench.errors import BadInput
from sslbench.methods.base import method
from sslbench.report.plots.pseudo_labels import destinations, map_figure
from sslbench.rng import Rng
from tests.conftest import LOSS_METHODS, make_method, make_scenario, rng_of

CPU = torch.device("cpu")
FEATURES = 6


def arrays(rows=200, gaps=0.0, classes=3, images=False, seed=0):
    """Gaussian clouds, or bright images, a class each; a share `gaps` of the rows has no label."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    shape = (20, 20) if images else (FEATURES,)
    x = rng.normal(size=(rows, *shape)) + 3 * y.reshape(-1, *[1] * len(shape))
    if images:
        x = np.clip(30 * x + 60, 0, 255).astype(np.uint8)
    return x, np.where(rng.random(rows) < gaps, -1, y)


def own(tmp_path, images=False, gaps=0.0, rows=200, test_rows=0, **fields):
    """An instance of the scenario on such data."""
    x, y = arrays(rows, gaps, images=images)
    more = dict(zip(("x_test", "y_test"), arrays(test_rows, images=images, seed=1), strict=True)) if test_rows else {}
    table = sslbench.own_data(x, y, path=tmp_path / "d.npz", **more)
    base = table.pop("base")
    return make_scenario(base, **{"labels": 9, "steps": 8, "points": 2, **table, **fields})


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("gaps", [0.0, 0.6])
@pytest.mark.parametrize("test_rows", [0, 30])
def test_a_problem_has_every_row_in_one_place(tmp_path, images, gaps, test_rows):
    scenario = own(tmp_path, images=images, gaps=gaps, test_rows=test_rows)
    problem = scenario.problem(rng_of(0))
    parts = [problem.labelled, problem.validation, problem.unlabelled, problem.test]
    assert sorted(torch.cat(parts).tolist()) == list(range(200 + test_rows))
    for part in (problem.labelled, problem.validation, problem.test):
        assert int(problem.y[part].min()) >= 0
    assert int((problem.y[problem.unlabelled] < 0).sum()) == int((problem.y < 0).sum())
    assert len(problem.labelled) == 9
    if test_rows:
        assert problem.test.tolist() == list(range(200, 200 + test_rows))
    else:
        assert len(problem.test) == pytest.approx(0.3 * int((problem.y >= 0).sum()), abs=2)


def test_labels_are_drawn_evenly_where_all_are_known_and_by_their_shares_where_not(tmp_path):
    x = np.random.default_rng(0).normal(size=(120, 2))
    y = np.repeat([0, 1], [90, 30])
    for gaps, draw, counts in (
        (0, None, [6, 6]),
        (20, None, [9, 3]),
        (0, "stratified", [9, 3]),
        (20, "balanced", [6, 6]),
    ):
        table = sslbench.own_data(np.vstack([x, x[:gaps]]), np.append(y, [-1] * gaps), path=tmp_path / f"{gaps}.npz")
        scenario = make_scenario(table.pop("base"), **table, labels=12, draw=draw)
        problem = scenario.problem(rng_of(0))
        assert torch.bincount(problem.y[problem.labelled]).tolist() == counts


def test_seeds_differ_and_smaller_label_counts_share_their_test_set(tmp_path):
    scenario = own(tmp_path, gaps=0.5)
    a, b = (scenario.problem(rng_of(seed)) for seed in (0, 1))
    assert a.split_sha256 != b.split_sha256
    assert a.data_sha256 == b.data_sha256
    assert not torch.equal(a.test, b.test)
    more = dataclasses.replace(scenario, labels=20).problem(rng_of(0))
    assert torch.equal(more.test, a.test)
    assert set(a.labelled.tolist()) < set(more.labelled.tolist())


def test_features_are_standardised_without_the_test_rows(tmp_path):
    problem = own(tmp_path).problem(rng_of(0))
    pool = torch.cat([problem.labelled, problem.validation, problem.unlabelled])
    torch.testing.assert_close(problem.x[pool].mean(dim=0), torch.zeros(FEATURES), rtol=0, atol=1e-6)
    torch.testing.assert_close(problem.x[pool].std(dim=0, correction=0), torch.ones(FEATURES), rtol=0, atol=1e-6)
    x, y = arrays()
    x[problem.test.numpy()] = 1e6
    table = sslbench.own_data(x, y, path=tmp_path / "poisoned.npz")
    poisoned = make_scenario(table.pop("base"), **table, labels=9).problem(rng_of(0))
    assert torch.equal(poisoned.x[pool], problem.x[pool])


def test_a_feature_that_never_changes_stays_at_zero(tmp_path):
    x, y = arrays()
    x[:, 2] = 0.1
    table = sslbench.own_data(x, y, path=tmp_path / "d.npz")
    problem = make_scenario(table.pop("base"), **table, labels=9).problem(rng_of(0))
    assert float(problem.x[:, 2].abs().max()) < 1e-6


@pytest.mark.parametrize(("images", "test_rows"), [(False, 30), (True, 0), (True, 30)])
def test_seeds_share_one_tensor_where_their_inputs_are_the_same(tmp_path, images, test_rows):
    scenario = own(tmp_path, images=images, test_rows=test_rows)
    assert len({scenario.problem(rng_of(seed)).x.data_ptr() for seed in range(3)}) == 1


@pytest.mark.parametrize("images", [False, True], ids=["features", "images"])
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_no_hidden_label_and_no_test_row_reaches_a_method(tmp_path, name, images):
    scenario = own(tmp_path, images=images, gaps=0.5, steps=4)
    clean = scenario.problem(rng_of(0))
    x, y = clean.x.clone(), clean.y.clone()
    for hidden in (clean.unlabelled, clean.validation, clean.test):
        y[hidden] = (y[hidden] + 2) % clean.classes  # of rows without a label too
    x[clean.test] = 1e3
    weights = []
    for problem in (clean, dataclasses.replace(clean, x=x, y=y)):
        training = Training(make_method(name, scenario), scenario, [problem], [rng_of(0)], CPU)
        for step, rows in training.steps():
            training.advance(step, rows)
        weights.append(training.parameters)
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


@pytest.mark.parametrize("gaps", [0.5, 0.9])
@pytest.mark.parametrize("model", ["logistic-regression", "random-forest"])
def test_estimators_take_the_place_of_the_network(tmp_path, model, gaps):
    scenario = own(tmp_path, gaps=gaps, model=model, rows=300)
    for method_ in (make_method("supervised"), make_method("pseudo-label-rounds", rounds=2)):
        (outcome,) = run(method_, scenario, [rng_of(0)], CPU)
        assert outcome.status == "ok"
        assert outcome.metrics["accuracy"]["final"] > 0.6


def test_an_estimator_takes_images_as_rows_of_pixels(tmp_path):
    scenario = own(tmp_path, images=True, model="random-forest")
    (outcome,) = run(make_method("supervised", scenario), scenario, [rng_of(0)], CPU)
    assert outcome.metrics["accuracy"]["final"] > 0.6


@pytest.mark.parametrize("images", [False, True], ids=["features", "images"])
@pytest.mark.parametrize("name", [n for n in method.names() if n in LOSS_METHODS])
def test_every_method_runs_where_no_hidden_label_is_known(tmp_path, name, images):
    x, y = arrays(90, images=images)
    y[40:] = -1
    table = sslbench.own_data(x, y, path=tmp_path / "d.npz")
    scenario = make_scenario(table.pop("base"), **table, labels=27, validation=0, test_fraction=0.3, steps=4, points=2)
    (outcome,) = run(make_method(name, scenario), scenario, [rng_of(0)], CPU)
    assert outcome.status == "ok"
    assert (outcome.arrays["watched_y"] >= 0).sum() <= 2
    assert len(outcome.arrays["watched_y"]) == 90 - 27 - int(0.3 * 40)
    assert all(c is not None for c in outcome.curves["pseudo_label_coverage"])


def watching(y, pseudo, classes=2):
    """An evaluation of unlabelled rows with labels `y`, after one point with these pseudo-labels."""
    n = len(y)
    problem = dataclasses.replace(
        make_scenario("two-moons-6", training_points=60, test_points=40).problem(rng_of(0)),
        y=torch.tensor([*y, 0, 1]),
        unlabelled=torch.arange(n),
        validation=torch.empty(0, dtype=torch.int64),
        test=torch.tensor([n, n + 1]),
    )
    evaluation = Evaluation(problem, watched=n, rng=Rng.root(0))
    chosen = torch.cat([torch.tensor(pseudo)[evaluation.watched], torch.tensor([0, 1])])
    evaluation.add(1, torch.nn.functional.one_hot(chosen, classes).float(), {})
    return evaluation


@pytest.mark.parametrize(
    ("y", "pseudo", "accuracy"),
    [([0, 1, -1, -1], [0, 0, 0, 1], 0.5), ([-1, -1], [0, 1], None), ([0, -1], [0, 1], 1.0), ([0, 1], [1, 1], 0.5)],
)
def test_pseudo_labels_of_rows_without_a_label_are_neither_right_nor_wrong(y, pseudo, accuracy):
    evaluation = watching(y, pseudo)
    assert evaluation.curves["pseudo_label_accuracy"] == [accuracy]
    counts = destinations([evaluation.arrays], 2)
    assert int(counts.sum()) == sum(label >= 0 for label in y)
    assert int(np.trace(counts[0])) == sum(a == b for a, b in zip(y, pseudo, strict=True))


def test_examples_whose_label_is_known_are_watched_first(tmp_path):
    scenario = own(tmp_path, gaps=0.5)
    problem = scenario.problem(rng_of(0))
    known = set(problem.unlabelled[problem.y[problem.unlabelled] >= 0].tolist())
    assert 10 < len(known) < 100
    assert set(Evaluation(problem, len(known), Rng.root(0)).watched.tolist()) == known
    assert set(Evaluation(problem, 10, Rng.root(0)).watched.tolist()) < known


@pytest.mark.parametrize(("y", "texts"), [([0, 1, -1], {"corrected: 1", "spoilt: 0"}), ([-1, -1, -1], set())])
def test_a_map_rings_no_row_without_a_label(y, texts):
    found = {
        "watched_y": np.array(y),
        "pseudo_labels": np.array([[1, 1, 1], [0, 1, 0]]),
        "map_watched": np.zeros((3, 2)),
        "map_labelled": np.ones((2, 2)),
        "labelled_y": np.array([0, 1]),
    }
    drawn = map_figure(found, 0, 1, ["a", "b"])
    assert {t.get_text() for legend in drawn.legends for t in legend.get_texts()} == texts
    assert ("50.0 %" in drawn.axes[0].get_title()) == bool(texts)


@pytest.mark.parametrize("model", ["network", "logistic-regression"])
def test_two_classes_in_the_plane_have_a_boundary_to_draw(tmp_path, model):
    x, y = arrays(120, gaps=0.5, classes=2)
    for columns, drawn in ((2, True), (3, False)):
        table = sslbench.own_data(x[:, :columns], y, path=tmp_path / f"{columns}.npz")
        scenario = make_scenario(table.pop("base"), **table, labels=12, steps=4, points=2, model=model)
        (outcome,) = run(make_method("supervised"), scenario, [rng_of(0)], CPU)
        assert ("boundary_p" in outcome.arrays) == drawn


def test_a_scenario_goes_to_a_worker_and_back(tmp_path):
    scenario = own(tmp_path)
    there = pickle.loads(pickle.dumps(scenario))
    assert there.problem(rng_of(0)).data_sha256 == scenario.problem(rng_of(0)).data_sha256


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": 10}, "cannot be shared out evenly over 3 classes"),
        ({"labels": 2, "draw": "stratified"}, "fewer than the 3 classes"),
        ({"labels": 180, "draw": "stratified"}, "Give at most 140"),
        ({"labels": 140, "draw": "stratified", "validation": 0}, "no row is left unlabelled"),
        ({"labels": 9, "validation": 10}, "larger than the labelled set"),
    ],
)
def test_splits_that_cannot_be_had_are_refused(tmp_path, fields, message):
    scenario = own(tmp_path, **fields)
    with pytest.raises(BadInput, match=message):
        scenario.problem(rng_of(0))


def test_the_wrong_kind_of_data_is_refused(tmp_path):
    features, images = own(tmp_path), None
    with pytest.raises(BadInput, match='holds features: base = "own-features"'):
        make_scenario("own-images", path=features.path, labels=9).dataset(rng_of(0))
    images = own(tmp_path, images=True)
    with pytest.raises(BadInput, match='holds images: base = "own-images"'):
        make_scenario("own-features", path=images.path, labels=9).dataset(rng_of(0))
    with pytest.raises(BadInput, match='holds features: base = "own-features"'):
        make_scenario("own-images", path="d.csv", labels=9).dataset(rng_of(0))
    small = sslbench.own_data(np.zeros((20, 8, 8)), np.arange(20) % 2, path=tmp_path / "small.npz")
    small.pop("base")
    with pytest.raises(BadInput, match="images of 8 pixels are too small .* size = 16"):
        make_scenario("own-images", **small, labels=4).dataset(rng_of(0))
    assert make_scenario("own-images", **small, labels=4, size=16).dataset(rng_of(0)).x.shape[1:] == (1, 16, 16)
    assert make_scenario("own-images", **small, labels=4, model="random-forest").problem(rng_of(0)).x.shape == (20, 64)


def test_arrays_run_in_worker_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    x, y = arrays(gaps=0.5)
    names = np.array(["red", "green", "blue"], dtype=object)
    table = sslbench.own_data(x, [names[c] if c >= 0 else -1 for c in y], labels=12, steps=4, points=2)
    assert table == sslbench.own_data(x, [names[c] if c >= 0 else -1 for c in y], labels=12, steps=4, points=2)
    content = {"name": "mine", "methods": ["supervised"], "scenarios": ["mine-12"], "scenario": {"mine-12": table}}
    records = sslbench.run(content, seeds=1, out=tmp_path / "out", workers=1, device="cpu")
    assert [r.status for r in records] == ["ok"]
    assert records[0].scenario["class_names"] == ["blue", "green", "red"]
    assert str(tmp_path) not in records[0].to_json()
    assert sslbench.run(content, seeds=1, out=tmp_path / "out", workers=0, device="cpu") == records
