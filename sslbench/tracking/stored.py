"""The stored records of a results folder, written to MLflow again."""

from __future__ import annotations

from pathlib import Path

from sslbench.errors import BadInput
from sslbench.records import load_records
from sslbench.tracking.parameters import varying
from sslbench.tracking.stores import default_uri
from sslbench.tracking.sweep import sweep_of
from sslbench.tracking.tracker import REPORT_FOLDER, Tracker


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
