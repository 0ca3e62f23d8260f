"""Two methods against each other on the same seeds: a sentence that the numbers support, a table and a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from sslbench.errors import BadInput, unknown
from sslbench.records import Record
from sslbench.report.canvas import figure
from sslbench.report.evidence import ALPHA, RESAMPLING_SEED
from sslbench.report.grids import Grid, Row, Shown
from sslbench.report.palette import looks
from sslbench.report.tables import number, paired_differences, plural
from sslbench.report.words import listed
from sslbench.stats import Decision, PairedComparison, compare_paired, decide


@dataclass(frozen=True)
class Versus:
    """Method `a` less method `b`, scenario by scenario, in percentage points of final accuracy."""

    a: str
    b: str
    differences: Mapping[str, Mapping[int, float]]
    """By scenario, then by seed: pairs on the same split."""
    comparisons: Mapping[str, PairedComparison]
    decisions: Mapping[str, Decision]
    """Holm-adjusted over the scenarios."""

    @property
    def sentence(self) -> str:
        """`vat is better than supervised on 1 of 7 scenarios, worse on 0, undecided on 6; …`."""
        found = {v: [s for s, d in self.decisions.items() if d.verdict == v] for v in ("better", "worse", "undecided")}
        text = (
            f"{self.a} is better than {self.b} on {len(found['better'])} of {plural(len(self.decisions), 'scenario')}, "
            f"worse on {len(found['worse'])}, undecided on {len(found['undecided'])}"
        )
        named = [f"{verdict} on {listed(found[verdict])}" for verdict in ("better", "worse") if found[verdict]]
        nearest = min(found["undecided"], key=self._seeds_more, default=None)
        if nearest is not None and math.isfinite(self._seeds_more(nearest)):
            named.append(f"{self.decisions[nearest].needed} would settle {nearest}, if its difference is what it seems")
        return "; ".join([text, *named]) + "."

    @property
    def grid(self) -> Grid:
        """Mean difference with its 95 % interval, seeds won–lost, p after Holm, and the verdict."""
        rows = []
        for scenario, c in self.comparisons.items():
            decision = self.decisions[scenario]
            interval = f"{number(c.interval.low, sign=True)} to {number(c.interval.high, sign=True)}"
            needed = "" if decision.needed is None else str(decision.needed)
            cells = (
                Shown(number(c.mean, sign=True), value=c.mean),
                Shown("—" if math.isinf(c.interval.high) else interval),
                Shown(f"{c.wins}–{c.losses}", value=c.wins - c.losses),
                Shown(f"{decision.p:.3g}", value=decision.p),
                Shown(decision.verdict, best=decision.verdict == "better"),
                Shown(needed),
            )
            rows.append(Row(scenario, cells))
        smallest = min(c.test.smallest for c in self.comparisons.values())
        notes = (
            "Intervals: BCa bootstrap of the mean difference, 95 %. p: sign-flip test on the pairs, adjusted over the "
            f"scenarios by Holm's method; the smallest that any of them could have reached alone is {smallest:.3g}.",
        )
        header = ("difference", "interval", "won–lost", "p", "verdict", "to settle it")
        caption = f"{self.a} less {self.b}, percentage points of final accuracy on the same seeds."
        return Grid(caption, "scenario", header, tuple(rows), notes=notes)

    def figure(self) -> Figure:
        """Every paired difference, their mean and its interval, a row a scenario. Call inside `canvas.style()`."""
        drawn = figure(6.4, 1.2 + 0.42 * len(self.comparisons))
        axes = drawn.subplots()
        look = looks([self.a])[self.a]
        for row, (scenario, c) in enumerate(self.comparisons.items()):
            values = list(self.differences[scenario].values())
            axes.plot(values, [row] * len(values), "o", color=look.colour, alpha=0.4, ms=4, mew=0)
            if math.isfinite(c.interval.low) and math.isfinite(c.interval.high):
                axes.plot([c.interval.low, c.interval.high], [row, row], color=look.colour, lw=2)
            axes.plot(c.mean, row, look.marker, color=look.colour, ms=8)
        axes.axvline(0, color="#444444", lw=1, linestyle="--")
        axes.set_yticks(range(len(self.comparisons)), list(self.comparisons))
        axes.set_ylim(len(self.comparisons) - 0.4, -0.6)
        axes.set_xlabel(
            f"{self.a} less {self.b} (percentage points)\nsmall: a seed; large: mean; bar: 95 % interval", fontsize=9
        )
        return drawn

    def _seeds_more(self, scenario: str) -> float:
        needed = self.decisions[scenario].needed
        return math.inf if needed is None or needed.bound == "more than" else needed.more


def versus(records: Sequence[Record], a: str, b: str) -> Versus:
    """Compare two methods on all scenarios where both have results on the same splits.

    Raises:
        BadInput: a method that the records do not have, one method twice, or no shared scenario.
    """
    known = list(dict.fromkeys(r.method["name"] for r in records))
    for name in (a, b):
        if name not in known:
            raise unknown("method in these records", name, known)
    if a == b:
        raise BadInput(f"'{a}' cannot be compared with itself: name two of {', '.join(known)}.")
    differences = {s: d for s in dict.fromkeys(r.scenario["name"] for r in records) if (d := _pairs(records, s, a, b))}
    if not differences:
        raise BadInput(f"{a} and {b} have no seed of any scenario in common: run both on the same scenarios and seeds.")
    comparisons = {
        s: compare_paired(list(d.values()), [0.0] * len(d), seed=RESAMPLING_SEED) for s, d in differences.items()
    }
    decisions = dict(zip(comparisons, decide(list(comparisons.values()), alpha=ALPHA), strict=True))
    return Versus(a, b, differences, comparisons, decisions)


def settings_difference(records: Sequence[Record], a: str, b: str) -> list[str]:
    """The hyperparameters of both methods, a line for each scenario where they are set otherwise."""
    found: dict[str, list[str]] = {}
    for r in records:
        if r.method["name"] in (a, b):
            line = f"{r.method['name']}: {_settings(r.method['params'])}"
            scenarios = found.setdefault(line, [])
            if r.scenario["name"] not in scenarios:
                scenarios.append(r.scenario["name"])
    every = len({r.scenario["name"] for r in records})
    return [line + ("" if len(s) == every else f" (on {listed(s)})") for line, s in sorted(found.items())]


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in params.items()) or "no hyperparameters"


def _pairs(records: Sequence[Record], scenario: str, a: str, b: str) -> dict[int, float]:
    here = [r for r in records if r.scenario["name"] == scenario]
    return paired_differences(*([r for r in here if r.method["name"] == name] for name in (a, b)))
