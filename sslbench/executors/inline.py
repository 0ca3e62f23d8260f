"""This process: one job after the other, for a debugger, a notebook's own methods, and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sslbench.executors.jobs import Ended, Event, Job, Started, told, work


class InlineExecutor:
    """Runs jobs where it is called. A time limit is not kept: nobody is there to end a job."""

    persistent: ClassVar[bool] = False

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Run each job in turn and yield what happens. How far a running job has come is not told, and the rest when
        it has ended."""
        for job in jobs:
            yield Started(job)
            messages: list[tuple[Any, ...]] = []
            results = work(job, lambda *_: None, lambda *message: messages.append(message))  # noqa: B023
            for message in messages:
                yield told(job, message)
            yield Ended(job, results)
