"""What the command line changes of a suite file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslbench.errors import BadInput, unknown
from sslbench.methods.base import method
from sslbench.scenarios.base import scenario
from sslbench.suite.document import tables_of
from sslbench.suite.parameters import Params


@dataclass(frozen=True)
class Overrides:
    """What the command line changes of a suite file. None and empty leave it as it is."""

    methods: Sequence[str] | None = None
    scenarios: Sequence[str] | None = None
    seeds: str | None = None
    settings: Sequence[str] = ()
    """`name.parameter=value`: of a method, a scenario, or `*` for all scenarios. A value as in TOML, or a bare word."""
    timeout: float | None = None
    """Minutes that a cell may take."""


def with_settings(content: Mapping[str, Any], settings: Sequence[str]) -> Params:
    """The document with `--set` written into its tables, all of them copies.

    Raises:
        BadInput: a setting of another form, or of a name that nobody has.
    """
    tables = tables_of(content)
    apply_settings(settings, tables)
    return {**content, **tables}


def apply_settings(settings: Sequence[str], tables: Mapping[str, dict[str, Params]]) -> Mapping[str, list[str]]:
    """Write `--set name.parameter=value` into the tables. Returns the names that were set."""
    touched: dict[str, list[str]] = {"method": [], "scenario": [], "setting": []}
    for setting in settings:
        path, equals, text = setting.partition("=")
        name, dot, key = path.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise BadInput(f"--set {setting!r} is not of the form NAME.PARAMETER=VALUE, such as vat.radius=2.0.")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        if name == "*":
            tables["scenario"].setdefault("*", {})[key] = value
            continue
        kinds = [k for k, r in (("method", method), ("scenario", scenario)) if name in tables[k] or name in r]
        if not kinds:
            raise unknown("method or scenario in --set", name, [*method.names(), *scenario.names()])
        tables[kinds[0]].setdefault(name, {})[key] = value
        touched[kinds[0]].append(name)
        touched["setting"].append(f"{name}.{key}")
    return touched
