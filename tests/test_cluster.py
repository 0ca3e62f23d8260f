"""Other machines, without any: what is refused before a job is sent, and what a node refuses to compute."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pickle
import socket
import subprocess
import sys
import threading

import pytest

from sslbench import runner
from sslbench.errors import BadInput
from sslbench.executors import Cluster, RayExecutor, link, node, ray
from sslbench.executors.node import Driver, admit, serve
from sslbench.records import Store
from sslbench.registry import load_plugin


@pytest.fixture
def job(mini, tmp_path):
    return runner.make_jobs(runner.make_plan(mini(methods=["supervised"]), Store(tmp_path)), "cpu", 1)[0]


def told(job, **changes):
    """The job with other values in each of its cells."""
    return dataclasses.replace(job, cells=tuple(dataclasses.replace(c, **changes) for c in job.cells))


HERE = Driver.here("cpu", ())


def test_a_job_of_the_same_code_and_data_is_taken(job):
    assert admit(HERE, pickle.dumps(job)).keys == job.keys
    results = pickle.loads(serve(HERE, pickle.dumps(job), lambda *news: None))
    assert [r.record.status for r in results] == ["ok", "ok"]
    assert results[0].record.provenance["versions"] == HERE.versions


def results(packed):
    return [(r.record.status, r.record.metrics, r.record.curves) for r in pickle.loads(packed)]


def test_checkpoints_go_to_the_driver_and_come_back_with_the_job(job, tmp_path):
    """What is told as a last word is what the next node gets; nothing is written where the job runs."""
    kept, heard = {}, []

    def tell(kind, *what):
        if kind == "checkpoint":
            kept.update([what])
        else:
            heard.append((kind, *what))

    often = dataclasses.replace(job, checkpoints=runner.Checkpointing(tmp_path / "checkpoints", 0.0))
    whole = serve(HERE, pickle.dumps(often), tell)
    assert set(kept) == {f"{key}.npz" for key in job.keys}
    assert heard[0] == ("begun",)
    heard.clear()
    again = serve(HERE, pickle.dumps(often), tell, lost=1, found=dict(kept))
    assert ("resumed", 5, 6) in heard
    assert results(again) == results(whole) == results(serve(HERE, pickle.dumps(job), tell))
    (record, _) = (r.record for r in pickle.loads(again))
    assert (record.provenance["attempts"], record.provenance["resumed_at"]) == (2, [5])
    assert not (tmp_path / "checkpoints").exists()


def test_a_driver_that_cannot_be_reached_costs_its_checkpoints_alone(job, tmp_path):
    def tell(*message):
        raise OSError(0, "the driver cannot be reached")

    often = dataclasses.replace(job, checkpoints=runner.Checkpointing(tmp_path, 0.0), timeout=600.0)
    assert [r.record.status for r in pickle.loads(serve(HERE, pickle.dumps(often), tell))] == ["ok", "ok"]


def test_a_damaged_checkpoint_is_told_and_the_cell_begins_anew(job, tmp_path):
    heard = []
    often = dataclasses.replace(job, checkpoints=runner.Checkpointing(tmp_path, 60.0))
    found = {f"{job.keys[0]}.npz": b"damaged"}
    packed = serve(HERE, pickle.dumps(often), lambda *message: heard.append(message), found=found)
    assert [r.record.status for r in pickle.loads(packed)] == ["ok", "ok"]
    (note,) = [text for kind, *text in heard if kind == "noted"]
    assert note[0].endswith(f"of {job.cells[0].id} is damaged: it begins anew")


def test_a_job_whose_time_is_over_says_where_it_is(job, monkeypatch):
    late = threading.Event()
    heard = []

    def tell(kind, *what):
        if kind == "late":
            heard.extend(what)
            late.set()

    def slow_work(*_):
        assert late.wait(60)
        return ()

    monkeypatch.setattr(node, "work", slow_work)
    serve(HERE, pickle.dumps(dataclasses.replace(job, timeout=0.01)), tell)
    assert "in slow_work" in heard[0]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("common", "code of the engine"),
        ("method", "the method 'supervised'"),
        ("scenario", "the scenario 'two-moons-6'"),
    ],
)
def test_other_code_is_refused(job, part, message):
    other = told(job, source=dataclasses.replace(job.cells[0].source, **{part: "0123456789abcdef"}))
    with pytest.raises(BadInput, match=f"{message} is not the driver's: install the same sslbench"):
        admit(HERE, pickle.dumps(other))


def test_other_data_are_refused(job):
    other = dataclasses.replace(job, keys=tuple("0" * 32 for _ in job.keys))
    with pytest.raises(
        BadInput, match="data of the scenario 'two-moons-6' at seed 0 are not the driver's .*SSLBENCH_DATA"
    ):
        serve(HERE, pickle.dumps(other), lambda *news: None)


@pytest.mark.parametrize("package", ["sslbench", "torch", "numpy"])
def test_other_versions_are_refused(job, package):
    driver = dataclasses.replace(HERE, versions={**HERE.versions, package: "0.0.1"})
    with pytest.raises(BadInput, match=rf"it has {package} \S+ \(driver: 0\.0\.1\): install the same versions"):
        admit(driver, pickle.dumps(job))


def test_another_build_of_the_same_torch_will_do(job):
    driver = dataclasses.replace(
        HERE, versions={**HERE.versions, "torch": f"{HERE.versions['torch'].split('+')[0]}+other"}
    )
    assert admit(driver, pickle.dumps(job))


PLUGIN = '''
from dataclasses import dataclass
from sslbench.methods.base import Loss, LossMethod, cross_entropy, method

@method("shipped")
@dataclass(frozen=True)
class Shipped(LossMethod):
    """Known to the driver alone."""

    def loss(self, model, batch, step, rng):
        return Loss(cross_entropy(model, batch, rng))
'''
NODE = """
import pickle, sys
from sslbench.errors import BadInput
from sslbench.executors import Cluster, RayExecutor, ray
from sslbench.executors.node import serve
driver, job = pickle.load(sys.stdin.buffer)
try:
    print([r.record.status for r in pickle.loads(serve(driver, job, print))])
except BadInput as error:
    print(error)
"""


@pytest.mark.slow
def test_a_plugin_comes_by_content_and_is_kept_once(mini, tmp_path):
    path = tmp_path / "here" / "shipped.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    load_plugin(path)
    job = runner.make_jobs(runner.make_plan(mini(methods=["shipped"]), Store(tmp_path / "out")), "cpu", 1)[0]
    known = Driver.here("cpu", (path,))
    sent = [pickle.dumps((driver, pickle.dumps(job))) for driver in (known, known, HERE)]
    path.unlink()
    there = tmp_path / "there"
    there.mkdir()
    with_it, again, without = (
        subprocess.run(
            [sys.executable, "-c", NODE],
            input=s,
            capture_output=True,
            check=True,
            env={**os.environ, "TMPDIR": str(there)},
        ).stdout.decode()
        for s in sent
    )
    assert "['ok', 'ok']" in with_it
    assert "['ok', 'ok']" in again
    assert "cannot be had there" in without
    assert [p.name for p in there.rglob("*") if p.is_file()] == ["shipped.py"]


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "slots"),
    [
        ([{"CPU": 1.0}] * 3, 1, 0, 3),
        ([{"CPU": 8.0}, {"CPU": 3.0}], 2, 0, 5),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}], 1, 0.5, 4),
        ([{"CPU": 2.0, "GPU": 4.0}], 1, 0.5, 2),
        ([{"CPU": 16.0, "GPU": 1.0}], 1, 0.1, 10),
        ([{"memory": 1e9}], 1, 0, 0),
    ],
)
def test_a_node_has_room_for_as_many_jobs_as_it_has_cpus_and_shares_of_gpus(nodes, cpus, gpus, slots):
    assert link.slots(nodes, cpus, gpus) == slots


def test_the_device_is_the_nodes_not_the_drivers():
    with_gpu, without = [{"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}], [{"CPU": 4.0}]
    assert [ray._device(d, with_gpu) for d in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert ray._device("auto", without) == "cpu"
    with pytest.raises(BadInput, match="no node of the Ray cluster has a GPU"):
        ray._device("cuda", without)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": "slurm"}, "Unknown executor 'slurm'. Known: local, ray"),
        ({"cluster": Cluster("head:6379")}, "are for --executor ray: add it"),
        ({"executor": "ray", "workers": 0}, "--workers 0: give at least 1 job at a time"),
        ({"executor": "ray", "cluster": Cluster("somewhere")}, "give HOST:PORT, ray://HOST:PORT or auto"),
    ],
)
def test_a_place_that_cannot_be_is_refused(monkeypatch, given, message):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(BadInput, match=message):
        runner.make_place(**given)


@pytest.mark.parametrize("given", [{"cpus": 0}, {"gpus": 0}, {"gpus": 1.5}, {"address": "local"}])
def test_what_no_job_can_reserve_is_refused(given):
    with pytest.raises(BadInput, match=r"--ray-\w+"):
        Cluster(**given)


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r'ray is not installed. pip install "sslbench\[ray\]"'):
        RayExecutor(Cluster())


def test_where_no_cluster_listens_it_is_said_at_once(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BadInput, match=f"No Ray cluster answers at 127.0.0.1:{port} .*ray start --head"):
        RayExecutor(Cluster(f"127.0.0.1:{port}"))
