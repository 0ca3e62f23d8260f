"""`report.html`: everything on one self-contained page."""

from __future__ import annotations

import base64
import importlib.resources
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import pandas as pd

from sslbench.records import Record
from sslbench.report import words
from sslbench.report.grids import (
    Grid,
    Row,
    Shown,
    accuracies_grid,
    comparison_grid,
    difference_grid,
    failures_grid,
    missing_grid,
    scenario_grid,
)
from sslbench.report.tables import Comparison

SECTIONS = (
    ("labels", "Accuracy over the number of labels"),
    ("boundaries", "Decision boundaries"),
    ("curves", "Over training"),
    ("cost", "Accuracy against training time"),
    ("classes", "Classes without labels"),
)
"""Sections of plots, by `Plot.section`, in the order of the page."""


@dataclass(frozen=True)
class Picture:
    """A plot as the page shows it."""

    section: str
    title: str
    caption: str
    alt: str
    png: bytes
    wide: bool

    @property
    def source(self) -> str:
        """A data URL: the page needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def render(
    title: str, comparison: Comparison, cells: pd.DataFrame, records: Sequence[Record], pictures: Sequence[Picture]
) -> str:
    """The page.

    Args:
        title: what was compared.
        cells: one row a cell, as `tables.frame` makes it.
        pictures: the plots, in order.
    """
    found = {p.section for p in pictures}
    template = _environment().get_template("report.html.j2")
    return template.render(
        title=title,
        verdict=words.verdict(comparison),
        cautions=words.cautions(comparison),
        comparison=comparison_grid(comparison),
        differences=difference_grid(comparison),
        accuracies=accuracies_grid(comparison),
        missing=missing_grid(comparison, cells),
        failures=failures_grid(comparison),
        scenarios=[scenario_grid(comparison, cells, s) for s in comparison.scenarios],
        sections=[
            (name, heading, [p for p in pictures if p.section == name]) for name, heading in SECTIONS if name in found
        ],
        hyperparameters=hyperparameters_grid(records),
        settings=settings_grid(records),
        provenance=provenance(records),
        splits=splits_grid(records),
    )


def hyperparameters_grid(records: Sequence[Record]) -> Grid:
    """The hyperparameters of each method, and on which scenarios it had them."""
    where: dict[tuple[str, str], list[str]] = {}
    for r in records:
        place = where.setdefault((r.method["name"], _settings(r.method["params"])), [])
        if r.scenario["name"] not in place:
            place.append(r.scenario["name"])
    every = len({r.scenario["name"] for r in records})
    rows = [
        Row(method, (Shown(settings or "none"), Shown("all" if len(names) == every else ", ".join(names))))
        for (method, settings), names in where.items()
    ]
    return Grid("Hyperparameters of the methods.", "method", ("hyperparameters", "scenarios"), tuple(rows))


def settings_grid(records: Sequence[Record]) -> Grid:
    """The parameters of each scenario: those that all share in one row, then what is a scenario's own."""
    params = {r.scenario["name"]: r.scenario["params"] for r in records}
    shared = {
        k: v
        for k, v in next(iter(params.values())).items()
        if len(params) > 1 and all(p.get(k, _ABSENT) == v for p in params.values())
    }
    rows = [Row("all of them", (Shown(_settings(shared)),))] if shared else []
    for name, params_ in params.items():
        own = {k: v for k, v in params_.items() if k not in shared}
        rows.append(Row(name, (Shown(_settings(own) or "nothing else"),)))
    return Grid("Parameters of the scenarios: the same for every method.", "scenario", ("parameters",), tuple(rows))


def provenance(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the numbers were measured with, each thing with all its values."""
    found: dict[str, list[str]] = {}
    for r in records:
        about = dict(r.provenance)
        about |= about.pop("versions", None) or {}
        for name in ("command", "machine", "device", "precision", "git_commit", "dirty", *sorted(about)):
            value = about.get(name)
            if name in _PER_CELL or value is None or value == "":
                continue
            values = found.setdefault(_LABELS.get(name, name), [])
            if str(value) not in values:
                values.append(str(value))
    times = sorted(r.provenance[k] for r in records for k in ("started_at", "finished_at") if r.provenance.get(k))
    if times:
        found["measured"] = [f"{times[0][:16].replace('T', ' ')} to {times[-1][:16].replace('T', ' ')} UTC"]
    return [(name, ", ".join(values)) for name, values in found.items()]


def splits_grid(records: Sequence[Record]) -> Grid:
    """Digests of data and split at each scenario and seed, to check against another run."""
    seen: dict[tuple[str, int], tuple[str, str]] = {}
    for r in records:
        if r.provenance.get("split_sha256"):
            seen.setdefault(
                (r.scenario["name"], r.seed),
                (str(r.provenance.get("data_sha256", "—")), str(r.provenance["split_sha256"])),
            )
    rows = [Row(s, (Shown(str(seed), value=seed), Shown(d[:12]), Shown(p[:12]))) for (s, seed), (d, p) in seen.items()]
    return Grid("SHA-256 digests, their first twelve digits.", "scenario", ("seed", "data", "split"), tuple(rows))


_ABSENT = object()
_PER_CELL = {"split_sha256", "data_sha256", "started_at", "finished_at"}
_LABELS = {"git_commit": "commit", "dirty": "changed since the commit"}


def _settings(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in params.items())


def _value(value: Any) -> str:
    if value is None:
        return "default"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _environment() -> jinja2.Environment:
    folder = str(importlib.resources.files("sslbench.report"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["columns"] = _columns
    return environment


def _columns(grid: Grid) -> Iterable[tuple[str, bool]]:
    """(header, whether it holds numbers) of each column."""
    return [(name, grid.numeric(i)) for i, name in enumerate(grid.header)]
