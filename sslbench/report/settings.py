"""What was run and where: hyperparameters, budgets and provenance as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sslbench.records import Record
from sslbench.report.grids import Grid, Row, Shown
from sslbench.report.tables import plural

OF_ONE_CELL = ("split_sha256", "data_sha256", "started_at", "finished_at")
"""Provenance that differs from cell to cell by nature."""

DIGITS = 12
"""How much of a digest is shown."""


def flat(given: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as text by dotted name: {"optimizer": {"lr": 0.1}} gives {"optimizer.lr": "0.1"}."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _text(value)
    return found


def methods_grid(records: Sequence[Record]) -> Grid:
    """The hyperparameters of every method; where they differ between scenarios, with the scenarios that differ."""
    rows = []
    for name in dict.fromkeys(r.method["name"] for r in records):
        own = [r for r in records if r.method["name"] == name]
        cells = Shown(str(own[0].method.get("base", name))), Shown(_hyperparameters(own)), Shown(_origins(own))
        rows.append(Row(name, cells))
    return Grid(
        "Hyperparameters of the methods, and where each was set: the method's default, a recommendation of the scenario, the "
        "suite file, or --set.",
        "method",
        ("variant of", "hyperparameters", "set by"),
        tuple(rows),
    )


def tuning_lines(records: Sequence[Record]) -> list[str]:
    """How the hyperparameters were found: what `sslbench tune` wrote of itself, or that nobody tuned them here."""
    found = dict.fromkeys(
        "; ".join(f"{name} {text}" for name, text in flat(tuning).items())
        for r in records
        if (tuning := r.provenance.get("tuning"))
    )
    if found:
        return [f"Found by sslbench tune: {line}." for line in found]
    return [
        "This suite file was not written by sslbench tune. The defaults of sslbench's own methods and scenarios were set by "
        "hand, partly by looking at test accuracy at other seeds than these; what a suite sets is its author's choice."
    ]


def gradients_grid(records: Sequence[Record]) -> Grid | None:
    """Whether the unlabelled data take part: the gradient of the weighted unlabelled term, where methods have one."""
    lengths: dict[tuple[str, str], list[float]] = {}
    for r in records:
        curve = [v for v in r.curves.get("unlabelled_gradient") or [] if v is not None]
        if curve:
            lengths.setdefault((r.scenario["name"], r.method["name"]), []).extend(curve)
    if not lengths:
        return None
    methods = list(dict.fromkeys(m for _, m in lengths))
    rows = [
        Row(s, tuple(_gradient(lengths.get((s, m))) for m in methods)) for s in dict.fromkeys(s for s, _ in lengths)
    ]
    return Grid(
        "Length of the gradient of the weighted unlabelled term in the course of training: median (highest), over all "
        "measured steps and seeds. Dead: zero at each of them, so the method trained as supervised does.",
        "scenario",
        tuple(methods),
        tuple(rows),
    )


def _gradient(lengths: Sequence[float] | None) -> Shown:
    if not lengths:
        return Shown("—")
    if max(lengths) == 0:
        return Shown("dead", value=0.0)
    middle = statistics.median(lengths)
    return Shown(f"{middle:.2g} ({max(lengths):.2g})", value=middle)


def _origins(records: Sequence[Record]) -> str:
    by_scenario = {r.scenario["name"]: flat(r.method.get("origins") or {}) for r in records}
    return "; ".join(_hyperparameter(name, by_scenario) for name in _names(by_scenario.values())) or "—"


def shared_settings(records: Sequence[Record]) -> dict[str, str]:
    """What is the same on every scenario, by dotted name."""
    settings = _settings(records)
    names = _names(settings.values())
    return {n: values.pop() for n in names if len(values := {s.get(n, "") for s in settings.values()}) == 1}


def scenarios_grid(records: Sequence[Record]) -> Grid:
    """What differs between the scenarios, a scenario a row."""
    settings = _settings(records)
    shared = shared_settings(records)
    names = [n for n in _names(settings.values()) if n not in shared]
    rows = [Row(s, tuple(Shown(given.get(n, "—")) for n in names)) for s, given in settings.items()]
    return Grid("What differs between the scenarios.", "scenario", tuple(names), tuple(rows))


def provenance_grid(records: Sequence[Record]) -> Grid:
    """Machine, versions, commit, …: every value that occurs, with the number of cells where there are several."""
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        for name, value in flat({k: v for k, v in record.provenance.items() if k not in OF_ONE_CELL}).items():
            values = counts.setdefault(name, {})
            values[value] = values.get(value, 0) + 1
    rows = [Row(name, (Shown(_occurring(values)),)) for name, values in counts.items()]
    return Grid("Where the cells ran.", "", ("value",), (*rows, *_times(records)))


def splits_grid(records: Sequence[Record]) -> Grid:
    """First digits of the digest of every split and data set; several where the methods did not share one."""
    shown = [r for r in records if r.status == "ok" and r.provenance.get("split_sha256")]
    seeds = sorted({r.seed for r in shown})
    rows = []
    for scenario in dict.fromkeys(r.scenario["name"] for r in shown):
        own = [r for r in shown if r.scenario["name"] == scenario]
        data = [_digests(own, seed, "data_sha256") for seed in seeds]  # two moons draws its points anew at each seed
        splits = [_digests(own, seed, "split_sha256") for seed in seeds]
        rows.append(Row(scenario, (Shown(", ".join(dict.fromkeys(data))), *map(Shown, splits))))
    return Grid(
        f"First {DIGITS} digits of the SHA-256 of data and splits. Every method sees the same split at a seed.",
        "scenario",
        ("data", *(f"seed {seed}" for seed in seeds)),
        tuple(rows),
    )


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return (
        {None: "not set", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _hyperparameters(records: Sequence[Record]) -> str:
    by_scenario = {r.scenario["name"]: flat(r.method.get("params") or {}) for r in records}
    return "; ".join(_hyperparameter(name, by_scenario) for name in _names(by_scenario.values())) or "none"


def _hyperparameter(name: str, by_scenario: Mapping[str, Mapping[str, str]]) -> str:
    """The commonest value first, then the scenarios that have another."""
    where: dict[str, list[str]] = {}
    for scenario, params in by_scenario.items():
        where.setdefault(params.get(name, "—"), []).append(scenario)
    common = max(where, key=lambda value: len(where[value]))
    others = "; ".join(f"{value} on {', '.join(at)}" for value, at in where.items() if value != common)
    return f"{name} = {common}" + (f" ({others})" if others else "")


def _settings(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    return {r.scenario["name"]: flat(r.scenario.get("params") or {}) for r in records}


def _names(settings: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for given in settings for name in given))


def _occurring(values: Mapping[str, int]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({plural(count, 'cell')})" for value, count in values.items())


def _times(records: Sequence[Record]) -> list[Row]:
    started = [str(t) for r in records if (t := r.provenance.get("started_at"))]
    finished = [str(t) for r in records if (t := r.provenance.get("finished_at"))]
    seconds = sum(r.timing.get("train_s") or 0 for r in records)
    rows = [Row("training time, all cells", (Shown(f"{seconds:,.0f} s".replace(",", " ")),))]
    rows += [Row("first cell started", (Shown(min(started)),))] if started else []
    rows += [Row("last cell finished", (Shown(max(finished)),))] if finished else []
    return rows


def _digests(records: Sequence[Record], seed: int, kind: str) -> str:
    found = dict.fromkeys(str(d)[:DIGITS] for r in records if r.seed == seed and (d := r.provenance.get(kind)))
    return " ≠ ".join(found) or "—"
