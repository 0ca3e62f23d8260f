"""Estimates of a dry run: what is finished counts, else a few steps, and what happens once does not count for each step."""

from __future__ import annotations

import pytest

from sslbench import estimates, runner
from sslbench.engine import Outcome
from sslbench.errors import BadInput
from sslbench.executors import InlineExecutor
from sslbench.records import Store


def estimated(suite, folder, workers=1):
    return estimates.seconds_per_cell(runner.make_plan(suite, Store(folder)), "cpu", workers)


def sweep(suite, folder):
    store = Store(folder)
    plan = runner.make_plan(suite, store)
    store.prepare()
    return list(runner.run(plan, store, InlineExecutor(), "cpu"))


@pytest.fixture
def engine(monkeypatch):
    """An engine on a clock of its own: a minute of imports first, then a second a step of each seed, two an evaluation."""
    now = [0.0]
    monkeypatch.setattr(estimates.time, "perf_counter", lambda: now[0])
    stacks = []

    def run(method, scenario, rngs, device, progress, *given, **named):
        stacks.append(len(rngs))
        now[0] += 60
        for point in range(1, scenario.points + 1):
            now[0] += len(rngs) * (scenario.steps // scenario.points * 1.0 + 2.0)
            progress(point * scenario.steps // scenario.points, scenario.steps, 0.5)
        train_s = 60 / len(rngs) + scenario.steps
        timing = {"setup_s": 1.0, "train_s": train_s, "eval_s": 2.0 * scenario.points, "steps": scenario.steps}
        return [Outcome("ok", timing=timing) for _ in rngs]

    monkeypatch.setattr(estimates.engine, "run", run)
    return stacks


def test_it_comes_from_finished_cells_or_from_a_few_steps(mini, tmp_path):
    suite = mini(seeds=1)
    measured = estimated(suite, tmp_path)
    assert set(measured) == {("supervised", "two-moons-6"), ("vat", "two-moons-6")}
    assert all(s > 0 for s in measured.values())
    sweep(suite, tmp_path)
    spent = {r.method["name"]: r.timing for r in Store(tmp_path).load()}
    for (method, _), seconds in estimated(mini(seeds=2), tmp_path).items():
        assert seconds == pytest.approx(sum(spent[method][k] for k in ("setup_s", "train_s", "eval_s")))


@pytest.mark.parametrize("steps", [1, 2, 3, 12, 13, 5000])
def test_it_is_of_any_number_of_steps(mini, tmp_path, steps):
    suite = mini(scenario={"*": {"steps": steps, "points": 1}, "two-moons-6": {"training_points": 60}})
    assert all(s > 0 for s in estimated(suite, tmp_path).values())


def test_what_a_process_does_once_is_not_counted_for_each_step(mini, tmp_path, engine):
    suite = mini(seeds=1, scenario={"*": {"steps": 600, "points": 10}})
    assert estimated(suite, tmp_path) == pytest.approx(
        {("supervised", "two-moons-6"): 1 + 600 + 20, ("vat", "two-moons-6"): 1 + 600 + 20}
    )


def test_seeds_are_tried_in_the_stack_that_would_run(mini, tmp_path, engine):
    suite = mini(seeds=6, scenario={"*": {"steps": 600, "points": 10}})
    assert estimated(suite, tmp_path, workers=2) == pytest.approx(
        {("supervised", "two-moons-6"): 1 + 600 + 20, ("vat", "two-moons-6"): 1 + 600 + 20}
    )
    assert engine == [6, 6]
    estimated(suite, tmp_path, workers=4)
    assert engine[2:] == [3, 3]


def test_that_of_a_fit_does_not_grow_with_the_steps(mini, tmp_path, engine):
    suite = mini(seeds=1, methods=["label-propagation"], scenario={"*": {"steps": 600, "points": 10}})
    (seconds,) = estimated(suite, tmp_path).values()
    assert seconds == 1 + (60 + estimates.PROBE_STEPS) + 4  # all that was tried, and no more


def test_a_method_that_fails_at_once_is_one_line(mini, tmp_path, monkeypatch):
    def fails(*given, **named):
        raise ArithmeticError("no such thing")

    monkeypatch.setattr(estimates.engine, "run", fails)
    with pytest.raises(BadInput, match="vat on two-moons-6 fails in its first steps: ArithmeticError: no such thing"):
        estimated(mini(methods=["vat"]), tmp_path)
