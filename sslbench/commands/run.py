"""`sslbench run`: a suite, from its plan to its report."""

from __future__ import annotations

import contextlib
import functools
import shlex
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslbench.commands.console import FAILED, INTERRUPTED, PLAIN, TIME_UP, err, escaped, out, warn
from sslbench.commands.options import (
    DataOption,
    DeviceOption,
    MethodsOption,
    PluginOption,
    PublishedOption,
    ScenariosOption,
    SetOption,
    SuiteArgument,
    WorkersOption,
    load_plugins,
    names,
    use_data,
)
from sslbench.commands.report import tell_left_out, tell_report
from sslbench.commands.run_plan import tell_died, tell_estimate, tell_plan
from sslbench.errors import BadInput

if TYPE_CHECKING:
    from sslbench.executors import Cluster
    from sslbench.records import Record, Store
    from sslbench.runner import Plan
    from sslbench.tracking import Background


AGAIN_S = 60.0
"""How long after an interruption that went unheard the next one comes: later than a run needs to end."""


class TimeIsUp(KeyboardInterrupt):
    """--stop-after interrupts the run, as Ctrl-C would."""


def run(
    context: typer.Context,
    suite: SuiteArgument,
    methods: MethodsOption = None,
    scenarios: ScenariosOption = None,
    seeds: Annotated[str | None, typer.Option(help="A count (10 is 0 to 9), or names: 3,7,1000-1009.")] = None,
    device: DeviceOption = "auto",
    out_dir: Annotated[Path | None, typer.Option("--out", help="Results folder. Default: results/local/NAME.")] = None,
    executor: Annotated[str, typer.Option(help="Where cells run: local, or ray, an existing cluster.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="HOST:PORT of a Ray cluster's head. Default: auto.")
    ] = None,
    ray_cpus: Annotated[
        float | None, typer.Option(metavar="CPUS", help="CPUs that a job reserves on a Ray node. Default: 1.")
    ] = None,
    ray_gpus: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of a GPU that it reserves, on CUDA. Default: 0.5.")
    ] = None,
    workers: WorkersOption = None,
    plugin: PluginOption = None,
    set_: SetOption = None,
    data_dir: DataOption = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow store. Default: SQLite beside the results folder.")
    ] = None,
    mlflow: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Log the cells to MLflow.")] = True,
    published: PublishedOption = None,
    stop_after: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", min=0.01, help="Stop then, with exit code 3 if cells are left; the next run goes on."
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="A cell that takes longer is ended. Default: the suite's, else none."),
    ] = None,
    retries: Annotated[
        int | None, typer.Option(min=0, help="How often a cell whose process was lost is run again. Default: 2.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what failed earlier and would fail so again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and how long it would take.")] = False,
) -> None:
    """Run a suite: every method on every scenario at every seed that is not finished yet.

    What is finished is kept: interrupt it with Ctrl-C and start it again, or change a parameter, and only what that
    touches runs; a long cell goes on from its last checkpoint. Then the tables, plots and the report are made.
    """
    if not dry_run and executor == "local" and workers != 0:
        _import_ahead(suite, device)
    from sslbench import runner
    from sslbench.executors import RETRIES
    from sslbench.records import Store
    from sslbench.suite import Overrides, read_suite

    use_data(data_dir)
    plugins = load_plugins(plugin)
    if published is not None:
        from sslbench.report.published import read_published

        read_published(published)
    overrides = Overrides(names(methods), names(scenarios), seeds, tuple(set_ or ()), timeout)
    chosen = read_suite(suite, overrides)
    cluster = _cluster(ray_address, ray_cpus, ray_gpus)
    tries = RETRIES if retries is None else retries
    place = runner.make_place(executor, device, chosen.precision, workers, plugins, cluster, tries)
    where, count = place.device, place.workers
    store = Store(out_dir or runner.results_folder(chosen.name))
    if not dry_run:
        context.with_resource(store.lock())
        place.ahead()
        tell_died(store)
    try:
        plan = runner.make_plan(chosen, store, retry_failed)
    except BadInput as error:
        raise BadInput(f"{suite}: {error}") from error
    if not dry_run:
        store.prepare()
    tell_plan(chosen, plan, store, where, count)
    if chosen.timeout is not None and not place.keeps_time:
        warn("no time limit is kept in this process (--workers 0): cells run as long as they take.")
    if dry_run:
        tell_estimate(plan, where, count)
        return
    if stop_after is not None and not hasattr(signal, "setitimer"):
        raise BadInput("--stop-after needs an alarm signal, which this system has not: use Ctrl-C.")
    tracker = _tracker(plan, store, chosen.name, tracking_uri) if mlflow else None
    start = functools.partial(runner.run, retries=tries)
    if plan.pending:
        from sslbench.live import follow

        records = follow(start, plan, store, place.executor, where, count, console=err)
    else:  # nothing to watch, but earlier records may have to become the current ones again
        records = start(plan, store, place.executor, where)
    stopped = _consume(records, tracker, stop_after)
    _finish(store, plan, tracker, stopped, published)


def _import_ahead(suite: Path, device: str) -> None:
    """Have what workers will need imported by another process, while this one imports what it needs itself.

    Not where cells may run on CUDA, whose workers import it themselves.
    """
    from sslbench import preloading

    if preloading.FORKS and (device == "cpu" or (device == "auto" and not Path("/dev/nvidiactl").exists())):
        preloading.start(preloading.named_in(suite))


def _cluster(address: str | None, cpus: float | None, gpus: float | None) -> Cluster | None:
    """The Ray cluster that was asked for, if any of it was."""
    from sslbench.executors import Cluster

    if address is None and cpus is None and gpus is None:
        return None
    return Cluster(address or "auto", 1.0 if cpus is None else cpus, gpus)


def _tracker(plan: Plan, store: Store, suite: str, given: str | None) -> Background:
    """MLflow, told what is finished already. A URI that cannot be used is refused before anything runs."""
    from sslbench import tracking
    from sslbench.executors.jobs import blank_record

    uri = tracking.checked(given or tracking.default_uri(store.folder))
    tracking.require_mlflow()
    sweep = tracking.sweep_of(store.folder, suite)
    cells = [blank_record(p.cell, p.key, "ok", "") for p in plan.planned]
    hyperparameters = tracking.varying((c.method, c.scenario) for c in cells)

    def tell(trouble: str) -> None:
        warn(f"{trouble} `sslbench track {store.folder}` writes them later.")

    background = tracking.Background(uri, lambda: tracking.Tracker(uri, sweep, hyperparameters), tell)
    for record in plan.finished + plan.failed:
        background.log(record)
    return background


@contextlib.contextmanager
def interrupted_after(minutes: float | None) -> Iterator[None]:
    """Raise TimeIsUp in the block when so much time is over, as Ctrl-C would raise KeyboardInterrupt.

    It is raised wherever the process is, which may be where exceptions are dropped (in a finalizer, say): then again.
    """
    if minutes is None:
        yield
        return

    def stop(number: int, frame: object) -> None:
        del number, frame
        raise TimeIsUp

    handler = signal.signal(signal.SIGALRM, stop)
    timer = signal.setitimer(signal.ITIMER_REAL, 60 * minutes, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _consume(
    records: Generator[Record, None, None], tracker: Background | None, stop_after: float | None
) -> int | None:
    """Take each record as it comes, and hand it to MLflow. Returns the exit code of what ended it early, if anything did."""
    try:
        with interrupted_after(stop_after), contextlib.closing(records):  # which ends the workers, however this ends
            for record in records:
                if tracker is not None:
                    tracker.log(record)
    except TimeIsUp:
        return TIME_UP
    except KeyboardInterrupt:
        return INTERRUPTED
    except BadInput:  # the store can no longer be written
        if tracker is not None:
            tracker.close(interrupted=True)
        raise
    return None


def _finish(store: Store, plan: Plan, tracker: Background | None, stopped: int | None, published: Path | None) -> None:
    """Report, MLflow's end, and the exit code."""
    from sslbench.records import current
    from sslbench.report import write_report
    from sslbench.runner import CHECKPOINTS
    from sslbench.tracking import shown

    history = store.load()
    records = current(history)
    try:
        if records:
            tell_report(write_report(store.folder, published=published))
        tell_left_out(history, records)
    finally:
        if tracker is not None:
            tracker.close(store.folder / "report", interrupted=stopped is not None)
            if tracker.alive:
                out.print(f"mlflow  {escaped(_how_to_see(shown(tracker.uri)))}", **PLAIN)
    here = {p.cell.id for p in plan.planned}
    unfinished = [r for r in records if r.id in here and r.status not in ("ok", "skipped")]
    for record in unfinished:
        trace = store.traceback_path(record)
        where = f"   ({escaped(str(trace))})" if trace.exists() else ""
        err.print(f"[yellow]{record.status}:[/] {record.id}: {escaped(record.reason)}{where}", **PLAIN)
    if stopped is not None:
        saved = len(list((store.folder / CHECKPOINTS).glob("*.npz")))
        running = f", and {saved} unfinished cells at the step they had reached" if saved else ""
        err.print(f"Stopped. What was finished is kept{running}: the same command goes on from here.", **PLAIN)
        raise typer.Exit(stopped)
    if unfinished:
        raise typer.Exit(FAILED)


def _how_to_see(uri: str) -> str:
    """An MLflow server is itself what shows the runs; a database needs one."""
    return uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
