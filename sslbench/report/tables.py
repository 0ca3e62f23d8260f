"""The comparison as data: one row a cell, then one entry for each method on each scenario.

Everything below works in percent (accuracies) and percentage points (differences). The tables a person reads are
laid out from these in `grids.py` and written in `render.py`, so that every form shows the same numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sslbench.records import Record

DECIMALS = 2
"""Digits after the point of a printed accuracy. Means equal at these digits are a tie."""

BASELINE = "supervised"
NOT_RUN = "not run"
BROKEN = ("diverged", "failed", "timeout")
"""What may become of a cell that was trained and gave no result."""


@dataclass(frozen=True)
class Paired:
    """A method less the baseline on the same seeds and splits, in percentage points."""

    differences: Mapping[int, float]
    """Difference by seed."""

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def mean(self) -> float:
        return _mean(self.differences.values())

    @property
    def min(self) -> float:
        return min(self.differences.values(), default=math.nan)

    @property
    def max(self) -> float:
        return max(self.differences.values(), default=math.nan)

    @property
    def wins(self) -> int:
        return sum(d > 0 for d in self.differences.values())

    @property
    def losses(self) -> int:
        return sum(d < 0 for d in self.differences.values())


@dataclass(frozen=True)
class Entry:
    """One method on one scenario, over the seeds."""

    method: str
    scenario: str
    accuracies: Mapping[int, float]
    """Final accuracy in percent by seed, of the seeds that have a result; where a split was trained on several times, the
    mean of these: the split is what is repeated independently."""
    selected: float
    """Mean accuracy in percent at the checkpoint the validation set picked; NaN where there was none."""
    oracle: float
    """Mean of the best test accuracy over training, in percent. Only to compare with papers that report that."""
    lost_seeds: Mapping[tuple[str, str], tuple[int, ...]]
    """The seeds without a result by (what became of them, why): diverged, failed, timeout, skipped or not run."""
    paired: Paired | None = None
    """Against the baseline; None for the baseline itself and where no seed is shared."""
    best: bool = False
    """Highest mean of its scenario, ties at the printed digits included, among those with a result on every seed."""
    footnotes: tuple[str, ...] = ()
    """Letters of the comparison's footnotes."""

    @property
    def n(self) -> int:
        return len(self.accuracies)

    @property
    def lost(self) -> dict[str, int]:
        """How many seeds have no result, by what became of them."""
        counts: Counter[str] = Counter()
        for (what, _), seeds in self.lost_seeds.items():
            counts[what] += len(seeds)
        return dict(counts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One text for each thing that happened: ten seeds that diverge at ten different steps are one footnote."""
        whys: dict[str, list[str]] = {}
        for what, why in self.lost_seeds:
            whys.setdefault(what, []).append(why)
        return tuple(f"{what}: {_first_of(given)}" for what, given in whys.items())

    @property
    def seeds(self) -> int:
        """How many seeds the scenario has, with or without a result here."""
        return self.n + sum(self.lost.values())

    @property
    def mean(self) -> float:
        return _mean(self.accuracies.values())

    @property
    def sd(self) -> float:
        """Standard deviation over the seeds (ddof = 1); NaN for fewer than two."""
        return float(np.std(list(self.accuracies.values()), ddof=1)) if self.n > 1 else math.nan

    @property
    def min(self) -> float:
        return min(self.accuracies.values(), default=math.nan)

    @property
    def max(self) -> float:
        return max(self.accuracies.values(), default=math.nan)

    @property
    def text(self) -> str:
        """As a table shows it: "97.43 ± 0.21", "97.43, diverged 1/3", "diverged 3/3", or "—" if never tried."""
        broken = ", ".join(f"{status} {count}/{self.seeds}" for status, count in self._told())
        value = spread(self.mean, self.sd) if self.n else ""
        return ", ".join(part for part in (value, broken) if part) or "—"

    def _told(self) -> list[tuple[str, int]]:
        return [(status, count) for status, count in self.lost.items() if self.n or status in BROKEN]


@dataclass(frozen=True)
class Comparison:
    """Methods × scenarios: what every table, plot and sentence of the report is made from."""

    methods: tuple[str, ...]
    scenarios: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    """The seeds of each scenario, those without a result included."""
    labels: Mapping[str, int | None]
    """Number of labelled examples of each scenario."""
    entries: Mapping[tuple[str, str], Entry]
    """By (method, scenario): every pair has one, also those without a result."""
    baseline: str | None
    """The supervised method the others are paired with, if it is there."""
    footnotes: Mapping[str, str]
    """By letter, in order."""
    notes: tuple[str, ...]
    """What a reader must know before believing the table."""
    examples: Mapping[tuple[str, str], str]
    """Id of the first cell with a result of each (method, scenario) that has one."""

    def row(self, scenario: str) -> list[Entry]:
        """The entries of one scenario, in the order of the methods."""
        return [self.entries[method, scenario] for method in self.methods]


def number(value: float, decimals: int = DECIMALS, *, sign: bool = False) -> str:
    """A number at the printed digits, with a true minus sign; "—" for NaN."""
    if math.isnan(value):
        return "—"
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def plural(count: int, noun: str) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def spread(mean: float, sd: float) -> str:
    """ "97.43 ± 0.21", or the mean alone where one seed has no standard deviation."""
    return number(mean) if math.isnan(sd) else f"{number(mean)} ± {number(sd)}"


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a cell, in the order of the records.

    Accuracies (`final`, `selected`, `oracle`) and `missing_recall` (mean recall of the classes without labels) are in
    percent, NaN where there is none; times in seconds; `peak_memory_bytes` in bytes.
    """
    return pd.DataFrame([_cell(record) for record in records], columns=list(_COLUMNS))


def with_cost(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that have a final accuracy and took time to train."""
    known = cells.dropna(subset=["final", "train_s"])
    return known[known["train_s"] > 0]


def baseline_of(methods: Iterable[tuple[str, str | None]]) -> str | None:
    """Of (name, method it is a variant of): `supervised` itself, or else the first variant of it."""
    variants = [name for name, base in methods if BASELINE in (name, base)]
    return BASELINE if BASELINE in variants else next(iter(variants), None)


def compare(records: Sequence[Record]) -> Comparison:
    """The comparison of some records. Methods and scenarios keep the order in which they first appear."""
    methods = tuple(dict.fromkeys(r.method["name"] for r in records))
    scenarios = tuple(dict.fromkeys(r.scenario["name"] for r in records))
    seeds = {s: tuple(sorted({r.seed for r in records if r.scenario["name"] == s})) for s in scenarios}
    labels = {r.scenario["name"]: r.scenario.get("labels") for r in records}
    baseline = baseline_of((r.method["name"], r.method.get("base")) for r in records)
    cells: dict[tuple[str, str], list[Record]] = {(m, s): [] for s in scenarios for m in methods}
    for record in records:
        cells[record.method["name"], record.scenario["name"]].append(record)
    footnotes = _Footnotes()
    entries: dict[tuple[str, str], Entry] = {}
    for scenario in scenarios:
        reference = cells.get((baseline, scenario), []) if baseline else []
        row = [_entry(m, scenario, cells[m, scenario], seeds[scenario], reference, footnotes) for m in methods]
        entries |= {(e.method, scenario): e for e in _mark(row)}
    notes = _notes(records, list(entries.values()), seeds)
    examples = {pair: done[0].id for pair, found in cells.items() if (done := [r for r in found if _has_result(r)])}
    return Comparison(methods, scenarios, seeds, labels, entries, baseline, footnotes.texts, notes, examples)


def long_table(comparison: Comparison) -> pd.DataFrame:
    """One row a (scenario, method): the comparison for a machine to read, in percent and percentage points."""
    return pd.DataFrame([_long(comparison, e) for s in comparison.scenarios for e in comparison.row(s)])


def unpaired(records: Iterable[Record]) -> dict[str, list[int]]:
    """The seeds of each scenario at which the methods did not see the same split."""
    splits: dict[tuple[str, int], set[Any]] = {}
    for record in records:
        if record.status == "ok":
            splits.setdefault((record.scenario["name"], record.seed), set()).add(record.provenance.get("split_sha256"))
    found: dict[str, list[int]] = {}
    for (scenario, seed), digests in splits.items():
        if len(digests) > 1:
            found.setdefault(scenario, []).append(seed)
    return found


class _Footnotes:
    """Letters a, b, …, z, aa, … for texts, the same letter for the same text."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, text: str) -> str:
        return self._letters.setdefault(text, _letter(len(self._letters)))

    @property
    def texts(self) -> dict[str, str]:
        return {letter: text for text, letter in self._letters.items()}


def _letter(index: int) -> str:
    return ("" if index < 26 else _letter(index // 26 - 1)) + chr(ord("a") + index % 26)


def _mean(values: Iterable[float]) -> float:
    given = [v for v in values if not math.isnan(v)]
    return float(np.mean(given)) if given else math.nan


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * float(value)


def _accuracy(record: Record, kind: str) -> float:
    """In percent; NaN where the record has none."""
    return _percent((record.metrics.get("accuracy") or {}).get(kind))


def _missing_recall(record: Record) -> float:
    recalls = record.metrics.get("per_class_accuracy") or []
    missing = [recalls[c] for c in record.scenario.get("missing") or [] if c < len(recalls)]
    return _mean(_percent(r) for r in missing)


_COLUMNS = {
    "method": lambda r: r.method["name"],
    "base": lambda r: r.method.get("base", r.method["name"]),
    "scenario": lambda r: r.scenario["name"],
    "family": lambda r: r.scenario.get("family", ""),
    "series": lambda r: r.series,
    "labels": lambda r: r.scenario.get("labels"),
    "seed": lambda r: r.seed,
    "training_seed": lambda r: r.training_seed,
    "status": lambda r: r.status,
    "reason": lambda r: r.reason,
    "final": lambda r: _accuracy(r, "final"),
    "selected": lambda r: _accuracy(r, "selected"),
    "oracle": lambda r: _accuracy(r, "oracle"),
    "missing_recall": _missing_recall,
    "nll": lambda r: _float(r.metrics.get("nll")),
    "ece": lambda r: _float(r.metrics.get("ece")),
    "train_s": lambda r: _float(r.timing.get("train_s")),
    "eval_s": lambda r: _float(r.timing.get("eval_s")),
    "steps": lambda r: _float(r.timing.get("steps")),
    "steps_per_s": lambda r: _float(r.timing.get("steps_per_s")),
    "peak_memory_bytes": lambda r: r.peak_memory_bytes,
    "device": lambda r: r.provenance.get("device"),
    "split_sha256": lambda r: r.provenance.get("split_sha256"),
    "data_sha256": lambda r: r.provenance.get("data_sha256"),
}


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _cell(record: Record) -> dict[str, Any]:
    return {name: read(record) for name, read in _COLUMNS.items()}


def _entry(
    method: str,
    scenario: str,
    cells: list[Record],
    seeds: tuple[int, ...],
    reference: list[Record],
    footnotes: _Footnotes,
) -> Entry:
    done = [r for r in cells if _has_result(r)]
    differences = paired_differences(done, reference) if reference is not cells else {}
    entry = Entry(
        method,
        scenario,
        accuracies=_means_by_seed((r.seed, _accuracy(r, "final")) for r in done),
        selected=_mean(_means_by_seed((r.seed, _accuracy(r, "selected")) for r in done).values()),
        oracle=_mean(_means_by_seed((r.seed, _accuracy(r, "oracle")) for r in done).values()),
        lost_seeds=_lost_seeds(cells, seeds),
        paired=Paired(differences) if differences else None,
    )
    return replace(entry, footnotes=tuple(footnotes.letter(text) for text in entry.reasons))


def _has_result(record: Record) -> bool:
    return record.status == "ok" and not math.isnan(_accuracy(record, "final"))


def _means_by_seed(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """The mean of each seed's values, in the order of the seeds."""
    found: dict[int, list[float]] = {}
    for seed, value in values:
        found.setdefault(seed, []).append(value)
    return {seed: _mean(found[seed]) for seed in sorted(found)}


def _lost_seeds(cells: list[Record], seeds: tuple[int, ...]) -> dict[tuple[str, str], tuple[int, ...]]:
    """The seeds without any result. A pair without a single record is not a loss: not every suite crosses everything."""
    done = {r.seed for r in cells if _has_result(r)}
    found: dict[tuple[str, str], dict[int, None]] = {}
    for record in cells:
        if record.seed not in done:
            # A record called ok that has no accuracy is a failure too.
            what = "failed" if record.status == "ok" else record.status
            found.setdefault((what, record.reason or "no reason was recorded"), {})[record.seed] = None
    if cells and (absent := set(seeds) - {r.seed for r in cells}):
        found[NOT_RUN, "the results folder holds no record of it"] = dict.fromkeys(absent)
    return {key: tuple(sorted(at)) for key, at in found.items()}


def _first_of(reasons: list[str]) -> str:
    return reasons[0] + (f" (and {plural(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else "")


def paired_differences(cells: Iterable[Record], reference: Iterable[Record]) -> dict[int, float]:
    """One less the other by seed in percentage points of final accuracy, where both saw the same split.

    Repetitions on one split, by training seeds of their own, are paired and then averaged.
    """
    others = {(r.seed, r.training_seed): r for r in reference if _has_result(r)}
    pairs = [(r, others.get((r.seed, r.training_seed))) for r in cells if _has_result(r)]
    return _means_by_seed(
        (r.seed, _accuracy(r, "final") - _accuracy(other, "final"))
        for r, other in pairs
        if other is not None and _same_split(r, other)
    )


def _same_split(one: Record, other: Record) -> bool:
    return bool(one.provenance.get("split_sha256") == other.provenance.get("split_sha256"))


def _mark(row: list[Entry]) -> list[Entry]:
    """A mean over fewer seeds is not comparable (those that diverged are the hard ones), so it is never marked."""
    rivals = [round(e.mean, DECIMALS) for e in row if e.n == e.seeds]
    if sum(e.n > 0 for e in row) < 2 or not rivals:
        return row
    top = max(rivals)
    return [replace(e, best=True) if e.n == e.seeds and round(e.mean, DECIMALS) == top else e for e in row]


def _notes(records: Sequence[Record], entries: list[Entry], seeds: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    notes = []
    if any(len(s) == 1 for s in seeds.values()):
        notes.append("One seed has no standard deviation, and a difference on one seed may be chance.")
    if any(not e.n and not e.lost_seeds for e in entries):
        notes.append(
            "— stands where the results hold no cell: the suite does not cross the two, or has not come to it yet."
        )
    if any(e.n and e.n < e.seeds for e in entries):
        notes.append("A mean over fewer seeds than its scenario has is shown and never marked as the best.")
    for scenario, at in unpaired(records).items():
        notes.append(
            f"{scenario} is not paired at {_seed_list(at)}: the methods did not see the same split there, "
            "and those seeds are left out of the differences."
        )
    if len(devices := _devices(records)) > 1:
        notes.append(f"The cells ran on different devices ({', '.join(devices)}): their times do not compare.")
    return tuple(notes)


def _seed_list(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, sorted(seeds)))


def _devices(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(str(r.provenance["device"]) for r in records if r.provenance.get("device")))


def _long(comparison: Comparison, entry: Entry) -> dict[str, Any]:
    paired = entry.paired or Paired({})
    numbers = {
        "mean": entry.mean,
        "sd": entry.sd,
        "min": entry.min,
        "max": entry.max,
        "selected_mean": entry.selected,
        "oracle_mean": entry.oracle,
        "paired_difference_mean": paired.mean,
        "paired_difference_min": paired.min,
        "paired_difference_max": paired.max,
    }
    return {
        "method": entry.method,
        "scenario": entry.scenario,
        "labels": comparison.labels[entry.scenario],
        "n": entry.n,
        **{name: round(value, 6) for name, value in numbers.items()},
        "paired_n": paired.n,
        "wins": paired.wins,
        "losses": paired.losses,
        "best": entry.best,
        **{status.replace(" ", "_"): entry.lost.get(status, 0) for status in (*BROKEN, "skipped", NOT_RUN)},
        "reasons": "; ".join(entry.reasons),
    }
