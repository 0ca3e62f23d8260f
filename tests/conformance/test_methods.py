"""What every registered method must do, on every kind of input."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sslbench.engine import obstacle, run, stack_width
from sslbench.engine.training import Training
from sslbench.methods.base import method
from tests.conftest import KINDS_OF_INPUT, LOSS_METHODS, make_method, make_scenario, rng_of

CPU = torch.device("cpu")
LABELS_UNTOUCHED = {"mixmatch": {"alpha": 0.0}, "uda": {"annealing": "none"}, "pseudo-label-mixup": {"alpha": 0.0}}
"""What leaves the labelled term of those methods as it is in supervised training."""
IN_A_FEW_STEPS = {
    "pseudo-label-interleaved": {"ramp_start": 0.0, "ramp_end": 1.0},
    "fixmatch": {"threshold": 0.0},
    "uda": {"threshold": 0.0},
}
"""So that the unlabelled term has begun after so few steps. Another test has the thresholds as they are."""
SSL = [name for name in LOSS_METHODS if name != "supervised"]


def a_setting(name: str, kind: str, steps: int = 20):
    scenario = make_scenario(KINDS_OF_INPUT[kind], steps=steps, points=2)
    return make_method(name, scenario, **IN_A_FEW_STEPS.get(name, {})), scenario


def trainings(name: str, kind: str, seeds: list[int], steps: int = 20, poison=None, together: bool = True):
    """The trainings of some seeds, in one stack where the network stacks and `together`, else alone."""
    method_, scenario = a_setting(name, kind, steps)
    problems = [scenario.problem(rng_of(s)) for s in seeds]
    if poison is not None:
        problems = [poison(p) for p in problems]
    rngs = [rng_of(s) for s in seeds]
    if together and stack_width(method_, scenario, problems[0], CPU) > 1:
        return [Training(method_, scenario, problems, rngs, CPU)]
    return [Training(method_, scenario, [p], [r], CPU) for p, r in zip(problems, rngs, strict=True)]


def losses(training: Training) -> torch.Tensor:
    """(steps, stack)."""
    return torch.stack([training.advance(step, rows)[0] for step, rows in training.steps()])


@pytest.mark.parametrize("name", method.names())
def test_a_method_documents_itself(name):
    thing = method.get(name).thing
    assert thing.__doc__
    source = __import__("inspect").getsource(thing)
    for field in dataclasses.fields(thing):
        assert f"    {field.name}: " in source
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""'), f"{field.name} has no docstring under it"


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", SSL)
def test_the_unlabelled_term_is_alive(name, kind):
    """Its value and its gradient are not zero in the course of training."""
    (training,) = trainings(name, kind, [0], steps=40)
    alive = False
    for step, rows in training.steps():
        _, terms = training.advance(step, rows)
        if step.index < 10 or step.kind == "labelled" or float(terms["unlabelled_weight"][0]) == 0:
            continue
        leaves = {n: p.detach().clone().requires_grad_() for n, p in training.parameters.items()}
        one = {n: p[0] for n, p in leaves.items()} if training.stacked else leaves
        rows_of_one = rows[0][0], rows[1][0]
        state = {n: v[0] for n, v in training.state.items()} if training.stacked else training.state
        with_term = training.objective(one, training.keys[0], rows_of_one, step, state)[0]
        gradient = torch.autograd.grad(with_term, list(leaves.values()))
        without = dataclasses.replace(training.method, weight=0.0)
        training_without = training.method
        training.method = without
        leaves0 = {n: p.detach().clone().requires_grad_() for n, p in training.parameters.items()}
        one0 = {n: p[0] for n, p in leaves0.items()} if training.stacked else leaves0
        loss0 = training.objective(one0, training.keys[0], rows_of_one, step, state)[0]
        gradient0 = torch.autograd.grad(loss0, list(leaves0.values()))
        training.method = training_without
        assert float(terms["unlabelled_loss"][0]) != 0
        assert any(not torch.allclose(a, b, rtol=1e-4, atol=1e-9) for a, b in zip(gradient, gradient0, strict=True))
        alive = True
        break
    assert alive


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_the_highest_threshold_is_reached_within_a_small_budget(kind):
    scenario = make_scenario(KINDS_OF_INPUT[kind], steps=350, points=2)
    (outcome,) = run(make_method("fixmatch", scenario), scenario, [rng_of(0)], CPU)
    assert outcome.diagnostics["kept"] > 0.2


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_hidden_labels_and_test_data_change_no_weight(name, kind):
    def poison(problem):
        x, y = problem.x.clone(), problem.y.clone()
        x[problem.test] = 1e3 * torch.randn_like(x[problem.test])
        for hidden in (problem.unlabelled, problem.validation, problem.test):
            y[hidden] = (y[hidden] + 1) % problem.classes
        return dataclasses.replace(problem, x=x, y=y)

    clean, poisoned = (trainings(name, kind, [0], steps=6, poison=p)[0] for p in (None, poison))
    assert torch.equal(losses(clean), losses(poisoned))
    for parameter in clean.parameters:
        assert torch.equal(clean.parameters[parameter], poisoned.parameters[parameter])


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_stacked_equals_alone(name, kind):
    """Over the first 20 steps. (On images a CPU trains each seed alone: see the next test.)"""
    together = torch.cat([losses(t) for t in trainings(name, kind, [0, 1, 2])], dim=1)
    alone = torch.cat([losses(t) for t in trainings(name, kind, [0, 1, 2], together=False)], dim=1)
    assert together.shape == (20, 3)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_a_convolution_stack_equals_alone(name, monkeypatch):
    """A CPU does not stack convolutions by itself, a GPU does: the same program must hold."""
    alone = torch.cat([losses(in_float64(t)) for t in trainings(name, "images", [0, 1])], dim=1)
    monkeypatch.setattr("sslbench.engine.training.stacks", lambda network, device: True)
    monkeypatch.setattr("sslbench.engine.seeds.stacks", lambda network, device: True)
    (stack,) = trainings(name, "images", [0, 1])
    torch.testing.assert_close(losses(in_float64(stack)), alone, rtol=0, atol=1e-5)


def in_float64(training: Training) -> Training:
    """Training amplifies the rounding of float32 beyond 1e-5 within 20 steps; in float64 only an error would show."""
    training.x = training.x.double()
    training.parameters = {n: p.detach().double().requires_grad_() for n, p in training.parameters.items()}
    training.optimizer = training._optimizer()
    return training


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_nothing_is_drawn_from_the_global_generator(name, kind):
    (training,) = trainings(name, kind, [0], steps=4)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    losses(training)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", SSL)
def test_weight_zero_is_supervised(name, kind):
    if name == "pseudo-label-interleaved":
        pytest.skip("its steps are labelled or unlabelled, so there are fewer labelled ones")
    (training,) = trainings(name, kind, [0], steps=5)
    training.method = dataclasses.replace(training.method, weight=0.0, **LABELS_UNTOUCHED.get(name, {}))
    (supervised,) = trainings("supervised", kind, [0], steps=5)
    # Soft and masked labels are summed up otherwise than torch's cross-entropy sums.
    rounding = 1e-6 if name in LABELS_UNTOUCHED else 0.0
    torch.testing.assert_close(losses(training), losses(supervised), rtol=rounding, atol=rounding)
    for n, parameter in training.parameters.items():
        torch.testing.assert_close(parameter, supervised.parameters[n], rtol=100 * rounding, atol=100 * rounding)


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_interleaved_labelled_steps_are_supervised_bit_for_bit(kind):
    """Before its first unlabelled step, and with weight 0 its unlabelled steps move nothing."""
    method_, scenario = a_setting("pseudo-label-interleaved", kind, steps=8)
    problem = scenario.problem(rng_of(0))
    start = 3 / scenario.sizes(problem).labelled_steps  # three labelled steps, whatever an epoch is
    method_ = dataclasses.replace(method_, weight=0.0, ramp_start=start, ramp_end=start, every=2)
    training = Training(method_, scenario, [problem], [rng_of(0)], CPU)
    (supervised,) = trainings("supervised", kind, [0], steps=8)
    expected = iter(losses(supervised).flatten())
    kinds = set()
    for step, rows in training.steps():
        loss, _ = training.advance(step, rows)
        kinds.add(step.kind)
        if step.kind == "labelled" and len(kinds) == 1:
            assert float(loss) == float(next(expected))
        if step.kind == "unlabelled":  # Adam's momentum still moves; its gradient is zero
            assert all(not p.grad.any() for p in training.parameters.values() if p.grad is not None)
    assert kinds == {"labelled", "unlabelled"}


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", SSL)
def test_the_gradients_of_both_terms_are_logged_and_the_unlabelled_one_is_alive(name, kind):
    method_, scenario = a_setting(name, kind, steps=40)
    (outcome,) = run(method_, dataclasses.replace(scenario, points=4), [rng_of(0)], CPU)
    lengths = [v for v in outcome.curves["unlabelled_gradient"] if v is not None]
    assert lengths
    assert max(lengths) > 0
    assert any(v for v in outcome.curves["labelled_gradient"])
    (supervised,) = run(make_method("supervised", scenario), dataclasses.replace(scenario, points=4), [rng_of(0)], CPU)
    assert "unlabelled_gradient" not in supervised.curves


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_measuring_the_gradients_does_not_touch_the_training(name):
    one, other = (trainings(name, "images", [0], steps=12)[0] for _ in range(2))
    for (step, rows), (again, same) in zip(one.steps(), other.steps(), strict=True):
        one.advance(step, rows)
        other.advance(again, same, measured=True)
    for n, parameter in one.parameters.items():
        torch.testing.assert_close(other.parameters[n], parameter, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_every_parameter_has_a_gradient(name):
    (training,) = trainings(name, "images", [0], steps=20)
    start = {n: p.detach().clone() for n, p in training.parameters.items()}
    losses(training)
    for n, p in training.parameters.items():
        assert not torch.equal(p, start[n])


@pytest.mark.parametrize("name", method.names())
@pytest.mark.parametrize("kind", [*KINDS_OF_INPUT, "estimator"])
def test_a_method_runs_or_says_why_not(name, kind):
    if kind == "estimator":
        scenario, method_ = make_scenario("mnist5k-1000-sgd"), make_method(name)
        if hasattr(method_, "rounds"):
            method_ = dataclasses.replace(method_, rounds=2)
    else:
        method_, scenario = a_setting(name, kind, steps=4)
    reason = obstacle(method_, scenario)
    if reason is not None:
        assert "scenario" in reason
        return
    (outcome,) = run(method_, scenario, [rng_of(0)], CPU)
    assert outcome.status == "ok"
    assert outcome.metrics["accuracy"]["final"] >= 0.05
    assert len(outcome.metrics["per_class_accuracy"]) in (2, 10)
    assert {len(curve) for curve in outcome.curves.values()} == {len(outcome.curves["step"])}


def test_each_method_has_a_scenario():
    for name in method.names():
        possible = [k for k in ("mnist5k-50", "mnist5k-1000-sgd") if not obstacle(make_method(name), make_scenario(k))]
        assert possible, name


STATEFUL = [name for name in LOSS_METHODS if "init" in vars(method.get(name).thing)]


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", STATEFUL)
def test_a_state_stacked_equals_alone(name, kind):
    """What a method remembers, and what is evaluated with it."""
    seeds = [0, 1]
    together, alone = (trainings(name, kind, seeds, steps=8, together=t) for t in (True, False))
    for training in (*together, *alone):
        losses(training)
        assert all(not value.requires_grad for value in training.state.values())
    for part in together[0].state:
        one, other = (
            torch.cat([t.state[part] if t.stacked else t.state[part][None] for t in ts]) for ts in (together, alone)
        )
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    x = together[0].x[:9]
    one, other = (torch.cat([t.predict(x.expand(len(t.keys), *x.shape)) for t in ts]) for ts in (together, alone))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
