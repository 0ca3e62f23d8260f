"""MLflow down, slow or full: records and training are not touched, one line says so, and `track` catches up without a double."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import threading
from contextlib import contextmanager

import pytest

from sslbench import tracking
from sslbench.errors import BadInput
from sslbench.records import Store
from sslbench.tracking import Background, Sweep, Tracker, TrackingError, sweep_of, track
from tests.test_cli import sslbench, suite
from tests.test_tracking import a_record, client_of, default_database, empty_database, everything_in, runs_of, uri

pytest.importorskip("mlflow")
__all__ = ["empty_database", "suite", "uri"]  # fixtures
RECORDS = [a_record(seed=seed) for seed in range(3)]


class Told(list):
    """Warnings, and a tracker that does as it is told."""

    def background(self, tracker, **patience) -> Background:
        return Background("http://host", lambda: tracker, self.append, **patience)


class Acted:
    """A tracker that calls `act` with the number of each record."""

    def __init__(self, act):
        self.act, self.logged, self.closed = act, [], False

    def log(self, record):
        self.act(len(self.logged))
        self.logged.append(record.id)

    def close(self, folder, *, interrupted):
        self.closed = True


def test_a_tracker_that_hangs_is_given_up_at_the_end_with_one_warning():
    told, never = Told(), threading.Event()
    tracker = Acted(lambda number: never.wait() if number == 1 else None)
    background = told.background(tracker, patience_s=0.2)
    for record in RECORDS:
        background.log(record)
    background.close()
    assert not background.alive
    assert len(told) == 1
    assert "does not keep up" in told[0]
    never.set()
    background._thread.join()
    assert tracker.logged == [r.id for r in RECORDS[:2]]  # what it was at; nothing after it was given up
    assert len(told) == 1


def test_a_slow_tracker_is_waited_for_as_long_as_it_goes_on():
    told = Told()
    tracker = Acted(lambda number: threading.Event().wait(0.05))
    background = told.background(tracker, patience_s=30.0)
    for record in RECORDS:
        background.log(record)
    background.close()
    assert (tracker.logged, tracker.closed, background.alive) == ([r.id for r in RECORDS], True, True)
    assert told == []


def test_a_tracker_that_only_crawls_is_waited_for_no_longer_than_the_wait():
    told = Told()
    background = told.background(Acted(lambda number: threading.Event().wait(0.3)), patience_s=30.0, wait_s=0.5)
    for record in RECORDS * 20:
        background.log(record)
    background.close()
    assert (background.alive, len(told)) == (False, 1)
    background._thread.join()


def test_one_that_fails_in_the_middle_takes_no_more():
    def act(number):
        if number:
            raise TrackingError("the server went away")

    told = Told()
    tracker = Acted(act)
    background = told.background(tracker)
    for record in RECORDS:
        background.log(record)
    background.close()
    assert (told, tracker.logged, tracker.closed) == (["the server went away"], [RECORDS[0].id], False)


@contextmanager
def a_server_that(answers):
    """The address of a server that accepts, and does with a connection what it is told."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        open_ = []

        def serve():
            while True:
                try:
                    open_.append(listening.accept()[0])
                except OSError:
                    return
                answers(open_[-1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in open_:
                connection.close()


@pytest.mark.parametrize(
    "answers", [lambda c: None, lambda c: c.close(), lambda c: c.sendall(b"nonsense\n\n")], ids=["never", "cut", "odd"]
)
def test_a_server_that_does_not_answer_as_it_should_is_one_clear_error(monkeypatch, answers):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with a_server_that(answers) as address, pytest.raises(TrackingError, match="could not be opened") as caught:
        Tracker(address, Sweep("s1", "quick"))
    assert "\n" not in str(caught.value)


def test_a_run_beside_a_server_that_never_answers_ends_with_its_records_and_one_warning(
    suite, capsys, tmp_path, monkeypatch, empty_database
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    run = ["run", suite, "--workers", "0", "--methods", "supervised"]
    with a_server_that(lambda connection: None) as address:
        code, out, err = sslbench(*run, "--tracking-uri", address, capsys=capsys)
    assert (code, err.count("Warning:")) == (0, 1)
    assert "±" in out
    folder = tmp_path / "results" / "local" / "tiny"
    assert len(Store(folder).load()) == 2
    shutil.copy(empty_database, tmp_path / "later.db")
    later = ["track", folder, "--tracking-uri", f"sqlite:///{tmp_path}/later.db"]
    assert sslbench(*later, capsys=capsys)[1].startswith("2 cells")
    assert sslbench(*later, capsys=capsys)[1].startswith("0 cells")


CALLS = ("create_run", "log_batch", "log_inputs", "set_terminated")


@pytest.mark.parametrize("done", [False, True], ids=["unheard", "answer lost"])
@pytest.mark.parametrize("call", CALLS)
def test_what_a_server_missed_when_it_died_is_caught_up_without_a_double(uri, monkeypatch, call, done):
    """The server dies in each of the calls that write the second cell: before it acts on it, or before it answers."""
    folder = default_database(uri).parent / "quick"
    store = Store(folder)
    store.prepare()
    sweep = sweep_of(folder, "quick")
    told = Told()
    tracker = Tracker(uri, sweep, started_at="2026-01-02T10:00:00+00:00")
    tracker.log(RECORDS[0])
    real = getattr(tracker._client, call)

    def dies(*words, **more):
        if done:
            real(*words, **more)
        raise ConnectionError("connection lost")

    background = Background(uri, lambda: tracker, told.append)
    monkeypatch.setattr(tracker._client, call, dies)
    for record in RECORDS:
        store.append(record)
        background.log(record)
    background.close()
    assert len(told) == 1
    assert "connection lost" in told[0]
    track(folder, uri)
    caught_up = everything_in(uri)
    assert track(folder, uri) == 0
    assert everything_in(uri) == caught_up
    assert sorted(caught_up) == ["quick 2026-01-02 10:00", *(r.id for r in RECORDS)]
    for record in RECORDS:
        (status, *_), curves = caught_up[record.id]
        assert status == "FINISHED"
        assert [len(points) for name, points in curves if name == "curve/test_accuracy"] == [3]


def test_a_run_that_was_made_twice_as_the_answer_was_late_is_there_once(uri, monkeypatch):
    tracker = Tracker(uri, Sweep("s1", "quick"))
    real = tracker._client.create_run

    def sent_again(*words, **more):
        real(*words, **more)
        return real(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tracker._client, "create_run", sent_again)
        tracker.log(RECORDS[0])
    Tracker(uri, Sweep("s1", "quick"))  # a driver that resumes mends it
    assert runs_of(uri)[RECORDS[0].id].info.status == "FINISHED"
    with monkeypatch.context() as patch:
        patch.setattr(tracker._client, "create_run", sent_again)
        tracker.log(RECORDS[1])
    tracker.close()  # and so does the end
    assert runs_of(uri)[RECORDS[1].id].info.status == "FINISHED"


def test_a_full_disk_is_one_clear_error_and_is_caught_up(uri):
    tracker = Tracker(uri, Sweep("s1", "quick"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (default_database(uri).stat().st_size, limits[1]))
    try:
        with pytest.raises(TrackingError, match="could not be given vat/mnist-50/seed0: .*disk"):
            tracker.log(
                a_record(curves={"step": list(range(5000)), "labelled_loss": [1.0 / (1 + i) for i in range(5000)]})
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Tracker(uri, Sweep("s1", "quick")).log(a_record())
    assert runs_of(uri)["vat/mnist-50/seed0"].info.status == "FINISHED"


def test_a_database_that_another_holds_locked_is_one_clear_error(uri):
    tracker = Tracker(f"{uri}?timeout=0.1", Sweep("s1", "quick"))
    other = sqlite3.connect(default_database(uri))
    other.execute("begin exclusive")
    try:
        with pytest.raises(TrackingError, match="database is locked"):
            tracker.log(a_record())
    finally:
        other.close()
    assert tracker.log(a_record())


def test_a_database_that_may_not_be_written_is_refused_before_anything_runs(uri):
    root = os.geteuid() == 0
    path = default_database(uri)
    path.chmod(0o444)
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(BadInput, match=r"cannot be (read|written).*--tracking-uri"):
            tracking.checked(uri)
    finally:
        if root:
            os.seteuid(0)


def test_a_database_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """A kill among MLflow's migrations would leave a database that it refuses ever after."""
    import mlflow

    uri = tracking.default_uri(tmp_path / "quick")
    path = default_database(uri)

    class Killed(mlflow.MlflowClient):
        def search_experiments(self, *words, **more):
            assert ".part" in self.tracking_uri
            path.with_name(self.tracking_uri.rpartition("/")[2]).write_bytes(b"half of one")
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", Killed)
        with pytest.raises(KeyboardInterrupt):
            Tracker(uri, Sweep("s1", "quick"))
    assert path.stat().st_size == 0
    assert Tracker(uri, Sweep("s1", "quick")).log(a_record())
    assert client_of(uri).get_experiment_by_name("sslbench/quick") is not None
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db"]
