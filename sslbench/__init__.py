"""sslbench: a benchmark suite that compares semi-supervised learning methods.

    import sslbench

    records = sslbench.run("quick", methods=["supervised", "vat"], seeds=3)
    frame = sslbench.frame(records)             # a pandas data frame, a row a cell

A method of one's own needs `sslbench.method`, `LossMethod` and `Loss`; see the README.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sslbench.api import own_data, run
    from sslbench.errors import BadInput
    from sslbench.methods.base import (
        Around,
        Batch,
        Count,
        FitMethod,
        Fraction,
        Loss,
        LossMethod,
        Model,
        NonNegative,
        Positive,
        Predictor,
        Range,
        Search,
        Step,
        Task,
        cross_entropy,
        method,
    )
    from sslbench.records import Record, load_records
    from sslbench.report import frame, write_report
    from sslbench.rng import Rng
    from sslbench.scenarios.base import Problem, Scenario, scenario

_HOME = {
    "sslbench.api": ["own_data", "run"],
    "sslbench.errors": ["BadInput"],
    "sslbench.methods.base": [
        "Around",
        "Batch",
        "Count",
        "FitMethod",
        "Fraction",
        "Loss",
        "LossMethod",
        "Model",
        "NonNegative",
        "Positive",
        "Predictor",
        "Range",
        "Search",
        "Step",
        "Task",
        "cross_entropy",
        "method",
    ],
    "sslbench.records": ["Record", "load_records"],
    "sslbench.report": ["frame", "write_report"],
    "sslbench.rng": ["Rng"],
    "sslbench.scenarios.base": ["Problem", "Scenario", "scenario"],
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Around",
    "BadInput",
    "Batch",
    "Count",
    "FitMethod",
    "Fraction",
    "Loss",
    "LossMethod",
    "Model",
    "NonNegative",
    "Positive",
    "Predictor",
    "Problem",
    "Range",
    "Record",
    "Rng",
    "Scenario",
    "Search",
    "Step",
    "Task",
    "cross_entropy",
    "frame",
    "load_records",
    "method",
    "own_data",
    "run",
    "scenario",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import sslbench` alone loads nothing heavy."""
    if name not in _MODULE:
        raise AttributeError(f"module 'sslbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
