"""What every registered method must do, on every kind of input: the checks of `sslbench check`, and what they build on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks.perf.replay import in_float64
from sslbench.conformance import cases
from sslbench.engine import obstacle, run, stack_width
from sslbench.engine.training import Training
from sslbench.methods.base import method
from tests.conftest import KINDS_OF_INPUT, LOSS_METHODS, make_method, make_scenario, rng_of

CPU = torch.device("cpu")
SETTINGS = {
    "pseudo-label-interleaved": {"ramp_start": 0.0, "ramp_end": 1.0}
}  # so that it need not train for long first
CASES = {
    f"{name}-{case}": case
    for name in method.names()
    for case in cases(name, SETTINGS.get(name))
    if not case.impossible()
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_method_keeps_its_promise(case):
    found = case.verdict()
    assert found.status != "failed", f"{case.check.promise} {found}"


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_interleaved_labelled_steps_are_supervised_bit_for_bit(kind):
    """Before its first unlabelled step, and with weight 0 its unlabelled steps move nothing."""
    scenario = make_scenario(KINDS_OF_INPUT[kind], steps=8, points=2)
    method_ = make_method("pseudo-label-interleaved", scenario)
    problem = scenario.problem(rng_of(0))
    start = 3 / scenario.sizes(problem).labelled_steps  # three labelled steps, whatever an epoch is
    method_ = dataclasses.replace(method_, weight=0.0, ramp_start=start, ramp_end=start, every=2)
    training = Training(method_, scenario, [problem], [rng_of(0)], CPU)
    supervised = Training(make_method("supervised"), scenario, [problem], [rng_of(0)], CPU)
    expected = iter([float(supervised.advance(step, rows)[0]) for step, rows in supervised.steps()])
    kinds = set()
    for step, rows in training.steps():
        loss, _ = training.advance(step, rows)
        kinds.add(step.kind)
        if step.kind == "labelled" and len(kinds) == 1:
            assert float(loss) == next(expected)
        if step.kind == "unlabelled":  # Adam's momentum still moves; its gradient is zero
            assert all(not p.grad.any() for p in training.parameters.values() if p.grad is not None)
    assert kinds == {"labelled", "unlabelled"}


def test_the_gradients_of_both_terms_are_in_the_curves():
    scenario = make_scenario("two-moons-6", steps=8, points=2)
    (outcome,) = run(make_method("vat", scenario), scenario, [rng_of(0)], CPU)
    for term in ("labelled_gradient", "unlabelled_gradient"):
        assert all(value > 0 for value in outcome.curves[term])
    (supervised,) = run(make_method("supervised", scenario), scenario, [rng_of(0)], CPU)
    assert "unlabelled_gradient" not in supervised.curves


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_measuring_the_gradients_does_not_touch_the_training(name):
    scenario = make_scenario("mnist5k-50", steps=12)
    problem, method_ = scenario.problem(rng_of(0)), make_method(name, scenario)
    one, other = (Training(method_, scenario, [problem], [rng_of(0)], CPU) for _ in range(2))
    # Adam makes a whole step of a gradient that is next to nothing, such as float32's rounding.
    for training in (one, other):
        in_float64(training)
    for (step, rows), (again, same) in zip(one.steps(), other.steps(), strict=True):
        one.advance(step, rows)
        other.advance(again, same, measured=True)
    for n, parameter in one.parameters.items():
        torch.testing.assert_close(other.parameters[n], parameter, rtol=0, atol=1e-7)


def test_each_method_has_a_scenario():
    for name in method.names():
        possible = [k for k in ("mnist5k-50", "mnist5k-1000-sgd") if not obstacle(make_method(name), make_scenario(k))]
        assert possible, name


STATEFUL = [name for name in LOSS_METHODS if "init" in vars(method.get(name).thing)]


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", STATEFUL)
def test_a_state_stacked_equals_alone(name, kind):
    """What a method remembers, and what is evaluated with it."""
    scenario = make_scenario(KINDS_OF_INPUT[kind], steps=8)
    method_, rngs = make_method(name, scenario), [rng_of(0), rng_of(1)]
    problems = [scenario.problem(rng) for rng in rngs]
    alone = [Training(method_, scenario, [p], [r], CPU) for p, r in zip(problems, rngs, strict=True)]
    wide = stack_width(method_, scenario, problems, CPU) > 1
    together = [Training(method_, scenario, problems, rngs, CPU)] if wide else alone
    for training in {*together, *alone}:
        for step, rows in training.steps():
            training.advance(step, rows)
        assert all(not value.requires_grad for value in training.state.values())
    for part in together[0].state:
        one, other = (
            torch.cat([t.state[part] if t.stacked else t.state[part][None] for t in ts]) for ts in (together, alone)
        )
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    x = together[0].x[:9]
    one, other = (torch.cat([t.predict(x.expand(len(t.keys), *x.shape)) for t in ts]) for ts in (together, alone))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


LABELS_UNTOUCHED = {"mixmatch": {"alpha": 0.0}, "uda": {"annealing": "none"}, "pseudo-label-mixup": {"alpha": 0.0}}
"""What leaves the labelled term of those methods as it is in supervised training."""


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", LABELS_UNTOUCHED)
def test_what_is_exempt_from_weight_zero_is_supervised_but_for_what_it_does_to_the_labels(name, kind):
    scenario = make_scenario(KINDS_OF_INPUT[kind], steps=5)
    problem = scenario.problem(rng_of(0))
    mine = make_method(name, scenario, weight=0.0, **LABELS_UNTOUCHED[name])
    pair = [Training(m, scenario, [problem], [rng_of(0)], CPU) for m in (mine, make_method("supervised"))]
    losses = [[float(training.advance(step, rows)[0]) for step, rows in training.steps()] for training in pair]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # soft and masked labels are summed up otherwise
    for n, parameter in pair[0].parameters.items():
        torch.testing.assert_close(parameter, pair[1].parameters[n], rtol=1e-4, atol=1e-4)
