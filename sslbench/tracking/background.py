"""A tracker on a thread of its own, so that a slow or dead MLflow never holds up the training."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sslbench.errors import BadInput
from sslbench.records import Record
from sslbench.tracking.stores import shown
from sslbench.tracking.tracker import Tracker, TrackingError

PATIENCE_S = 90.0
"""How long the end of a run waits for one record to be written; `client.CALM` has MLflow give up a dead server earlier."""
WAIT_S = 600.0
"""How long it waits in all."""


class Background:
    """A tracker on a thread of its own, so that a slow or dead MLflow never holds up the training.

    It is opened there at once. At the first trouble it warns once and gives up: the records are safe in the store.
    """

    def __init__(
        self,
        uri: str,
        open_tracker: Callable[[], Tracker],
        warn: Callable[[str], None],
        patience_s: float = PATIENCE_S,
        wait_s: float = WAIT_S,
    ) -> None:
        """
        Args:
            uri: where it writes, for those who ask.
            open_tracker: makes the tracker; called on the thread.
            warn: told the trouble, in one line; called on the thread, or by `close`.
            patience_s: how long `close` waits for the next record to be written.
            wait_s: how long it waits in all.
        """
        self.uri = uri
        self.alive = True
        """Whether all that was given so far could be written."""
        self._warn, self._patience_s, self._wait_s, self._done = warn, patience_s, wait_s, 0
        self._once = threading.Lock()
        self._queue: queue.SimpleQueue[Callable[[Tracker], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(open_tracker,), name="mlflow", daemon=True)
        self._thread.start()

    def log(self, record: Record) -> None:
        """Have a record written as `Tracker.log` does, and return at once."""
        if self.alive:
            self._queue.put(lambda tracker: tracker.log(record))

    def close(self, report_folder: Path | None = None, *, interrupted: bool = False) -> None:
        """End the parent run as `Tracker.close` does, and wait until all is written, as long as it goes on."""
        self._queue.put(lambda tracker: tracker.close(report_folder, interrupted=interrupted))
        self._queue.put(None)
        begun = time.monotonic()
        while self._thread.is_alive() and self.alive:
            before = self._done
            self._thread.join(min(self._patience_s, max(0.0, begun + self._wait_s - time.monotonic())))
            spent = time.monotonic() - begun
            if self._thread.is_alive() and (self._done == before or spent >= self._wait_s):
                self._give_up(f"MLflow at {shown(self.uri)} does not keep up: given up after {spent:.0f} s at the end.")

    def _give_up(self, line: str) -> None:
        """Only the first trouble is told: what follows from it, on either thread, is no news."""
        with self._once:
            told, self.alive = self.alive, False
        if told:
            self._warn(line)

    def _serve(self, open_tracker: Callable[[], Tracker]) -> None:
        try:
            tracker = open_tracker()
            while (job := self._queue.get()) is not None and self.alive:
                job(tracker)
                self._done += 1
        except (TrackingError, BadInput) as error:
            self._give_up(str(error))
