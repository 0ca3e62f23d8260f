"""The runner: which cells are finished, which are to run; then run, store, and hand on each record."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sslbench import engine
from sslbench.errors import BadInput
from sslbench.executors import (
    RETRIES,
    CellResult,
    Checkpointing,
    Cluster,
    Ended,
    Event,
    Executor,
    InlineExecutor,
    Job,
    LocalExecutor,
    RayExecutor,
    persist,
)
from sslbench.executors.jobs import blank_record, common_provenance, work
from sslbench.forks import cores
from sslbench.methods.base import LossMethod, Sizes
from sslbench.records import Record, Store, current
from sslbench.scenarios.base import Problem, Scenario
from sslbench.suite import Cell, Method, Suite, data_digests, make_suite, seed_rng

CHECKPOINTS = "checkpoints"
"""Folder in a results folder, while there are any."""


@dataclass(frozen=True)
class Planned:
    """A cell with its key and, if it is not to run, the record that it has."""

    cell: Cell
    key: str
    record: Record | None
    """What it ended with, if it is finished."""
    failure: Record | None = None
    """How it failed, if it is not finished and would fail so again."""

    @property
    def known(self) -> Record | None:
        """The record that stands in place of a run."""
        return self.record or self.failure


@dataclass(frozen=True)
class Plan:
    """What a run of a suite would do."""

    planned: tuple[Planned, ...]
    history: tuple[Record, ...]
    """All records of the store, for estimates."""
    tuning: Mapping[str, Any] = field(default_factory=dict)
    """What the suite file says of how its hyperparameters were found."""
    timeout: float | None = None
    """Seconds that each cell may take."""
    checkpoint_every: float = 0.0
    """Minutes between checkpoints of a running cell; 0: none."""
    cuda_graphs: bool = False
    """Replay training steps as CUDA graphs, on a CUDA device."""

    @property
    def finished(self) -> list[Record]:
        return [p.record for p in self.planned if p.record is not None]

    @property
    def failed(self) -> list[Record]:
        """Failures of earlier runs that are left as they are."""
        return [p.failure for p in self.planned if p.failure is not None]

    @property
    def impossible(self) -> list[Planned]:
        """Cells without a record whose method cannot run on their scenario."""
        return [p for p in self.planned if p.known is None and p.cell.obstacle]

    @property
    def pending(self) -> list[Planned]:
        """Cells to train."""
        return [p for p in self.planned if p.known is None and not p.cell.obstacle]

    def note(self, device: str) -> str:
        """What to know of finished cells that were computed on another kind of device than this one; empty if none were."""
        others = [r.device for r in self.finished if r.device not in (None, device)]
        if not others:
            return ""
        return (
            f"{len(others)} of the finished cells were computed on {others[0]} and stay as they are: another --out folder has "
            f"them computed on {device}."
        )


def make_plan(suite: Suite, store: Store, retry_failed: bool = False) -> Plan:
    """Check that every scenario can be had, and see which cells are finished.

    Args:
        retry_failed: run those again, too, that failed and would fail so again.

    Raises:
        BadInput: data that are missing or damaged, label counts that cannot be had, a store that cannot be read.
    """
    history = store.load()
    timeout = None if suite.timeout is None else 60 * suite.timeout
    finished = {(r.id, r.key): r for r in history if r.finished}
    last = {} if retry_failed else {(r.id, r.key): r for r in history}
    failed = {name: r for name, r in last.items() if name not in finished and _would_fail_again(r, timeout)}
    digests = {name: check(name, suite) for name in suite.scenarios}
    planned = []
    for cell in suite.cells():
        key = cell.key(digests[cell.scenario_name][cell.seed])
        planned.append(Planned(cell, key, finished.get((cell.id, key)), failed.get((cell.id, key))))
    tuning = {name: value for name, value in suite.tuning.items() if isinstance(value, str | int | float)}
    return Plan(tuple(planned), tuple(history), tuning, timeout, suite.checkpoint_every, suite.cuda_graphs)


def _would_fail_again(record: Record, timeout: float | None) -> bool:
    """Whether a failure lies in the cell itself. A lost process and too little memory lie in the machine."""
    had = record.provenance.get("timeout_s")
    match record.provenance.get("cause"):
        case "method":
            return True
        case "time":
            return had is not None and timeout is not None and timeout <= had
    return False


def check(name: str, suite: Suite) -> dict[int, str]:
    """What keys have of a scenario's data at each seed, after a look at whether its split can be had.

    Raises:
        BadInput: data or a split that cannot be had, a method that makes no sense of them.
    """
    scenario = suite.scenarios[name][1]
    seeds = suite.seeds(name)
    rng = seed_rng(suite.seed, seeds[-1])
    try:
        digests = data_digests(scenario, suite.seed, seeds)
        split = scenario.split(scenario.dataset(rng.child("data")), rng.child("split"))
        if scenario.estimator() is None:
            for method_name in suite.methods_on(name):
                _check_method(method_name, suite.methods[method_name][1][name], scenario, scenario.sizes(split))
    except BadInput as error:
        raise BadInput(f"scenario '{name}': {error}") from error
    return digests


def _check_method(name: str, method: Method, scenario: Scenario, sizes: Sizes) -> None:
    """See that the scenario has the method's views, and that the method comes to its unlabelled examples."""
    if not isinstance(method, LossMethod):
        return
    for view in method.views:
        scenario.view(view)
    steps = itertools.islice(method.order(sizes), scenario.steps)
    if method.unlabelled and all(kind == "labelled" for kind in steps):
        raise BadInput(
            f"{name} takes no unlabelled step within steps = {scenario.steps}: its labelled phase is longer. "
            f"Give it a shorter one, or more steps (an epoch of the labelled set is {sizes.labelled_steps} steps)."
        )


def run(
    plan: Plan,
    store: Store,
    executor: Executor,
    device: str,
    workers: int = 1,
    listen: Callable[[Event], None] = lambda event: None,
    retries: int = RETRIES,
) -> Generator[Record, None, None]:
    """Run what is pending, store each record, then yield it.

    Args:
        store: prepared, and best locked since before the plan: else each record is written under a lock of its own.
        workers: how many jobs the executor runs at a time, so that there are as many.
        listen: hears what happens between records.
        retries: how often a cell whose process was lost is run again.
    """
    shown = {r.id: r.key for r in current(plan.history)}
    for p in plan.planned:
        if p.known is not None and shown.get(p.known.id) != p.known.key:
            # Known earlier and since overtaken by a run with other settings: the newest again. Its arrays are still there.
            store.append(p.known, traceback=store.traceback(p.known))
    for p in plan.impossible:
        record = blank_record(p.cell, p.key, "skipped", p.cell.obstacle or "")
        store.append(record)
        yield record
    pending = {p.key: p.cell.id for p in plan.pending}
    checkpoints = Checkpointing(store.folder / CHECKPOINTS, 60 * plan.checkpoint_every)
    engine.tidy(checkpoints.folder, pending, {r.key for r in plan.history if r.finished})
    if not pending:
        return
    jobs = make_jobs(plan, device, workers, checkpoints if plan.checkpoint_every else None)
    for event in persist(executor, jobs, retries):
        listen(event)
        if isinstance(event, Ended):
            for record in (stored(result, store) for result in event.results):
                if record.finished:
                    checkpoints.file(record.key).unlink(missing_ok=True)
                yield record
    engine.tidy(checkpoints.folder, pending, set())


def stored(result: CellResult, store: Store) -> Record:
    """The record as it was stored. Of a plugin's result that is no numbers, a failure."""
    try:
        store.append(result.record, result.arrays, result.traceback)
    except BadInput:
        raise
    except (TypeError, ValueError) as error:
        record = dataclasses.replace(
            result.record,
            status="failed",
            reason=f"its result cannot be stored: {type(error).__name__}: {error}",
            metrics={},
            diagnostics={},
            curves={},
            arrays=[],
            provenance={**result.record.provenance, "cause": "method"},
        )
        store.append(record)
        return record
    return result.record


def make_jobs(plan: Plan, device: str, workers: int, checkpoints: Checkpointing | None = None) -> list[Job]:
    """Pending cells in stacks: the seeds of a method on a scenario, as many together as pay."""
    provenance = common_provenance(device) | ({"tuning": dict(plan.tuning)} if plan.tuning else {})
    groups = [list(g) for _, g in itertools.groupby(plan.pending, lambda p: (p.cell.method_name, p.cell.scenario_name))]
    jobs = stacked(groups, stack_widths(groups, device), device, workers, provenance)
    return [
        dataclasses.replace(job, timeout=plan.timeout, checkpoints=checkpoints, cuda_graphs=plan.cuda_graphs)
        for job in jobs
    ]


def stacked(
    groups: Sequence[Sequence[Planned]],
    widths: Sequence[int],
    device: str,
    workers: int,
    provenance: Mapping[str, Any],
) -> list[Job]:
    """Jobs of groups of cells, each a method on a scenario, whose seeds train at most so many together."""
    jobs = []
    for group, width in zip(groups, widths, strict=True):
        if len(groups) < workers:  # rather narrow stacks than idle workers
            width = min(width, -(-len(group) * len(groups) // workers))
        jobs += [
            Job(tuple(p.cell for p in part), tuple(p.key for p in part), device, provenance)
            for part in _batched(group, width)
        ]
    return jobs


def _batched(group: Sequence[Planned], width: int) -> Iterator[tuple[Planned, ...]]:
    for start in range(0, len(group), width):
        yield tuple(group[start : start + width])


def stack_widths(groups: Sequence[Sequence[Planned]], device: str) -> list[int]:
    """How many seeds of each group train together: as many as pay."""
    known: dict[tuple[str, int], Problem] = {}

    def problem(cell: Cell, place: int) -> Problem:
        if (cell.scenario_name, place) not in known:
            known[cell.scenario_name, place] = cell.scenario.problem(cell.rng)
        return known[cell.scenario_name, place]

    return [
        engine.stack_width(
            group[0].cell.method,
            group[0].cell.scenario,
            (problem(planned.cell, place) for place, planned in enumerate(group)),
            torch.device(device),
        )
        for group in groups
    ]


def suite_of(record: Record) -> Suite:
    """The suite of the one cell that a record is of, its parameters as the record has them.

    Raises:
        BadInput: the method or the scenario is not known here, or no longer has these parameters.
    """

    def table(part: Mapping[str, Any]) -> dict[str, Any]:
        name, base = part["name"], part.get("base", part["name"])
        return {name: dict(part["params"]) | ({} if name == base else {"base": base})}

    try:
        content = {
            "name": "rerun",
            "seed": record.scenario["suite_seed"],
            "precision": record.provenance.get("precision", "float32"),
            "seeds": [record.seed],
            "methods": [record.method["name"]],
            "scenarios": [record.scenario["name"]],
            "method": table(record.method),
            "scenario": table(record.scenario),
        }
    except KeyError as error:
        raise BadInput(f"The record of {record.id} has no {error.args[0]}: its cell cannot be had from it.") from error
    if record.training_seed is not None:
        content["training_seeds"] = [record.training_seed]
    return make_suite(content)


def rerun(record: Record, device: str) -> Record:
    """Run the cell of a record again, in this process, and store nothing.

    Raises:
        BadInput: the cell cannot be had here any more.
    """
    suite = suite_of(record)
    (cell,) = suite.cells()
    key = cell.key(check(cell.scenario_name, suite)[cell.seed])
    graphs = bool(record.provenance.get("cuda_graphs"))
    job = Job((cell,), (key,), device, common_provenance(device), cuda_graphs=graphs)
    return work(job, lambda done, total, loss: None)[0].record


@dataclass(frozen=True)
class Place:
    """Where a run's cells train."""

    executor: Executor
    device: str
    """"cpu" or "cuda"."""
    workers: int
    """Jobs at a time."""
    keeps_time: bool
    """Whether it ends a cell whose time limit is over."""

    def ahead(self) -> None:
        """Start what cells will need, while other things are made ready."""
        if isinstance(self.executor, LocalExecutor):
            self.executor.ahead()


def make_place(
    executor: str = "local",
    device: str = "auto",
    precision: str = "float32",
    workers: int | None = None,
    plugins: Sequence[Path] = (),
    cluster: Cluster | None = None,
    retries: int = RETRIES,
) -> Place:
    """The place of that name: this machine ("local"), or a Ray cluster ("ray").

    Args:
        device: "auto", "cpu" or "cuda": of this machine, or of the cluster's nodes.
        workers: processes of this machine, 0 for this process; on a cluster, jobs at a time at most.
        plugins: plugin files that the training needs.
        cluster: for "ray" alone.
        retries: how often a cluster runs a job again whose node or process died.

    Raises:
        BadInput: there is no such place or device, or the cluster cannot be used.
    """
    if executor not in ("local", "ray"):
        raise BadInput(f"Unknown executor '{executor}'. Known: local, ray.")
    if executor == "local":
        if cluster is not None:
            raise BadInput(
                "--ray-address, --ray-cpus and --ray-gpus are for --executor ray: add it, or leave them out."
            )
        where = resolve_device(device, precision)
        count = workers if workers is not None else default_workers(where)
        here = LocalExecutor(count, plugins, where) if count else InlineExecutor()
        return Place(here, where, max(count, 1), count > 0)
    nodes = RayExecutor(cluster or Cluster(), device, plugins, retries, workers)
    try:
        _check_precision(precision, nodes.device)
    except BadInput:
        nodes.close()
        raise
    return Place(nodes, nodes.device, nodes.slots, keeps_time=True)


def resolve_device(given: str, precision: str = "float32") -> str:
    """ "cpu" or "cuda", from "auto", "cpu" or "cuda".

    Raises:
        BadInput: anything else, or CUDA where there is none, or a precision that the device does not have.
    """
    if given not in ("auto", "cpu", "cuda"):
        raise BadInput(f"Unknown device '{given}': give auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if given == "cuda" and not available:
        raise BadInput("--device cuda: torch finds no CUDA device here. Use --device cpu, or a CUDA build of torch.")
    device = "cuda" if available and given != "cpu" else "cpu"
    _check_precision(precision, device)
    return device


def _check_precision(precision: str, device: str) -> None:
    if precision == "tf32" and device == "cpu":
        raise BadInput(
            'precision = "tf32" is arithmetic of CUDA devices, and this run is on the cpu: leave it out, or set "float32".'
        )


def default_workers(device: str) -> int:
    """A process for each core this process may use; one on CUDA, whose stacks are wide instead."""
    return 1 if device == "cuda" else cores()


def results_folder(name: str) -> Path:
    """Where a suite's results go if no folder is given."""
    return Path("results") / "local" / name
