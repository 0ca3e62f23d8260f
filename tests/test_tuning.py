"""Tuning: on validation data alone, with as many trials for every method, and what it writes."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass

import pytest

from sslbench import tuning
from sslbench.cli import main
from sslbench.errors import BadInput
from sslbench.executors import Ended, InlineExecutor, LocalExecutor
from sslbench.methods.base import METHODS, Around, Loss, LossMethod, Range, cross_entropy, method
from sslbench.records import Store
from sslbench.scenarios.two_moons import TwoMoons
from sslbench.suite import Overrides, make_suite, params, read_suite
from sslbench.tuning import Found, Trial, document, facts, lines, make_tuning, tune, verdict, widened

SUITE = """
name = "tiny"
seeds = 2
methods = ["supervised", "vat", "pseudo-label"]
scenarios = ["two-moons-6"]
[scenario.two-moons-6]
steps = 8
training_points = 120
test_points = 40
[method.vat]
xi = 0.05                   # a comment
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A tiny suite file in a folder of its own, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, SUITE)


def write(folder, text):
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def tuned(suite, workers=0, **given):
    """Every study's trials by (method, scenario)."""
    found = tune(make_tuning(suite, **{"trials": 3, "seeds": "1000,1001", **given}), "cpu", workers)
    return {(f.study.method_name, f.study.scenario_name): f for f in found}


def chosen(suite, **given):
    return {pair: f.chosen.values for pair, f in tuned(suite, **given).items()}


def trial(accuracy, nll=1.0, seeds=3, **values):
    return Trial(values, (accuracy,) * seeds, nll)


# Trials ---------------------------------------------------------------------------------------------------------------


def test_every_method_has_the_same_trials_and_the_first_is_in_force(suite, monkeypatch):
    trained = []
    run = InlineExecutor.run

    def kept(self, jobs):
        taken = list(jobs)
        trained.extend(taken)
        return run(self, taken)

    monkeypatch.setattr(InlineExecutor, "run", kept)
    found = tuned(suite)
    assert {f.study.method_name for f in found.values()} == {"supervised", "vat", "pseudo-label"}
    assert {len(f.trials) for f in found.values()} == {3}
    cells = [cell for job in trained for cell in job.cells]
    assert set(Counter((c.method_name, c.seed) for c in cells).values()) == {3}
    assert {c.seed for c in cells} == {1000, 1001}
    assert found["supervised", "two-moons-6"].in_force.values == {"lr": 0.02}
    assert found["vat", "two-moons-6"].in_force.values == {"radius": 0.3, "weight": 3.0, "entropy": 0.1}
    assert all(len({str(t.values) for t in f.trials}) == 3 for f in found.values())


def test_the_methods_share_the_learning_rate_that_supervised_found(suite, monkeypatch):
    monkeypatch.setattr(Found, "chosen", property(lambda found: found.trials[-1]))
    found = tuned(suite, methods=["supervised", "vat"])
    lr = found["supervised", "two-moons-6"].chosen.values["lr"]
    assert lr != 0.02
    assert {c.scenario.lr for c in found["vat", "two-moons-6"].study.cells} == {lr}
    assert {c.scenario.lr for c in tuned(suite, methods=["vat"])["vat", "two-moons-6"].study.cells} == {0.02}


def test_any_number_of_workers_finds_the_same_and_starts_them_once(suite, monkeypatch):
    here = tuned(suite)
    assert {pair: f.trials for pair, f in tuned(suite).items()} == {pair: f.trials for pair, f in here.items()}
    started = []
    start = LocalExecutor._start
    monkeypatch.setattr(LocalExecutor, "_start", lambda self: started.append(1) or start(self))
    there = tuned(suite, workers=2)
    assert {pair: f.trials for pair, f in there.items()} == {pair: f.trials for pair, f in here.items()}
    assert len(started) == 2
    assert not multiprocessing.active_children()


def test_what_else_is_tuned_changes_nothing(suite):
    alone = tuned(suite, methods=["pseudo-label"])["pseudo-label", "two-moons-6"]
    beside = tuned(suite, methods=["vat", "pseudo-label"])["pseudo-label", "two-moons-6"]
    assert alone.trials == beside.trials


def test_test_data_change_no_trial(suite, monkeypatch):
    clean = {pair: f.trials for pair, f in tuned(suite).items()}
    problem = TwoMoons.problem

    def poisoned(self, rng):
        given = problem(self, rng)
        x, y = given.x.clone(), given.y.clone()
        y[given.test] = 1 - y[given.test]
        x[given.test] += 100
        return dataclasses.replace(given, x=x, y=y)

    monkeypatch.setattr(TwoMoons, "problem", poisoned)
    assert {pair: f.trials for pair, f in tuned(suite).items()} == clean


def test_trials_keep_to_the_limits_of_the_suite(suite, monkeypatch):
    jobs, run = [], InlineExecutor.run
    monkeypatch.setattr(InlineExecutor, "run", lambda self, given: run(self, [jobs.append(j) or j for j in given]))
    write(suite.parent, "timeout = 30\ncuda_graphs = true\n" + SUITE)
    tuned(suite, methods=["vat"], trials=1)
    assert {(job.timeout, job.cuda_graphs) for job in jobs} == {(1800.0, True)}


def test_a_diverged_trial_is_the_worst_and_no_error(suite):
    found = tuned(suite, methods=["supervised"], settings=["two-moons-6.lr=1e30", "two-moons-6.optimizer=sgd"])
    trials = found["supervised", "two-moons-6"].trials
    assert [(t.accuracy, t.nll) for t in trials] == [(0, math.inf)] * 3


def test_values_that_the_class_refuses_are_no_trials(suite):
    found = tuned(suite, methods=["pseudo-label"], settings=["pseudo-label.ramp_start=0.6"], trials=6)
    ends = [t.values["ramp_end"] for t in found["pseudo-label", "two-moons-6"].trials]
    assert len(ends) == 6
    assert min(ends) >= 0.6


@pytest.fixture
def plugin_methods(monkeypatch):
    """A method with whole numbers and choices to tune, one that fails, one with nothing to tune, two that are odd."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    def register(name, **attributes):
        @dataclass(frozen=True)
        class Plain(LossMethod):
            number: int = 2
            kind: str = "a"
            weight: float = 1.0

            def loss(self, model, batch, step, rng):
                if name == "breaks":
                    raise RuntimeError("no such thing")
                return Loss(cross_entropy(model, batch, rng), weight=self.weight)

        for key, value in attributes.items():
            setattr(Plain, key, value)
        method(name)(Plain)

    register("whole", search={"number": Range(1, 5), "kind": ("a", "b")})
    register("breaks", search={"weight": Around(2)})
    register("plain")
    register("misspelt", search={"wait": Range(0.0, 1.0)})
    register("shapeless", search={"weight": [0.0, 1.0]})


def test_whole_numbers_and_choices_stay_what_they_are(suite, plugin_methods):
    trials = tuned(suite, methods=["whole", "plain"], trials=5)["whole", "two-moons-6"].trials
    assert all(type(t.values["number"]) is int and 1 <= t.values["number"] <= 5 for t in trials)
    assert {t.values["kind"] for t in trials} <= {"a", "b"}


def test_an_exception_stops_the_tuning_and_says_where(suite, plugin_methods):
    with pytest.raises(tuning.TrialFailed, match=r"breaks/two-moons-6/seed1000 with weight = 1.0 failed: RuntimeError"):
        tuned(suite, methods=["breaks"])


# The choice -----------------------------------------------------------------------------------------------------------


def a_study(suite, name="vat"):
    plan = make_tuning(suite)
    return plan, next(s for s in plan.studies if s.method_name == name)


def test_a_change_must_exceed_the_noise(suite):
    _, study = a_study(suite)
    assert study.examples == 18
    force, little, much = trial(0.6, radius=1), trial(0.7, radius=2), trial(0.75, radius=3)
    assert 10 < 100 * Found(study, (force,)).noise < 11
    kept = Found(study, (force, little))
    assert kept.best is little
    assert kept.chosen is force
    assert "no better than the values in force, within the noise" in verdict(kept)
    assert "the best (radius = 2) is 10.0 points above them" in verdict(kept)
    assert Found(study, (force, little, much)).chosen is much
    assert "no trial is more accurate" in verdict(Found(study, (force, trial(0.5))))


def test_the_loss_breaks_ties_and_only_ties(suite):
    _, study = a_study(suite)
    worse, tie = trial(0.5, nll=0.0), trial(0.5 + 1 / 18, nll=math.inf)
    assert Found(study, (worse, tie)).best is tie
    low = trial(0.5, nll=0.5)
    assert Found(study, (trial(0.5, nll=0.6), low, trial(0.5, nll=0.5))).best is low


def test_the_space_has_the_value_in_force():
    assert widened("x", Around(10), 0.5) == Range(0.05, 5.0, log=True)
    assert widened("x", Range(1.0, 2.0), 3.0) == Range(1.0, 3.0)
    assert widened("x", (0.0, 0.1), 0.5) == (0.0, 0.1, 0.5)
    for space in (Around(10), Range(0.1, 1, log=True)):
        with pytest.raises(BadInput, match="x = 0 cannot be searched"):
            widened("x", space, 0)
    for wrong in (lambda: Range(1, 1), lambda: Range(0, 1, log=True), lambda: Around(1)):
        with pytest.raises(BadInput, match="give"):
            wrong()


@pytest.mark.parametrize("name", method.names())
def test_the_built_in_spaces_name_fields(name):
    thing = method.get(name).thing
    assert set(thing.search) <= {f.name for f in dataclasses.fields(thing)}
    assert bool(thing.search) == (name != "supervised")


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, not 0"),
        ({"seeds": "1,1000"}, "--seeds: 1 are seeds of the suite.*such as 1000-1002"),
        ({"methods": ["vta"]}, "tiny.toml: Unknown method 'vta'. Did you mean 'vat'"),
        ({"settings": ["two-moons-6.validation=0"]}, "'two-moons-6' has no validation examples"),
        ({"settings": ["two-moons-6.validation=8"]}, "validation = 8 is larger than the labelled set"),
        ({"settings": ["vat.weight=0"]}, "vat: weight = 0.0 cannot be searched"),
        ({"methods": ["plain"]}, "Nothing to tune here: plain on two-moons-6: its class declares no `search`"),
        ({"methods": ["misspelt"]}, "Unknown parameter in the search space of 'misspelt' 'wait'"),
        ({"methods": ["shapeless"]}, "weight cannot be searched in .*a tuple of choices"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_training(suite, plugin_methods, given, message):
    with pytest.raises(BadInput, match=message):
        make_tuning(suite, **given)


def test_an_estimator_has_no_learning_rate(tmp_path):
    path = write(tmp_path, 'methods = ["supervised", "vat", "pseudo-label-rounds"]\nscenarios = ["mnist5k-1000-sgd"]\n')
    plan = make_tuning(path)
    assert [s.method_name for s in plan.studies] == ["pseudo-label-rounds"]
    assert [line.split(" on ")[0] for line in plan.passed_over] == ["supervised", "vat"]


def test_without_optuna_it_says_what_to_install(suite, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadInput, match=r'pip install "sslbench\[tune\]"'):
        make_tuning(suite)


# The file -------------------------------------------------------------------------------------------------------------

VARIANTS = """
seeds = 2
[[grid]]
methods = ["supervised", "vat", "near", "nearer"]
scenarios = ["two-moons-6", "long"]
[[grid]]
methods = ["supervised"]
scenarios = ["longer"]
training_seeds = 2
[method.near]
base = "vat"
radius = 0.2
[method.near.on.long]
xi = 0.5
[method.nearer]
base = "near"
weight = 2.0
[scenario.long]
base = "two-moons-6"
steps = 20
[scenario.longer]
base = "long"
labels = 10
"""


def settings_of(suite):
    """By (method, scenario): the parameters of both."""
    return {(c.method_name, c.scenario_name): (params(c.method), params(c.scenario)) for c in suite.cells()}


def test_the_file_has_what_was_found_and_leaves_the_rest_as_it_was(tmp_path):
    path = write(tmp_path, VARIANTS)
    plan = make_tuning(path, scenarios=["long"], methods=["supervised", "near"], settings=["*.test_points=50"])
    found = []
    for study in plan.studies:
        values = {"lr": 0.05} if study.of == "scenario" else {"radius": 0.1, "weight": 7.0, "entropy": 0.3}
        found.append(Found(study, (trial(0.2, **study.in_force), trial(0.9, nll=math.inf, **values))))
    tuning.write(tmp_path / "tuned.toml", path.name, document(plan, found, "cpu"))

    before = settings_of(read_suite(path, Overrides(settings=["*.test_points=50"])))
    after = read_suite(tmp_path / "tuned.toml")
    expected = {pair: (dict(m), dict(s)) for pair, (m, s) in before.items()}
    for (method_name, scenario_name), (of_method, of_scenario) in expected.items():
        if scenario_name == "long":
            of_scenario["lr"] = 0.05
            if method_name == "near":
                of_method |= {"radius": 0.1, "weight": 7.0, "entropy": 0.3}
    assert settings_of(after) == expected
    assert expected["nearer", "long"][0]["xi"] == 0.5
    assert after.name == "tiny-tuned"
    assert [c.id for c in after.cells()] == [c.id for c in read_suite(path).cells()]
    assert after.tuning == facts(plan, found, "cpu")
    study = after.tuning["study"]["long"]["near"]
    assert (study["chosen"], study["tried"]["weight"], study["nll"]) == (1, [3.0, 7.0], [1.0, math.inf])


def test_lists_grow_by_what_was_tuned_from_outside_of_them(suite, plugin_methods):
    plan = make_tuning(suite, methods=["whole"])
    found = [Found(s, (trial(0.5, **s.in_force),)) for s in plan.studies]
    content = document(plan, found, "cpu")
    assert content["methods"] == ["supervised", "vat", "pseudo-label", "whole"]
    assert make_suite(content).methods["whole"][0] == "whole"


def sslbench(capsys, *words):
    old, sys.argv = sys.argv, ["sslbench", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = old
    printed = capsys.readouterr()
    return code, printed.out, " ".join(printed.err.split())


def test_from_the_command_line_to_a_suite_that_runs(suite, capsys, tmp_path):
    words = ["tune", suite, "--methods", "supervised,vat", "--trials", 2, "--workers", 0]
    code, out, err = sslbench(capsys, *words)
    assert code == 0
    assert "2 searches × 2 trials × 3 seeds = 12 trainings" in err
    assert "trial 2 of 2" in err
    assert "two-moons-6: 6 validation examples, 3 seeds" in out
    assert "18,445 validation examples" in out
    path = tmp_path / "results" / "local" / "tiny-tuned.toml"
    content = tomllib.loads(path.read_text())
    assert content["method"]["vat"]["xi"] == 0.05
    assert content["tuning"]["trials"] == 2
    first = path.read_bytes()

    code, _, err = sslbench(capsys, *words)
    assert (code, "is there already" in err) == (2, True)
    assert sslbench(capsys, *words, "--force")[0] == 0
    assert path.read_bytes() == first

    code, _, err = sslbench(capsys, "run", path, "--no-mlflow", "--dry-run")
    assert (code, "tiny-tuned" in err) == (0, True)
    (tmp_path / "taken").write_text("a file, not a folder")
    code, _, err = sslbench(capsys, *words, "--out", tmp_path / "taken" / "deeper.toml")
    assert (code, "cannot be written" in err) == (2, True)
    code, _, err = sslbench(capsys, *words, "--out", tmp_path)
    assert (code, "is a folder" in err) == (2, True)


def test_a_failing_method_is_exit_code_1_and_keeps_what_is_trained(suite, capsys, tmp_path, plugin_methods):
    code, _, err = sslbench(capsys, "tune", suite, "--methods", "supervised,breaks", "--trials", 2, "--workers", 0)
    assert code == 1
    assert "RuntimeError: no such thing." in err
    assert "the same command goes on" in err
    assert not (tmp_path / "results" / "local" / "tiny-tuned.toml").exists()
    statuses = [r.status for r in Store(tmp_path / "results" / "local" / "tiny-tuned.trials").load()]
    assert statuses == ["ok"] * 6 + ["failed"] * 3


# Going on -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trainings(monkeypatch):
    """Cells as they are trained; `stop` after so many is Ctrl-C."""
    run = InlineExecutor.run

    class Trainings(list):
        stop = math.inf

    seen = Trainings()

    def kept(self, jobs):
        for event in run(self, jobs):
            if isinstance(event, Ended):
                seen.extend(event.job.cells)
            yield event
            if len(seen) >= seen.stop:
                raise KeyboardInterrupt

    monkeypatch.setattr(InlineExecutor, "run", kept)
    return seen


def test_an_interrupted_tuning_goes_on_and_finds_the_same(suite, capsys, tmp_path, trainings):
    words = ["tune", suite, "--methods", "supervised,vat", "--trials", 3, "--workers", 0]
    assert sslbench(capsys, *words, "--out", tmp_path / "whole.toml")[0] == 0
    whole = len(trainings)
    assert whole == 2 * 3 * 3
    trainings.clear()
    trainings.stop = 13  # in the second trial of vat
    code, _, err = sslbench(capsys, *words, "--out", tmp_path / "again.toml")
    assert code == 130
    assert "Stopped. The trainings so far are kept" in err
    assert not (tmp_path / "again.toml").exists()
    first = len(trainings)
    trainings.stop = math.inf
    code, _, err = sslbench(capsys, *words, "--out", tmp_path / "again.toml")
    assert code == 0
    assert "learning rates: trial 3 of 3, trained earlier" in err
    assert first < len(trainings) == whole
    assert (tmp_path / "again.toml").read_bytes() == (tmp_path / "whole.toml").read_bytes()


def test_more_trials_cost_what_is_new(suite, capsys, trainings):
    words = ["tune", suite, "--methods", "vat", "--seeds", "1000,1001", "--workers", 0, "--force"]
    assert sslbench(capsys, *words, "--trials", 2)[0] == 0
    assert len(trainings) == 2 * 2
    assert sslbench(capsys, *words, "--trials", 3)[0] == 0
    assert len(trainings) == 2 * 3
    assert sslbench(capsys, *words, "--trials", 3, "--set", "two-moons-6.steps=9")[0] == 0
    assert len(trainings) == 2 * 3 + 2 * 3  # other settings: nothing of it stands


def test_what_another_device_trained_is_no_trial_here(suite, tmp_path, trainings):
    plan = make_tuning(suite, methods=["vat"], trials=1, seeds="1000-1000")
    store = Store(tmp_path / "trials")
    store.prepare()
    tune(plan, "cpu", 0, store=store)
    (record,) = store.load()
    tune(plan, "cpu", 0, store=store)
    assert len(trainings) == 1
    store.path.unlink()
    store.append(dataclasses.replace(record, provenance=record.provenance | {"device": "Some GPU"}))
    tune(plan, "cpu", 0, store=store)
    assert len(trainings) == 2


def test_one_tuning_at_a_time_writes_a_file(suite, capsys, tmp_path):
    with Store(tmp_path / "results" / "local" / "tiny-tuned.trials").lock():
        code, _, err = sslbench(capsys, "tune", suite, "--methods", "vat", "--trials", 1, "--workers", 0)
    assert code == 2
    assert "tiny-tuned.trials" in err


def test_the_lines_say_the_noise_beside_the_choice(suite):
    plan, study = a_study(suite)
    (head, name, line, *_) = lines(plan, [Found(study, (trial(0.5, **study.in_force), trial(1.0, radius=0.1)))])
    assert (head, name) == ("two-moons-6: 6 validation examples, 3 seeds", "  vat: radius = 0.1")
    assert line.strip().startswith("validation 100.0 %, in force 50.0 %: 50.0 points above")
    assert "noise of 10.7 points" in line
