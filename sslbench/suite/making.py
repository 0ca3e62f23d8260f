"""From a document to a suite that is known to be sound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslbench.errors import BadInput
from sslbench.methods.base import method
from sslbench.scenarios.base import scenario
from sslbench.suite.cells import Suite
from sslbench.suite.document import TABLES, TOP, read_content, tables_of
from sslbench.suite.grids import make_grids
from sslbench.suite.names import check_everyone, check_names, check_unused, method_named, origins_of, scenario_named
from sslbench.suite.overrides import Overrides, apply_settings
from sslbench.suite.parameters import Params, paths


def read_suite(path: Path, overrides: Overrides | None = None) -> Suite:
    """Read and validate a suite file.

    Raises:
        BadInput: naming the file, the key, what was given and what is valid.
    """
    content = read_content(path)
    try:
        return make_suite(content, overrides)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def make_suite(content: Mapping[str, Any], overrides: Overrides | None = None) -> Suite:
    """The suite that a TOML document of the form in `sslbench.suite` describes.

    Raises:
        BadInput: naming the key, what was given and what is valid.
    """
    overrides = overrides or Overrides()
    limit = {} if overrides.timeout is None else {"timeout": overrides.timeout}
    top = TOP.validated("the suite", {k: v for k, v in content.items() if k not in TABLES} | limit)
    tables = tables_of(content)
    if "/" in top.name or "\\" in top.name or top.name.strip(". ") == "":
        raise BadInput(f"name = {top.name!r} cannot name a folder: give letters, digits, dashes.")
    touched = apply_settings(overrides.settings, tables)
    grids = make_grids(content.get("grid", []), top, overrides)
    names = {
        "method": list(dict.fromkeys(m for g in grids for m in g.methods)),
        "scenario": list(dict.fromkeys(s for g in grids for s in g.scenarios)),
    }
    for kind, registry in (("method", method), ("scenario", scenario)):
        check_names(kind, names[kind], tables[kind], registry)
        check_unused(kind, names[kind], tables[kind], registry)
        if idle := [n for n in touched[kind] if n not in names[kind]]:
            raise BadInput(
                f"--set {idle[0]}…: the {kind} '{idle[0]}' is not in this run, which has {', '.join(names[kind])}."
            )
    scenarios = {name: scenario_named(name, tables["scenario"], Path(top.folder)) for name in names["scenario"]}
    check_everyone(tables["scenario"].get("*", {}), [s for _, s in scenarios.values()])
    methods = {name: method_named(name, tables["method"], scenarios) for name in names["method"]}
    return Suite(
        name=top.name,
        description=top.description,
        seed=top.seed,
        grids=grids,
        precision=top.precision,
        cuda_graphs=top.cuda_graphs,
        methods=methods,
        scenarios=scenarios,
        origins=origins_of(methods, scenarios, tables["method"], touched["setting"]),
        tuning=_tuning(content.get("tuning", {})),
        timeout=top.timeout,
        checkpoint_every=top.checkpoint_every,
    )


def relocated(content: Mapping[str, Any], path: Path) -> Params:
    """The document as it has to read in a file at `path`, so that its relative paths lead to the same data.

    Raises:
        BadInput: as `make_suite`.
    """
    moved = {k: v for k, v in content.items() if k != "folder"}
    if any(paths(type(instance)) for _, instance in make_suite(content).scenarios.values()):
        moved["folder"] = Path(os.path.relpath(content.get("folder", "."), path.parent)).as_posix()
    return moved


def _tuning(given: Any) -> Params:
    if not isinstance(given, dict):
        raise BadInput(
            "[tuning] is a table: `sslbench tune` writes it, and it says how the hyperparameters were found."
        )
    return dict(given)
