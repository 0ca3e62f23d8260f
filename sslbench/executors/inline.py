"""This process: one job after the other, for a debugger, a notebook's own methods, and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sslbench.executors.jobs import Ended, Event, Job, Started, work


class InlineExecutor:
    """Runs jobs where it is called. A time limit is not kept: nobody is there to end a job."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Run each job in turn and yield what happens. How far a running job has come is not told."""
        for job in jobs:
            yield Started(job)
            yield Ended(job, work(job, lambda *_: None))
