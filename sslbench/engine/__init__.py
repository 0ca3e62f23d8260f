"""Trains the seeds of a method on a scenario, evaluates and times them."""

from sslbench.engine.outcome import Outcome
from sslbench.engine.seeds import Precision, obstacle, run, stack_width

__all__ = ["Outcome", "Precision", "obstacle", "run", "stack_width"]
