"""Which of a cell's parameters MLflow gets: what names the cell, and the hyperparameters that vary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sslbench.records import Record
from sslbench.tracking.texts import safe, text_of

IDENTITY = ("method", "scenario", "labels", "seed")
"""Parameters that every cell has, whether or not they vary: they name it."""
AXES = ("method", "scenario", "labels")
"""Those of them that are drawn where they vary. Seeds repeat a measurement: their axis would only tangle the lines."""
NOT_HERE = "-"
"""Stands for a parameter that the cell's method has not: left out, MLflow's plots draw it as the highest value."""


def varying(cells: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> frozenset[str]:
    """Names of the parameters worth an axis of their own in a comparison: `method`, `vat.radius`, `mnist.missing`.

    A method's hyperparameter counts where it differs among the variants of one base method on one scenario: what goes along
    with the scenario (a radius that suits it, say) would only repeat that axis. A scenario's counts where it differs within
    its family at one number of labels, for the same reason.

    Args:
        cells: (method, scenario) of each cell of the sweep, in the form of `Record.method` and `Record.scenario`.
    """
    seen: dict[tuple[str, Any], set[str]] = defaultdict(set)
    for method, scenario in cells:
        for name, value in zip(AXES, (method["name"], scenario["name"], text_of(scenario.get("labels"))), strict=True):
            seen[name, None].add(value)
        for name, value in _prefixed(base_of(method), method).items():
            seen[name, scenario["name"]].add(value)
        for name, value in _prefixed(scenario["family"], scenario).items():
            seen[name, scenario.get("labels")].add(value)
    return frozenset(name for (name, _), values in seen.items() if len(values) > 1)


def base_of(method: Mapping[str, Any]) -> str:
    """The registered name that a method is, or is a variant of."""
    return method.get("base") or method["name"]


def _prefixed(prefix: str, thing: Mapping[str, Any]) -> dict[str, str]:
    return {safe(f"{prefix}.{name}"): text_of(value) for name, value in thing.get("params", {}).items()}


def params_of(record: Record, hyperparameters: Collection[str]) -> dict[str, str]:
    """What goes on the axes of a parallel-coordinates plot: few, and only what varies."""
    named = {
        "method": record.method["name"],
        "scenario": record.scenario["name"],
        "labels": text_of(record.scenario.get("labels")),
        "seed": str(record.seed),
    }
    all_of_them = _prefixed(base_of(record.method), record.method) | _prefixed(
        record.scenario["family"], record.scenario
    )
    return {name: all_of_them.get(name, NOT_HERE) for name in sorted(hyperparameters)} | named
