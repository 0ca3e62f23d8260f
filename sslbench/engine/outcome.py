"""What the training of one seed gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Curves = dict[str, list[float | None]]


@dataclass(frozen=True)
class Outcome:
    """The result of one cell, as `sslbench.records.Record` keeps it."""

    status: Literal["ok", "diverged"]
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    """`data_sha256` and `split_sha256` of the problem that was solved."""
    resumed_at: tuple[int, ...] = ()
    """Steps at which it went on from a checkpoint."""
