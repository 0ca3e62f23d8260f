"""sslbench from Python: run a suite, get its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslbench import runner
from sslbench.data.files import save_arrays
from sslbench.errors import BadInput
from sslbench.executors import RETRIES, Cluster
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
    timeout: float | None = None,
    retries: int = RETRIES,
    retry_failed: bool = False,
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
        timeout: minutes that a cell may take, in place of the suite's. Worker processes keep to it; this process cannot.
        retries: how often a cell whose process was lost is run again.
        retry_failed: run cells again that failed in an earlier run and would fail so again.
        executor: "local", or "ray" for an existing Ray cluster; `workers` are then its jobs at a time, at most.
        cluster: for "ray": which one (`sslbench.executors.Cluster("HOST:6379")`), and what a job reserves there.

    Raises:
        BadInput: something given cannot be used, or another process writes to the folder; nothing has run then. Or the disk
            is full: what was finished is kept.
    """
    paths = [Path(p) for p in plugins]
    for path in paths:
        load_plugin(path)
    overrides = Overrides(methods, scenarios, None if seeds is None else str(seeds), tuple(settings), timeout)
    if isinstance(suite, Mapping):
        suite = make_suite(suite, overrides)
    elif not isinstance(suite, Suite):
        suite = read_suite(Path(suite), overrides)
    elif overrides != Overrides():
        raise BadInput(
            "methods, scenarios, seeds, settings and timeout change a suite file or a dictionary, and this is a Suite that is "
            "made already: give them to whatever makes it (sslbench.suite.read_suite, make_suite)."
        )
    place = runner.make_place(executor, device, suite.precision, workers, paths, cluster, retries)
    store = Store(Path(out) if out is not None else runner.results_folder(suite.name))
    with store.lock():
        plan = runner.make_plan(suite, store, retry_failed)
        store.warn_of_damage()
        store.prepare()
        for _ in runner.run(plan, store, place.executor, place.device, place.workers, retries=retries):
            pass
        cells = {p.cell.id for p in plan.planned}
        return [r for r in current(store.load()) if r.id in cells]


def own_data(
    x: Any, y: Any, *, x_test: Any = None, y_test: Any = None, path: str | Path | None = None, **fields: Any
) -> dict[str, Any]:
    """Arrays of your own as a scenario's table, for the suite that `run` takes.

        mine = sslbench.own_data(x, y, labels=40)  # y: names or whole numbers; -1 where there is no label
        sslbench.run({"name": "mine", "methods": ["supervised", "vat"], "scenarios": ["mine"], "scenario": {"mine": mine}})

    The arrays are saved, so that worker processes can load them.

    Args:
        x: features (n, features), or images (n, height, width) or (n, height, width, channels), of pixels from 0 to 255 or
            from 0 to 1.
        y: labels (n,).
        x_test, y_test: a test set; without, a share of the labelled rows is drawn at each seed.
        path: NPZ file to save them in; a cache folder by default.
        fields: of the scenario: labels, steps, test_fraction, …

    Raises:
        BadInput: arrays that cannot be used.
    """
    saved, dataset = save_arrays(x, y, x_test, y_test, path)
    base = "own-features" if dataset.x.dim() == 2 else "own-images"
    return {"base": base, "path": str(saved.resolve()), **fields}
