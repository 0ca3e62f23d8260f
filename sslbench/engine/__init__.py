"""Trains the seeds of a method on a scenario, evaluates and times them."""

from sslbench.engine.checkpoints import Checkpoint, CheckpointAfar, CheckpointFile, Saver, Stopped, Unusable, tidy
from sslbench.engine.outcome import Outcome
from sslbench.engine.seeds import Precision, descends, obstacle, recorder, run, stack_width

__all__ = [
    "Checkpoint",
    "CheckpointAfar",
    "CheckpointFile",
    "Outcome",
    "Precision",
    "Saver",
    "Stopped",
    "Unusable",
    "descends",
    "obstacle",
    "recorder",
    "run",
    "stack_width",
    "tidy",
]
