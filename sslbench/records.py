"""Records, one a cell, and the append-only file that keeps them.

A results folder holds `records.jsonl`, one JSON object a line, `arrays/KEY.npz` for what is too large for a line, and
`tracebacks/KEY.txt`. The records are the truth: the report and the MLflow runs are made from them and can be made again.

A line begins with its checksum, `{"crc":"89abcdef",…`: the CRC-32 of all that follows it in the line. So a flipped bit is never
taken for a result. Lines of earlier versions have none, and are read as they are.

What `append` returned from is on the disk, also after a power failure, as far as the disk keeps its promises: a file beside the
records is written under another name, flushed, renamed, and its folder flushed; then the line is written and flushed, and where
it is the file's first, the folder too. A line that could not be written whole is taken back.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import math
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic_core import from_json

from sslbench import atomic
from sslbench.errors import BadInput, Damage
from sslbench.locks import Holder, Lock

SCHEMA = 1
"""Version of the record's form. A store of another schema is refused, never guessed at."""

RECORDS_FILE = "records.jsonl"
LOCK_FILE = "records.lock"
SHOWN = 5
"""Damaged lines that a message names."""

_SEAL = b'{"crc":"'
_SEALED = len(_SEAL) + len('89abcdef",')
"""Where the part of a line begins that its checksum is of."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""A key names files, so it can name nothing outside the folder."""

Status = Literal["ok", "diverged", "failed", "timeout", "skipped"]
STATUSES: frozenset[str] = frozenset(get_args(Status))
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

    @property
    def device(self) -> str | None:
        """ "cpu" or "cuda": what it was computed on, if that is known. Its name is in the provenance."""
        name = self.provenance.get("device")
        return None if not name else "cpu" if name == "cpu" else "cuda"

    def to_json(self) -> str:
        """One line of JSON. NaN and infinity, which JSON has not, become null."""
        return json.dumps(_plain(asdict(self)), allow_nan=False, separators=(",", ":"), ensure_ascii=False)

    def to_line(self) -> bytes:
        """The line of a store: the JSON with its checksum before it, and a line's end."""
        content = self.to_json().encode()[1:]
        return b'%s%08x",%s\n' % (_SEAL, zlib.crc32(content), content)

    @classmethod
    def from_json(cls, line: str | bytes) -> Record:
        """The record of a line.

        Raises:
            ValueError: the line is not a whole record.
            BadInput: it has another schema.
        """
        raw = (line.encode() if isinstance(line, str) else line).rstrip(b"\r\n")
        sealed = raw.startswith(_SEAL)
        if sealed and raw[len(_SEAL) : _SEALED] != b'%08x",' % zlib.crc32(raw[_SEALED:]):
            raise ValueError("its checksum does not fit")
        try:
            given = from_json(raw)  # three times as fast as the standard library's
        except ValueError as error:
            raise ValueError("not JSON, or cut short") from error
        if not isinstance(given, dict) or type(given.get("schema")) is not int:
            raise ValueError("JSON, but no record")
        if given["schema"] != SCHEMA:
            raise BadInput(
                f"A record of schema {given['schema']}, where this sslbench reads schema {SCHEMA}: "
                "give another --out folder, or read it with the sslbench that wrote it."
            )
        if not sealed and given.keys() - _FIELDS:  # a damaged checksum, or another program's
            raise ValueError("no field of a record: " + ", ".join(sorted(given.keys() - _FIELDS)[:3]))
        _check(given)
        return cls(**{name: value for name, value in given.items() if name in _FIELDS})


_FIELDS = frozenset(f.name for f in fields(Record))
_KINDS: dict[str, type | tuple[type, ...]] = {
    "cell": dict,
    "method": dict,
    "scenario": dict,
    "seed": int,
    "status": str,
    "reason": str,
    "metrics": dict,
    "diagnostics": dict,
    "curves": dict,
    "timing": dict,
    "peak_memory_bytes": int,
    "provenance": dict,
    "arrays": list,
    "training_seed": (int, type(None)),
}


def _check(given: Mapping[str, Any]) -> None:
    """See that what a line holds is a record: that its names are names, and its key can name a file.

    Raises:
        ValueError: it is not.
    """
    if missing := {"cell", "method", "scenario", "seed", "status"} - given.keys():
        raise ValueError(f"no {', '.join(sorted(missing))}")
    for name, value in given.items():
        if name in _KINDS and not isinstance(value, _KINDS[name]):
            raise ValueError(f"{name} is not what it should be")
    cell, method, scenario = given["cell"], given["method"], given["scenario"]
    for name in (cell.get("id"), method.get("name"), scenario.get("name")):
        if not isinstance(name, str) or not name.isprintable():
            raise ValueError("a name of its cell, method or scenario is not what it should be")
    if not isinstance(cell.get("key"), str) or not _KEY.fullmatch(cell["key"]):
        raise ValueError("its key can name no file")
    if given["status"] not in STATUSES:
        raise ValueError("its status is none")
    tables = method.get("params", {}), scenario.get("params", {}), given.get("metrics", {}).get("accuracy", {})
    if not all(isinstance(table, dict) for table in tables):
        raise ValueError("params or accuracy is not what it should be")
    for curve in given.get("curves", {}).values():
        if not isinstance(curve, list):
            raise ValueError("a curve is not what it should be")


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Records are hundreds of thousands of objects without a circle: the searches that their number sets off find nothing in a
    third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class DamagedArrays(BadInput):
    """The file of a record's arrays is not what was written."""


class Store:
    """The records of one results folder. Whoever writes holds its lock; whoever reads needs none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.path = self.folder / RECORDS_FILE
        self.damage: dict[int, str] = {}
        """By number of the line, from 1: why it is no whole record. A kill in mid-write, or damage."""
        self.died: Holder | None = None
        """The process that was killed while it held the lock that this store has since taken."""
        self._lock = Lock(self.folder / LOCK_FILE)
        self._depth = 0

    @property
    def torn(self) -> list[int]:
        """Numbers of the lines, from 1, that hold no whole record."""
        return list(self.damage)

    # Reading ----------------------------------------------------------------------------------------------------------

    def load(self) -> list[Record]:
        """All records, oldest first. A folder without records has none.

        Raises:
            BadInput: the file cannot be read, or holds records of another schema.
        """
        self.damage = {}
        try:
            with self.path.open("rb") as file, _no_search_for_garbage():
                return [record for number, line in enumerate(file, 1) for record in self._records(number, line)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(f"The records in {self.path} cannot be read: {error.strerror}.") from error

    def _records(self, number: int, line: bytes) -> list[Record]:
        """The records of a line: one, or of a damaged line what is whole in it."""
        if not line.strip():
            return []
        try:
            return [Record.from_json(line)]
        except BadInput as error:
            raise BadInput(f"{self.path}, line {number}: {error}") from error
        except (ValueError, TypeError) as error:
            whole = list(_salvaged(line))
            self.damage[number] = str(error) + (f"; {len(whole)} in it whole and kept" if whole else "")
            return whole

    def warn_of_damage(self) -> None:
        """Issue a `Damage` warning if the last `load` left lines out."""
        if self.damage:
            warnings.warn(self.damage_line(), Damage, stacklevel=1)

    def damage_line(self) -> str:
        """What the last `load` left out, in one line."""
        named = [f"line {number} ({why})" for number, why in list(self.damage.items())[:SHOWN]]
        more = len(self.damage) - len(named)
        return f"{self.path}: no whole record in {', '.join(named)}{f' and {more} more' if more else ''}: left out."

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The record's arrays by name. Nothing pickled is ever loaded.

        Raises:
            FileNotFoundError: their file is not there.
            DamagedArrays: it is not what was written.
        """
        if not record.arrays:
            return {}
        path = self._file("arrays", record.key, "npz")
        try:
            with zipfile.ZipFile(path) as stored:  # read whole, so that the checksum of each is compared
                parts = {name: io.BytesIO(stored.read(f"{name}.npy")) for name in record.arrays}
            return {name: np.lib.format.read_array(part, allow_pickle=False) for name, part in parts.items()}
        except FileNotFoundError:
            raise
        except Exception as error:  # of zip, zlib, and NumPy's format, which raise some ten kinds
            raise DamagedArrays(f"{path}, the arrays of {record.id}, cannot be read ({error})") from error

    def traceback(self, record: Record) -> str:
        """The traceback of a record that failed; empty where there is none."""
        path = self.traceback_path(record)
        return path.read_text(errors="replace") if path.is_file() and not path.is_symlink() else ""

    def traceback_path(self, record: Record) -> Path:
        """Where the traceback of a record is, if it left one."""
        return self._file("tracebacks", record.key, "txt")

    # Writing ----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that writes to the folder. Within a block of the same store it is held already.

        Raises:
            BadInput: another process holds the lock (it is named), or the folder cannot be written.
        """
        made = [] if self._depth else self._make_folder()
        try:
            if not self._depth:
                with self._writable():
                    self.died = self._lock.acquire()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._lock.release()
        finally:
            for folder in made:  # nothing came into being: leave nothing behind
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def prepare(self) -> None:
        """See that the folder can be written, before any training starts, and clear away what a kill left half-written."""
        with self.lock(), self._writable():
            with self.path.open("ab"):
                pass
            for partial in self.folder.glob(f"*/*{atomic.PARTIAL}"):
                if partial.parent.name in ("arrays", "tracebacks"):
                    partial.unlink()

    def append(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None, traceback: str = "") -> None:
        """Write one record, what belongs into files beside it first, and flush all of it to the disk.

        Raises:
            BadInput: it cannot be written, and the store is as it was; or another process holds the lock.
        """
        self.extend([(record, arrays or {}, traceback)])

    def extend(self, made: Iterable[tuple[Record, Mapping[str, np.ndarray], str]]) -> None:
        """Write records with their arrays and tracebacks, as `append` does, all lines at once."""
        with self.lock(), self._writable():
            lines = []
            for record, arrays, traceback in made:
                if arrays:
                    content = io.BytesIO()
                    np.savez_compressed(content, allow_pickle=False, **arrays)
                    atomic.write(self._file("arrays", record.key, "npz"), content.getbuffer())
                trace = self.traceback_path(record)
                if traceback:
                    atomic.write(trace, traceback.encode(errors="replace"))
                else:
                    trace.unlink(missing_ok=True)  # that of an earlier run is no longer true
                lines.append(record.to_line())
            self._add(b"".join(lines))

    def _add(self, lines: bytes) -> None:
        """Add lines to the file, whole or not at all, and flush them to the disk."""
        with self.path.open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line torn by a kill: end it, so that ours stands on its own
                    lines = b"\n" + lines
            left = memoryview(lines)
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException as error:  # a full disk; or Ctrl-C, after which a line that is whole may stay
                if left or isinstance(error, OSError):
                    with contextlib.suppress(OSError):
                        file.truncate(size)
                raise
        if not size:
            atomic.flush_folder(self.folder)

    def _make_folder(self) -> list[Path]:
        """Make the folder and those above it. Returns those that were not there, the innermost first."""
        with self._writable():
            made = [f for f in (self.folder, *self.folder.parents) if not f.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            for folder in made:
                atomic.flush_folder(folder.parent)
        return made

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        """Whatever goes wrong in writing becomes one line."""
        try:
            yield
        except OSError as error:
            raise BadInput(
                f"{self.folder} cannot be written: {error.strerror or error}. What is stored is kept: make room for it there, "
                "and the same command goes on; or give another folder with --out."
            ) from error

    def _file(self, kind: str, key: str, ending: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"the key {key!r} can name no file")
        return self.folder / kind / f"{key}.{ending}"


def _salvaged(line: bytes) -> Iterator[Record]:
    """Records that are whole within a damaged line: a damaged line's end runs two together."""
    for part in line.split(_SEAL)[1:]:
        with contextlib.suppress(ValueError, TypeError):
            yield Record.from_json(_SEAL + part[: part.rfind(b"}") + 1])


def load_records(folder: str | Path) -> list[Record]:
    """The current records of a results folder: of each cell the newest, and of each scenario only its newest settings.

    Lines that hold no whole record are left out, with a `Damage` warning.
    """
    store = Store(Path(folder))
    records = store.load()
    store.warn_of_damage()
    return current(records)


def current(records: Iterable[Record]) -> list[Record]:
    """What a comparison may hold side by side: the newest record of each cell, on the newest settings of its scenario.

    A cell that was run again replaces its older record. Records of a scenario whose parameters, code or suite seed have
    since changed, and of a method whose parameters or code have, are not comparable with the new ones and are left out.
    """
    newest: dict[str, Record] = {}
    settings: dict[tuple[str, ...], Any] = {}
    for record in records:
        newest[record.id] = record  # where it first stood: a method that is run again keeps its place in the tables
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
