"""Runner and executor: what is finished is not run again, nothing is lost, failures stay small."""

from __future__ import annotations

import json
import multiprocessing

import pytest

from sslbench import runner
from sslbench.errors import BadInput
from sslbench.executors import InlineExecutor, LocalExecutor, Started
from sslbench.records import Store, current
from sslbench.suite import make_suite


class Here(InlineExecutor):
    """Runs jobs in this process, and remembers their cells."""

    def __init__(self):
        self.cells = []

    def run(self, jobs):
        for event in super().run(jobs):
            if isinstance(event, Started):
                self.cells += [cell.id for cell in event.job.cells]
            yield event


def sweep(suite, folder, executor=None, workers=1):
    """Run a suite; returns the ids that were run."""
    store = Store(folder)
    plan = runner.make_plan(suite, store)
    store.prepare()
    executor = executor or Here()
    records = list(runner.run(plan, store, executor, "cpu", workers))
    return getattr(executor, "cells", [r.id for r in records])


def results(folder):
    return {r.id: (r.metrics, r.curves, r.status) for r in current(Store(folder).load())}


def test_a_second_run_runs_nothing(mini, tmp_path):
    assert len(sweep(mini(), tmp_path)) == 4
    assert sweep(mini(), tmp_path) == []
    plan = runner.make_plan(mini(), Store(tmp_path))
    assert len(plan.finished) == 4
    assert not plan.pending


def test_a_changed_parameter_runs_only_what_it_touches(mini, tmp_path):
    sweep(mini(), tmp_path)
    again = sweep(mini(method={"vat": {"radius": 0.5}}), tmp_path)
    assert again == ["vat/two-moons-6/seed0", "vat/two-moons-6/seed1"]
    assert len(current(Store(tmp_path).load())) == 4


def test_going_back_to_earlier_settings_shows_their_results_again(mini, tmp_path):
    sweep(mini(), tmp_path)
    first = results(tmp_path)
    sweep(mini(method={"vat": {"radius": 5.0, "weight": 9.0}}), tmp_path)
    assert results(tmp_path) != first
    assert sweep(mini(), tmp_path) == []
    assert results(tmp_path) == first


def test_records_of_other_settings_do_not_stand_side_by_side(mini, tmp_path):
    sweep(mini(), tmp_path)
    sweep(mini(method={"vat": {"radius": 5.0}}, seeds=1), tmp_path)
    assert set(results(tmp_path)) == {
        "supervised/two-moons-6/seed0",
        "supervised/two-moons-6/seed1",
        "vat/two-moons-6/seed0",
    }
    sweep(mini(methods=["vat"], seed=7, seeds=1), tmp_path)
    assert set(results(tmp_path)) == {"vat/two-moons-6/seed0"}


def test_more_seeds_run_only_the_new_ones(mini, tmp_path):
    sweep(mini(), tmp_path)
    assert {i.split("/")[2] for i in sweep(mini(seeds=4), tmp_path)} == {"seed2", "seed3"}


def test_a_torn_record_runs_again(mini, tmp_path):
    sweep(mini(), tmp_path)
    whole = results(tmp_path)
    path = Store(tmp_path).path
    path.write_bytes(path.read_bytes()[:-20])
    assert sweep(mini(), tmp_path) == ["vat/two-moons-6/seed1"]
    assert results(tmp_path) == whole


def test_records_say_all_that_made_them(mini, tmp_path):
    sweep(mini(), tmp_path)
    record = Store(tmp_path).load()[-1]
    assert record.cell["id"] == "vat/two-moons-6/seed1"
    assert (record.method["name"], record.method["base"], len(record.method["code"])) == ("vat", "vat", 16)
    assert record.method["params"]["radius"] == 0.3
    assert record.scenario["labels"] == 6
    assert record.scenario["class_names"] == ["upper", "lower"]
    assert len(record.provenance["split_sha256"]) == len(record.provenance["data_sha256"]) == 64
    assert {"versions", "device", "machine", "started_at", "finished_at", "precision"} <= record.provenance.keys()
    assert record.peak_memory_bytes > 0
    assert json.loads(record.to_json())["timing"]["steps"] == 6


def test_every_method_of_a_seed_has_the_same_split(mini, tmp_path):
    sweep(mini(), tmp_path)
    digests = {}
    for r in Store(tmp_path).load():
        digests.setdefault(r.seed, set()).add(r.provenance["split_sha256"])
    assert [len(d) for d in digests.values()] == [1, 1]
    assert digests[0] != digests[1]


def test_a_pair_that_makes_no_sense_is_a_skipped_row(tmp_path):
    content = {"name": "x", "seeds": 1, "methods": ["vat"], "scenarios": ["mnist5k-1000-sgd"]}
    assert sweep(make_suite(content), tmp_path) == []
    (record,) = Store(tmp_path).load()
    assert record.status == "skipped"
    assert "scikit-learn" in record.reason
    assert sweep(make_suite(content), tmp_path) == []
    assert len(Store(tmp_path).load()) == 1


@pytest.mark.parametrize(
    ("scenario", "changes", "message"),
    [
        ("mnist5k-50", {"labels": 55}, "scenario 'mnist5k-50': labels = 55 cannot be shared out evenly"),
        ("mnist5k-50", {"labels": 5000}, "the pool has 400"),
        ("mnist5k-50", {"validation": 60}, "validation = 60 is larger than the labelled set"),
        ("mnist5k-1000-no7", {"missing": [10]}, "missing = 10 is no class"),
        ("mnist5k-1000-logreg", {"labels": 40}, "components = 50 cannot be fitted on 40 .*at most 40"),
        ("mnist5k-50", {"data": "mnist6k"}, "Unknown dataset 'mnist6k'. Did you mean 'mnist5k'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_training(tmp_path, scenario, changes, message):
    content = {"name": "x", "methods": ["vat"], "scenarios": [scenario], "scenario": {scenario: changes}}
    with pytest.raises(BadInput, match=message):
        runner.make_plan(make_suite(content), Store(tmp_path))


def test_a_method_that_never_comes_to_its_unlabelled_examples_is_refused(tmp_path):
    content = {"name": "x", "methods": ["pseudo-label-interleaved"], "scenarios": ["mnist5k-1000"]}
    with pytest.raises(BadInput, match="takes no unlabelled step within steps = 350"):
        runner.make_plan(make_suite(content), Store(tmp_path))
    shorter = content | {"method": {"pseudo-label-interleaved": {"ramp_start": 1.0, "ramp_end": 5.0}}}
    assert runner.make_plan(make_suite(shorter), Store(tmp_path)).pending


# Worker processes -----------------------------------------------------------------------------------------------------


def test_workers_give_the_same_bits_as_one_process(mini, tmp_path):
    """1 worker, 2 workers, this process: equal records, whatever ran beside them."""
    content = {"methods": ["supervised", "pseudo-label", "pi-model", "vat"], "seeds": 3}
    sweep(mini(**content), tmp_path / "here")
    for workers in (1, 2):
        sweep(mini(**content), tmp_path / str(workers), LocalExecutor(workers), workers)
        assert results(tmp_path / str(workers)) == results(tmp_path / "here")


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(mini, tmp_path):
    suite = mini(seeds=6, methods=["supervised", "pseudo-label", "vat"])
    store = Store(tmp_path)
    plan = runner.make_plan(suite, store)
    store.prepare()
    executor = LocalExecutor(2)
    records = runner.run(plan, store, executor, "cpu", 2)
    next(records)
    pids = [p.pid for p in multiprocessing.active_children()]
    assert pids
    records.close()
    assert not [p for p in multiprocessing.active_children() if p.pid in pids]
    kept = len(store.load())
    assert 1 <= kept < 18
    assert len(sweep(suite, tmp_path)) == 18 - kept


def test_each_worker_has_the_environment_and_the_folder_of_the_driver_now(mini, tmp_path, monkeypatch):
    """The process of which workers are forks is as old as the first of them."""
    plugin = tmp_path / "spy.py"
    plugin.write_text("import os, pathlib\npathlib.Path(os.environ['SPY']).write_text(os.getcwd())\n")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("SPY", str(tmp_path / f"{name}.txt"))
        executor = LocalExecutor(1, [plugin])
        executor.ahead()
        sweep(mini(methods=["supervised"], seeds=1), tmp_path / "results" / name, executor)
    assert [(tmp_path / f"{n}.txt").read_text() for n in ("first", "second")] == [
        str(tmp_path / n) for n in ("first", "second")
    ]


def test_few_jobs_are_split_so_that_no_worker_idles(mini, tmp_path):
    plan = runner.make_plan(mini(methods=["vat"], seeds=6), Store(tmp_path))
    assert [len(j.cells) for j in runner.make_jobs(plan, "cpu", 1)] == [6]
    assert [len(j.cells) for j in runner.make_jobs(plan, "cpu", 2)] == [3, 3]
    assert [len(j.cells) for j in runner.make_jobs(plan, "cpu", 4)] == [2, 2, 2]


def test_no_workers_are_refused():
    with pytest.raises(BadInput, match="at least 1"):
        LocalExecutor(0)


def test_a_plan_says_of_finished_cells_that_another_device_computed_them(mini, tmp_path):
    suite, store = mini(methods=["supervised"]), Store(tmp_path)
    assert runner.make_plan(suite, store).note("cuda") == ""
    list(runner.run(runner.make_plan(suite, store), store, InlineExecutor(), "cpu"))
    plan = runner.make_plan(suite, store)
    assert plan.note("cpu") == ""
    assert plan.note("cuda").startswith(
        "2 of the finished cells were computed on cpu and stay as they are: another --out"
    )
