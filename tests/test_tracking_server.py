"""A real MLflow server, as a team has it: four workers train, the driver alone logs, and nothing is there twice."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sslbench import runner
from sslbench.executors import LocalExecutor
from sslbench.records import Store
from sslbench.tracking import Background, Tracker, sweep_of, track

pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


@contextlib.contextmanager
def running(command: list[str], ready: Any, log: Path, **options: Any) -> Iterator[None]:
    """A server process, from the moment that it answers until the block ends."""
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, **options) as process,
    ):
        try:
            end = time.monotonic() + 180
            while not ready():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, f"{command[0]} does not answer"
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mlflow.db"


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of its own, on loopback."""
    found = shutil.which("initdb"), shutil.which("postgres")
    if None in found:
        pytest.skip("needs a PostgreSQL server binary: apt-get install postgresql, its bin folder on PATH")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("needs PostgreSQL's client: pip install psycopg2-binary")
    import psycopg2

    initdb, postgres = map(str, found)
    port, data = free_port(), folder / "postgresql"
    data.mkdir()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        user = {"user": "postgres", "cwd": "/"}
        shutil.chown(data, "postgres")
        for parent in [folder, *folder.parents][:-2]:
            with contextlib.suppress(PermissionError):
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        [initdb, "-D", data, "-U", "sslbench", "-A", "trust", "--no-sync"], check=True, capture_output=True, **user
    )
    where = {"host": "127.0.0.1", "port": port, "user": "sslbench", "dbname": "postgres"}

    def ready() -> bool:
        try:
            psycopg2.connect(**where).close()
        except psycopg2.OperationalError:
            return False
        return True

    command = [postgres, "-D", str(data), "-p", str(port), "-c", "unix_socket_directories=", "-c", "fsync=off"]
    with running([*command, "-c", "listen_addresses=127.0.0.1"], ready, folder / "postgresql.log", **user):
        yield f"postgresql+psycopg2://sslbench@127.0.0.1:{port}/postgres"


@pytest.fixture(params=[sqlite, postgresql], ids=lambda backend: backend.__name__)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URI of an MLflow server, set up as the README says."""
    uri = f"http://127.0.0.1:{free_port()}"

    def ready() -> bool:
        try:
            return urllib.request.urlopen(f"{uri}/health", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    with request.param(tmp_path) as backend:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend, "--workers", "1"]
        command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--port", uri.rpartition(":")[2]]
        calm = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with running(
            [*command, "--host", "127.0.0.1"], ready, tmp_path / "mlflow.log", env=os.environ | calm, cwd=tmp_path
        ):
            yield uri


def everything_in(uri: str, suite: str) -> list[Any]:
    """Each run of the suite's experiment with every point of every metric."""
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(f"sslbench/{suite}")
    return sorted(
        (
            run.info.run_name,
            run.info.run_id,
            run.info.status,
            run.data.params,
            [(n, [vars(p) for p in client.get_metric_history(run.info.run_id, n)]) for n in sorted(run.data.metrics)],
            sorted(f.path for f in client.list_artifacts(run.info.run_id)),
        )
        for run in client.search_runs([experiment.experiment_id])
    )


def test_four_workers_are_logged_to_a_server_by_the_driver_alone(mini, tmp_path, server):
    suite = mini(seeds=4)
    store = Store(tmp_path / "out")
    plan = runner.make_plan(suite, store)
    store.prepare()
    sweep = sweep_of(store.folder, suite.name)
    troubles: list[str] = []
    background = Background(server, lambda: Tracker(server, sweep), troubles.append)
    records = []
    for record in runner.run(plan, store, LocalExecutor(4), "cpu", 4):
        records.append(record)
        background.log(record)
    report = store.folder / "report"
    report.mkdir()
    (report / "report.html").write_text("<p>")
    background.close(report)
    assert troubles == []
    runs = everything_in(server, suite.name)
    cells = {run[0]: run for run in runs if run[0] in {r.id for r in records}}
    assert len(records) == len(cells) == len(runs) - 1 == 8
    assert {run[2] for run in runs} == {"FINISHED"}
    for record in records:
        curve = dict(cells[record.id][4])["curve/test_accuracy"]
        assert [(p["_step"], p["_value"]) for p in curve] == list(
            zip(record.curves["step"], record.curves["test_accuracy"], strict=True)
        )
    assert [run[5] for run in runs if run[0] not in cells] == [["report"]]
    assert track(store.folder, server) == 0
    assert [run[:5] for run in everything_in(server, suite.name) if run[0] in cells] == [
        r[:5] for r in runs if r[0] in cells
    ]
