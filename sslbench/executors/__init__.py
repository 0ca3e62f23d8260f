"""Where cells run. An executor takes jobs and yields events until all have ended."""

from sslbench.executors.inline import InlineExecutor
from sslbench.executors.jobs import (
    Advanced,
    CellResult,
    Checkpointing,
    Ended,
    Event,
    Job,
    Noted,
    Resumed,
    Started,
    failure,
)
from sslbench.executors.local import LocalExecutor

__all__ = [
    "Advanced",
    "CellResult",
    "Checkpointing",
    "Ended",
    "Event",
    "InlineExecutor",
    "Job",
    "LocalExecutor",
    "Noted",
    "Resumed",
    "Started",
    "failure",
]
