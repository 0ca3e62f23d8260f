"""Tables as plain data. Markdown, LaTeX, HTML and the terminal each only render a `Grid`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from sslbench.report.tables import Comparison, Entry, number, spread


@dataclass(frozen=True)
class Shown:
    """One place in a table."""

    text: str
    best: bool = False
    footnotes: tuple[str, ...] = ()
    value: float | None = None
    """The number behind the text, to sort by."""


@dataclass(frozen=True)
class Row:
    name: str
    cells: tuple[Shown, ...]


@dataclass(frozen=True)
class Grid:
    """A table: a caption, a header, and rows that begin with a name."""

    caption: str
    corner: str
    """What the rows are: the header of the first column."""
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[tuple[str, str], ...] = ()
    """(letter, text)."""
    notes: tuple[str, ...] = ()

    def numeric(self, column: int) -> bool:
        """Whether a column, counted after the row's name, holds numbers."""
        return any(row.cells[column].value is not None for row in self.rows)


def comparison_grid(comparison: Comparison, *, down: str | None = None, counts: bool = True) -> Grid:
    """Mean ± standard deviation of the final accuracy in percent.

    Args:
        down: "scenarios" or "methods", what the rows are. By default the longer of the two, so that the table stays
            narrow.
        counts: whether the number of labels and of seeds stands beside each scenario.
    """
    down = down or ("scenarios" if len(comparison.scenarios) >= len(comparison.methods) else "methods")
    grid = (_scenarios_down if down == "scenarios" else _methods_down)(comparison, counts)
    best = "the best of each row" if down == "scenarios" else "the best of each column"
    return replace(
        grid,
        caption=f"Final accuracy in %, mean ± standard deviation over the seeds; {best} is marked.",
        footnotes=tuple(comparison.footnotes.items()),
        notes=comparison.notes,
    )


def difference_grid(comparison: Comparison) -> Grid | None:
    """Method less baseline on the same seeds, in percentage points; None without a baseline and another method."""
    others = [m for m in comparison.methods if m != comparison.baseline]
    if comparison.baseline is None or not others:
        return None
    rows = [Row(s, tuple(_difference(comparison.entries[m, s]) for m in others)) for s in comparison.scenarios]
    return Grid(
        f"Difference to {comparison.baseline} on the same seeds in percentage points of final accuracy: "
        "mean (lowest to highest), seeds won–lost.",
        "scenario",
        tuple(others),
        tuple(rows),
    )


def accuracies_grid(comparison: Comparison) -> Grid:
    """Final, selected and oracle accuracy of every pair with a result: means over the seeds in percent."""
    done = [e for s in comparison.scenarios for e in comparison.row(s) if e.n]
    rows = [
        Row(e.scenario, (Shown(e.method), *(_shown(v) for v in (e.mean, e.selected, e.oracle)), _shown(e.n, 0)))
        for e in done
    ]
    return Grid(
        "The three accuracies in %, means over the seeds.",
        "scenario",
        ("method", "final", "selected", "oracle", "seeds"),
        tuple(rows),
    )


def missing_grid(comparison: Comparison, cells: pd.DataFrame) -> Grid | None:
    """Recall in percent of the classes that have no labels; None where every scenario labels every class."""
    seen = cells.dropna(subset=["missing_recall"])
    if seen.empty:
        return None
    scenarios = [s for s in comparison.scenarios if s in set(seen["scenario"])]
    rows = [
        Row(s, tuple(_recall(seen[(seen["scenario"] == s) & (seen["method"] == m)]) for m in comparison.methods))
        for s in scenarios
    ]
    return Grid(
        "Recall in % of the classes without labels, mean ± standard deviation over the seeds.",
        "scenario",
        comparison.methods,
        tuple(rows),
    )


def scenario_grid(comparison: Comparison, cells: pd.DataFrame, scenario: str) -> Grid:
    """All the measures of one scenario, a method a row."""
    done = cells[(cells["scenario"] == scenario) & cells["final"].notna()]
    rows = [Row(e.method, _measures(e, done[done["method"] == e.method])) for e in comparison.row(scenario)]
    return Grid(
        f"{scenario}: accuracies in %, difference to {comparison.baseline or 'the baseline'} in percentage points, "
        "all means over the seeds.",
        "method",
        ("final", "selected", "oracle", "difference", "won–lost", "NLL", "ECE", "train s", "steps/s", "peak MiB"),
        tuple(rows),
        tuple((letter, comparison.footnotes[letter]) for letter in _used(comparison.row(scenario))),
    )


def failures_grid(comparison: Comparison) -> Grid | None:
    """Every cell without a result, with its reason; equal reasons of one pair in one row. None if all went well."""
    rows = [
        Row(entry.scenario, (Shown(entry.method), Shown(what), Shown(_ranges(seeds)), Shown(reason)))
        for scenario in comparison.scenarios
        for entry in comparison.row(scenario)
        for (what, reason), seeds in entry.lost_seeds.items()
    ]
    if not rows:
        return None
    return Grid("Cells without a result.", "scenario", ("method", "what happened", "seeds", "reason"), tuple(rows))


def _scenarios_down(comparison: Comparison, counts: bool) -> Grid:
    known = {s: (_labels(comparison, s), _seeds(comparison, s)) if counts else () for s in comparison.scenarios}
    rows = [Row(s, (*known[s], *map(_final, comparison.row(s)))) for s in comparison.scenarios]
    return Grid("", "scenario", (*(("labels", "seeds") if counts else ()), *comparison.methods), tuple(rows))


def _methods_down(comparison: Comparison, counts: bool) -> Grid:
    labels = Row("labels", tuple(_labels(comparison, s) for s in comparison.scenarios))
    seeds = Row("seeds", tuple(_seeds(comparison, s) for s in comparison.scenarios))
    rows = [Row(m, tuple(_final(comparison.entries[m, s]) for s in comparison.scenarios)) for m in comparison.methods]
    return Grid("", "method", comparison.scenarios, (*rows, labels, seeds) if counts else tuple(rows))


def _labels(comparison: Comparison, scenario: str) -> Shown:
    labels = comparison.labels[scenario]
    return Shown("—") if labels is None else Shown(str(labels), value=labels)


def _seeds(comparison: Comparison, scenario: str) -> Shown:
    count = len(comparison.seeds[scenario])
    return Shown(str(count), value=count)


def _final(entry: Entry) -> Shown:
    return Shown(entry.text, entry.best, entry.footnotes, entry.mean if entry.n else None)


def _difference(entry: Entry) -> Shown:
    paired = entry.paired
    if paired is None:
        return Shown("—")
    range_ = f" ({number(paired.min, sign=True)} to {number(paired.max, sign=True)})" if paired.n > 1 else ""
    return Shown(f"{number(paired.mean, sign=True)}{range_}, {paired.wins}–{paired.losses}", value=paired.mean)


def _shown(value: float, decimals: int = 2, *, sign: bool = False) -> Shown:
    return Shown(number(value, decimals, sign=sign), value=None if math.isnan(value) else value)


def _recall(cells: pd.DataFrame) -> Shown:
    if cells.empty:
        return Shown("—")
    mean, sd = float(cells["missing_recall"].mean()), float(cells["missing_recall"].std())
    return Shown(spread(mean, sd), value=mean)


def _measures(entry: Entry, done: pd.DataFrame) -> tuple[Shown, ...]:
    means = {c: float(done[c].mean()) for c in ("nll", "ece", "train_s", "steps_per_s", "peak_memory_bytes")}
    paired = entry.paired
    return (
        _final(entry),
        _shown(entry.selected),
        _shown(entry.oracle),
        _shown(paired.mean, sign=True) if paired else Shown("—"),
        Shown(f"{paired.wins}–{paired.losses}", value=paired.wins - paired.losses) if paired else Shown("—"),
        _shown(means["nll"], 3),
        _shown(means["ece"], 3),
        _shown(means["train_s"], 1),
        _shown(means["steps_per_s"], 1),
        _shown(means["peak_memory_bytes"] / 2**20 or math.nan, 0),
    )


def _used(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(letter for entry in entries for letter in entry.footnotes))


def _ranges(seeds: Iterable[int]) -> str:
    """0, 1, 2, 5 as "0–2, 5"."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
