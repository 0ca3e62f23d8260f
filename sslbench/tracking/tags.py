"""What explains a cell's run and is never plotted: its tags, and the split that it was trained on."""

from __future__ import annotations

import hashlib
import json
from types import ModuleType
from typing import Any

from sslbench.records import Record
from sslbench.tracking.parameters import base_of
from sslbench.tracking.texts import clip, text_of

DIGEST_LENGTH = 36
"""MLflow cuts no dataset digest, it refuses a longer one."""
TAG_LENGTH = 5000


def tags_of(record: Record) -> dict[str, str]:
    """What identifies and explains a cell; shown and searched, never plotted."""
    provenance = record.provenance
    versions = provenance.get("versions") or {}
    tags = {
        "status": record.status,
        "reason": record.reason,
        "family": record.scenario["family"],
        "series": record.series,
        "base": base_of(record.method),
        "method_params": text_of(record.method.get("params", {})),
        "scenario_params": text_of(record.scenario.get("params", {})),
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
    return {name: clip(text_of(value), TAG_LENGTH) for name, value in tags.items() if value not in (None, "")}


def dataset_of(entities: ModuleType, record: Record) -> Any:
    """The split as a dataset input, its own hash as digest: `mlflow.data` would hash the first 10,000 values alone."""
    scenario, provenance = record.scenario, record.provenance
    about = {name: scenario.get(name) for name in ("labels", "missing", "class_names")}
    dataset = entities.Dataset(
        name=clip(record.series, 500),
        digest=provenance["split_sha256"][:DIGEST_LENGTH],
        source_type="sslbench",
        source=json.dumps({"split_sha256": provenance["split_sha256"], "data_sha256": provenance.get("data_sha256")}),
        profile=json.dumps({name: value for name, value in about.items() if value}),
    )
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])


def digest_of(record: Record) -> str:
    """What tells a record from an older one of the same cell."""
    return hashlib.sha256(record.to_json().encode()).hexdigest()[:32]
