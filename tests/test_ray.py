"""Cells on a real Ray cluster of several nodes on this machine: the same results, and nothing lost where a node dies."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sslbench import runner
from sslbench.errors import BadInput
from sslbench.executors import Advanced, Cluster, Ended, InlineExecutor, RayExecutor, Resumed, Retried, Started
from sslbench.records import Store
from sslbench.registry import load_plugin

pytest.importorskip("ray", reason='ray is not installed: pip install "sslbench[ray]"')
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

# A cluster of its own process, told by lines what to do: Ray's threads and its warnings stay out of pytest's.
NODES = """
import sys
from ray.cluster_utils import Cluster

small = {"object_store_memory": 80 << 20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(int(sys.argv[1]))]
print("at", cluster.address, flush=True)
for line in sys.stdin:
    if line == "kill a node\\n":
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    if line == "add a node\\n":
        nodes.append(cluster.add_node(num_cpus=1, **small))
    if line == "kill the head\\n":
        cluster.head_node.kill_gcs_server()
    if line == "kill the driver's node\\n":
        cluster.head_node.kill_raylet()
    print("done", flush=True)
cluster.shutdown()
"""


class Nodes:
    """A Ray cluster on this machine, of a head without CPUs and some nodes of one CPU each. Beware of a hanging job on the
    last of them: what is tried again comes after it."""

    def __init__(self, count: int, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NODES, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment | {"RAY_USAGE_STATS_ENABLED": "0"},
        )
        self.address = self._heard("at ")

    def do(self, what: str) -> None:
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        self._heard("done")

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _heard(self, start: str) -> str:
        for line in self._process.stdout:
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise AssertionError("the cluster did not start")


@pytest.fixture(scope="session")  # which a run in several processes does not split up
def data(tmp_path_factory):
    """The nodes' own data folder."""
    folder = tmp_path_factory.mktemp("data")
    write_images(folder, 7)
    return folder


@pytest.fixture(scope="session")  # which a run in several processes does not split up
def nodes(data):
    found = Nodes(3, {"SSLBENCH_DATA": str(data)})
    yield found
    found.end()


@pytest.fixture(autouse=True)
def _ray_is_brief(monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "4")


def write_images(folder: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    y = np.arange(400) % 10
    x = np.clip(20 * y[:, None, None, None] + draw.integers(0, 40, (400, 1, 28, 28)), 0, 255)
    np.savez(folder / "numbered.npz", x=x.astype(np.uint8), y=y)


PLUGIN = '''
import ctypes, os, signal, time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sslbench.data.base import Dataset, data_folder, dataset
from sslbench.methods.base import Loss, LossMethod, cross_entropy, method


@method("on-a-node")
@dataclass(frozen=True)
class OnANode(LossMethod):
    """Does what it is told, and leaves the number of its process and of the step in a folder."""

    what: str = "nothing"
    folder: str = ""
    steps: int = 0
    """So many are taken before the process does what it is told."""

    def loss(self, model, batch, step, rng):
        if self.folder:
            Path(self.folder, f"{os.getpid()}-{time.time_ns()}").touch()
        if self.steps and sum(name.startswith(f"{os.getpid()}-") for name in os.listdir(self.folder)) <= self.steps:
            return Loss(cross_entropy(model, batch, rng))
        if self.what == "raise":
            raise RuntimeError("no such thing")
        if self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        while self.what == "wait" and not Path(self.folder, "go").exists():
            time.sleep(0.05)
        if self.what == "hang":
            time.sleep(600)
        if self.what == "hold":
            ctypes.PyDLL(None).sleep(600)  # and no other thread of the process gets to run
        if self.what == "dawdle":
            time.sleep(0.1)
        return Loss(cross_entropy(model, batch, rng))


@dataset("numbered")
def numbered():
    with np.load(data_folder()[0] / "numbered.npz") as file:
        x, y = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
    return Dataset("numbered", x[:300], y[:300], x[300:], y[300:], tuple("0123456789"))
'''


@pytest.fixture(scope="session")  # which a run in several processes does not split up
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "on_a_node.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def sweep(suite, folder, executor, after=lambda event: None):
    """Run a suite; returns the records in the order of their ends."""
    store = Store(folder)
    plan = runner.make_plan(suite, store)
    store.prepare()
    list(runner.run(plan, store, executor, "cpu", 3, after))
    return store.load()


def bits(folder):
    """All that a training computed."""
    store = Store(folder)
    return {
        r.id: (
            r.key,
            r.status,
            r.metrics,
            r.curves,
            r.diagnostics,
            {n: a.tobytes() for n, a in store.arrays(r).items()},
        )
        for r in store.load()
    }


def paths(folder):
    return sorted((folder / "checkpoints").glob("*.npz"))


def suite_of(mini, **changes):
    """Two moons and images out of the data folder, a few steps."""
    moons = {"training_points": 60, "test_points": 40, "steps": 4, "points": 2}
    few = {"data": "numbered", "steps": 4, "points": 1}
    return mini(scenarios=["mnist5k-10", "two-moons-6"], scenario={"two-moons-6": moons, "mnist5k-10": few}, **changes)


def test_a_node_that_dies_costs_no_cell_and_changes_no_bit(mini, tmp_path, monkeypatch, nodes, plugin, data):
    """Three nodes, one killed while all three work: each cell is there once, and equals that of this machine."""
    monkeypatch.setenv("SSLBENCH_DATA", str(data))
    steps = tmp_path / "steps"
    steps.mkdir()
    told = {"on-a-node": {"what": "wait", "folder": str(steps)}}
    suite = suite_of(mini, seeds=3, methods=["on-a-node", "vat"], method=told)
    executor = RayExecutor(Cluster(nodes.address), plugins=[plugin])
    assert (executor.slots, executor.device) == (3, "cpu")
    begun = []

    def kill_one_in_the_middle(event):
        if isinstance(event, Started):
            begun.append(event.job.name)
            if len(begun) == 3:
                wait_until(lambda: len(processes(steps)) == 3)
                nodes.do("kill a node")
                (steps / "go").touch()

    records = sweep(suite, tmp_path / "ray", executor, kill_one_in_the_middle)
    assert [r.status for r in records] == ["ok"] * 12
    assert len({r.id for r in records}) == 12
    assert len(begun) == len(set(begun)), "a job is told once, however often it ran"
    taken = len(os.listdir(steps))
    sweep(suite, tmp_path / "here", InlineExecutor())  # whose bits are those of the worker processes
    undisturbed = len(os.listdir(steps)) - taken
    assert taken > undisturbed, "the dead node had done some steps"
    assert bits(tmp_path / "ray") == bits(tmp_path / "here")


OFTEN = 1e-9  # minutes: a checkpoint after every step


def test_a_cell_of_a_node_that_dies_goes_on_from_its_checkpoint_elsewhere(mini, tmp_path, nodes, plugin):
    """Each trains some steps and waits, one node dies, and its cell is ended by another node, with the bits of one machine."""
    nodes.do("add a node")
    (steps := tmp_path / "steps").mkdir()
    told = {"on-a-node": {"what": "wait", "folder": str(steps), "steps": 3}}
    suite = mini(seeds=3, methods=["on-a-node"], method=told, checkpoint_every=OFTEN)
    executor = RayExecutor(Cluster(nodes.address), plugins=[plugin])
    begun, resumed = [], []

    def kill_one_in_the_middle(event):
        if isinstance(event, Started):
            begun.append(event.job.name)
            if len(begun) == 3:
                wait_until(lambda: len(processes(steps)) == len(paths(tmp_path / "ray")) == 3)
                wait_until(lambda: all(step_of(path) == 3 for path in paths(tmp_path / "ray")))
                nodes.do("kill a node")
                wait_until(lambda: not all(Path("/proc", pid).exists() for pid in processes(steps)))
                (steps / "go").touch()
        if isinstance(event, Resumed):
            resumed.append((event.job.name, event.done, event.total))

    records = sweep(suite, tmp_path / "ray", executor, kill_one_in_the_middle)
    (name, done, total) = one = resumed[0]
    assert resumed == [one]
    assert (done, total) == (3, 6)
    assert {r.id: (r.provenance.get("resumed_at"), r.provenance["attempts"]) for r in records} == {
        job: ([3], 2) if job == name else (None, 1) for job in begun
    }
    assert paths(tmp_path / "ray") == []
    sweep(suite, tmp_path / "here", InlineExecutor())
    assert bits(tmp_path / "ray") == bits(tmp_path / "here")


def test_a_run_that_is_stopped_leaves_last_checkpoints_and_goes_on_anywhere(mini, tmp_path, nodes, plugin):
    told = {"on-a-node": {"what": "dawdle"}}
    suite = mini(
        seeds=1, methods=["on-a-node"], method=told, checkpoint_every=60, scenario={"*": {"steps": 60, "points": 20}}
    )
    plan = runner.make_plan(suite, store := Store(tmp_path / "ray"))
    store.prepare()

    def stop(event):
        if isinstance(event, Advanced) and event.done > 5:
            raise KeyboardInterrupt

    executor = RayExecutor(Cluster(nodes.address), plugins=[plugin])
    with pytest.raises(KeyboardInterrupt):
        list(runner.run(plan, store, executor, "cpu", executor.slots, stop))
    assert len(paths(tmp_path / "ray")) == 1
    resumed = []
    (record,) = sweep(
        suite, tmp_path / "ray", InlineExecutor(), lambda e: resumed.append(e) if isinstance(e, Resumed) else 0
    )
    assert record.provenance["resumed_at"] == [resumed[0].done]
    assert 5 < resumed[0].done < 60
    sweep(suite, tmp_path / "here", InlineExecutor())
    assert bits(tmp_path / "ray") == bits(tmp_path / "here")


def test_a_cell_past_its_limit_is_ended_and_the_others_go_on(mini, tmp_path, nodes, plugin):
    """One that sleeps, and one that lets no other thread of its process run: the link ends both."""
    (steps := tmp_path / "steps").mkdir()
    names = ("hang", "hold", "supervised", "vat")
    told = {what: {"base": "on-a-node", "what": what, "folder": str(steps)} for what in names[:2]}
    suite = mini(seeds=1, methods=list(names), method=told, timeout=0.05)
    records = {
        r.method["name"]: r for r in sweep(suite, tmp_path, RayExecutor(Cluster(nodes.address), plugins=[plugin]))
    }
    assert {name: r.status for name, r in records.items()} == {
        "hang": "timeout",
        "hold": "timeout",
        "supervised": "ok",
        "vat": "ok",
    }
    assert records["hang"].reason == records["hold"].reason == "it took longer than its limit of 0.05 min"
    assert "time.sleep(600)" in (tmp_path / "tracebacks" / f"{records['hang'].key}.txt").read_text()
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in processes(steps)))


def test_a_stack_past_its_limit_is_run_again_one_by_one(mini, tmp_path, nodes, plugin):
    (steps := tmp_path / "steps").mkdir()
    told = {"on-a-node": {"what": "wait", "folder": str(steps)}}
    suite = mini(seeds=2, methods=["on-a-node"], method=told, timeout=0.05)

    def let_go(event):
        if isinstance(event, Retried):
            assert [len(part.cells) for part in event.parts] == [1, 1]
            (steps / "go").touch()

    plan = runner.make_plan(suite, store := Store(tmp_path / "ray"))
    store.prepare()
    executor = RayExecutor(Cluster(nodes.address), plugins=[plugin])
    records = list(runner.run(plan, store, executor, "cpu", 1, let_go))
    assert (steps / "go").exists()
    assert [(r.status, r.provenance["attempts"]) for r in records] == [("ok", 2)] * 2


def test_a_bad_cell_takes_no_other_down_and_a_closed_run_leaves_no_process(mini, tmp_path, nodes, plugin):
    (tmp_path / "steps").mkdir()
    names = ("raise", "die", "supervised", "hang")
    told = {what: {"base": "on-a-node", "what": what} for what in names if what != "supervised"}
    told["hang"]["folder"] = str(tmp_path / "steps")
    plan = runner.make_plan(mini(seeds=1, methods=list(names), method=told), store := Store(tmp_path))
    store.prepare()
    executor = RayExecutor(Cluster(nodes.address), plugins=[plugin], retries=1)
    going = runner.run(plan, store, executor, "cpu", executor.slots)
    records = {r.method["name"]: r for r in itertools.islice(going, 3)}
    assert {name: r.status for name, r in records.items()} == {"raise": "failed", "die": "failed", "supervised": "ok"}
    assert records["raise"].reason == "RuntimeError: no such thing"
    assert "no such thing" in (tmp_path / "tracebacks" / f"{records['raise'].key}.txt").read_text()
    assert records["die"].reason.startswith("its process or its Ray node died (2 tries): WorkerCrashedError")
    wait_until(lambda: processes(tmp_path / "steps"))
    going.close()
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in processes(tmp_path / "steps")))


def test_other_data_on_a_node_are_refused_before_any_training(mini, tmp_path, monkeypatch, nodes, plugin):
    write_images(tmp_path, 8)
    monkeypatch.setenv("SSLBENCH_DATA", str(tmp_path))
    suite = suite_of(mini)
    with pytest.raises(
        BadInput, match="Ray node .* its data of the scenario 'mnist5k-10' at seed 0 are not the driver's"
    ):
        sweep(suite, tmp_path / "out", RayExecutor(Cluster(nodes.address), plugins=[plugin]))
    assert Store(tmp_path / "out").load() == []


@pytest.mark.parametrize("what", ["kill the head", "kill the driver's node"])
def test_a_lost_cluster_is_one_message_and_what_was_finished_is_kept(mini, tmp_path, plugin, what):
    nodes = Nodes(1, {})
    try:
        suite = mini(methods=["supervised", "on-a-node"], method={"on-a-node": {"what": "hang"}}, seeds=1)
        executor = RayExecutor(Cluster(nodes.address), plugins=[plugin])

        def kill_after_the_first(event):
            if isinstance(event, Ended):
                nodes.do(what)

        with pytest.raises(BadInput, match="connection to the Ray cluster at .* was lost. What was finished is stored"):
            sweep(suite, tmp_path, executor, kill_after_the_first)
        assert [r.id for r in Store(tmp_path).load()] == ["supervised/two-moons-6/seed0"]
    finally:
        nodes.end()


def processes(folder):
    """The processes that have taken a step."""
    return {name.partition("-")[0] for name in os.listdir(folder)} - {"go"}


def step_of(path):
    """Steps done at a checkpoint."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["header"].tobytes())["step"]


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)
