"""Jobs that ended without results: their cells run again, in smaller stacks, until each has a result or is itself to blame.

| what happened | a stack | a cell alone |
|---|---|---|
| its process was lost | in halves | again, `retries` times |
| out of memory | in halves, and so is what else waits of its kind | that is its result |
| an exception, or too slow | one by one | that is its result |
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator

from sslbench.executors.jobs import Ended, Event, Executor, Job, Retried

RETRIES = 2
"""How often a cell whose process was lost is run again."""


class Queue:
    """Jobs that wait. Who takes one has it; what is to run again goes to the front."""

    def __init__(self, jobs: Iterable[Job], retries: int = RETRIES) -> None:
        self._jobs, self._retries = deque(jobs), retries
        self._widest: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        """The next job. After none was left there may be one again."""
        if not self._jobs:
            raise StopIteration
        job = self._jobs.popleft()
        first, *rest = job.split(self._widest.get(_pair(job), len(job.cells)))
        self._jobs.extendleft(reversed(rest))
        return first

    def take_back(self, ended: Ended) -> tuple[Job, ...]:
        """What is to run in place of a job that ended so, now at the front of the queue; nothing if the end was its result."""
        job, cause = ended.job, ended.cause
        cells = len(job.cells)
        if cause is None or (cells == 1 and not (cause == "process" and job.attempt <= self._retries)):
            return ()
        size = -(-cells // 2) if cause in ("process", "memory") else 1
        if cause == "memory":
            self._widest[_pair(job)] = min(size, self._widest.get(_pair(job), size))
        parts = dataclasses.replace(job, attempt=job.attempt + 1).split(size)
        self._jobs.extendleft(reversed(parts))
        return parts


def persist(executor: Executor, jobs: Iterable[Job], retries: int = RETRIES) -> Iterator[Event]:
    """Run jobs until each of their cells has ended for good. Only that is an `Ended`; what runs again is a `Retried`.

    Where the executor itself runs lost jobs again, `retries` is its business.
    """
    queue = Queue(jobs, 0 if executor.persistent else retries)
    while queue:
        for event in executor.run(queue):
            if isinstance(event, Ended) and (parts := queue.take_back(event)):
                yield Retried(event.job, event.results[0].record.reason, parts)
            else:
                yield event


def _pair(job: Job) -> tuple[str, str]:
    return job.cells[0].method_name, job.cells[0].scenario_name
