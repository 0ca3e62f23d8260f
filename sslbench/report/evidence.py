"""What the numbers of a report support: verdicts, labels saved, harm, ranks, and what the spread comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sslbench.report.tables import Comparison
from sslbench.stats import (
    CriticalDifference,
    Decision,
    Harm,
    Improvement,
    Interval,
    LabelsSaved,
    PairedComparison,
    SplitLottery,
    compare_paired,
    critical_difference,
    crossed_lottery,
    decide,
    labels_saved,
    mean_interval,
    measure_harm,
    probability_of_improvement,
)

ALPHA = 0.05
RESAMPLING_SEED = 0
"""Fixes every resampling, so that the same records give the same report."""

Pair = tuple[str, str]
"""(method, scenario)."""


@dataclass(frozen=True)
class Ranking:
    """The methods over the scenarios where all of them have a result on every seed."""

    methods: tuple[str, ...]
    scenarios: tuple[str, ...]
    difference: CriticalDifference
    """Positions in it are those in `methods`."""


@dataclass(frozen=True)
class Evidence:
    """What the comparison with the baseline supports, pair by pair and as a whole. All in percentage points."""

    comparisons: Mapping[Pair, PairedComparison]
    """Method less baseline, wherever they share a seed."""
    decisions: Mapping[Pair, Decision]
    """Their verdicts, adjusted together by Holm's method: the chance of one false finding in the table is at most α."""
    harms: Mapping[Pair, Harm]
    accuracies: Mapping[Pair, Interval]
    """Interval of the mean final accuracy over the seeds, in percent."""
    saved: Mapping[Pair, LabelsSaved]
    """What the labels of a scenario are worth to a method, where the baseline was measured at several label counts."""
    improvements: Mapping[str, Improvement]
    """By method: the chance that a run of it ends above one of the baseline."""
    ranking: Ranking | None
    """None with fewer than three methods or two scenarios that all of them finished."""
    lotteries: Mapping[Pair, SplitLottery]
    """Where splits were trained on several times."""

    def verdicts(self, method: str) -> dict[str, list[str]]:
        """The scenarios on which a method is better, worse and undecided against the baseline."""
        found: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
        for (name, scenario), decision in self.decisions.items():
            if name == method:
                found[decision.verdict].append(scenario)
        return found

    def nearest(self, method: str) -> tuple[str, Decision] | None:
        """The undecided scenario of a method that the fewest further seeds would settle; None if none would."""
        open_ = [
            (scenario, d)
            for (name, scenario), d in self.decisions.items()
            if name == method and d.needed is not None and d.needed.bound != "more than"
        ]
        return min(open_, key=lambda each: each[1].needed.more if each[1].needed else 0, default=None)


def weigh(comparison: Comparison, cells: pd.DataFrame) -> Evidence:
    """The evidence in a comparison.

    Args:
        cells: the frame of the same records, a row a cell.
    """
    paired = {
        (m, s): list(entry.paired.differences.values())
        for s in comparison.scenarios
        for m in comparison.methods
        if (entry := comparison.entries[m, s]).paired is not None
    }
    comparisons = {pair: compare_paired(d, [0.0] * len(d), seed=RESAMPLING_SEED) for pair, d in paired.items()}
    decisions = dict(zip(comparisons, decide(list(comparisons.values()), alpha=ALPHA), strict=True))
    return Evidence(
        comparisons,
        decisions,
        accuracies={
            pair: mean_interval(list(e.accuracies.values()), seed=RESAMPLING_SEED)
            for pair, e in comparison.entries.items()
            if e.n
        },
        harms={pair: measure_harm(d, [0.0] * len(d)) for pair, d in paired.items()},
        saved=_saved(comparison, cells),
        improvements=_improvements(comparison),
        ranking=_ranking(comparison),
        lotteries=_lotteries(cells),
    )


def _saved(comparison: Comparison, cells: pd.DataFrame) -> dict[Pair, LabelsSaved]:
    if comparison.baseline is None:
        return {}
    found = {}
    for scenarios in _series(comparison, cells):
        supervised = {s: comparison.entries[comparison.baseline, s].accuracies for s in scenarios}
        measured = {s: by_seed for s, by_seed in supervised.items() if by_seed}
        counts = [comparison.labels[s] or 0 for s in measured]
        if len(set(counts)) < 2 or len(set(counts)) < len(counts):
            continue
        for s in scenarios:
            for m in comparison.methods:
                own = comparison.entries[m, s].accuracies
                if m == comparison.baseline or not own:
                    continue
                seeds = sorted({seed for by_seed in (*measured.values(), own) for seed in by_seed})
                found[m, s] = labels_saved(
                    counts,
                    [[by_seed.get(seed, math.nan) for seed in seeds] for by_seed in measured.values()],
                    comparison.labels[s] or 0,
                    [own.get(seed, math.nan) for seed in seeds],
                    seed=RESAMPLING_SEED,
                )
    return found


def _series(comparison: Comparison, cells: pd.DataFrame) -> list[list[str]]:
    """Scenarios that differ in their label count alone."""
    series = cells.drop_duplicates("scenario").set_index("scenario")["series"]
    groups: dict[str, list[str]] = {}
    for s in comparison.scenarios:
        if comparison.labels[s] is not None:
            groups.setdefault(str(series[s]), []).append(s)
    return [group for group in groups.values() if len(group) > 1]


def _improvements(comparison: Comparison) -> dict[str, Improvement]:
    found = {}
    for m in comparison.methods:
        shared = [s for s in comparison.scenarios if comparison.entries[m, s].paired is not None]
        if m != comparison.baseline and shared and comparison.baseline is not None:
            rows = [(comparison.entries[m, s], comparison.entries[comparison.baseline, s]) for s in shared]
            seeds = sorted({seed for pair in rows for entry in pair for seed in entry.accuracies})
            both = [[[e.accuracies.get(seed, math.nan) for seed in seeds] for e in pair] for pair in rows]
            found[m] = probability_of_improvement([b[0] for b in both], [b[1] for b in both], seed=RESAMPLING_SEED)
    return found


def _ranking(comparison: Comparison) -> Ranking | None:
    """Over the largest table without holes: first the methods that most scenarios have, then the scenarios all have."""
    entries = comparison.entries
    scenarios = [s for s in comparison.scenarios if sum(entries[m, s].n > 0 for m in comparison.methods) > 2]
    methods = [
        m for m in comparison.methods if scenarios and sum(entries[m, s].n > 0 for s in scenarios) > len(scenarios) / 2
    ]
    whole = tuple(s for s in scenarios if all(entries[m, s].n == entries[m, s].seeds > 0 for m in methods))
    if len(methods) < 3 or len(whole) < 2:
        return None
    scores = [[entries[m, s].mean for m in methods] for s in whole]
    return Ranking(tuple(methods), whole, critical_difference(scores, seed=RESAMPLING_SEED, alpha=ALPHA))


def _lotteries(cells: pd.DataFrame) -> dict[Pair, SplitLottery]:
    repeated = cells.dropna(subset=["training_seed", "final"])
    found = {}
    for (method, scenario), group in repeated.groupby(["method", "scenario"], sort=False):
        table = group.pivot_table(index="seed", columns="training_seed", values="final", aggfunc="mean")
        table = table.dropna(axis=0)  # a split on which one training failed is left out whole
        if min(table.shape) > 1:
            found[str(method), str(scenario)] = crossed_lottery(np.asarray(table))
    return found
