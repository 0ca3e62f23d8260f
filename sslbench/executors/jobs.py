"""What goes to a worker and what comes back, and the work itself: a stack of cells to records."""

from __future__ import annotations

import dataclasses
import datetime
import gc
import importlib.metadata
import os
import platform
import subprocess
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch

from sslbench import engine
from sslbench.records import Record, Status
from sslbench.suite import Cell, params

Cause = Literal["method", "memory", "time", "process"]
"""Why a cell has no result, in its record's provenance: its code raised an exception; it needs more memory than there is; it
took longer than its limit; its process was lost with it, which may have nothing to do with the cell."""


@dataclass(frozen=True)
class Checkpointing:
    """Where the checkpoints of running cells are kept, and how often they are written."""

    folder: Path
    every_s: float

    def file(self, key: str) -> Path:
        """Of the cell of this key."""
        return self.folder / f"{key}.npz"


@dataclass(frozen=True, eq=False)
class Job:
    """Cells of one method on one scenario that train together."""

    cells: tuple[Cell, ...]
    keys: tuple[str, ...]
    """The cells' keys, in their order."""
    device: str
    provenance: Mapping[str, Any]
    """What all records of this run have in common."""
    timeout: float | None = None
    """Seconds that each cell may take; None: as long as it takes."""
    attempt: int = 1
    """How many times its cells have been begun, this time included."""
    checkpoints: Checkpointing | None = None
    cuda_graphs: bool = False
    """Replay its steps as CUDA graphs, on a CUDA device."""

    @property
    def limit(self) -> float | None:
        """Seconds that the job may take."""
        return None if self.timeout is None else self.timeout * len(self.cells)

    def split(self, size: int) -> tuple[Job, ...]:
        """The job in parts of so many cells, the last with what is left."""
        return tuple(self.part(range(len(self.cells))[i : i + size]) for i in range(0, len(self.cells), size))

    def part(self, places: Sequence[int]) -> Job:
        """The job of those of its cells."""
        return dataclasses.replace(
            self, cells=tuple(self.cells[i] for i in places), keys=tuple(self.keys[i] for i in places)
        )

    @property
    def name(self) -> str:
        first = self.cells[0].id
        return first if len(self.cells) == 1 else f"{first} … {self.cells[-1].id.rpartition('/')[2]}"


@dataclass(frozen=True)
class CellResult:
    """A record, and what belongs into files beside it."""

    record: Record
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    traceback: str = ""


@dataclass(frozen=True)
class Started:
    """A worker has begun with a job."""

    job: Job


@dataclass(frozen=True)
class Advanced:
    """A job has come so far."""

    job: Job
    done: int
    total: int
    loss: float


@dataclass(frozen=True)
class Resumed:
    """A job, or some of its seeds, goes on from a checkpoint, after so many steps."""

    job: Job
    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """A line about a job that a person should read."""

    job: Job
    text: str
    of: Literal["job", "method"] = "job"
    """What it is true of: who has read it of a method need not read it again with its next job."""


@dataclass(frozen=True)
class Ended:
    """A job is over, well or badly: a result for each of its cells."""

    job: Job
    results: tuple[CellResult, ...]

    @property
    def cause(self) -> Cause | None:
        """Why the cells of the job have no results, if they have none."""
        cause: Cause | None = self.results[0].record.provenance.get("cause")
        return cause


@dataclass(frozen=True)
class Retried:
    """A job ended without results, and its cells wait to run again."""

    job: Job
    reason: str
    parts: tuple[Job, ...]
    """What runs in its place."""


Event = Started | Resumed | Advanced | Noted | Ended | Retried

Tell = Callable[..., None]
"""Hears `"advanced", done, total, loss`, `"resumed", done, total` and `"noted", text[, of]`: an event without its job."""


class Executor(Protocol):
    """Where cells run."""

    persistent: ClassVar[bool]
    """Whether it runs a job again by itself whose process was lost."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Run jobs, in order as there is room, and yield what happens.

        What `jobs` iterates over may grow at an `Ended`: who takes a job only when there is room for it has that sooner.
        """
        ...


_EVENTS: Mapping[str, type[Advanced | Resumed | Noted]] = {"advanced": Advanced, "resumed": Resumed, "noted": Noted}


def told(job: Job, message: tuple[Any, ...]) -> Advanced | Resumed | Noted:
    """The event that a message of `Tell` is about."""
    kind, *what = message
    return _EVENTS[kind](job, *what)


def work(
    job: Job,
    progress: Callable[[int, int, float], None],
    tell: Tell = lambda *message: None,
    failures: tuple[type[BaseException], ...] = (Exception, SystemExit),
    open_file: Callable[[Path, Mapping[str, Any]], engine.CheckpointFile] = engine.CheckpointFile,
) -> tuple[CellResult, ...]:
    """Run a job here. An exception becomes failed records, and so does an attempt to end the process.

    Seeds whose checkpoints are at different steps train one group after the other, the furthest first.

    Args:
        failures: what counts as a failure of the job. `SystemExit` is none where somebody else ends processes by it.
        open_file: a checkpoint by its path and its identity.
    """
    if job.checkpoints is None:
        return _work(job, progress, engine.Saver(), failures)
    files = [
        open_file(job.checkpoints.file(key), _identity(job, cell, key))
        for cell, key in zip(job.cells, job.keys, strict=True)
    ]
    found = [_found(file, cell, tell) for file, cell in zip(files, job.cells, strict=True)]
    steps = [0 if checkpoint is None else checkpoint.step for checkpoint in found]
    results: dict[int, CellResult] = {}
    for step in sorted(set(steps), reverse=True):
        places = [i for i, own in enumerate(steps) if own == step]
        saver = engine.Saver(
            [files[i] for i in places], [c for i in places if (c := found[i])], job.checkpoints.every_s, tell
        )
        results |= zip(places, _work(job.part(places), progress, saver, failures), strict=True)
    return tuple(results[i] for i in range(len(job.cells)))


def _identity(job: Job, cell: Cell, key: str) -> dict[str, Any]:
    """What a checkpoint must agree in with the training that takes it up."""
    identity: dict[str, Any] = {"cell": cell.id, "key": key}
    identity |= {part: job.provenance.get(part) for part in ("device", "machine")}
    return identity | {"set of versions": job.provenance.get("versions")}


def _found(file: engine.CheckpointFile, cell: Cell, tell: Tell) -> engine.Checkpoint | None:
    try:
        return file.load()
    except engine.Unusable as error:
        tell("noted", f"the checkpoint {file.path} of {cell.id} {error}: it begins anew")
        return None


def _work(
    job: Job,
    progress: Callable[[int, int, float], None],
    saver: engine.Saver,
    failures: tuple[type[BaseException], ...],
) -> tuple[CellResult, ...]:
    started = _now()
    first = job.cells[0]
    try:
        outcomes = engine.run(
            first.method,
            first.scenario,
            [c.rng for c in job.cells],
            torch.device(job.device),
            progress,
            [c.training_rng for c in job.cells],
            first.precision,
            saver,
            job.cuda_graphs,
        )
    except engine.Stopped:
        raise
    except failures as error:
        reason, cause = _reason(error, job), _cause(error)
        failed = failure(job, "failed", reason, traceback.format_exc(), started, cause)
    else:
        return tuple(_result(job, *each, started) for each in zip(job.cells, job.keys, outcomes, strict=True))
    if cause == "memory":
        gc.collect()  # what the exception's frames held is free only now
    return failed


def _result(job: Job, cell: Cell, key: str, outcome: engine.Outcome, started: str) -> CellResult:
    resumed = {"resumed_at": list(outcome.resumed_at)} if outcome.resumed_at else {}
    record = dataclasses.replace(
        blank_record(cell, key, outcome.status, outcome.reason),
        metrics=outcome.metrics,
        diagnostics=outcome.diagnostics,
        curves=outcome.curves,
        timing=outcome.timing,
        peak_memory_bytes=outcome.peak_memory_bytes,
        provenance={**_provenance(job, started), **outcome.digests, **resumed},
        arrays=sorted(outcome.arrays),
    )
    return CellResult(record, outcome.arrays)


def failure(
    job: Job, status: Status, reason: str, trace: str = "", started: str | None = None, cause: Cause = "process"
) -> tuple[CellResult, ...]:
    """A record without a result for each cell of a job."""
    provenance = {**_provenance(job, started or _now()), "cause": cause}
    return tuple(
        CellResult(dataclasses.replace(blank_record(cell, key, status, reason), provenance=provenance), traceback=trace)
        for cell, key in zip(job.cells, job.keys, strict=True)
    )


def timed_out(job: Job, trace: str = "") -> tuple[CellResult, ...]:
    """The records of a job that took longer than it may."""
    assert job.timeout is not None
    reason = f"it took longer than its limit of {job.timeout / 60:g} min"
    return failure(job, "timeout", reason, trace, cause="time")


def _cause(error: BaseException) -> Cause:
    """Memory that could not be had is told by many exceptions, most of which only say so in their message."""
    said = (
        "can't allocate memory",
        "out of memory",
        "ALLOC_FAILED",  # cuBLAS
        "ALLOCATION_FAILED",  # cuDNN
        "CUBLAS_STATUS_NOT_INITIALIZED",  # cuBLAS, where its workspace does not fit
        "nable to find an engine",  # cuDNN, where none of its workspaces does
    )
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    return "memory" if told or isinstance(error, MemoryError | torch.OutOfMemoryError) else "method"


def _reason(error: BaseException, job: Job) -> str:
    what = f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(": ")
    if _cause(error) == "method":
        return what
    several = "fewer --workers, " if job.device == "cpu" else ""
    return f"out of memory: try {several}smaller batches, or a {job.device} with more of it ({what})"


def blank_record(cell: Cell, key: str, status: Status, reason: str) -> Record:
    """A record that says what the cell is and how it ended."""
    names = cell.scenario.class_names()
    return Record(
        cell={"id": cell.id, "key": key},
        method={
            "name": cell.method_name,
            "base": cell.method_base,
            "params": params(cell.method),
            "origins": dict(cell.origins),
            "code": cell.source.method,
        },
        scenario={
            "name": cell.scenario_name,
            "base": cell.scenario_base,
            "family": cell.scenario.family,
            "labels": cell.scenario.labels,
            "class_names": list(names),
            "missing": list(cell.scenario.missing_classes()),
            "params": params(cell.scenario),
            "suite_seed": cell.suite_seed,
            "code": f"{cell.source.common}{cell.source.scenario}",
        },
        seed=cell.seed,
        training_seed=cell.training_seed,
        status=status,
        reason=reason,
    )


def common_provenance(device: str) -> dict[str, Any]:
    """What all records of a run on this machine have in common: versions, hardware, the state of the source."""
    return {**machine_provenance(device), **_source_state()}


def machine_provenance(device: str) -> dict[str, Any]:
    """The versions and the hardware of this machine. A driver without CUDA may have jobs for machines that have it."""
    return {
        "versions": versions(),
        "device": torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device,
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on."""
    packages = ("sslbench", "torch", "torchvision", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {p: _version(p) for p in packages}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _source_state() -> dict[str, Any]:
    """The commit that sslbench runs from and whether it was changed since; nothing, where it is installed from a wheel."""

    def git(*words: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return ran.stdout.strip() if ran.returncode == 0 else None

    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"git_commit": None, "dirty": None}
    return {"git_commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", ".."))}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _provenance(job: Job, started: str) -> dict[str, Any]:
    own: dict[str, Any] = {
        "precision": job.cells[0].precision,
        "attempts": job.attempt,
        "started_at": started,
        "finished_at": _now(),
    }
    own |= {} if job.timeout is None else {"timeout_s": job.timeout}
    own |= {"cuda_graphs": True} if job.cuda_graphs and job.device == "cuda" else {}
    return {**job.provenance, **own}
