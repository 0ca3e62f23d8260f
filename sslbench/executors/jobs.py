"""What goes to a worker and what comes back, and the work itself: a stack of cells to records."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import subprocess
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sslbench import engine
from sslbench.records import Record, Status
from sslbench.suite import Cell, params


@dataclass(frozen=True, eq=False)
class Job:
    """Cells of one method on one scenario that train together."""

    cells: tuple[Cell, ...]
    keys: tuple[str, ...]
    """The cells' keys, in their order."""
    device: str
    provenance: Mapping[str, Any]
    """What all records of this run have in common."""

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
class Ended:
    """A job is over, well or badly: a result for each of its cells."""

    job: Job
    results: tuple[CellResult, ...]


Event = Started | Advanced | Ended


def work(job: Job, progress: Callable[[int, int, float], None]) -> tuple[CellResult, ...]:
    """Run a job here. An exception becomes failed records."""
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
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return failure(job, "failed", reason, traceback.format_exc(), started)
    results = []
    for cell, key, outcome in zip(job.cells, job.keys, outcomes, strict=True):
        record = blank_record(cell, key, outcome.status, outcome.reason)
        record = dataclasses.replace(
            record,
            metrics=outcome.metrics,
            diagnostics=outcome.diagnostics,
            curves=outcome.curves,
            timing=outcome.timing,
            peak_memory_bytes=outcome.peak_memory_bytes,
            provenance={**job.provenance, "precision": first.precision, **outcome.digests, **_when(started)},
            arrays=sorted(outcome.arrays),
        )
        results.append(CellResult(record, outcome.arrays))
    return tuple(results)


def failure(
    job: Job, status: Status, reason: str, trace: str = "", started: str | None = None
) -> tuple[CellResult, ...]:
    """A record without a result for each cell of a job."""
    provenance = {**job.provenance, "precision": job.cells[0].precision, **_when(started or _now())}
    return tuple(
        CellResult(dataclasses.replace(blank_record(cell, key, status, reason), provenance=provenance), traceback=trace)
        for cell, key in zip(job.cells, job.keys, strict=True)
    )


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


def _when(started: str) -> dict[str, str]:
    return {"started_at": started, "finished_at": _now()}
