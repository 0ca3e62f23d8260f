"""Records, one a cell, and the append-only file that keeps them.

A results folder holds `records.jsonl`, one JSON object a line, and `arrays/KEY.npz` for what is too large for a line. The
records are the truth: the report and the MLflow runs are made from them and can be made again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json

from sslbench.errors import BadInput

SCHEMA = 1
"""Version of the record's form. A store of another schema is refused, never guessed at."""

RECORDS_FILE = "records.jsonl"

Status = Literal["ok", "diverged", "failed", "timeout", "skipped"]
FINISHED: frozenset[str] = frozenset({"ok", "diverged", "skipped"})
"""A cell with such a record is not run again: the same cell would end the same way."""


@dataclass(frozen=True)
class Record:
    """What became of one cell."""

    cell: dict[str, str]
    """`id` ("vat/mnist-50/seed3") and `key`, the hash over everything that could change the result."""
    method: dict[str, Any]
    """`name`, `base` (the registered method it is a variant of), `params`, `origins` (where each was set: default, scenario,
    suite or --set), and `code`, the digest of its source."""
    scenario: dict[str, Any]
    """`name`, `family`, `params`, `labels`, `class_names`,
    `missing` (classes without labels), `suite_seed`, and `code`, the digest of its and the common source."""
    seed: int
    status: Status
    reason: str = ""
    """Why the cell has no result, where it has none."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """`accuracy` {final, selected, oracle}, `nll`, `ece`, `per_class_accuracy`, `confusion`, …; accuracies in [0, 1]."""
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    """The last point of each of the method's diagnostic curves."""
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    """Series of equal length over training; `step` is their abscissa. None stands for "not defined here"."""
    timing: dict[str, float] = field(default_factory=dict)
    """`train_s`, `eval_s`, `steps`, `steps_per_s`, of this cell's share of its stack; of a cell that went on from a checkpoint
    the sum over all attempts, without what was done and lost."""
    peak_memory_bytes: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    """`split_sha256`, `data_sha256`, `versions`, `device`, `precision`, `git_commit`, `dirty`, `started_at`, …;
    `resumed_at` (steps) if it went on from checkpoints."""
    arrays: list[str] = field(default_factory=list)
    """Names of the arrays in `arrays/KEY.npz`."""
    training_seed: int | None = None
    """What weights, batches and draws come from, where it is not the seed: several such are repetitions on one split."""
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        return self.cell["id"]

    @property
    def key(self) -> str:
        return self.cell["key"]

    @property
    def series(self) -> str:
        """What scenarios are called that differ in their label count alone: the scenario's name without the count."""
        name, labels = str(self.scenario["name"]), str(self.scenario.get("labels"))
        return "-".join(part for part in name.split("-") if part != labels) or name

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    def to_json(self) -> str:
        """One line of JSON. NaN and infinity, which JSON has not, become null."""
        return json.dumps(_plain(asdict(self)), allow_nan=False, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Record:
        """The record of a line.

        Raises:
            ValueError: the line is not a whole record.
            BadInput: it has another schema.
        """
        given = from_json(line)  # three times as fast as the standard library's
        if not isinstance(given, dict):
            raise ValueError("not a JSON object")
        if given.get("schema") != SCHEMA:
            raise BadInput(
                f"A record of schema {given.get('schema')!r}, where this sslbench reads schema {SCHEMA}: "
                "give another --out folder, or read it with the sslbench that wrote it."
            )
        if missing := {"cell", "method", "scenario", "seed", "status"} - given.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        parts = [given["cell"], given["method"], given["scenario"]]
        if not all(isinstance(p, dict) for p in parts) or not {"id", "key"} <= given["cell"].keys():
            raise ValueError("cell, method or scenario is not what it should be")
        return cls(**{name: value for name, value in given.items() if name in _FIELDS})


_FIELDS = frozenset(f.name for f in fields(Record))


class Store:
    """The records of one results folder. One process writes; a torn last line is recognised and left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.path = self.folder / RECORDS_FILE
        self.torn: list[int] = []
        """Numbers of the lines, from 1, that hold no whole record: a kill in mid-write, or damage."""

    def load(self) -> list[Record]:
        """All records, oldest first. A folder without records has none.

        Raises:
            BadInput: the file cannot be read, or holds records of another schema.
        """
        self.torn = []
        records = []
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(f"The records in {self.path} cannot be read: {error.strerror}.") from error
        for number, line in enumerate(lines, 1):
            try:
                records.append(Record.from_json(line))
            except BadInput as error:
                raise BadInput(f"{self.path}, line {number}: {error}") from error
            except (ValueError, TypeError):
                self.torn.append(number)
        return records

    def prepare(self) -> None:
        """Make the folder and see that it can be written, before any training starts."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise BadInput(
                f"The output folder {self.folder} cannot be written: {error.strerror}. Give another with --out."
            ) from error

    def append(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Write one record, arrays first, and flush it to the disk."""
        try:
            self._append(record, arrays)
        except OSError as error:
            raise BadInput(f"{self.folder} cannot be written: {error.strerror}. What is stored is kept.") from error

    def _append(self, record: Record, arrays: Mapping[str, np.ndarray] | None) -> None:
        if arrays:
            path = self._arrays_path(record.key)
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
            partial.replace(path)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line torn by a kill: end it, so that ours stands on its own
                    file.write(b"\n")
            file.write(record.to_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The record's arrays by name. Nothing pickled is ever loaded."""
        if not record.arrays:
            return {}
        with np.load(self._arrays_path(record.key), allow_pickle=False) as stored:
            return {name: stored[name] for name in record.arrays}

    def _arrays_path(self, key: str) -> Path:
        return self.folder / "arrays" / f"{key}.npz"


def load_records(folder: str | Path) -> list[Record]:
    """The current records of a results folder: of each cell the newest, and of each scenario only its newest settings."""
    return current(Store(Path(folder)).load())


def current(records: Iterable[Record]) -> list[Record]:
    """What a comparison may hold side by side: the newest record of each cell, on the newest settings of its scenario.

    A cell that was run again replaces its older record. Records of a scenario whose parameters, code or suite seed have
    since changed, and of a method whose parameters or code have, are not comparable with the new ones and are left out.
    """
    newest: dict[str, Record] = {}
    settings: dict[tuple[str, ...], Any] = {}
    for record in records:
        newest.pop(record.id, None)  # so that the order is that of the newest
        newest[record.id] = record
        settings.update(_settings(record))
    return [r for r in newest.values() if all(settings[name] == given for name, given in _settings(r).items())]


def _settings(record: Record) -> dict[tuple[str, ...], Any]:
    """What must agree for records to stand side by side: of a scenario, and of a method on it."""
    scenario, method = record.scenario, record.method
    return {
        (scenario["name"],): [scenario.get(part) for part in ("params", "suite_seed", "code")],
        (scenario["name"], method["name"]): [method.get(part) for part in ("params", "code")],
    }


def _plain(value: Any) -> Any:
    """JSON's own types, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
