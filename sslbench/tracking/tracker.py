"""Writes the records of a sweep: one experiment a suite, one parent run a sweep, one child run a cell."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sslbench.errors import BadInput
from sslbench.records import Record
from sslbench.tracking.client import calm, import_mlflow
from sslbench.tracking.experiment_page import VARYING_TAG, experiment_tags, note_of, views
from sslbench.tracking.metrics import milliseconds, points, span_of
from sslbench.tracking.parameters import params_of
from sslbench.tracking.parent_page import REPORT_LINK, description_of
from sslbench.tracking.stores import artifacts_of, checked, create_database, shown, sqlite_path
from sslbench.tracking.sweep import Sweep
from sslbench.tracking.tags import dataset_of, digest_of, tags_of
from sslbench.tracking.texts import clip

REPORT_FOLDER = "report"
"""Where in a results folder `track` looks for a report, and where in the parent run's artifacts it lies."""

RUN_STATUS = {"ok": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "timeout": "KILLED", "skipped": "KILLED"}
"""MLflow's status of a cell's run. A skipped cell has a run too: a pair without a result is a row with its
reason, never a silent gap. KILLED is the one status MLflow has that is neither a result nor an error."""

SWEEP_TAG = "sslbench.sweep"
CELL_TAG = "sslbench.cell"
RECORD_TAG = "sslbench.record"
METRICS_A_CALL = 1000
NOTE_LENGTH = 8000


class TrackingError(RuntimeError):
    """MLflow could not be written. The records are safe in the store: `sslbench track DIR` writes them later."""


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
        with calm(loggers=()):  # its import sets its own loggers' levels, which are not ours to put back
            self._mlflow = import_mlflow()
        with self._speaking("opened"):
            if path := sqlite_path(self.uri):
                create_database(path, self._mlflow)
            self._client = self._mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.experiment_id = self._open_experiment(f"sslbench/{sweep.suite}")
            self.run_id, self._started = self._open_parent(milliseconds(started_at) or _now())
            self._children = self._read_children()

    def log(self, record: Record) -> bool:
        """Write a record as a child run, unless it is there already. Says whether it was written.

        A run of the same cell that was cut short, or that holds an older record, is deleted and written anew.
        """
        with self._speaking(f"given {record.id}"):
            params = params_of(record, self.hyperparameters)
            child = self._children.get(record.id)
            if child and child.whole and child.digest == digest_of(record):
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
        for tag, value in views(names).items():  # the experiment may have grown by what varies in this sweep
            if experiment.tags.get(tag) != value:
                self._client.set_experiment_tag(experiment.experiment_id, tag, value)
        return experiment.experiment_id

    def _create_experiment(self, name: str) -> str:
        tags = experiment_tags(self.hyperparameters)
        made = self._client.create_experiment(name, artifact_location=artifacts_of(self.uri), tags=tags)
        self._client.set_experiment_tag(made, "mlflow.note.content", note_of(made, self.sweep.suite))
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
        start, end = span_of(record, self._started)
        digest = digest_of(record)
        tags = tags_of(record) | {"mlflow.parentRunId": self.run_id, CELL_TAG: record.id, RECORD_TAG: digest}
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
            self._client.log_inputs(run_id, [dataset_of(entities, record)])
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
            tags=[tag("mlflow.note.content", clip(link + description_of(runs), NOTE_LENGTH))],
        )

    @contextlib.contextmanager
    def _speaking(self, done: str) -> Iterator[None]:
        """Whatever goes wrong in MLflow, its server or its database becomes one kind of error with one line."""
        try:
            with calm():
                yield
        except BadInput:
            raise
        except Exception as error:  # the clients of four databases and a server each raise their own
            line = str(error).strip().split("\n")[0].replace(self.uri, shown(self.uri))
            raise TrackingError(
                f"MLflow at {shown(self.uri)} could not be {done}: {clip(line, 300) or type(error).__name__}"
            ) from error


def _parent_status(counts: Counter[str], interrupted: bool) -> str:
    if interrupted:
        return "KILLED"
    return "FAILED" if counts["failed"] or counts["timeout"] else "FINISHED"


def _now() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)
