"""A record's metrics and curves as MLflow's points, each with its time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from sslbench.records import Record
from sslbench.tracking.texts import safe


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
    start, end = span_of(record, otherwise)
    singles = [Point(name, value, end) for name, value in _singles(record).items() if _is_number(value)]
    # The weight of a term that the method has not is no curve.
    termless = not any(map(_is_number, record.curves.get("unlabelled_loss") or []))
    left_out = {"step", "unlabelled_weight"} if termless else {"step"}
    steps = _steps(record)
    times = [start + round((end - start) * step / max(1, steps[-1])) for step in steps]
    return singles + [
        Point(f"curve/{safe(name)}", float(value), time, step)
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
    return {safe(names[c]): accuracies[c] for c in missing if c < min(len(names), len(accuracies))}


def _steps(record: Record) -> list[int]:
    given = record.curves.get("step")
    if given is None:
        given = list(range(max(map(len, record.curves.values()), default=0)))
    return [int(step or 0) for step in given] or [0]


def _is_number(value: Any) -> TypeGuard[float]:
    """MLflow stores NaN as 0 with a flag, and infinity as the largest float: neither may be plotted."""
    return isinstance(value, int | float) and math.isfinite(value)


def span_of(record: Record, otherwise: int) -> tuple[int, int]:
    """Start and end of a cell in ms since 1970. A cell that was skipped has none of its own."""
    start = milliseconds(record.provenance.get("started_at")) or otherwise
    return start, max(start, milliseconds(record.provenance.get("finished_at")) or start)


def milliseconds(iso: str | None) -> int | None:
    if not iso:
        return None
    moment = datetime.fromisoformat(iso)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
