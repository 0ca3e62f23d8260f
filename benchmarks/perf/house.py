"""What the house around the training does: stores, reports, MLflow. As in `work`, a function prepares and returns the work."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import itertools
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import mlflow
import pandas as pd
import torch

from sslbench import runner, tracking
from sslbench.engine.seeds import peak_memory, reset_peak_memory
from sslbench.executors import InlineExecutor
from sslbench.executors.jobs import blank_record
from sslbench.records import Record, Store
from sslbench.report import write_report
from sslbench.suite import Overrides, Suite, make_suite, read_suite

METHODS = ["supervised", "pseudo-label", "pi-model", "vat"]
SCENARIOS = ["mnist5k-10", "mnist5k-20", "mnist5k-50", "mnist5k-1000", "mnist5k-1000-no7"]
RESULTS = Path(__file__).parent.parent.parent / "results" / "quick-cpu"


def suite_of(cells: int) -> Suite:
    """Four methods on five scenarios, at as many seeds as make so many cells."""
    return make_suite({"name": "perf", "seeds": cells // 20, "methods": METHODS, "scenarios": SCENARIOS})


def records_of(cells: int) -> list[Record]:
    """The records of such a suite as if it were finished: each with metrics and curves of a real cell."""
    with tempfile.TemporaryDirectory() as folder:
        plan = runner.make_plan(suite_of(cells), Store(Path(folder)))
    real = [r for r in Store(RESULTS).load() if r.scenario["name"] in SCENARIOS]
    made = []
    for planned, like in zip(plan.planned, itertools.cycle(real), strict=False):
        parts = ("metrics", "diagnostics", "curves", "timing", "peak_memory_bytes", "provenance")
        given = {part: getattr(like, part) for part in parts}
        blank = blank_record(planned.cell, planned.key, "ok", "")
        made.append(dataclasses.replace(blank, **given))
    return made


def store_of(cells: int, folder: Path) -> Path:
    """A results folder with them, written at once."""
    store = Store(folder)
    store.prepare()
    records = records_of(min(cells, 10_000))
    lines = [record.to_line() for record in records]
    with store.path.open("wb") as file:
        for start in range(0, cells, len(lines)):
            file.writelines(lines[: cells - start])
    return folder


# Store ------------------------------------------------------------------------------------------------------------------


def _cells_after(path: Path, start: int) -> list[str]:
    with path.open("rb") as file:
        file.seek(start)
        return [Record.from_json(line).id for line in file]


def engine_append(folder: Path) -> Callable[[int], list[str]]:
    """Append records. Returns the cells of the lines that were written."""
    store, record = Store(folder), records_of(20)[0]

    def work(count: int) -> list[str]:
        before = store.path.stat().st_size
        for _ in range(count):
            store.append(record)
        return _cells_after(store.path, before)

    return work


def plain_append(folder: Path) -> Callable[[int], list[str]]:
    path, given = folder / "records.jsonl", json.loads(records_of(20)[0].to_json())

    def work(count: int) -> list[str]:
        before = path.stat().st_size
        for _ in range(count):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(given, separators=(",", ":"), ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return _cells_after(path, before)

    return work


def engine_load(folder: Path) -> Callable[[], int]:
    """Load all records. Returns their number."""
    return lambda: len(Store(folder).load())


def plain_load(folder: Path) -> Callable[[], int]:
    def work() -> int:
        with (folder / "records.jsonl").open(encoding="utf-8") as file:
            return len([json.loads(line) for line in file])

    return work


def engine_plan(cells: int, folder: Path) -> Callable[[], int]:
    """See which cells of a suite are finished. Returns their number."""
    suite = suite_of(cells)
    return lambda: len(runner.make_plan(suite, Store(folder)).finished)


# Report -----------------------------------------------------------------------------------------------------------------


def engine_report(folder: Path) -> Callable[[], dict[str, float]]:
    """The whole report. Returns the mean final accuracy in % of each method and scenario."""

    def work() -> dict[str, float]:
        table = pd.read_csv(write_report(folder).csv)
        rows = table[["method", "scenario", "mean"]].itertuples(index=False)
        return {f"{method}/{scenario}": mean for method, scenario, mean in rows}

    return work


def plain_report(folder: Path) -> Callable[[], dict[str, float]]:
    """The table alone, by pandas."""

    def work() -> dict[str, float]:
        with (folder / "records.jsonl").open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        cells = pd.DataFrame(
            {
                "method": [r["method"]["name"] for r in rows],
                "scenario": [r["scenario"]["name"] for r in rows],
                "final": [r["metrics"]["accuracy"]["final"] for r in rows],
            }
        )
        table = cells.groupby(["method", "scenario"])["final"].agg(["mean", "std", "count"])
        (folder / "plain.csv").write_text(table.to_csv())
        return {f"{method}/{scenario}": 100 * row["mean"] for (method, scenario), row in table.iterrows()}

    return work


# MLflow -----------------------------------------------------------------------------------------------------------------


def engine_mlflow(folder: Path) -> Callable[[int], int]:
    """Log cells, as a run does. Returns the values logged."""
    records = iter(records_of(2000))
    uri = tracking.default_uri(folder / "records")
    cells = records_of(20)
    names = tracking.varying((r.method, r.scenario) for r in cells)
    folder.mkdir(parents=True, exist_ok=True)
    tracker = tracking.Tracker(uri, tracking.sweep_of(folder, "perf"), names)

    def work(count: int) -> int:
        logged = 0
        for record in itertools.islice(records, count):
            assert tracker.log(record)
            logged += len(tracking.points(record))
        return logged

    return work


def plain_mlflow(folder: Path) -> Callable[[int], int]:
    """The same values by mlflow's own functions: a run a cell, a call a point of the curves."""
    records = iter(records_of(2000))
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("perf")

    def work(count: int) -> int:
        logged = 0
        for record in itertools.islice(records, count):
            by_step: Mapping[int, dict[str, float]] = defaultdict(dict)
            for point in tracking.points(record):
                by_step[point.step][point.name] = point.value
            with mlflow.start_run(run_name=record.id):
                mlflow.log_params({"method": record.method["name"], "scenario": record.scenario["name"]})
                mlflow.log_params({"labels": record.scenario["labels"], "seed": record.seed})
                mlflow.set_tags({"status": record.status, "key": record.key})
                for step, values in by_step.items():
                    mlflow.log_metrics(values, step=step)
                    logged += len(values)
        return logged

    return work


# Shares and memory of a suite -----------------------------------------------------------------------------------------


def suite_parts(path: Path, overrides: Overrides, folder: Path, device: str) -> Callable[[], dict[str, float]]:
    """Run a suite file in this process as `sslbench run` does. Returns the seconds of each part."""

    def work() -> dict[str, float]:
        clock = time.perf_counter
        begin = clock()
        suite, store = read_suite(path, overrides), Store(folder)
        plan = runner.make_plan(suite, store)
        store.prepare()
        cells = [blank_record(p.cell, p.key, "ok", "") for p in plan.planned]
        names = tracking.varying((c.method, c.scenario) for c in cells)
        uri = tracking.default_uri(folder)
        sweep = tracking.sweep_of(folder, suite.name)
        tracker = tracking.Background(uri, lambda: tracking.Tracker(uri, sweep, names), lambda line: None)
        planned = clock()
        records = []
        for record in runner.run(plan, store, InlineExecutor(), device):
            tracker.log(record)
            records.append(record)
        ran = clock()
        write_report(folder)
        reported = clock()
        tracker.close(folder / "report")
        end = clock()
        assert tracker.alive
        timing = {part: sum(r.timing[part] for r in records) for part in ("setup_s", "train_s", "eval_s")}
        return {
            "data": timing["setup_s"],
            "training": timing["train_s"],
            "evaluation": timing["eval_s"],
            "runner and records": ran - planned - sum(timing.values()) + planned - begin,
            "report": reported - ran,
            "MLflow, after the last cell": end - reported,
            "whole": end - begin,
            "cells": len(records),
        }

    return work


def memory_over_cells(cells: int, folder: Path) -> Callable[[], dict[str, list[int]]]:
    """Run many small cells in this process. Returns, for each tenth of them, the most memory and what is in use after it.

    What is in use is what stays when the C library has given its free memory back: it keeps some for the next step, in pieces
    whose number wanders. The first cell of each method is run before: what that imports (VAT's gradient torch's compiler) is
    no growth.
    """
    content = {
        "name": "many",
        "methods": METHODS,
        "scenarios": ["two-moons-6"],
        "scenario": {"*": {"steps": 8, "points": 2}, "two-moons-6": {"training_points": 60, "test_points": 40}},
    }

    def planned(seeds: int, where: Path) -> tuple[runner.Plan, Store]:
        suite, store = make_suite({**content, "seeds": seeds}), Store(where)
        store.prepare()
        return runner.make_plan(suite, store), store

    def work() -> dict[str, list[int]]:
        cpu = torch.device("cpu")
        first, store = planned(1, folder / "first")
        for _ in runner.run(first, store, InlineExecutor(), "cpu"):
            pass
        plan, store = planned(cells // len(METHODS), folder / "then")
        most, in_use, tenth = list[int](), list[int](), len(plan.pending) / 10
        reset_peak_memory(cpu)
        for number, _ in enumerate(runner.run(plan, store, InlineExecutor(), "cpu"), 1):
            if number >= tenth * (len(most) + 1):
                most.append(peak_memory(cpu))
                _give_back_free_memory()
                reset_peak_memory(cpu)
                in_use.append(peak_memory(cpu))
        return {"most": most, "in_use": in_use}

    return work


def _give_back_free_memory() -> None:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
