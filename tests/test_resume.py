"""A run that was killed within a cell goes on there: through the runner, the workers and the command line."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from sslbench import runner
from sslbench.engine.training import Training
from sslbench.executors import InlineExecutor, LocalExecutor, Noted, Resumed
from sslbench.records import Store
from sslbench.suite import read_suite

OFTEN = 1e-9  # minutes: after every step


def plan_of(suite, folder):
    store = Store(folder)
    plan = runner.make_plan(suite, store, retry_failed=True)
    store.prepare()
    return plan, store


def sweep(suite, folder, executor=None, workers=1):
    """Run a suite: its records, and what was said."""
    heard = []
    plan, store = plan_of(suite, folder)
    records = list(runner.run(plan, store, executor or InlineExecutor(), "cpu", workers, heard.append))
    return {r.id: r for r in records}, [e for e in heard if isinstance(e, Resumed | Noted)]


def results(records):
    return {i: (r.status, r.metrics, r.curves, r.diagnostics) for i, r in records.items()}


@pytest.fixture
def stumble(monkeypatch):
    """Makes training raise after so many steps, again and again until it is lifted (None)."""
    advance, left = Training.advance, [None]

    def counted(self, *arguments, **named):
        if left[0] is not None:
            if left[0] == 0:
                raise RuntimeError("stumbled")
            left[0] -= 1
        return advance(self, *arguments, **named)

    def after(steps):
        left[0] = steps

    monkeypatch.setattr(Training, "advance", counted)
    return after


def checkpoints(folder):
    return sorted(p.name for p in (folder / "checkpoints").glob("*"))


def test_a_cell_that_failed_goes_on_from_its_checkpoint(mini, tmp_path, stumble):
    suite = mini(methods=["vat"], checkpoint_every=OFTEN)
    expected, _ = sweep(suite, tmp_path / "whole")
    assert not (tmp_path / "whole" / "checkpoints").exists()
    stumble(4)
    failed, _ = sweep(suite, tmp_path / "here")
    assert {r.status for r in failed.values()} == {"failed"}
    assert checkpoints(tmp_path / "here") == sorted(f"{r.key}.npz" for r in failed.values())
    stumble(None)
    again, heard = sweep(suite, tmp_path / "here")
    assert [(e.done, e.total) for e in heard] == [(4, 6)]
    assert results(again) == results(expected)
    assert {i: r.key for i, r in again.items()} == {i: r.key for i, r in failed.items()}
    for id_, record in again.items():
        assert record.provenance["resumed_at"] == [4]
        assert "resumed_at" not in expected[id_].provenance
    assert not (tmp_path / "here" / "checkpoints").exists()


def test_how_often_is_no_part_of_a_key(mini, tmp_path):
    keys = [{p.key for p in runner.make_plan(mini(checkpoint_every=m), Store(tmp_path)).planned} for m in (0, 1, 2.5)]
    assert keys[0] == keys[1] == keys[2]


def test_seeds_at_different_steps_train_one_after_the_other(mini, tmp_path, stumble):
    """Two stacks were stopped at different steps; one worker then has them all in one job."""
    suite = mini(methods=["vat"], seeds=4, checkpoint_every=OFTEN)
    plan, store = plan_of(suite, tmp_path / "here")
    folder = runner.Checkpointing(tmp_path / "here" / runner.CHECKPOINTS, 0.0)
    (job,) = runner.make_jobs(plan, "cpu", 1, folder)
    for places, steps in (((0, 2), 4), ((3,), 2)):
        stumble(steps)
        part = dataclasses.replace(
            job, cells=tuple(job.cells[i] for i in places), keys=tuple(job.keys[i] for i in places)
        )
        list(InlineExecutor().run([part]))
    stumble(None)
    records, heard = sweep(suite, tmp_path / "here")
    assert [e.done for e in heard] == [4, 2]
    assert [records[c.id].provenance.get("resumed_at") for c in job.cells] == [[4], None, [4], [2]]
    assert results(records) == results(sweep(suite, tmp_path / "whole")[0])
    assert [r.id for r in store.load()] == [c.id for c in job.cells]


@pytest.mark.parametrize("damage", ["torn", "foreign", "machine"])
def test_what_cannot_be_taken_up_is_told_and_begins_anew(mini, tmp_path, stumble, monkeypatch, damage):
    suite = mini(methods=["vat"], seeds=1, checkpoint_every=OFTEN)
    stumble(4)
    sweep(suite, tmp_path / "here")
    (path,) = (tmp_path / "here" / "checkpoints").iterdir()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "foreign":
        stumble(4)
        sweep(mini(methods=["vat"], seeds=[7], checkpoint_every=OFTEN), tmp_path / "other")
        (other,) = (tmp_path / "other" / "checkpoints").iterdir()
        path.write_bytes(other.read_bytes())
    else:
        monkeypatch.setattr("sslbench.executors.jobs._processor", lambda: "another processor")
    stumble(None)
    records, heard = sweep(suite, tmp_path / "here")
    (note,) = heard
    assert str(path) in note.text
    assert note.text.endswith("begins anew")
    assert {"torn": "is damaged", "foreign": "another cell", "machine": "another machine"}[damage] in note.text
    assert "resumed_at" not in records["vat/two-moons-6/seed0"].provenance
    assert results(records) == results(sweep(suite, tmp_path / "whole")[0])


def test_a_checkpoint_of_other_parameters_is_not_taken_up_and_removed(mini, tmp_path, stumble):
    stumble(4)
    sweep(mini(methods=["vat"], checkpoint_every=OFTEN), tmp_path)
    assert len(checkpoints(tmp_path)) == 2
    stumble(None)
    _, heard = sweep(mini(methods=["vat"], checkpoint_every=OFTEN, method={"vat": {"radius": 0.5}}), tmp_path)
    assert heard == []
    assert not (tmp_path / "checkpoints").exists()


def test_what_another_suite_keeps_in_the_same_folder_stays(mini, tmp_path, stumble):
    stumble(4)
    sweep(mini(methods=["vat"], checkpoint_every=OFTEN), tmp_path)
    kept = checkpoints(tmp_path)
    (tmp_path / "checkpoints" / "torn.123.part").write_bytes(b"")
    (tmp_path / "checkpoints" / "nobody.npz").write_bytes(b"")
    stumble(None)
    sweep(mini(methods=["supervised"], checkpoint_every=OFTEN), tmp_path)
    assert checkpoints(tmp_path) == kept


def test_without_checkpoints_there_are_none(mini, tmp_path, stumble):
    stumble(4)
    sweep(mini(methods=["vat"], checkpoint_every=0), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_stopped_workers_write_a_last_checkpoint(mini, tmp_path):
    """They get SIGTERM, where Ctrl-C, --stop-after or closing the records ends a run."""
    changes = {"*": {"steps": 600, "points": 100}, "two-moons-6": {"training_points": 60, "test_points": 40}}
    suite = mini(methods=["pseudo-label"], scenario=changes, checkpoint_every=60)
    plan, store = plan_of(suite, tmp_path / "here")
    come = []

    def listen(event):
        if getattr(event, "done", 0) > 20:
            come.append(event.done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(runner.run(plan, store, LocalExecutor(1), "cpu", 1, listen))
    assert len(checkpoints(tmp_path / "here")) == 2
    records, heard = sweep(suite, tmp_path / "here", LocalExecutor(1))
    assert [type(e) for e in heard] == [Resumed]
    assert 20 < heard[0].done < 600
    assert results(records) == results(sweep(suite, tmp_path / "whole")[0])


SUITE = """
name = "long"
seeds = 1
methods = ["pseudo-label"]
scenarios = ["mnist5k-50"]
checkpoint_every = 0.001
[scenario.mnist5k-50]
steps = 20
points = 4
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_kill_9_within_a_cell_and_a_second_run(tmp_path):
    """Everything is killed in the middle; the second run says where it goes on, and ends as one that was never stopped."""
    (tmp_path / "long.toml").write_text(SUITE)

    def command(folder):
        words = ["run", "long.toml", "--no-mlflow", "--workers", "1", "--device", "cpu", "--out", folder]
        return [sys.executable, "-m", "sslbench", *words]

    killed = subprocess.Popen(
        command("here"), cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(3000):
            if list(tmp_path.glob("here/checkpoints/*.npz")):
                break
            assert killed.poll() is None
            time.sleep(0.02)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert Store(tmp_path / "here").load() == []
    second = subprocess.run(command("here"), cwd=tmp_path, check=True, capture_output=True, text=True)
    (record,) = Store(tmp_path / "here").load()
    (step,) = record.provenance["resumed_at"]
    assert f"pseudo-label/mnist5k-50/seed0: goes on at step {step} of 20" in second.stderr
    (whole,) = sweep(read_suite(tmp_path / "long.toml"), tmp_path / "whole")[0].values()
    assert results({"": record}) == results({"": whole})
    assert {n: a.tobytes() for n, a in Store(tmp_path / "here").arrays(record).items()} == {
        n: a.tobytes() for n, a in Store(tmp_path / "whole").arrays(whole).items()
    }
    assert not (tmp_path / "here" / "checkpoints").exists()
