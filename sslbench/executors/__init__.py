"""Where cells run. An executor takes jobs and yields events until all have ended."""

from sslbench.executors.jobs import Advanced, CellResult, Ended, Event, Job, Started, failure
from sslbench.executors.local import LocalExecutor

__all__ = ["Advanced", "CellResult", "Ended", "Event", "Job", "LocalExecutor", "Started", "failure"]
