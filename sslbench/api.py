"""sslbench from Python: run a suite, get its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslbench import runner
from sslbench.executors import Cluster
from sslbench.records import Record, Store, current
from sslbench.registry import load_plugin
from sslbench.suite import Overrides, Suite, make_suite, read_suite


def run(
    suite: str | Path | Mapping[str, Any] | Suite,
    *,
    methods: Sequence[str] | None = None,
    scenarios: Sequence[str] | None = None,
    seeds: int | str | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    out: str | Path | None = None,
    workers: int | None = None,
    plugins: Sequence[str | Path] = (),
    executor: str = "local",
    cluster: Cluster | None = None,
) -> list[Record]:
    """Run what a suite has not finished yet, and give the records of all its cells.

    Args:
        suite: a suite file, or its content as a dictionary.
        methods, scenarios, seeds, settings: override the suite, as `--methods`, …, `--set` do.
        device: "auto", "cpu" or "cuda".
        out: results folder; `results/local/NAME` by default.
        workers: processes; one a core by default. 0 runs in this process, where methods defined in a notebook are known.
        plugins: Python files that register methods or scenarios.
        executor: "local", or "ray" for an existing Ray cluster; `workers` are then its jobs at a time, at most.
        cluster: for "ray": which one (`sslbench.executors.Cluster("HOST:6379")`), and what a job reserves there.

    Raises:
        BadInput: something given cannot be used; nothing has run then.
    """
    paths = [Path(p) for p in plugins]
    for path in paths:
        load_plugin(path)
    overrides = Overrides(methods, scenarios, None if seeds is None else str(seeds), tuple(settings))
    if isinstance(suite, Mapping):
        suite = make_suite(suite, overrides)
    elif not isinstance(suite, Suite):
        suite = read_suite(Path(suite), overrides)
    place = runner.make_place(executor, device, suite.precision, workers, paths, cluster)
    store = Store(Path(out) if out is not None else runner.results_folder(suite.name))
    plan = runner.make_plan(suite, store)
    store.prepare()
    for _ in runner.run(plan, store, place.executor, place.device, place.workers):
        pass
    cells = {p.cell.id for p in plan.planned}
    return [r for r in current(store.load()) if r.id in cells]
