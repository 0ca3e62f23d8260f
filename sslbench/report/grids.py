"""Tables as plain data. Markdown, LaTeX, HTML and the terminal each only render a `Grid`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from sslbench.report.evidence import ALPHA, Evidence
from sslbench.report.tables import Comparison, Entry, number, plural, spread, with_cost
from sslbench.stats import Interval, pareto_front


@dataclass(frozen=True)
class Shown:
    """One place in a table."""

    text: str
    best: bool = False
    footnotes: tuple[str, ...] = ()
    value: float | None = None
    """The number behind the text, to sort by."""
    more: tuple[tuple[str, str], ...] = ()
    """(term, text) of what a reader may ask about it; a page shows it on demand."""


@dataclass(frozen=True)
class Row:
    name: str
    cells: tuple[Shown, ...]
    below: bool = False
    """Whether it sums up the others, and stays below them however they are sorted."""


WIDEST = 4
"""Methods, at most, that stand beside each other where there are fewer scenarios than methods."""


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


def comparison_grid(
    comparison: Comparison, evidence: Evidence | None = None, *, down: str | None = None, counts: bool = True
) -> Grid:
    """Mean ± standard deviation of the final accuracy in percent.

    Args:
        evidence: from it each place gets its interval and its difference to the baseline, on demand.
        down: "scenarios" or "methods", what the rows are. By default the longer of the two, so that the table stays
            narrow.
        counts: whether the number of labels and of seeds stands beside each scenario.
    """
    down = down or ("scenarios" if len(comparison.scenarios) >= len(comparison.methods) else "methods")
    grid = (_scenarios_down if down == "scenarios" else _methods_down)(comparison, evidence, counts)
    best = "the best of each row" if down == "scenarios" else "the best of each column"
    return replace(
        grid,
        caption=f"Final accuracy in %, mean ± standard deviation over the seeds; {best} is marked.",
        footnotes=tuple(comparison.footnotes.items()),
        notes=comparison.notes,
    )


def difference_grid(comparison: Comparison, evidence: Evidence) -> Grid | None:
    """Method less baseline on the same seeds, in percentage points; None without a baseline and another method."""
    others = _others(comparison, evidence.comparisons)
    if not others:
        return None
    rows = [
        Row(s, tuple(_difference(evidence, (m, s)) for m in others))
        for s in _scenarios(comparison, evidence.comparisons)
    ]
    smallest = min(c.test.smallest for c in evidence.comparisons.values())
    grid = Grid(
        f"Difference to {comparison.baseline} on the same seeds in percentage points of final accuracy: mean (95 % interval), "
        "seeds won–lost, and the verdict where there is one.",
        "scenario",
        tuple(others),
        tuple(rows),
        notes=(
            "Intervals: BCa bootstrap of the paired differences; of fewer than five seeds they are too narrow. Better and "
            f"worse: the sign-flip test is significant at {ALPHA:g} after Holm's adjustment over the {len(evidence.comparisons)} "
            f"comparisons of this table; the smallest p that any of them could reach before it is {smallest:.3g}.",
        ),
    )
    return _narrow(grid)


def harm_grid(comparison: Comparison, evidence: Evidence) -> Grid | None:
    """How often and how far each method ends below the baseline on the same seed."""
    others = _others(comparison, evidence.harms)
    if not others:
        return None
    rows = [Row(s, tuple(_harm(evidence, (m, s)) for m in others)) for s in _scenarios(comparison, evidence.harms)]
    grid = Grid(
        f"Runs that end below {comparison.baseline} on the same seed: how many, and the worst shortfall in percentage points.",
        "scenario",
        tuple(others),
        tuple(rows),
    )
    return _narrow(grid)


def _narrow(grid: Grid) -> Grid:
    """A table of scenarios by methods, or of methods by scenarios, if these are fewer."""
    if len(grid.header) <= max(len(grid.rows), WIDEST):
        return grid
    turned = (Row(name, tuple(row.cells[i] for row in grid.rows)) for i, name in enumerate(grid.header))
    return replace(grid, corner="method", header=tuple(row.name for row in grid.rows), rows=tuple(turned))


def saved_grid(comparison: Comparison, evidence: Evidence) -> Grid | None:
    """What each scenario's labels are worth to a method, in labels of the baseline."""
    others = _others(comparison, evidence.saved)
    if not others:
        return None
    rows = [
        Row(s, (_labels(comparison, s), *(_worth(evidence, (m, s)) for m in others)))
        for s in _scenarios(comparison, evidence.saved)
    ]
    return Grid(
        f"Labels that {comparison.baseline} needs for the accuracy that each method reaches with those it has (95 % interval).",
        "scenario",
        ("labels", *others),
        tuple(rows),
        notes=(
            f"By straight lines over log label count between the measured counts of {comparison.baseline}, made increasing "
            "by isotonic regression; the interval resamples whole seeds.",
        ),
    )


def ranking_grid(evidence: Evidence) -> Grid | None:
    """Mean ranks over the scenarios and the chance to end above the baseline."""
    ranking = evidence.ranking
    if ranking is None:
        return None
    friedman = ranking.difference.friedman
    order = sorted(range(len(ranking.methods)), key=lambda i: friedman.mean_ranks[i])
    rows = [
        Row(ranking.methods[i], (_shown(friedman.mean_ranks[i]), _improvement(evidence, ranking.methods[i])))
        for i in order
    ]
    smallest = ranking.difference.pairwise.smallest
    return Grid(
        f"Mean rank over {plural(len(ranking.scenarios), 'scenario')} (1 is best), and the chance that a run ends above one of "
        "the baseline (95 % interval), each scenario counted alike.",
        "method",
        ("mean rank", "chance to be above"),
        tuple(rows),
        notes=(
            f"Friedman's test over {', '.join(ranking.scenarios)}: p = {friedman.p:.3g}. Pairs by Wilcoxon's signed ranks "
            f"with Holm's adjustment; the smallest p that a pair can reach on so few scenarios is {smallest:.3g} before it.",
        ),
    )


def lottery_grid(evidence: Evidence) -> Grid | None:
    """How much of the spread is the choice of labelled points, how much the training seed."""
    rows = [
        Row(
            scenario,
            (
                Shown(method),
                _shown(math.sqrt(lottery.total)),
                *(
                    _shown(100 * share, 0)
                    for share in (lottery.share_of_split, lottery.share_of_training, lottery.share_of_residual)
                ),
            ),
        )
        for (method, scenario), lottery in evidence.lotteries.items()
    ]
    if not rows:
        return None
    return Grid(
        "What the spread of final accuracy comes from: standard deviation of a single run in percentage points, and shares "
        "of its variance in %.",
        "scenario",
        ("method", "sd", "choice of labels", "training seed", "the two together"),
        tuple(rows),
    )


def cost_grid(comparison: Comparison, cells: pd.DataFrame) -> Grid | None:
    """Mean training time of a seed, a scenario a row; marked is who stands on the Pareto front of accuracy and time."""
    known = with_cost(cells)
    if known.empty:
        return None
    seconds = known.groupby(["scenario", "method"])["train_s"].mean()
    rows, fronts = [], Counter[str]()
    for s in comparison.scenarios:
        here = [m for m in comparison.methods if (s, m) in seconds.index]
        front = {
            here[i] for i in pareto_front([seconds[s, m] for m in here], [comparison.entries[m, s].mean for m in here])
        }
        fronts.update(front)
        rows += [Row(s, tuple(_cost(seconds.get((s, m)), m in front) for m in comparison.methods))] if here else []
    counts = tuple(Shown(f"{fronts[m]} of {len(rows)}", value=fronts[m]) for m in comparison.methods)
    return Grid(
        "Training time of one seed in seconds, mean over the seeds. Marked: on the Pareto front of its scenario, where no "
        "other method is at once as quick and as accurate and in one of them better.",
        "scenario",
        comparison.methods,
        (*rows, Row("on the front", counts, below=True)) if len(rows) > 1 else tuple(rows),
    )


def _cost(seconds: float | None, front: bool) -> Shown:
    return Shown("—") if seconds is None else Shown(number(seconds, 1 if seconds < 100 else 0), front, value=seconds)


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


def _scenarios_down(comparison: Comparison, evidence: Evidence | None, counts: bool) -> Grid:
    known = {s: (_labels(comparison, s), _seeds(comparison, s)) if counts else () for s in comparison.scenarios}
    rows = [
        Row(s, (*known[s], *(_asked(comparison, evidence, entry) for entry in comparison.row(s))))
        for s in comparison.scenarios
    ]
    return Grid("", "scenario", (*(("labels", "seeds") if counts else ()), *comparison.methods), tuple(rows))


def _methods_down(comparison: Comparison, evidence: Evidence | None, counts: bool) -> Grid:
    labels = Row("labels", tuple(_labels(comparison, s) for s in comparison.scenarios), below=True)
    seeds = Row("seeds", tuple(_seeds(comparison, s) for s in comparison.scenarios), below=True)
    rows = [
        Row(m, tuple(_asked(comparison, evidence, comparison.entries[m, s]) for s in comparison.scenarios))
        for m in comparison.methods
    ]
    return Grid("", "method", comparison.scenarios, (*rows, labels, seeds) if counts else tuple(rows))


def _asked(comparison: Comparison, evidence: Evidence | None, entry: Entry) -> Shown:
    """The accuracy, and what stands behind it."""
    shown = _final(entry)
    pair = entry.method, entry.scenario
    if evidence is None or pair not in evidence.accuracies:
        return shown
    interval = evidence.accuracies[pair]
    more = [("mean", f"{number(entry.mean)} %" + ("" if math.isnan(entry.sd) else f", sd {number(entry.sd)}"))]
    more += (
        [("95 % interval", _between(interval) + (f" ({interval.note})" if interval.note else ""))]
        if entry.n > 1
        else []
    )
    if pair in evidence.comparisons:
        c, decision = evidence.comparisons[pair], evidence.decisions[pair]
        more += [
            (f"less {comparison.baseline}", f"{number(c.mean, sign=True)} points on the same seeds"),
            *([("its 95 % interval", _between(c.interval, sign=True))] if not math.isinf(c.interval.high) else []),
            ("won–lost", f"{c.wins}–{c.losses}"),
            ("p after Holm", f"{decision.p:.3g}: {decision.verdict}"),
        ]
    seeds = ", ".join(f"{seed}: {number(accuracy)}" for seed, accuracy in entry.accuracies.items())
    more += [("by seed", seeds), ("run it again", f"sslbench rerun DIR {comparison.examples[pair]}")]
    return replace(shown, more=tuple(more))


def _labels(comparison: Comparison, scenario: str) -> Shown:
    labels = comparison.labels[scenario]
    return Shown("—") if labels is None else Shown(str(labels), value=labels)


def _seeds(comparison: Comparison, scenario: str) -> Shown:
    count = len(comparison.seeds[scenario])
    return Shown(str(count), value=count)


def _final(entry: Entry) -> Shown:
    return Shown(entry.text, entry.best, entry.footnotes, entry.mean if entry.n else None)


def _others(comparison: Comparison, found: Mapping[tuple[str, str], object]) -> list[str]:
    return [m for m in comparison.methods if any((m, s) in found for s in comparison.scenarios)]


def _scenarios(comparison: Comparison, found: Mapping[tuple[str, str], object]) -> list[str]:
    return [s for s in comparison.scenarios if any((m, s) in found for m in comparison.methods)]


def _difference(evidence: Evidence, pair: tuple[str, str]) -> Shown:
    if pair not in evidence.comparisons:
        return Shown("—")
    c, verdict = evidence.comparisons[pair], evidence.decisions[pair].verdict
    interval = "" if math.isinf(c.interval.high) else f" ({_between(c.interval, sign=True)})"
    text = f"{number(c.mean, sign=True)}{interval}, {c.wins}–{c.losses}"
    decided = verdict != "undecided"
    return Shown(f"{text}, {verdict}" if decided else text, best=verdict == "better", value=c.mean)


def _harm(evidence: Evidence, pair: tuple[str, str]) -> Shown:
    if pair not in evidence.harms:
        return Shown("—")
    harm = evidence.harms[pair]
    count = round(harm.share * harm.pairs)
    worst = f", {number(harm.worst)}" if count else ""
    return Shown(f"{count} of {harm.pairs}{worst}", value=harm.share)


def _worth(evidence: Evidence, pair: tuple[str, str]) -> Shown:
    saved = evidence.saved.get(pair)
    if saved is None:
        return Shown("—")
    return Shown(saved.worth_in_words, value=min(saved.worth, 10 * saved.measured[1]))


def _improvement(evidence: Evidence, method: str) -> Shown:
    found = evidence.improvements.get(method)
    if found is None:
        return Shown("—")
    return Shown(f"{number(found.probability)} ({_between(found.interval)})", value=found.probability)


def _between(interval: Interval, *, sign: bool = False) -> str:
    return f"{number(interval.low, sign=sign)} to {number(interval.high, sign=sign)}"


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
