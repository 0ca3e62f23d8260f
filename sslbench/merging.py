"""Several results folders into one: each cell once, and what disagrees is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sslbench.errors import BadInput
from sslbench.records import RECORDS_FILE, DamagedArrays, Record, Store, current

COMPARED = ("status", "metrics", "diagnostics", "curves")
"""What two results of a cell must have in common, to the bit. Times, memory and provenance may differ."""


@dataclass(frozen=True)
class Conflict:
    """Two results of the same cell that are not equal."""

    kept: Record
    kept_from: Path
    other: Record
    other_from: Path

    def __str__(self) -> str:
        differ = ", ".join(part for part in COMPARED if getattr(self.kept, part) != getattr(self.other, part))
        return (
            f"{self.kept.id} differs in {differ}: {_said(self.kept)} from {self.kept_from} is kept, "
            f"{_said(self.other)} from {self.other_from} is not."
        )

    @property
    def devices(self) -> tuple[str, str] | None:
        """On what it was computed and on what the other one, if that explains the difference: their arithmetic differs in the
        last bits, and training spreads that. Not where one of the two diverged."""
        kept, other = (str(r.provenance.get("device", "")) for r in (self.kept, self.other))
        return (kept, other) if kept and other and kept != other and self.kept.status == self.other.status else None


@dataclass(frozen=True)
class Merged:
    """What came of joining."""

    added: Mapping[Path, int]
    """Records taken, by the folder they came from."""
    equal: int
    """Results that were there once more and are the same."""
    conflicts: tuple[Conflict, ...]
    """Results that nothing explains the difference of."""
    across_devices: tuple[Conflict, ...]
    """Results that differ because they were computed on different devices."""
    without_arrays: tuple[str, ...]
    """Ids of added cells whose arrays are missing or damaged where they came from."""
    cells: int
    """Current records that the folder has now."""

    def remarks(self) -> list[str]:
        """What came of cells that were computed on two devices: a line for each two."""
        by_devices: dict[tuple[str, str], list[Conflict]] = {}
        for conflict in self.across_devices:
            by_devices.setdefault(conflict.devices or ("", ""), []).append(conflict)
        return [_remark(*devices, conflicts) for devices, conflicts in by_devices.items()]


def _remark(kept: str, other: str, conflicts: Sequence[Conflict]) -> str:
    finals = [(_final(c.kept), _final(c.other)) for c in conflicts]
    gaps = [abs(ours - theirs) for ours, theirs in finals if ours is not None and theirs is not None]
    apart = f", in final accuracy by {100 * max(gaps):.2f} points at most" if gaps else ""
    unlike = conflicts[0].kept.device != conflicts[0].other.device
    choice = f"--prefer {conflicts[0].other.device} keeps" if unlike else "naming their folder first keeps"
    return (
        f"{len(conflicts)} cells were computed on {kept} and on {other}, whose arithmetic differs{apart}: "
        f"those on {kept} are kept ({choice} the others)."
    )


@dataclass(frozen=True)
class _Found:
    """A record and where it was."""

    record: Record
    store: Store
    time: float
    """Seconds since 1970 when it became the newest of its folder: when it finished, and never before what precedes it there."""
    alike: list[Store] = field(default_factory=list)
    """Other folders with an equal result."""

    @property
    def identity(self) -> tuple[str, str]:
        """The same work, by the same code, on the same data."""
        return self.record.id, self.record.key


def merge(folders: Sequence[Path], out: Path, prefer: str | None = None) -> Merged:
    """Join results folders into `out`. What it holds already stays, and goes before the folder named first.

    Args:
        prefer: "cpu" or "cuda": of two unequal results the one that was computed on it is kept, if only one of them was.

    A cell of one key is taken once. Two finished results of it are equal if status, metrics, diagnostics and curves are, to the
    bit; where they are not, that of the folder named first is kept. A finished result goes before a failed one, whichever is
    newer; of failures alone the newest is taken. Records are written in the order in which they finished, so that "newest"
    means the same as in one folder. It may be killed and called again.

    Raises:
        BadInput: a folder without records, or with records of another schema, or another process writes to `out`: nothing is
            written then. Or `out` cannot be written further.
    """
    if prefer not in (None, "cpu", "cuda"):
        raise BadInput(f"--prefer {prefer}: give cpu or cuda, on which the results to keep were computed.")
    target = Store(out)
    sources = [
        store for store in map(Store, dict.fromkeys(f.resolve() for f in folders)) if store.folder != target.folder
    ]
    if not sources:
        raise BadInput(f"There is nothing to join to {out}: name at least one other results folder.")
    with target.lock():
        found = [_read(store) for store in (target, *sources)]
        for store, records in zip(sources, found[1:], strict=True):
            if not records:
                raise BadInput(
                    f"{store.folder} holds no records (no whole line in {RECORDS_FILE}): name a results folder."
                )
        target.prepare()
        chosen, equal, conflicts = _choose(found, prefer)
        fresh = [f for f in chosen if f.store is not target]
        without_arrays: list[str] = []
        target.extend((f.record, _arrays(f, without_arrays), f.store.traceback(f.record)) for f in fresh)
        _restore_order(target, [f.record for f in chosen])
        added = {store.folder: sum(f.store is store for f in fresh) for store in sources}
        return Merged(
            added,
            equal,
            tuple(c for c in conflicts if not c.devices),
            tuple(c for c in conflicts if c.devices),
            tuple(without_arrays),
            len(current(target.load())),
        )


def _read(store: Store) -> list[_Found]:
    """The records of a folder, each key once: its last finished one, else its last."""
    records = store.load()
    store.warn_of_damage()
    times = [_seconds(r) for r in records]
    now = next((t for t in times if t is not None), 0.0)
    found: dict[tuple[str, str], _Found] = {}
    for record, time in zip(records, times, strict=True):
        now = max(now, time or now)  # what was written again to be the newest finished earlier
        new = _Found(record, store, now)
        before = found.pop(new.identity, None)
        found[new.identity] = (
            new if before is None or record.finished or not before.record.finished else replace(before, time=now)
        )
    return list(found.values())


def _choose(found: Iterable[Iterable[_Found]], prefer: str | None) -> tuple[list[_Found], int, list[Conflict]]:
    """Of each key one record, by time; how often another was equal, and where it was not. Earlier folders go first."""
    chosen: dict[tuple[str, str], _Found] = {}
    equal, conflicts = 0, []
    for new in (f for records in found for f in records):
        old = chosen.get(new.identity)
        if old is None:
            chosen[new.identity] = new
            continue
        best = old
        if not old.record.finished:
            best = new if new.record.finished or new.time > old.time else old
        elif new.record.finished and _equal(old.record, new.record):
            equal += 1
            old.alike.append(new.store)
        elif new.record.finished:
            wanted = prefer is not None and new.record.device == prefer != old.record.device
            best, other = (new, old) if wanted else (old, new)
            conflicts.append(Conflict(best.record, best.store.folder, other.record, other.store.folder))
        chosen[new.identity] = replace(best, time=max(old.time, new.time))
    return sorted(chosen.values(), key=lambda f: f.time), equal, conflicts


def _equal(one: Record, other: Record) -> bool:
    return all(getattr(one, part) == getattr(other, part) for part in COMPARED)


def _arrays(found: _Found, without: list[str]) -> Mapping[str, np.ndarray]:
    """A record's arrays, from the first folder that has them whole."""
    for store in (found.store, *found.alike):
        with contextlib.suppress(FileNotFoundError, DamagedArrays):
            return store.arrays(found.record)
    without.append(found.record.id)
    return {}


def _restore_order(target: Store, records: Sequence[Record]) -> None:
    """Write again what should be the newest and was overtaken by what is older and was written after it."""
    shown = {r.id: r for r in current(target.load())}
    target.extend([(r, {}, target.traceback(r)) for r in current(records) if shown.get(r.id) != r])


def _seconds(record: Record) -> float | None:
    try:
        moment = datetime.fromisoformat(record.provenance["finished_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _final(record: Record) -> float | None:
    final: float | None = record.metrics.get("accuracy", {}).get("final")
    return final


def _said(record: Record) -> str:
    final = _final(record)
    what = record.status if final is None else f"{record.status} with {100 * final:.2f} %"
    device = record.provenance.get("device")
    return f"{what} on {device}" if device else what
