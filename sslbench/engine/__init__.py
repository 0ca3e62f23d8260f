"""Trains the seeds of a method on a scenario, evaluates and times them."""

from sslbench.engine.checkpoints import Checkpoint, CheckpointFile, Saver, Unusable, tidy
from sslbench.engine.outcome import Outcome
from sslbench.engine.seeds import Precision, obstacle, run, stack_width

__all__ = [
    "Checkpoint",
    "CheckpointFile",
    "Outcome",
    "Precision",
    "Saver",
    "Unusable",
    "obstacle",
    "run",
    "stack_width",
    "tidy",
]
