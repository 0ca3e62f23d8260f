"""The trainings of trials, kept as they end: what is proposed follows from them, so an interrupted tuning goes on by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sslbench.executors import CellResult
from sslbench.records import Record, Store
from sslbench.runner import Planned, stored

USABLE = ("ok", "diverged")
"""What a trial can be judged by. Whatever else became of a training, it is to be had again."""


class Trained:
    """Records by the key of their cell: those of an earlier tuning on the same kind of device, and those that come."""

    def __init__(self, device: str, store: Store | None = None) -> None:
        """
        Args:
            device: "cpu" or "cuda".
            store: where they are kept; without one, in memory alone.
        """
        self._store = store
        self._records: dict[str, Record] = {}
        for record in store.load() if store is not None else ():
            if record.status in USABLE and record.device == device:
                self._records[record.key] = record
        if store is not None:
            store.warn_of_damage()

    def missing(self, cells: Sequence[Planned]) -> list[Planned]:
        """Those that are still to be trained."""
        return [p for p in cells if p.key not in self._records]

    def keep(self, results: Sequence[CellResult]) -> None:
        """Take results, without their arrays, which no trial is judged by.

        Raises:
            BadInput: they cannot be stored.
        """
        for result in results:
            bare = CellResult(dataclasses.replace(result.record, arrays=[]), traceback=result.traceback)
            record = bare.record if self._store is None else stored(bare, self._store)
            self._records[record.key] = record

    def of(self, cells: Sequence[Planned]) -> list[Record]:
        """Theirs, in their order."""
        return [self._records[p.key] for p in cells]
