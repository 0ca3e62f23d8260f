"""What MLflow holds after tracking, read back through its own client."""

from __future__ import annotations

import builtins
import json
import logging
import math
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslbench import tracking
from sslbench.errors import BadInput
from sslbench.records import Record, Store
from sslbench.tracking import Sweep, Tracker, TrackingError, default_uri, points, sweep_of, track, varying
from sslbench.tracking.client import CHATTER, calm
from sslbench.tracking.experiment_page import CHARTS, VIEW
from sslbench.tracking.stores import sqlite_path
from sslbench.tracking.tags import DIGEST_LENGTH

pytest.importorskip("mlflow")
SPLIT = "ab" * 32
STARTED, FINISHED = "2026-01-02T10:00:00+00:00", "2026-01-02T10:01:00+00:00"


def a_record(method: str = "vat", scenario: str = "mnist-50", seed: int = 0, **changes: Any) -> Record:
    """A record as the runner would store it, with gaps in its curves; `radius`, `missing` and fields can be given."""
    params = {"weight": 1.0, "radius": changes.pop("radius", 2.0)}
    missing = changes.pop("missing", [])
    labels = int(scenario.split("-")[1])
    record = Record(
        cell={"id": f"{method}/{scenario}/seed{seed}", "key": f"{method}-{scenario}-{seed}"},
        method={"name": method, "base": method.split("+")[0], "params": params},
        scenario={
            "name": scenario,
            "family": "mnist",
            "params": {"labels": labels, "missing": missing, "steps": 10 * labels},
            "labels": labels,
            "class_names": ["zero", "one/two", "three"],
            "missing": missing,
        },
        seed=seed,
        status="ok",
        metrics={
            "accuracy": {"final": 0.9, "selected": None, "oracle": 0.95},
            "nll": 0.3,
            "ece": 0.02,
            "per_class_accuracy": [0.9, 0.8, 0.7],
            "confusion": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        },
        curves={
            "step": [0, 10, 30],
            "test_accuracy": [0.1, 0.5, 0.9],
            "validation_accuracy": [0.2, None, 0.8],
            "unlabelled_loss": [None, None, None],
        },
        timing={"train_s": 55.0, "eval_s": 5.0, "steps": 30, "steps_per_s": 0.5},
        peak_memory_bytes=250_000_000,
        provenance={
            "split_sha256": SPLIT,
            "data_sha256": "cd" * 32,
            "versions": {"torch": "2.11.0"},
            "device": "cpu",
            "git_commit": "0123abc",
            "dirty": False,
            "started_at": STARTED,
            "finished_at": FINISHED,
        },
    )
    return replace(record, **changes)


def a_skipped_record() -> Record:
    return a_record("self-training", status="skipped", reason="needs features", metrics={}, curves={}, provenance={})


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments: making one runs all of MLflow's migrations, seconds each time."""
    folder = tmp_path_factory.mktemp("empty")
    client_of(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    """The URI of a fresh database in a folder whose name has a space and other odd characters."""
    folder = tmp_path / "my results, 100%25 #1"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return default_uri(folder / "quick")


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    with calm():
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def a_tracker(uri: str, *names: str) -> Tracker:
    return Tracker(uri, Sweep("s1", "quick"), names)


def runs_of(uri: str) -> dict[str, Any]:
    """All live runs by name."""
    client = client_of(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments)
    assert len({run.info.run_name for run in found}) == len(found), "a run is there twice"
    return {run.info.run_name: run for run in found}


def everything_in(uri: str) -> dict[str, Any]:
    """What a person could see of each run: parameters, tags, times, status and every point of every metric."""
    client = client_of(uri)
    return {
        name: [
            (run.info.status, run.info.start_time, run.info.end_time, run.data.params, run.data.tags),
            [(metric, history(client, run, metric)) for metric in sorted(run.data.metrics)],
        ]
        for name, run in runs_of(uri).items()
    }


def history(client: Any, run: Any, name: str) -> list[tuple[int, float, int]]:
    return sorted((m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, name))


def test_a_cell_is_a_child_run_named_by_its_id(uri: str) -> None:
    tracker = a_tracker(uri)
    assert tracker.log(a_record())
    run = runs_of(uri)["vat/mnist-50/seed0"]
    assert run.data.tags["mlflow.parentRunId"] == tracker.run_id
    assert (run.info.start_time, run.info.end_time) == (1767348000000, 1767348060000)
    assert run.info.status == "FINISHED"
    wanted = {"status": "ok", "device": "cpu", "split_sha256": SPLIT, "mlflow.source.git.commit": "0123abc"}
    assert wanted.items() <= run.data.tags.items()
    assert json.loads(run.data.tags["method_params"]) == {"weight": 1.0, "radius": 2.0}
    assert "reason" not in run.data.tags


def test_only_what_varies_is_a_parameter(uri: str) -> None:
    records = [a_record(), a_record("vat+wide", radius=4.0), a_record(scenario="mnist-10"), a_record("pi-model")]
    names = varying((r.method, r.scenario) for r in records)
    assert names == {"method", "scenario", "labels", "vat.radius"}
    tracker = a_tracker(uri, *names)
    for record in records:
        tracker.log(record)
    runs = runs_of(uri)
    named = {"method": "vat+wide", "scenario": "mnist-50", "labels": "50", "seed": "0"}
    assert runs["vat+wide/mnist-50/seed0"].data.params == named | {"vat.radius": "4.0"}
    assert runs["pi-model/mnist-50/seed0"].data.params["vat.radius"] == "-"


def test_what_differs_at_one_number_of_labels_varies() -> None:
    records = [a_record(scenario="mnist-50"), a_record(scenario="mnist-50-no7", missing=[7])]
    assert varying((r.method, r.scenario) for r in records) == {"scenario", "mnist.missing"}


def test_what_goes_along_with_the_scenario_only_repeats_it() -> None:
    records = [a_record(scenario="mnist-50", radius=2.0), a_record(scenario="moons-50", radius=0.3)]
    assert varying((r.method, r.scenario) for r in records) == {"scenario"}


def test_the_weight_of_a_term_that_is_not_there_is_no_curve() -> None:
    for loss, wanted in ([None, None], set()), ([0.5, 0.4], {"curve/unlabelled_weight", "curve/unlabelled_loss"}):
        record = a_record(curves={"step": [0, 30], "unlabelled_weight": [1.0, 1.0], "unlabelled_loss": loss})
        assert {p.name for p in points(record) if p.name.startswith("curve/")} == wanted


def test_single_values_are_metrics_and_gaps_are_left_out(uri: str) -> None:
    a_tracker(uri).log(a_record(missing=[1]))
    metrics = runs_of(uri)["vat/mnist-50/seed0"].data.metrics
    assert {name: value for name, value in metrics.items() if "curve" not in name} == {
        "accuracy.final": 0.9,
        "accuracy.oracle": 0.95,
        "nll": 0.3,
        "ece": 0.02,
        "recall.one-two": 0.8,
        "train_s": 55.0,
        "peak_memory_mb": 250.0,
    }


def test_curves_are_stored_exactly(uri: str) -> None:
    a_tracker(uri).log(a_record())
    client, run = client_of(uri), runs_of(uri)["vat/mnist-50/seed0"]
    begun, ended = run.info.start_time, run.info.end_time
    assert history(client, run, "curve/test_accuracy") == [(0, 0.1, begun), (10, 0.5, begun + 20000), (30, 0.9, ended)]
    assert history(client, run, "curve/validation_accuracy") == [(0, 0.2, begun), (30, 0.8, ended)]
    assert "curve/unlabelled_loss" not in run.data.metrics
    assert "curve/step" not in run.data.metrics


def test_long_curves_take_several_calls_and_lose_nothing(uri: str) -> None:
    values = [math.sin(i) for i in range(1500)]
    a_tracker(uri).log(a_record(curves={"step": list(range(1500)), "labelled_loss": values}))
    stored = history(client_of(uri), runs_of(uri)["vat/mnist-50/seed0"], "curve/labelled_loss")
    assert [value for _, value, _ in stored] == values


def test_numbers_that_are_none_are_never_points() -> None:
    record = a_record(
        metrics={"accuracy": {"final": math.nan}, "nll": math.inf, "ece": None},
        curves={"step": [0, 1, 2], "labelled_loss": [1.0, math.nan, math.inf]},
    )
    assert {p.name for p in points(record)} == {"curve/labelled_loss", "train_s", "peak_memory_mb"}
    assert sum(p.name == "curve/labelled_loss" for p in points(record)) == 1


@pytest.mark.parametrize(
    ("status", "shown"),
    [("diverged", "FAILED"), ("failed", "FAILED"), ("timeout", "KILLED"), ("skipped", "KILLED")],
)
def test_a_cell_without_a_result_is_a_run_with_its_reason(uri: str, status: Any, shown: str) -> None:
    a_tracker(uri).log(a_record(status=status, reason="because", metrics={}, curves={}, provenance={}, timing={}))
    run = runs_of(uri)["vat/mnist-50/seed0"]
    assert (run.info.status, run.data.tags["status"], run.data.tags["reason"]) == (shown, status, "because")


def test_the_split_is_the_dataset_input(uri: str) -> None:
    a_tracker(uri).log(a_record())
    (given,) = runs_of(uri)["vat/mnist-50/seed0"].inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("mnist", SPLIT[:DIGEST_LENGTH])
    assert json.loads(given.dataset.source)["split_sha256"] == SPLIT
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_writing_a_record_again_changes_nothing(uri: str) -> None:
    records = [a_record(), a_record(seed=1), a_skipped_record()]
    tracker = a_tracker(uri)
    assert [tracker.log(r) for r in records] == [True, True, True]
    before = everything_in(uri)
    again = [Record.from_json(r.to_json()) for r in records]
    assert [tracker.log(r) for r in again] == [False, False, False]
    assert [a_tracker(uri).log(r) for r in again] == [False, False, False]
    assert everything_in(uri) == before


def test_a_run_that_was_cut_short_is_written_anew(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = a_record(), a_record(seed=1)
    tracker = a_tracker(uri)
    tracker.log(whole)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker._client, "log_inputs", killed)
    with pytest.raises(KeyboardInterrupt):
        tracker.log(cut)
    assert runs_of(uri)[cut.id].info.status == "RUNNING"

    resumed = a_tracker(uri)
    assert [resumed.log(whole), resumed.log(cut)] == [False, True]
    run = runs_of(uri)[cut.id]
    assert run.info.status == "FINISHED"
    assert len(history(client_of(uri), run, "curve/test_accuracy")) == 3


def test_the_same_tracker_mends_its_own_half_run(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = a_tracker(uri)
    with monkeypatch.context() as patch:
        patch.setattr(tracker._client, "log_batch", lambda *_, **__: 1 / 0)
        with pytest.raises(TrackingError, match="division by zero"):
            tracker.log(a_record())
    assert tracker.log(a_record())
    assert runs_of(uri)["vat/mnist-50/seed0"].info.status == "FINISHED"


def test_a_newer_record_of_a_cell_replaces_the_older(uri: str) -> None:
    tracker = a_tracker(uri)
    tracker.log(a_record(status="failed", reason="out of memory", metrics={}))
    assert tracker.log(a_record())
    assert runs_of(uri)["vat/mnist-50/seed0"].data.tags["status"] == "ok"


def test_a_parameter_that_begins_to_vary_is_added(uri: str) -> None:
    a_tracker(uri).log(a_record())
    assert not a_tracker(uri, "vat.radius").log(a_record())
    assert runs_of(uri)["vat/mnist-50/seed0"].data.params["vat.radius"] == "2.0"


def test_a_resumed_sweep_goes_on_with_its_parent(uri: str) -> None:
    first = a_tracker(uri)
    first.log(a_record())
    first.close(interrupted=True)
    assert client_of(uri).get_run(first.run_id).info.status == "KILLED"
    second = a_tracker(uri)
    second.log(a_record(seed=1))
    second.close()
    assert (second.run_id, second.experiment_id) == (first.run_id, first.experiment_id)
    parent = client_of(uri).get_run(first.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["cells.ok"] == 2


def test_another_sweep_has_another_parent_in_the_same_experiment(uri: str) -> None:
    one, two = a_tracker(uri), Tracker(uri, Sweep("s2", "quick"))
    assert one.experiment_id == two.experiment_id
    assert one.run_id != two.run_id
    assert one.log(a_record())
    assert two.log(a_record())


def test_the_parent_holds_the_report_and_a_summary(uri: str, tmp_path: Path) -> None:
    report = tmp_path / "a report"
    (report / "plots").mkdir(parents=True)
    (report / "report.html").write_text("<p>")
    (report / "plots" / "one.png").write_bytes(b"png")
    tracker = Tracker(uri, Sweep("s1", "quick"), started_at=STARTED)
    for record in (a_record(), a_record(seed=1, metrics={"accuracy": {"final": 0.8}}), a_skipped_record()):
        tracker.log(record)
    tracker.close(report)
    client = client_of(uri)
    assert {f.path for f in client.list_artifacts(tracker.run_id, "report")} == {"report/plots", "report/report.html"}
    stored = (
        default_database(uri).parent / "mlartifacts" / tracker.run_id / "artifacts" / "report" / "plots" / "one.png"
    )
    assert stored.read_bytes() == b"png"
    parent = client.get_run(tracker.run_id)
    assert parent.info.end_time == 1767348060000
    assert {"cells.ok": 2, "cells.skipped": 1, "train_s": 165.0}.items() <= parent.data.metrics.items()
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith(
        f"[The report](#/experiments/{tracker.experiment_id}/runs/{tracker.run_id}/artifacts/report/"
    )
    assert "| vat\u2003 | 85.0 ± 7.1 (2)\u2003 |" in note
    assert "self-training/mnist-50/seed0: skipped. needs features" in note
    assert parent.info.status == "FINISHED"


def test_a_failed_cell_fails_the_parent(uri: str) -> None:
    tracker = a_tracker(uri)
    tracker.log(a_record(status="timeout", metrics={}))
    tracker.close()
    assert client_of(uri).get_run(tracker.run_id).info.status == "FAILED"


def default_database(uri: str) -> Path:
    path = sqlite_path(uri)
    assert path is not None
    return path


def test_track_catches_up_from_the_store(uri: str) -> None:
    folder = default_database(uri).parent / "quick"
    store = Store(folder)
    store.prepare()
    for record in (a_record(), a_record(seed=1)):
        store.append(record)
    assert track(folder) == 2
    before = everything_in(uri)
    assert track(folder, uri) == 0
    assert everything_in(uri) == before
    store.append(a_record(seed=2))
    assert track(folder) == 1
    assert runs_of(uri).keys() == {f"vat/mnist-50/seed{i}" for i in range(3)} | {"quick 2026-01-02 10:00"}


def test_track_drops_runs_that_are_no_longer_comparable(uri: str) -> None:
    folder = default_database(uri).parent / "quick"
    store = Store(folder)
    store.prepare()
    store.append(a_record("vat"))
    store.append(a_record("pi-model"))
    track(folder)
    changed = a_record().scenario | {"params": {"labels": 50, "steps": 7}}
    store.append(replace(a_record("vat"), scenario=changed))
    assert track(folder) == 1
    assert runs_of(uri).keys() == {"vat/mnist-50/seed0", "quick 2026-01-02 10:00"}


def test_track_wants_records(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no records"):
        track(tmp_path)
    assert not (tmp_path / tracking.SWEEP_FILE).exists()


def test_a_stray_mlruns_folder_does_not_matter(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = tmp_path / "elsewhere" / "mlruns" / "0"
    stray.mkdir(parents=True)
    (stray / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker = a_tracker(uri)
    tracker.log(a_record())
    tracker.close()
    assert "vat/mnist-50/seed0" in runs_of(uri)
    assert sorted(p.name for p in Path().rglob("*")) == ["0", "meta.yaml", "mlruns"]


def test_a_relative_database_becomes_absolute(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty_database.parent)
    assert tracking.checked("sqlite:///mlflow.db") == f"sqlite:///{empty_database}"


def test_a_sweep_keeps_its_name(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "new", "quick")
    assert sweep.suite == "quick"
    assert sweep_of(tmp_path / "new", "other") == sweep
    assert sweep_of(tmp_path / "quick-cpu").suite == "quick-cpu"


@pytest.mark.parametrize("text", ["", "[]", '{"sweep": "a\' or 1"}', '{"sweep": "a\' --", "suite": "q"}'])
def test_a_damaged_sweep_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / tracking.SWEEP_FILE).write_text(text)
    with pytest.raises(BadInput, match="mend it, or delete it"):
        sweep_of(tmp_path)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "", "ftp://host"])
def test_a_uri_of_no_known_kind_is_refused(uri: str) -> None:
    with pytest.raises(BadInput, match="no tracking URI that works here"):
        a_tracker(uri)


def test_a_database_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInput, match=r"cannot be written.*--tracking-uri"):
        a_tracker(f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(BadInput, match="no SQLite database"):
        a_tracker(f"sqlite:///{tmp_path}/file")


def test_a_deleted_experiment_is_named_with_the_way_back(uri: str) -> None:
    client_of(uri).delete_experiment(a_tracker(uri).experiment_id)
    with pytest.raises(BadInput, match="mlflow experiments restore -x"):
        a_tracker(uri)


def test_a_dead_server_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        address = f"http://someone:secret@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(TrackingError, match="could not be opened") as caught:
            a_tracker(address)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_mlflow_one_line_says_what_to_do(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mlflow":
            raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match="mlflow is not installed: pip install mlflow, or pass --no-mlflow"):
        a_tracker(uri)


def test_nothing_of_the_users_program_is_changed(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    import mlflow

    def state() -> Any:
        levels = [logging.getLogger(name).level for name in CHATTER]
        return dict(os.environ), levels, mlflow.get_tracking_uri(), mlflow.active_run()

    before = state()
    tracker = a_tracker(uri)
    tracker.log(a_record())
    tracker.close()
    after = state()
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_the_experiment_explains_itself_and_links_to_a_table_of_cells(uri: str) -> None:
    made = client_of(uri).get_experiment(a_tracker(uri, "vat.radius").experiment_id)
    assert made.name == "sslbench/quick"
    assert f"#/experiments/{made.experiment_id}/runs" in made.tags["mlflow.note.content"]
    view = json.loads(made.tags[f"mlflow.sharedViewState.{VIEW}"])
    assert {"metrics.`accuracy.final`", "params.`method`", "params.`vat.radius`"} <= set(view["selectedColumns"])
    assert set(view["selectedColumns"]) <= set(view["columnOrder"])


def test_the_experiment_offers_curves_and_parallel_coordinates_of_what_varies(uri: str) -> None:
    made = client_of(uri).get_experiment(a_tracker(uri, "vat.radius", "method", "labels").experiment_id)
    charts = json.loads(made.tags[f"mlflow.sharedViewState.{CHARTS}"])["compareRunCharts"]
    assert axes_of(made) == ["method", "labels"]
    curves = {chart["metricKey"] for chart in charts if chart["type"] == "LINE"}
    assert "curve/test_accuracy" in curves
    assert made.tags["mlflow.note.content"].startswith("[All cells in one table")


def axes_of(experiment: Any) -> list[str]:
    """Parameters on the axes of the parallel-coordinates chart that an experiment offers."""
    charts = json.loads(experiment.tags[f"mlflow.sharedViewState.{CHARTS}"])["compareRunCharts"]
    (found,) = [chart["selectedParams"] for chart in charts if chart["type"] == "PARALLEL"]
    return found


def test_an_experiment_that_grows_offers_what_varies_in_any_sweep(uri: str) -> None:
    client = client_of(uri)
    for names, wanted in [
        ((), ["seed"]),
        (("vat.radius", "method"), ["method"]),
        (("method", "scenario"), ["method", "scenario"]),
    ]:
        made = client.get_experiment(a_tracker(uri, *names).experiment_id)
        assert axes_of(made) == wanted
    columns = json.loads(made.tags[f"mlflow.sharedViewState.{VIEW}"])["selectedColumns"]
    assert "params.`vat.radius`" in columns
    assert len(set(columns)) == len(columns)


def test_a_note_that_a_person_changed_stays(uri: str) -> None:
    client, made = client_of(uri), a_tracker(uri).experiment_id
    client.set_experiment_tag(made, "mlflow.note.content", "mine")
    a_tracker(uri)
    assert client.get_experiment(made).tags["mlflow.note.content"] == "mine"
