"""Where cells run. An executor takes jobs and yields events until all have ended."""

from sslbench.executors.inline import InlineExecutor
from sslbench.executors.jobs import Advanced, CellResult, Ended, Event, Executor, Job, Retried, Started, failure
from sslbench.executors.local import LocalExecutor
from sslbench.executors.retries import RETRIES, persist

__all__ = [
    "RETRIES",
    "Advanced",
    "CellResult",
    "Ended",
    "Event",
    "Executor",
    "InlineExecutor",
    "Job",
    "LocalExecutor",
    "Retried",
    "Started",
    "failure",
    "persist",
]
