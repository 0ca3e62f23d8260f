"""What the names of a suite stand for: registered methods and scenarios, variants of them, and their values."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sslbench.errors import BadInput, unknown
from sslbench.methods.base import FitMethod, LossMethod, method
from sslbench.registry import Entry, Registry
from sslbench.scenarios.base import Scenario, scenario
from sslbench.suite.forms import Form
from sslbench.suite.parameters import Method, Params, paths

T = TypeVar("T")


def check_names(kind: str, names: Sequence[str], tables: Mapping[str, Params], registry: Registry[Any]) -> None:
    """Whether the names of a run and of all tables are known, and every base leads to a registered thing."""
    if not names:
        raise BadInput(f"{kind}s is empty: name at least one {kind} ({', '.join(registry.names())}).")
    known = [*registry.names(), *(n for n, table in tables.items() if "base" in table)]
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    for name, table in tables.items():
        if name != "*" and name not in known:
            raise unknown(f"{kind} in [{kind}.{name}]", name, known)
        if "base" in table:
            if name in registry:
                raise BadInput(f"[{kind}.{name}] has a base, but '{name}' is a registered {kind}: choose another name.")
            settled(name, tables, registry)


def check_unused(kind: str, names: Sequence[str], tables: Mapping[str, Params], registry: Registry[Any]) -> None:
    """A table that this run does not use may not hold an unknown key either."""
    for name, table in tables.items():
        if name not in names and name != "*":
            known = [f.name for f in dataclasses.fields(settled(name, tables, registry)[0].thing)]
            for key in table:
                if key not in (*known, "base", "on"):
                    raise unknown(f"key of {kind} '{name}'", key, known)


def check_everyone(table: Params, scenarios: Sequence[Scenario]) -> None:
    """What `[scenario."*"]` sets has to be a field of one scenario of the run at least."""
    known = {f.name for s in scenarios for f in dataclasses.fields(s)}
    for key in table:
        if key not in known:
            raise unknown('key of [scenario."*"]', key, known)


def settled(name: str, tables: Mapping[str, Params], registry: Registry[T]) -> tuple[Entry[T], Params]:
    """What a name stands for: the registered thing that it is or is a variant of, and the values that the file gives it.

    A variant's base may be another variant, whose values it then has where it gives none of its own.
    """
    line = [name]
    while (base := tables.get(line[-1], {}).get("base")) is not None:
        if base in line:
            raise BadInput(f"The base of '{name}' leads back to '{base}': {' → '.join([*line, str(base)])}.")
        line.append(str(base))
        if "base" not in tables.get(str(base), {}):
            break  # a registered name: what the file sets on that itself does not reach its variants
    root = line[-1]
    values: Params = dict(tables.get(root, {})) if len(line) == 1 else {}
    for heir in reversed(line[:-1]):
        own = tables[heir]
        on = {**values.get("on", {}), **own["on"]} if isinstance(own.get("on"), dict) else values.get("on")
        values = {**values, **own} | ({"on": on} if on is not None else {})
    return registry.get(root), {k: v for k, v in values.items() if k != "base"}


def scenario_named(name: str, tables: Mapping[str, Params], folder: Path) -> tuple[str, Scenario]:
    """(registered name, instance) of a scenario. Its relative paths start at the folder."""
    entry, own = settled(name, tables, scenario)
    fields = {f.name for f in dataclasses.fields(entry.thing)}
    everyone = {k: v for k, v in tables.get("*", {}).items() if k in fields}
    values = {**entry.preset, **everyone, **own}
    for path in paths(entry.thing):
        if isinstance(given := values.get(path), str):
            values[path] = os.path.abspath(folder.expanduser() / Path(given).expanduser())
    return entry.name, Form(entry.thing).validated(f"scenario '{name}'", values)


def method_named(
    name: str, tables: Mapping[str, Params], scenarios: Mapping[str, tuple[str, Scenario]]
) -> tuple[str, dict[str, Method]]:
    """(registered name, instance for each scenario) of a method."""
    entry, table = settled(name, tables, method)
    if not issubclass(entry.thing, LossMethod | FitMethod):
        raise BadInput(f"{entry.thing.__name__} is neither a LossMethod nor a FitMethod: derive it from one of them.")
    everywhere = {k: v for k, v in table.items() if k != "on"}
    on = table.get("on", {})
    if not isinstance(on, dict) or not all(isinstance(v, dict) for v in on.values()):
        raise BadInput(f"[method.{name}] on holds tables: write [method.{name}.on.SCENARIO] and parameters below.")
    for target in on:
        if target not in scenarios and target not in scenario:
            raise unknown(f"scenario in [method.{name}.on.{target}]", target, [*scenarios, *scenario.names()])
    form = Form(entry.thing)
    instances = {}
    for scenario_name, (_, instance) in scenarios.items():
        suited = instance.hyperparameters.get(entry.name, {})
        values = {**entry.preset, **suited, **everywhere, **on.get(scenario_name, {})}
        instances[scenario_name] = form.validated(f"method '{name}'", values)
    return entry.name, instances


def origins_of(
    methods: Mapping[str, tuple[str, Mapping[str, Method]]],
    scenarios: Mapping[str, tuple[str, Scenario]],
    tables: Mapping[str, Params],
    settings: Sequence[str],
) -> dict[tuple[str, str], dict[str, str]]:
    """By (method, scenario): where each of the method's parameters was set."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, (base, instances) in methods.items():
        table = settled(name, tables, method)[1]
        for scenario_name, instance in instances.items():
            assert dataclasses.is_dataclass(instance)
            suited = scenarios[scenario_name][1].hyperparameters.get(base, {})
            own = {**table, **table.get("on", {}).get(scenario_name, {})}
            found[name, scenario_name] = {
                f.name: "--set"
                if f"{name}.{f.name}" in settings
                else "suite"
                if f.name in own
                else "scenario"
                if f.name in suited
                else "default"
                for f in dataclasses.fields(instance)
            }
    return found
