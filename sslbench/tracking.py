"""Records → MLflow. The only file that imports mlflow.

One experiment a suite, one parent run a sweep (a results folder), one child run a cell. The store stays the truth: what
is written here can be written again, and writing it again changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import importlib.util
import json
import logging
import math
import os
import queue
import re
import statistics
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard
from urllib.parse import quote, unquote, urlsplit

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.records import Record, load_records

SWEEP_FILE = "sweep.json"
REPORT_FOLDER = "report"
"""Where in a results folder `track` looks for a report, and where in the parent run's artifacts it lies."""

IDENTITY = ("method", "scenario", "labels", "seed")
"""Parameters that every cell has, whether or not they vary: they name it."""
AXES = ("method", "scenario", "labels")
"""Those of them that are drawn where they vary. Seeds repeat a measurement: their axis would only tangle the lines."""

RUN_STATUS = {"ok": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "timeout": "KILLED", "skipped": "KILLED"}
"""MLflow's status of a cell's run. A skipped cell has a run too: a pair without a result is a row with its
reason, never a silent gap. KILLED is the one status MLflow has that is neither a result nor an error."""

SWEEP_TAG = "sslbench.sweep"
VARYING_TAG = "mlflow.sslbench.varying"
"""Begins so that MLflow's UI does not show it."""
CELL_TAG = "sslbench.cell"
RECORD_TAG = "sslbench.record"
DIGEST_LENGTH = 36
"""MLflow cuts no dataset digest, it refuses a longer one."""
METRICS_A_CALL = 1000
TAG_LENGTH = 5000
NOTE_LENGTH = 8000

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")

CALM = {
    # A dead server must cost the training seconds: MLflow's own 7 tries of 120 s can take a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PATIENCE_S = 90.0
"""How long the end of a run waits for one record to be written; MLflow's own client gives up a dead server earlier, see CALM."""
WAIT_S = 600.0
"""How long it waits in all."""
CHATTER = ("mlflow", "alembic", "urllib3.connectionpool")

NOTE = """\
[All cells in one table, best first]({table}) · [their curves and parallel coordinates]({charts})

Semi-supervised learning methods compared on the same splits: suite {suite} of sslbench.

- A parent run is a sweep (a results folder); its children are the cells, named `method/scenario/seedN`.
- `accuracy.final` (after the last step) is the headline. `accuracy.selected` is at the checkpoint that a small
  validation set picked. `accuracy.oracle` is the best on test over training: to compare with papers that report that.
- At one scenario and seed all methods have the same split, initial weights and batches: compare them in pairs.
- `curve/…` are series over training steps. Filter with `params.scenario = "…"`, `tags.status != "ok"`.
- To compare: tick runs, then *Compare*; or group the table by `method`. The parent's description has the means.
"""
"""The links come first: folded up, MLflow's UI shows the first line alone."""
REPORT_LINK = (
    "[The report](#/experiments/{experiment}/runs/{run}/artifacts/{folder}/report.html), with its plots beside it\n\n"
)
"""First line of a parent's description: MLflow's UI shows the page itself there."""
VIEW, CHARTS = "cells", "charts"
"""Views that MLflow's UI offers as shared. Its own default is the parents, folded up, without a metric in sight."""
VIEW_METRICS = ("accuracy.final", "accuracy.selected", "accuracy.oracle", "train_s")
VIEW_CURVES = ("test_accuracy", "unlabelled_loss", "unlabelled_weight")

NOT_HERE = "-"
"""Stands for a parameter that the cell's method has not: left out, MLflow's plots draw it as the highest value."""


class TrackingError(RuntimeError):
    """MLflow could not be written. The records are safe in the store: `sslbench track DIR` writes them later."""


@dataclass(frozen=True)
class Sweep:
    """What a results folder is called in MLflow."""

    id: str
    """Names the parent run, whenever and wherever the sweep is resumed."""
    suite: str
    """Names the experiment."""


def default_uri(results_folder: Path) -> str:
    """The MLflow database of a results folder: beside it, so that all suites run on this machine share one."""
    return _sqlite_uri(results_folder.resolve().parent / "mlflow.db")


def sweep_of(folder: Path, suite: str | None = None) -> Sweep:
    """The sweep of a results folder, kept in its `sweep.json`; made where there is none.

    Args:
        folder: the results folder.
        suite: name of the suite of a new sweep; by default the folder's. A sweep that exists keeps its suite.

    Raises:
        BadInput: the file is damaged, or cannot be read or written.
    """
    path = folder / SWEEP_FILE
    try:
        return _read_sweep(path)
    except FileNotFoundError:
        sweep = Sweep(uuid.uuid4().hex, suite or folder.resolve().name)
        _write_sweep(path, sweep)
        return sweep
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _read_sweep(path: Path) -> Sweep:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        sweep = Sweep(given["sweep"], given["suite"])
        if not (re.fullmatch(r"[\w-]+", sweep.id) and sweep.suite):
            raise ValueError("an empty name, or one of odd characters")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f'{path} is not {{"sweep": ID, "suite": NAME}}: mend it, or delete it to begin a new parent run in MLflow.'
        ) from error
    return sweep


def _write_sweep(path: Path, sweep: Sweep) -> None:
    try:
        atomic.write(path, json.dumps({"sweep": sweep.id, "suite": sweep.suite}) + "\n")
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}. MLflow needs it to know the sweep again; "
            "make the folder writable, or pass --no-mlflow."
        ) from error


def varying(cells: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> frozenset[str]:
    """Names of the parameters worth an axis of their own in a comparison: `method`, `vat.radius`, `mnist.missing`.

    A method's hyperparameter counts where it differs among the variants of one base method on one scenario: what goes along
    with the scenario (a radius that suits it, say) would only repeat that axis. A scenario's counts where it differs within
    its family at one number of labels, for the same reason.

    Args:
        cells: (method, scenario) of each cell of the sweep, in the form of `Record.method` and `Record.scenario`.
    """
    seen: dict[tuple[str, Any], set[str]] = defaultdict(set)
    for method, scenario in cells:
        for name, value in zip(AXES, (method["name"], scenario["name"], _text(scenario.get("labels"))), strict=True):
            seen[name, None].add(value)
        for name, value in _prefixed(_base(method), method).items():
            seen[name, scenario["name"]].add(value)
        for name, value in _prefixed(scenario["family"], scenario).items():
            seen[name, scenario.get("labels")].add(value)
    return frozenset(name for (name, _), values in seen.items() if len(values) > 1)


def _base(method: Mapping[str, Any]) -> str:
    return method.get("base") or method["name"]


def _prefixed(prefix: str, thing: Mapping[str, Any]) -> dict[str, str]:
    return {_safe(f"{prefix}.{name}"): _text(value) for name, value in thing.get("params", {}).items()}


def _params(record: Record, hyperparameters: Collection[str]) -> dict[str, str]:
    """What goes on the axes of a parallel-coordinates plot: few, and only what varies."""
    named = {
        "method": record.method["name"],
        "scenario": record.scenario["name"],
        "labels": _text(record.scenario.get("labels")),
        "seed": str(record.seed),
    }
    all_of_them = _prefixed(_base(record.method), record.method) | _prefixed(record.scenario["family"], record.scenario)
    return {name: all_of_them.get(name, NOT_HERE) for name in sorted(hyperparameters)} | named


def _tags(record: Record) -> dict[str, str]:
    """What identifies and explains a cell; shown and searched, never plotted."""
    provenance = record.provenance
    versions = provenance.get("versions") or {}
    tags = {
        "status": record.status,
        "reason": record.reason,
        "family": record.scenario["family"],
        "series": record.series,
        "base": _base(record.method),
        "method_params": _text(record.method.get("params", {})),
        "scenario_params": _text(record.scenario.get("params", {})),
        "key": record.key,
        "split_sha256": provenance.get("split_sha256"),
        "data_sha256": provenance.get("data_sha256"),
        "device": provenance.get("device"),
        "machine": provenance.get("machine"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "git_dirty": provenance.get("dirty"),
        "mlflow.source.name": "sslbench",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": provenance.get("git_commit"),
    }
    return {name: _clip(_text(value), TAG_LENGTH) for name, value in tags.items() if value not in (None, "")}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _safe(name: str) -> str:
    """A metric's or parameter's name out of any text: MLflow takes few characters, and a slash would make a group."""
    return re.sub(r"[^\w.\- ]", "-", name)


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    value: float
    time_ms: int
    step: int = 0


def points(record: Record, otherwise: int = 0) -> list[Point]:
    """All of a record's metrics: single values, and the curves under `curve/`. What is not a number is left out.

    The times come from the record alone, so that the same record gives the same points whenever it is written.

    Args:
        record: what became of a cell.
        otherwise: time of the points, in ms since 1970, where the record has none.
    """
    start, end = _span(record, otherwise)
    singles = [Point(name, value, end) for name, value in _singles(record).items() if _is_number(value)]
    steps = _steps(record)
    times = [start + round((end - start) * step / max(1, steps[-1])) for step in steps]
    without_term = not any(map(_is_number, record.curves.get("unlabelled_loss") or []))
    left_out = (
        {"step", "unlabelled_weight"} if without_term else {"step"}
    )  # the weight of what is not there is no curve
    return singles + [
        Point(f"curve/{_safe(name)}", float(value), time, step)
        for name, values in record.curves.items()
        if name not in left_out
        for value, time, step in zip(values, times, steps, strict=False)
        if _is_number(value)
    ]


def _singles(record: Record) -> dict[str, Any]:
    """The values of the run table, where MLflow shows only the last of a series."""
    metrics = record.metrics
    singles = {f"accuracy.{name}": value for name, value in (metrics.get("accuracy") or {}).items()}
    singles |= {name: metrics.get(name) for name in ("nll", "ece")}
    singles |= {f"recall.{name}": value for name, value in _recalls(record).items()}
    seconds = record.timing.get("train_s")
    singles["train_s"] = round(seconds, 2) if _is_number(seconds) else None  # the table shows every digit
    singles["peak_memory_mb"] = record.peak_memory_bytes / 1e6 if record.peak_memory_bytes else None
    return singles


def _recalls(record: Record) -> dict[str, Any]:
    """Accuracy on each class that had no labels, by its name."""
    accuracies = record.metrics.get("per_class_accuracy") or []
    names = [str(name) for name in record.scenario.get("class_names") or range(len(accuracies))]
    missing = record.scenario.get("missing") or []
    return {_safe(names[c]): accuracies[c] for c in missing if c < min(len(names), len(accuracies))}


def _steps(record: Record) -> list[int]:
    given = record.curves.get("step")
    if given is None:
        given = list(range(max(map(len, record.curves.values()), default=0)))
    return [int(step or 0) for step in given] or [0]


def _is_number(value: Any) -> TypeGuard[float]:
    """MLflow stores NaN as 0 with a flag, and infinity as the largest float: neither may be plotted."""
    return isinstance(value, int | float) and math.isfinite(value)


def _span(record: Record, otherwise: int) -> tuple[int, int]:
    """Start and end of a cell in ms since 1970. A cell that was skipped has none of its own."""
    start = _ms(record.provenance.get("started_at")) or otherwise
    return start, max(start, _ms(record.provenance.get("finished_at")) or start)


def _ms(iso: str | None) -> int | None:
    if not iso:
        return None
    moment = datetime.fromisoformat(iso)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _now() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def _digest(record: Record) -> str:
    return hashlib.sha256(record.to_json().encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Child:
    """A cell's run that MLflow has."""

    run_id: str
    digest: str
    whole: bool
    """Its end was written, which is the last thing written. A run that a kill cut short is still RUNNING."""
    params: Mapping[str, str]


class Tracker:
    """Writes the records of one sweep. One process makes one, and writes; training workers never touch MLflow.

    Raises:
        BadInput: mlflow is not installed, or the URI cannot be used as it is.
        TrackingError: the database or server does not answer as it should.
    """

    def __init__(
        self, uri: str, sweep: Sweep, hyperparameters: Collection[str] = (), *, started_at: str | None = None
    ) -> None:
        """Open or create the database, the experiment and the sweep's parent run.

        Args:
            uri: MLflow tracking URI: a database (`sqlite:////folder/mlflow.db`) or a server (`http://host:5000`).
            sweep: which parent run of which experiment to go on with, or to begin.
            hyperparameters: the parameters that vary, as `varying` names them; they become MLflow's.
            started_at: when the sweep began, ISO 8601; now by default.
        """
        self.uri = checked(uri)
        self.sweep = sweep
        self.hyperparameters = frozenset(hyperparameters)
        with _calm(loggers=()):  # its import sets its own loggers' levels, which are not ours to put back
            self._mlflow = _import_mlflow()
        with self._speaking("opened"):
            if path := _sqlite_path(self.uri):
                _create_database(path, self._mlflow)
            self._client = self._mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.experiment_id = self._open_experiment(f"sslbench/{sweep.suite}")
            self.run_id, self._started = self._open_parent(_ms(started_at) or _now())
            self._children = self._read_children()

    def log(self, record: Record) -> bool:
        """Write a record as a child run, unless it is there already. Says whether it was written.

        A run of the same cell that was cut short, or that holds an older record, is deleted and written anew.
        """
        with self._speaking(f"given {record.id}"):
            params = _params(record, self.hyperparameters)
            child = self._children.get(record.id)
            if child and child.whole and child.digest == _digest(record):
                self._add_params(record.id, child, params)
                return False
            if child:
                self._client.delete_run(child.run_id)
            self._write(record, params)
            return True

    def prune(self, keep: Collection[str]) -> None:
        """Delete the runs of cells other than these ids: cells that the store no longer holds as current."""
        with self._speaking("pruned"):
            for name in self._children.keys() - set(keep):
                self._client.delete_run(self._children.pop(name).run_id)

    def close(self, report_folder: Path | None = None, *, interrupted: bool = False) -> None:
        """End the parent run: upload the report, write the summary, set the status.

        Args:
            report_folder: what to put under `report` among the parent's artifacts.
            interrupted: the sweep was stopped and may be resumed.
        """
        with self._speaking("closed"):
            link = ""
            if report_folder and report_folder.is_dir():
                self._client.log_artifacts(self.run_id, str(report_folder), REPORT_FOLDER)
                link = REPORT_LINK.format(experiment=self.experiment_id, run=self.run_id, folder=REPORT_FOLDER)
            runs = []
            known = {child.run_id for child in self._children.values()}
            for run in self._search(self._in_sweep):
                if run.info.status != "RUNNING":
                    runs.append(run)
                elif run.info.run_id not in known:  # made by a request whose answer was lost, and which was sent again
                    self._client.delete_run(run.info.run_id)
            counts = Counter(run.data.tags.get("status", "failed") for run in runs)
            end = max([self._started, *(run.info.end_time for run in runs)])
            self._summarise(runs, counts, end, link)
            self._client.set_terminated(self.run_id, _parent_status(counts, interrupted), end)

    def _open_experiment(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return self._create_experiment(name)
        if experiment.lifecycle_stage == "deleted":
            raise BadInput(
                f"The MLflow experiment '{name}' was deleted. Bring it back with "
                f"`MLFLOW_TRACKING_URI='{shown(self.uri)}' mlflow experiments restore -x {experiment.experiment_id}`, "
                "or give another --tracking-uri."
            )
        names = self.hyperparameters | set(json.loads(experiment.tags.get(VARYING_TAG, "[]")))
        for tag, value in _views(names).items():  # the experiment may have grown by what varies in this sweep
            if experiment.tags.get(tag) != value:
                self._client.set_experiment_tag(experiment.experiment_id, tag, value)
        return experiment.experiment_id

    def _create_experiment(self, name: str) -> str:
        tags = _experiment_tags(self.hyperparameters)
        made = self._client.create_experiment(name, artifact_location=_artifacts(self.uri), tags=tags)
        link = f"#/experiments/{made}/runs?workflowType=machine_learning&viewStateShareKey="
        note = NOTE.format(suite=self.sweep.suite, table=link + VIEW, charts=f"{link}{CHARTS}&compareRunsMode=CHART")
        self._client.set_experiment_tag(made, "mlflow.note.content", note)
        return made

    def _open_parent(self, started: int) -> tuple[str, int]:
        if run := next(self._search(f"tags.`{SWEEP_TAG}` = '{self.sweep.id}'"), None):
            self._client.update_run(run.info.run_id, status="RUNNING")
            return run.info.run_id, run.info.start_time
        begun = datetime.fromtimestamp(started / 1000, UTC)
        tags = {SWEEP_TAG: self.sweep.id, "mlflow.source.name": "sslbench", "mlflow.source.type": "LOCAL"}
        name = f"{self.sweep.suite} {begun:%Y-%m-%d %H:%M}"
        made = self._client.create_run(self.experiment_id, started, tags, name).info.run_id
        for run in self._search(f"tags.`{SWEEP_TAG}` = '{self.sweep.id}'"):
            if run.info.run_id != made:  # of a request whose answer was lost, and which was sent again
                self._client.delete_run(run.info.run_id)
        return made, started

    @property
    def _in_sweep(self) -> str:
        return f"tags.`mlflow.parentRunId` = '{self.run_id}'"

    def _search(self, query: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _read_children(self) -> dict[str, _Child]:
        """All at once, so that no cell costs a search. Of two runs of a cell, one is a half that nobody went on with."""
        found: dict[str, _Child] = {}
        for run in self._search(self._in_sweep):
            name, digest = run.data.tags.get(CELL_TAG, run.info.run_name), run.data.tags.get(RECORD_TAG, "")
            child = _Child(run.info.run_id, digest, run.info.status != "RUNNING", run.data.params)
            other = found.setdefault(name, child)
            if other is not child:
                found[name], spare = (child, other) if child.whole else (other, child)
                self._client.delete_run(spare.run_id)
        return found

    def _add_params(self, name: str, child: _Child, params: Mapping[str, str]) -> None:
        """What did not vary when the run was written may vary in the sweep as it has grown since."""
        if new := {key: value for key, value in params.items() if key not in child.params}:
            entities = self._mlflow.entities
            self._client.log_batch(child.run_id, params=[entities.Param(*item) for item in new.items()])
            self._children[name] = _Child(child.run_id, child.digest, child.whole, params)

    def _write(self, record: Record, params: Mapping[str, str]) -> None:
        """Four calls a cell. The end comes last: a run without it is known to be half."""
        entities = self._mlflow.entities
        start, end = _span(record, self._started)
        digest = _digest(record)
        tags = _tags(record) | {"mlflow.parentRunId": self.run_id, CELL_TAG: record.id, RECORD_TAG: digest}
        run_id = self._client.create_run(self.experiment_id, start, tags, record.id).info.run_id
        self._children[record.id] = _Child(run_id, digest, False, params)
        metrics = iter([entities.Metric(p.name, p.value, p.time_ms, p.step) for p in points(record, self._started)])
        self._client.log_batch(
            run_id,
            metrics=list(islice(metrics, METRICS_A_CALL - len(params))),
            params=[entities.Param(*item) for item in params.items()],
        )
        while batch := list(islice(metrics, METRICS_A_CALL)):
            self._client.log_batch(run_id, metrics=batch)
        if record.provenance.get("split_sha256"):
            self._client.log_inputs(run_id, [_dataset(entities, record)])
        self._client.set_terminated(run_id, RUN_STATUS[record.status], end)
        self._children[record.id] = _Child(run_id, digest, True, params)

    def _summarise(self, runs: list[Any], counts: Counter[str], end: int, link: str) -> None:
        """Counts as metrics; the means as a table in the run's description, where they can be read, below the link."""
        metric, tag = self._mlflow.entities.Metric, self._mlflow.entities.RunTag
        numbers = {f"cells.{status}": counts[status] for status in RUN_STATUS}
        numbers["train_s"] = round(sum(run.data.metrics.get("train_s", 0.0) for run in runs), 2)
        self._client.log_batch(
            self.run_id,
            metrics=[metric(name, float(value), end, 0) for name, value in numbers.items()],
            tags=[tag("mlflow.note.content", _clip(link + _description(runs), NOTE_LENGTH))],
        )

    @contextlib.contextmanager
    def _speaking(self, done: str) -> Iterator[None]:
        """Whatever goes wrong in MLflow, its server or its database becomes one kind of error with one line."""
        try:
            with _calm():
                yield
        except BadInput:
            raise
        except Exception as error:  # the clients of four databases and a server each raise their own
            line = str(error).strip().split("\n")[0].replace(self.uri, shown(self.uri))
            raise TrackingError(
                f"MLflow at {shown(self.uri)} could not be {done}: {_clip(line, 300) or type(error).__name__}"
            ) from error


class Background:
    """A tracker on a thread of its own, so that a slow or dead MLflow never holds up the training.

    It is opened there at once. At the first trouble it warns once and gives up: the records are safe in the store.
    """

    def __init__(
        self,
        uri: str,
        open_tracker: Callable[[], Tracker],
        warn: Callable[[str], None],
        patience_s: float = PATIENCE_S,
        wait_s: float = WAIT_S,
    ) -> None:
        """
        Args:
            uri: where it writes, for those who ask.
            open_tracker: makes the tracker; called on the thread.
            warn: told the trouble, in one line; called on the thread, or by `close`.
            patience_s: how long `close` waits for the next record to be written.
            wait_s: how long it waits in all.
        """
        self.uri = uri
        self.alive = True
        """Whether all that was given so far could be written."""
        self._warn, self._patience_s, self._wait_s, self._done = warn, patience_s, wait_s, 0
        self._once = threading.Lock()
        self._queue: queue.SimpleQueue[Callable[[Tracker], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(open_tracker,), name="mlflow", daemon=True)
        self._thread.start()

    def log(self, record: Record) -> None:
        """Have a record written as `Tracker.log` does, and return at once."""
        if self.alive:
            self._queue.put(lambda tracker: tracker.log(record))

    def close(self, report_folder: Path | None = None, *, interrupted: bool = False) -> None:
        """End the parent run as `Tracker.close` does, and wait until all is written, as long as it goes on."""
        self._queue.put(lambda tracker: tracker.close(report_folder, interrupted=interrupted))
        self._queue.put(None)
        begun = time.monotonic()
        while self._thread.is_alive() and self.alive:
            before = self._done
            self._thread.join(min(self._patience_s, max(0.0, begun + self._wait_s - time.monotonic())))
            spent = time.monotonic() - begun
            if self._thread.is_alive() and (self._done == before or spent >= self._wait_s):
                self._give_up(f"MLflow at {shown(self.uri)} does not keep up: given up after {spent:.0f} s at the end.")

    def _give_up(self, line: str) -> None:
        """Only the first trouble is told: what follows from it, on either thread, is no news."""
        with self._once:
            told, self.alive = self.alive, False
        if told:
            self._warn(line)

    def _serve(self, open_tracker: Callable[[], Tracker]) -> None:
        try:
            tracker = open_tracker()
            while (job := self._queue.get()) is not None and self.alive:
                job(tracker)
                self._done += 1
        except (TrackingError, BadInput) as error:
            self._give_up(str(error))


def track(folder: Path, uri: str | None = None) -> int:
    """Write the current records of a results folder to MLflow, and drop runs of cells that it no longer holds.

    Args:
        folder: the results folder.
        uri: MLflow tracking URI; by default the database beside the folder.

    Returns:
        How many records were not there yet.

    Raises:
        BadInput: the folder holds no records, or the URI cannot be used.
        TrackingError: MLflow does not answer as it should.
    """
    records = load_records(folder)
    if not records:
        raise BadInput(f"{folder} holds no records: give a folder that `sslbench run` wrote to.")
    begun = min((r.provenance["started_at"] for r in records if r.provenance.get("started_at")), default=None)
    names = varying((r.method, r.scenario) for r in records)
    tracker = Tracker(uri or default_uri(folder), sweep_of(folder), names, started_at=begun)
    written = sum(map(tracker.log, records))
    tracker.prune([r.id for r in records])
    tracker.close(folder / REPORT_FOLDER)
    return written


def require_mlflow() -> None:
    """See that mlflow is installed, without the seconds that importing it takes. Raises BadInput if not."""
    if importlib.util.find_spec("mlflow") is None:
        _import_mlflow()


def _import_mlflow() -> ModuleType:
    try:
        import mlflow
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise BadInput("mlflow is not installed: pip install mlflow, or pass --no-mlflow.") from error
    return mlflow


@contextlib.contextmanager
def _calm(loggers: Iterable[str] = CHATTER) -> Iterator[None]:
    """MLflow quiet, quick to give up and not phoning home, for the length of a call; what the user set stays."""
    ours = {name: value for name, value in CALM.items() if name not in os.environ}
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    os.environ.update(ours)
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        for logger, level in levels.items():
            logger.setLevel(level)


def checked(uri: str) -> str:
    """The URI as MLflow gets it, a database's path absolute.

    Raises:
        BadInput: no such kind of store, or a database file that cannot be written or is none.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in SCHEMES:
        raise BadInput(
            f"'{shown(uri)}' is no tracking URI that works here: give sqlite:////ABSOLUTE/PATH/mlflow.db or "
            "http://HOST:PORT of an MLflow server (MLflow's store of plain files is no longer kept up)."
        )
    path = _sqlite_path(uri)
    if path is None:
        return uri
    _check_database(path)
    return _sqlite_uri(path) + "".join(uri.partition("?")[1:])


def _sqlite_uri(path: Path) -> str:
    # SQLAlchemy decodes the path, and takes what follows a question mark for options.
    return "sqlite:///" + path.as_posix().replace("%", "%25").replace("?", "%3F")


def _sqlite_path(uri: str) -> Path | None:
    """The absolute path of an SQLite database; None for another store, or one in memory."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///(?!:memory:)([^?]+)(?:\?.*)?", uri)
    return Path(unquote(found[1])).absolute() if found else None


def _check_database(path: Path) -> None:
    """Refuse at once what MLflow would try again and again for a minute and a half."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            head = file.read(16)
    except OSError as error:
        raise BadInput(
            f"The MLflow database {path} cannot be written: {error.strerror}. "
            "Give another with --tracking-uri, or pass --no-mlflow."
        ) from error
    if head not in (b"", b"SQLite format 3\0"):
        raise BadInput(f"{path} is no SQLite database: give another with --tracking-uri, or pass --no-mlflow.")


def _create_database(path: Path, mlflow: ModuleType) -> None:
    """Make an empty database whole before it is there: a kill among MLflow's migrations leaves one that it refuses ever after."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # of several that find it empty, one makes it
        if path.stat().st_size:
            return
        for remains in path.parent.glob(f"{glob.escape(path.name)}.*.part*"):  # of a process that was killed at this
            remains.unlink()
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        uri = _sqlite_uri(partial)
        mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        partial.replace(path)


def _artifacts(uri: str) -> str | None:
    """Where an experiment's artifacts go, absolute: MLflow's own choice would be relative to the working directory.

    A server decides itself.
    """
    if uri.startswith(("http", "databricks")):
        return None
    database = _sqlite_path(uri)
    return ((database.parent if database else Path.cwd()) / "mlartifacts").as_uri()


def shown(uri: str) -> str:
    """The URI without a password."""
    try:
        secret = urlsplit(uri).password
    except ValueError:
        return uri
    return (
        uri.replace(f":{quote(unquote(secret), safe='')}@", ":***@").replace(f":{secret}@", ":***@") if secret else uri
    )


def _experiment_tags(hyperparameters: Collection[str]) -> dict[str, str]:
    return {
        "mlflow.experimentKind": "custom_model_development",  # else the UI guesses, and may offer pages for chat traces
        "mlflow.experiment.primaryMetric.name": "accuracy.final",
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    } | _views(hyperparameters)


def _views(hyperparameters: Collection[str]) -> dict[str, str]:
    return {
        VARYING_TAG: json.dumps(sorted(hyperparameters)),
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view(hyperparameters)),
        f"mlflow.sharedViewState.{CHARTS}": json.dumps(_view(hyperparameters) | _charts(hyperparameters)),
    }


def _view(hyperparameters: Collection[str]) -> dict[str, Any]:
    """The table of cells, in the form in which MLflow's UI keeps a shared view; what it does not know it ignores."""
    metrics = [f"metrics.`{name}`" for name in VIEW_METRICS]
    params = [f"params.`{name}`" for name in (*IDENTITY, *sorted(set(hyperparameters) - set(AXES)))]
    name, when = "attributes.`Run Name`", ("runDateAndNestInfo", "duration")
    return {
        "searchFilter": "params.seed != ''",  # parents have none
        "orderByKey": "metrics.`accuracy.final`",
        "orderByAsc": False,
        "selectedColumns": [*metrics, *params, "tags.`status`"],
        "columnOrder": [name, *metrics, *params, "tags.`status`", *when],
        "columnWidths": {name: 270},  # a whole name, such as pseudo-label/mnist5k-1000-no7/seed0
    }


def _charts(hyperparameters: Collection[str]) -> dict[str, Any]:
    """The same cells as charts: the curves that a reader looks for first, and parallel coordinates of what varies.

    Of a method's own hyperparameters there is no axis: MLflow leaves out of this chart each run that has no number where
    most runs have one, or a number where most have none. Its page for ticked runs draws them all, on what varies there.
    """
    axes = [name for name in AXES if name in hyperparameters]
    parallel = {
        "type": "PARALLEL",
        "selectedParams": axes or ["seed"],
        "selectedMetrics": ["accuracy.final"],
        "showAllRuns": True,
    }
    lines = [{"type": "LINE", "metricKey": f"curve/{name}"} | _LINE for name in VIEW_CURVES]
    place = {"metricSectionId": CHARTS, "deleted": False, "isGenerated": False}
    charts = [{"uuid": f"sslbench-{i}", **chart, **place} for i, chart in enumerate([lines[0], parallel, *lines[1:]])]
    section = {"uuid": CHARTS, "name": "sslbench", "display": True, "isReordered": False, "columns": 2}
    return {"compareRunCharts": charts, "compareRunSections": [section], "isAccordionReordered": True}


_LINE = {
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
"""What MLflow's UI keeps of a line chart beside its metric."""


def _dataset(entities: ModuleType, record: Record) -> Any:
    """The split as a dataset input, its own hash as digest: `mlflow.data` would hash the first 10,000 values alone."""
    scenario, provenance = record.scenario, record.provenance
    about = {name: scenario.get(name) for name in ("labels", "missing", "class_names")}
    dataset = entities.Dataset(
        name=_clip(record.series, 500),
        digest=provenance["split_sha256"][:DIGEST_LENGTH],
        source_type="sslbench",
        source=json.dumps({"split_sha256": provenance["split_sha256"], "data_sha256": provenance.get("data_sha256")}),
        profile=json.dumps({name: value for name, value in about.items() if value}),
    )
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])


def _parent_status(counts: Counter[str], interrupted: bool) -> str:
    if interrupted:
        return "KILLED"
    return "FAILED" if counts["failed"] or counts["timeout"] else "FINISHED"


def _description(runs: list[Any]) -> str:
    """The parent's page: mean final accuracies, and what has no result, in Markdown."""
    missing = sorted(
        f"- {run.info.run_name}: {run.data.tags.get('status')}. {_clip(run.data.tags.get('reason', ''), 100)}"
        for run in runs
        if run.data.tags.get("status") != "ok"
    )
    return "\n".join([*_table(runs), *(["", "Not ok:", "", *missing] if missing else [])])


def _table(runs: Iterable[Any]) -> list[str]:
    """Mean final accuracy by method and scenario, scenarios by their number of labels."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    labels: dict[str, float] = {}
    for run in runs:
        params = run.data.params
        if "accuracy.final" in run.data.metrics:
            found[params["method"], params["scenario"]].append(run.data.metrics["accuracy.final"])
            labels[params["scenario"]] = float(params["labels"]) if params["labels"].isdecimal() else math.inf
    scenarios = sorted(labels, key=lambda name: (labels[name], name))
    methods = sorted({method for method, _ in found})
    return (
        [
            "Final test accuracy in %, mean ± standard deviation over seeds (number of seeds).",
            "",
            _row("method", *scenarios),
            "|---|" + "---:|" * len(scenarios),
            *(_row(m, *(_mean(found.get((m, s))) for s in scenarios)) for m in methods),
        ]
        if found
        else []
    )


def _row(*cells: str) -> str:
    # The em space keeps columns apart: MLflow's style sheet gives a table's cells no room.
    return "| " + " | ".join(f"{cell}\u2003" for cell in cells) + " |"


def _mean(accuracies: list[float] | None) -> str:
    if not accuracies:
        return ""
    spread = f" ± {100 * statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    return f"{100 * statistics.mean(accuracies):.1f}{spread} ({len(accuracies)})"
