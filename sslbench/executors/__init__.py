"""Where cells run. An executor takes jobs and yields events until all have ended."""

from sslbench.executors.inline import InlineExecutor
from sslbench.executors.jobs import Advanced, CellResult, Ended, Event, Job, Started, failure
from sslbench.executors.local import LocalExecutor
from sslbench.executors.ray import Cluster, RayExecutor

__all__ = [
    "Advanced",
    "CellResult",
    "Cluster",
    "Ended",
    "Event",
    "InlineExecutor",
    "Job",
    "LocalExecutor",
    "RayExecutor",
    "Started",
    "failure",
]
