"""What a reader of MLflow's UI finds of a sweep: the means as a table, and what has no result."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sslbench.tracking.texts import clip

REPORT_LINK = (
    "[The report](#/experiments/{experiment}/runs/{run}/artifacts/{folder}/report.html), with its plots beside it\n\n"
)
"""First line of a parent's description: MLflow's UI shows the page itself there."""


def description_of(runs: list[Any]) -> str:
    """The parent's page: mean final accuracies, and what has no result, in Markdown."""
    missing = sorted(
        f"- {run.info.run_name}: {run.data.tags.get('status')}. {clip(run.data.tags.get('reason', ''), 100)}"
        for run in runs
        if run.data.tags.get("status") != "ok"
    )
    return "\n".join([*_table(runs), *(["", "Not ok:", "", *missing] if missing else [])])


def _table(runs: Iterable[Any]) -> list[str]:
    """Mean final accuracy by method and scenario, scenarios by their number of labels."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    labels: dict[str, float] = {}
    for run in runs:
        params = run.data.params
        if "accuracy.final" in run.data.metrics:
            found[params["method"], params["scenario"]].append(run.data.metrics["accuracy.final"])
            labels[params["scenario"]] = float(params["labels"]) if params["labels"].isdecimal() else math.inf
    scenarios = sorted(labels, key=lambda name: (labels[name], name))
    methods = sorted({method for method, _ in found})
    return (
        [
            "Final test accuracy in %, mean ± standard deviation over seeds (number of seeds).",
            "",
            _row("method", *scenarios),
            "|---|" + "---:|" * len(scenarios),
            *(_row(m, *(_mean(found.get((m, s))) for s in scenarios)) for m in methods),
        ]
        if found
        else []
    )


def _row(*cells: str) -> str:
    # The em space keeps columns apart: MLflow's style sheet gives a table's cells no room.
    return "| " + " | ".join(f"{cell}\u2003" for cell in cells) + " |"


def _mean(accuracies: list[float] | None) -> str:
    if not accuracies:
        return ""
    spread = f" ± {100 * statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    return f"{100 * statistics.mean(accuracies):.1f}{spread} ({len(accuracies)})"
