"""Where cells run. An executor takes jobs and yields events until all have ended."""

from sslbench.executors.inline import InlineExecutor
from sslbench.executors.jobs import (
    Advanced,
    CellResult,
    Checkpointing,
    Ended,
    Event,
    Executor,
    Job,
    Noted,
    Resumed,
    Retried,
    Started,
    failure,
)
from sslbench.executors.local import LocalExecutor
from sslbench.executors.ray import Cluster, RayExecutor
from sslbench.executors.retries import RETRIES, persist

__all__ = [
    "RETRIES",
    "Advanced",
    "CellResult",
    "Checkpointing",
    "Cluster",
    "Ended",
    "Event",
    "Executor",
    "InlineExecutor",
    "Job",
    "LocalExecutor",
    "Noted",
    "RayExecutor",
    "Resumed",
    "Retried",
    "Started",
    "failure",
    "persist",
]
