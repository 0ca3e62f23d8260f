"""The engine: batches, learning curves, the three accuracies, divergence, determinism."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.engine import run, seeds, stack_width
from sslbench.engine.batches import Stream
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.training import Training
from sslbench.methods.base import Loss, LossMethod, cross_entropy
from sslbench.rng import Rng
from tests.conftest import make_method, make_scenario, rng_of

CPU = torch.device("cpu")


def moons(**changes):
    return make_scenario(
        "two-moons-6", **{"steps": 12, "points": 4, "training_points": 80, "test_points": 60, **changes}
    )


@given(n=st.integers(1, 30), batch=st.integers(1, 30), steps=st.integers(1, 40), cut=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_a_stream_shows_every_example_once_an_epoch(n, batch, steps, cut):
    batch = min(batch, n)
    examples = torch.arange(100, 100 + n)
    stream = Stream(examples, batch, Rng.root(0))
    whole = stream.batches(0, steps)
    assert whole.shape == (steps, batch)
    flat = whole.flatten()
    for epoch in range(len(flat) // n):
        assert sorted(flat[epoch * n : (epoch + 1) * n].tolist()) == examples.tolist()
    cut = min(cut, steps)
    again = Stream(examples, batch, Rng.root(0))
    assert torch.equal(torch.cat([again.batches(0, cut), again.batches(cut, steps)]), whole)


def test_every_method_sees_the_same_batches_and_initial_weights():
    scenario = make_scenario("mnist5k-50", steps=5, points=1)
    problem = scenario.problem(rng_of(0))
    trainings = [
        Training(make_method(m, scenario), scenario, [problem], [rng_of(0)], CPU)
        for m in ("pseudo-label", "pi-model", "vat")
    ]
    for name in trainings[0].parameters:
        assert all(torch.equal(t.parameters[name], trainings[0].parameters[name]) for t in trainings)
    for steps in zip(*(t.steps() for t in trainings), strict=True):
        for part in (0, 1):
            assert all(torch.equal(rows[part], steps[0][1][part]) for _, rows in steps)


@pytest.mark.parametrize("kind", ["two-moons-6", "mnist5k-50", "mnist5k-1000-logreg"])
def test_the_same_cell_twice_is_the_same_bit_for_bit_whatever_is_beside_it(kind):
    scenario = make_scenario(kind, steps=8, points=2)
    method = make_method("vat", scenario)
    alone = run(method, scenario, [rng_of(1)], CPU)[0]
    torch.manual_seed(123)
    torch.rand(100)
    width = stack_width(method, scenario, [scenario.problem(rng_of(1))], CPU)
    beside = run(method, scenario, [rng_of(s) for s in (0, 1, 2, 3, 4)[: max(2, width)]], CPU)[1] if width > 1 else None
    again = run(method, scenario, [rng_of(1)], CPU)[0]
    for other in filter(None, (beside, again)):
        assert other.metrics == alone.metrics
        assert other.curves == alone.curves
        assert other.digests == alone.digests


def test_the_curves_have_their_points_and_the_last_is_the_end():
    (outcome,) = run(make_method("vat"), moons(steps=50, points=20), [rng_of(0)], CPU)
    assert outcome.curves["step"] == [round(50 * (k + 1) / 20) for k in range(20)]
    assert {"labelled_loss", "unlabelled_loss", "unlabelled_weight", "pseudo_label_accuracy"} <= outcome.curves.keys()
    assert outcome.metrics["accuracy"]["final"] == outcome.curves["test_accuracy"][-1]
    assert outcome.timing["steps"] == 50


@pytest.mark.parametrize("points", [1, 3, 7])
def test_the_points_of_the_curve_do_not_touch_the_training(points):
    """Batches go on from part to part, and an epoch is counted from what was done."""
    scenario = make_scenario("mnist5k-50", steps=12, points=points)
    problem = scenario.problem(rng_of(0))
    training = Training(make_method("vat", scenario), scenario, [problem], [rng_of(0)], CPU)
    expected = training.labelled[0].batches(0, 12), training.unlabelled[0].batches(0, 12)
    for t, (step, rows) in enumerate(training.steps()):
        assert torch.equal(rows[0][0], expected[0][t])
        assert torch.equal(rows[1][0], expected[1][t])
        assert float(step.epoch) == t / training.sizes.labelled_steps
        assert int(step.index) == t
    final = [run(make_method("vat"), moons(points=p), [rng_of(0)], CPU)[0].metrics["nll"] for p in (points, 12)]
    assert final[0] == final[1]


def test_the_interleaved_loop_counts_its_labelled_epochs():
    scenario = make_scenario("mnist5k-50", steps=30, points=4)
    problem = scenario.problem(rng_of(0))
    method = make_method("pseudo-label-interleaved", ramp_start=2.0, ramp_end=4.0, every=3)
    training = Training(method, scenario, [problem], [rng_of(0)], CPU)
    labelled = unlabelled = 0
    for step, rows in training.steps():
        assert float(step.epoch) == labelled / 2
        if step.kind == "labelled":
            assert torch.equal(rows[0][0], training.labelled[0].batches(labelled, labelled + 1)[0])
            labelled += 1
        else:
            assert torch.equal(rows[1][0], training.unlabelled[0].batches(unlabelled, unlabelled + 1)[0])
            unlabelled += 1
    assert labelled > 8
    assert unlabelled > 8


def test_more_points_than_steps_is_a_point_a_step():
    (outcome,) = run(make_method("supervised"), moons(steps=3, points=20), [rng_of(0)], CPU)
    assert outcome.curves["step"] == [1, 2, 3]


@dataclasses.dataclass(frozen=True)
class Explodes(LossMethod):
    at: int = 5
    seed_key: int = -1

    def loss(self, model, batch, step, rng):
        bad = (step.index >= self.at) & ((self.seed_key < 0) | (rng.key[0] == self.seed_key))
        return Loss(cross_entropy(model, batch, rng) * torch.where(bad, math.nan, 1.0))


def test_a_nan_loss_ends_the_cell_as_diverged():
    (outcome,) = run(Explodes(), moons(), [rng_of(0)], CPU)
    assert outcome.status == "diverged"
    assert "by step 6 of 12" in outcome.reason
    assert outcome.metrics == {}
    assert outcome.curves["step"] == [3]
    assert outcome.timing["steps"] == 6


def test_one_diverged_seed_leaves_the_others_of_its_stack_alone():
    key = int(rng_of(1).child("train").key[0])
    outcomes = run(Explodes(seed_key=key), moons(), [rng_of(s) for s in (0, 1, 2)], CPU)
    assert [o.status for o in outcomes] == ["ok", "diverged", "ok"]
    (alone,) = run(Explodes(at=99), moons(), [rng_of(2)], CPU)
    assert outcomes[2].metrics == alone.metrics


def test_selected_is_by_validation_and_oracle_by_test():
    scenario = moons()
    problem = scenario.problem(rng_of(0))
    evaluation = Evaluation(problem, 250, rng_of(0))
    y = problem.y[evaluation.indices]
    n_validation, n_test = len(problem.validation), len(problem.test)

    def predictions(validation_right: int, test_right: int) -> torch.Tensor:
        p = torch.nn.functional.one_hot(1 - y, 2).float() * 0.8 + 0.1
        right = torch.zeros(len(y), dtype=torch.bool)
        right[:validation_right] = True
        right[len(y) - n_test : len(y) - n_test + test_right] = True
        return torch.where(right[:, None], 1 - p, p)

    for step, (validation, test) in enumerate([(2, 30), (4, 40), (4, 20), (1, 55), (3, 10)]):
        evaluation.add(step, predictions(validation, test), {})
    found = evaluation.metrics()
    assert n_validation >= 4
    assert found["accuracy"] == {"final": 10 / n_test, "selected": 40 / n_test, "oracle": 55 / n_test}
    assert (found["selected_step"], found["oracle_step"]) == (1, 3)
    assert np.sum(found["confusion"]) == n_test


def test_without_validation_nothing_is_selected():
    (outcome,) = run(make_method("supervised"), moons(validation=0), [rng_of(0)], CPU)
    assert outcome.metrics["accuracy"]["selected"] is None
    assert outcome.curves["validation_accuracy"] == outcome.curves["validation_nll"] == [None] * 4


def test_the_validation_loss_is_a_curve():
    (outcome,) = run(make_method("supervised"), moons(), [rng_of(0)], CPU)
    losses = outcome.curves["validation_nll"]
    assert len(losses) == 4
    assert all(loss is not None and loss > 0 for loss in losses)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_training_equals_a_plain_loop(optimizer, schedule):
    """The engine against nn.Module, torch.optim and backward, on the same draws."""
    scenario = moons(optimizer=optimizer, schedule=schedule, momentum=0.9, weight_decay=1e-3, lr=0.02, view_noise=0.0)
    problem, rng = scenario.problem(rng_of(0)), rng_of(0)
    training = Training(make_method("supervised"), scenario, [problem], [rng], CPU)
    network = scenario.network(problem)
    network.load_state_dict({n: p[0].detach().clone() for n, p in training.parameters.items()})
    if optimizer == "adam":
        plain = torch.optim.Adam(network.parameters(), lr=0.02, weight_decay=1e-3)
    else:
        plain = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    expected = []
    for t in range(12):
        for group in plain.param_groups:
            group["lr"] = 0.02 * (0.5 * (1 + math.cos(math.pi * t / 12)) if schedule == "cosine" else 1)
        loss = torch.nn.functional.cross_entropy(network(problem.x[problem.labelled]), problem.y[problem.labelled])
        plain.zero_grad()
        loss.backward()
        plain.step()
        expected.append(float(loss.detach()))
    found = []
    for t, (step, rows) in enumerate(training.steps()):
        training.schedule(t)
        found.append(float(training.advance(step, rows)[0][0]))
    assert found == pytest.approx(expected, abs=1e-5)


def test_two_moons_keep_their_decision_boundary():
    scenario = moons()
    (outcome,) = run(make_method("supervised"), scenario, [rng_of(0)], CPU)
    grid = outcome.arrays
    assert grid["boundary_p"].shape == (len(grid["boundary_y"]), len(grid["boundary_x"]))
    assert 0 <= grid["boundary_p"].min() <= grid["boundary_p"].max() <= 1
    assert len(grid["labelled"]) == len(grid["labelled_y"]) == 6


def test_the_features_are_fitted_on_the_labelled_images_alone():
    scenario = make_scenario("mnist5k-1000-logreg")
    dataset = scenario.dataset(rng_of(0))
    split = scenario.split(dataset, rng_of(0).child("split"))
    features = scenario.inputs(dataset, split)
    assert features.shape == (5000, 1326)
    changed = dataset.x.clone()
    changed[split.unlabelled] = 255 - changed[split.unlabelled]
    poisoned = dataclasses.replace(dataset, x=changed)
    rows = split.labelled
    assert torch.equal(scenario.inputs(poisoned, split)[rows], features[rows])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "least", "most"),
    [("vat", 0.97, 1), ("pi-model", 0.92, 1), ("supervised", 0.76, 0.83), ("pseudo-label", 0.76, 0.83)],
)
def test_two_moons_as_the_field_knows_them(method, least, most):
    """VAT and the Π-model find the moons from six labels; pseudo-label stays within three points of supervised (79.5 %)."""
    scenario = make_scenario("two-moons-6", points=1)
    outcomes = run(make_method(method, scenario), scenario, [rng_of(s) for s in range(10)], CPU)
    assert least <= np.mean([o.metrics["accuracy"]["final"] for o in outcomes]) <= most


def test_seeds_that_share_their_inputs_stack_whatever_the_size_of_these(monkeypatch):
    monkeypatch.setattr(seeds, "STACK_BYTES", 1 << 20)
    width = {}
    for kind in ("mnist5k-50", "mnist5k-1000-logreg", "two-moons-6"):
        scenario = make_scenario(kind)
        problems = (scenario.problem(rng_of(seed)) for seed in (0, 1))
        width[kind] = stack_width(make_method("supervised"), scenario, problems, torch.device("cuda"))
    # 16 MB that all seeds share, 27 MB of each seed's own, and a few kB
    assert width == {"mnist5k-50": 16, "mnist5k-1000-logreg": 1, "two-moons-6": 16}


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["two-moons-6", "mnist5k-50", "mnist5k-1000-logreg"])
@pytest.mark.parametrize("method", ["supervised", "pseudo-label", "pi-model", "vat"])
def test_cuda_begins_like_the_cpu(method, kind, count):
    """Alone and in a stack, where convolutions are others."""
    scenario, rngs = make_scenario(kind, steps=3, points=1), [rng_of(seed) for seed in range(count)]
    problems = [scenario.problem(rng) for rng in rngs]

    def losses(problems, rngs, device):
        training = Training(make_method(method, scenario), scenario, problems, rngs, torch.device(device))
        return torch.stack([training.advance(step, rows)[0].cpu() for step, rows in training.steps()], dim=1)

    with seeds.arithmetic("float32"):
        alone = torch.cat([losses([p], [r], "cpu") for p, r in zip(problems, rngs, strict=True)])
        torch.testing.assert_close(losses(problems, rngs, "cuda"), alone, rtol=1e-2, atol=1e-4)


def test_the_watched_pseudo_labels_are_kept_over_training():
    scenario = make_scenario("mnist5k-50", steps=8, points=4, watched=30, tsne=True)
    outcomes = run(make_method("supervised"), scenario, [rng_of(0)], CPU)
    arrays = outcomes[0].arrays
    assert arrays["pseudo_labels"].shape == (4, 30)
    accuracy = (arrays["pseudo_labels"] == arrays["watched_y"]).mean(axis=1)
    assert accuracy == pytest.approx(outcomes[0].curves["pseudo_label_accuracy"])
    assert arrays["map_labelled"].shape == (50, 2)
    assert arrays["map_watched"].shape == (30, 2)
    (again,) = run(make_method("pseudo-label"), scenario, [rng_of(0)], CPU)
    assert np.array_equal(again.arrays["map_watched"], arrays["map_watched"])  # one map for all methods of a seed
    assert np.array_equal(again.arrays["watched_y"], arrays["watched_y"])


def test_a_training_seed_changes_the_training_and_not_the_split():
    scenario = moons()
    method = make_method("vat", scenario)
    rngs = [Rng.root(0).child("training seed", t) for t in range(2)]
    one, other = run(method, scenario, [rng_of(0), rng_of(0)], CPU, training=rngs)
    elsewhere = run(method, scenario, [rng_of(1)], CPU, training=rngs[:1])[0]
    assert one.digests == other.digests != elsewhere.digests
    assert one.metrics["nll"] != other.metrics["nll"]
    training = [
        Training(method, scenario, [scenario.problem(rng_of(s))], [rngs[0]], CPU) for s in (0, 1)
    ]  # at one training seed, every split begins with the same weights
    for name in training[0].parameters:
        assert torch.equal(training[0].parameters[name], training[1].parameters[name])
