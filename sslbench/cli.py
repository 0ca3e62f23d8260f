"""The commands. Heavy libraries are imported by the command that needs them, so that help and lists come at once."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table

from sslbench import __version__
from sslbench.commands.check import check
from sslbench.commands.common import PLAIN as _PLAIN
from sslbench.commands.common import PluginOption, err, out
from sslbench.commands.common import escaped as _escaped
from sslbench.commands.common import load_plugins as _load_plugins
from sslbench.commands.common import names as _names
from sslbench.commands.new import new_app
from sslbench.errors import BadInput, Damage

if TYPE_CHECKING:
    from sslbench.executors import Cluster
    from sslbench.records import Record, Store
    from sslbench.report import Report
    from sslbench.runner import Plan
    from sslbench.suite import Suite
    from sslbench.tracking import Background
    from sslbench.tuning import Tuning

FAILED, BAD_INPUT, TIME_UP, INTERRUPTED = 1, 2, 3, 130
CONFLICTS = 20
"""How many of them are named."""
WIDE = 110
"""Columns of a terminal that has room for more than the accuracies."""

_time_is_up = False
"""Whether --stop-after interrupted the run."""

app = typer.Typer(
    name="sslbench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare semi-supervised learning methods: methods × scenarios × seeds, on the same splits.",
    epilog="Start with `sslbench run benchmarks/quick.toml`. Exit codes: 0 done, 1 cells failed, 2 bad input, "
    "3 stopped by --stop-after.",
)
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder with data sets in torchvision's layout (MNIST/raw/…), else $SSLBENCH_DATA."
    ),
]
MethodsOption = Annotated[str | None, typer.Option(help="Only these, comma-separated.")]
ScenariosOption = Annotated[str | None, typer.Option(help="Only these, comma-separated.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
WorkersOption = Annotated[
    int | None, typer.Option(help="Processes. Default: one a CPU core; one on CUDA. 0: this process, for a debugger.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="Change a parameter. Repeatable.")
]
SuiteArgument = Annotated[Path, typer.Argument(metavar="SUITE.toml", help="Suite file, such as benchmarks/quick.toml.")]
PublishedOption = Annotated[
    Path | None,
    typer.Option(help="Published numbers to set ours beside in the report, such as baselines/published.toml."),
]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Results folder of a run, such as results/local/quick.")
]


def main() -> NoReturn:
    """Run the command line: a user's mistake is one line and exit code 2."""
    try:
        with _damage_in_a_line():
            code = app(standalone_mode=False)
    except BadInput as error:
        err.print(f"[bold red]Error:[/] {_escaped(str(error))}", **_PLAIN)
        code = BAD_INPUT
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:
        code = _usage_error(error)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"sslbench {__version__}")
        raise typer.Exit


@app.command(
    "list", epilog="Examples: `sslbench list`, `sslbench list methods --json`, `sslbench list --plugin mine.py`"
)
def list_(
    what: Annotated[str, typer.Argument(metavar="[methods|scenarios]", help="What to list; both if left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    plugin: PluginOption = None,
) -> None:
    """List the methods and scenarios that are known."""
    from sslbench.registry import METHODS, SCENARIOS

    _load_plugins(plugin)
    known = {"methods": METHODS, "scenarios": SCENARIOS}
    if what and what not in known:
        raise BadInput(f"'{what}' cannot be listed: give methods or scenarios, or leave it out for both.")
    listings = {kind: list(registry.listings()) for kind, registry in known.items() if what in ("", kind)}
    if as_json:
        typer.echo(
            json.dumps({kind: [vars(entry) for entry in entries] for kind, entries in listings.items()}, indent=2)
        )
        return
    for kind, entries in listings.items():
        table = Table("name", "what it is", "from", title=kind, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for entry in entries:
            table.add_row(entry.name, _escaped(entry.summary), _escaped(entry.origin))
        out.print(table)
        out.print()


@app.command(
    epilog="Examples: `sslbench run benchmarks/quick.toml`, "
    "`sslbench run benchmarks/quick.toml --methods supervised,vat --scenarios mnist5k-50 --seeds 10 --set vat.radius=2.0`, "
    "`sslbench run benchmarks/quick.toml --dry-run`"
)
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
    from sslbench import runner
    from sslbench.executors import RETRIES
    from sslbench.records import Store
    from sslbench.report.published import read_published
    from sslbench.suite import Overrides, read_suite

    _use_data(data_dir)
    plugins = _load_plugins(plugin)
    if published is not None:
        read_published(published)
    overrides = Overrides(_names(methods), _names(scenarios), seeds, tuple(set_ or ()), timeout)
    chosen = read_suite(suite, overrides)
    cluster = _cluster(ray_address, ray_cpus, ray_gpus)
    tries = RETRIES if retries is None else retries
    place = runner.make_place(executor, device, chosen.precision, workers, plugins, cluster, tries)
    where, count = place.device, place.workers
    store = Store(out_dir or runner.results_folder(chosen.name))
    if not dry_run:
        context.with_resource(store.lock())
        _tell_died(store)
    try:
        plan = runner.make_plan(chosen, store, retry_failed)
    except BadInput as error:
        raise BadInput(f"{suite}: {error}") from error
    if not dry_run:
        store.prepare()
    _tell_plan(chosen, plan, store, where, count)
    if chosen.timeout is not None and not place.keeps_time:
        line = "no time limit is kept in this process (--workers 0): cells run as long as they take."
        err.print(f"[yellow]Warning:[/] {line}", **_PLAIN)
    if dry_run:
        _tell_estimate(plan, where, count)
        return
    if stop_after is not None:
        _stop_after(stop_after)
    tracker = _tracker(plan, store, chosen.name, tracking_uri) if mlflow else None
    start = functools.partial(runner.run, retries=tries)
    if plan.pending:
        from sslbench.live import follow

        records = follow(start, plan, store, place.executor, where, count, console=err)
    else:  # nothing to watch, but earlier records may have to become the current ones again
        records = start(plan, store, place.executor, where)
    interrupted = _consume(records, tracker)
    _finish(store, plan, tracker, interrupted, published)


@app.command(
    epilog="Examples: `sslbench tune benchmarks/quick.toml --scenarios two-moons-6`, "
    "`sslbench tune benchmarks/quick.toml --methods supervised,vat --trials 40 --out mine.toml`"
)
def tune(
    suite: SuiteArgument,
    methods: MethodsOption = None,
    scenarios: ScenariosOption = None,
    trials: Annotated[
        int, typer.Option(help="Of every method on every scenario; the first has the values in force.")
    ] = 20,
    seeds: Annotated[str, typer.Option(help="Tuning seeds, none of them the suite's: 1000-1002.")] = "1000-1002",
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    plugin: PluginOption = None,
    set_: SetOption = None,
    data_dir: DataOption = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.toml", help="Suite file to write. Default: results/local/NAME-tuned.toml."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Find hyperparameters on validation data alone, with as many trials for every method, and write them as a suite file.

    The learning rate is found for supervised first, and all methods share it. Where the best trial does not exceed the values
    in force by more than the noise of so small a validation set, these stay. All trials are in the file.
    """
    from sslbench import runner, tuning

    _use_data(data_dir)
    plugins = _load_plugins(plugin)
    plan = tuning.make_tuning(suite, _names(methods), _names(scenarios), trials, seeds, tuple(set_ or ()))
    where = runner.resolve_device(device, plan.suite.precision)
    count = workers if workers is not None else runner.default_workers(where)
    path = out_file or runner.results_folder(f"{plan.suite.name.removesuffix('-tuned')}-tuned.toml")
    tuning.check_target(path, force)
    _tell_tuning(plan, where)
    try:
        found = tuning.tune(plan, where, count, plugins, lambda line: err.print(_escaped(line), **_PLAIN))
    except tuning.TrialFailed as error:
        err.print(f"[bold red]Error:[/] {_escaped(str(error))}", **_PLAIN)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        err.print("Stopped. Nothing was written.")
        raise
    tuning.write(path, suite.name, tuning.document(plan, found, where))
    for line in tuning.lines(plan, found):
        out.print(_escaped(line), **_PLAIN)
    out.print(f"suite   {path}   (sslbench run {path})", **_PLAIN)


@app.command(epilog="Examples: `sslbench report results/local/quick`, `sslbench report results/local/quick --watch`")
def report(
    folder: FolderArgument,
    published: PublishedOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Make it again whenever the records change, until Ctrl-C.")
    ] = False,
) -> None:
    """Make the tables (Markdown, CSV, LaTeX), the plots (PNG, SVG) and report.html from the records of a run."""
    if watch:
        _watch_report(folder, published)
        return
    from sslbench.records import Store, current
    from sslbench.report import write_report

    _tell_report(write_report(folder, published=published))
    history = Store(folder).load()
    _tell_left_out(history, current(history))


def _watch_report(folder: Path, published: Path | None) -> None:
    from sslbench.report.watch import watch

    out.print(f"Watching {folder}. Ctrl-C ends it; an open report.html loads itself again meanwhile.", **_PLAIN)
    with contextlib.closing(watch(folder, published=published)) as reports:
        try:
            for made in reports:
                cells = sum(entry.n for entry in made.comparison.entries.values())
                out.print(f"{time.strftime('%H:%M:%S')}  {cells} results  {made.html}", **_PLAIN)
        except KeyboardInterrupt:
            pass
    out.print("Stopped.")


@app.command(epilog="Example: `sslbench compare results/local/quick vat supervised`")
def compare(
    folder: FolderArgument,
    a: Annotated[str, typer.Argument(metavar="A", help="A method of the run.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The method it is held against.")],
) -> None:
    """Compare two methods seed by seed: a verdict that the numbers support, a table and a plot."""
    from sslbench.live import grid_table
    from sslbench.records import load_records
    from sslbench.report import canvas
    from sslbench.report.versus import settings_difference, versus

    records = load_records(folder)
    if not records:
        raise BadInput(f"{folder} holds no records: give a folder that `sslbench run` wrote to.")
    found = versus(records, a, b)
    with canvas.style():
        picture = canvas.png(found.figure())
    path = folder / "report" / f"{canvas.slug(a)}-versus-{canvas.slug(b)}.png"
    _write(path, picture)
    out.print(grid_table(found.grid))
    out.print()
    out.print(_escaped(found.sentence), **_PLAIN)
    for line in settings_difference(records, a, b):
        out.print(f"  {_escaped(line)}", **_PLAIN)
    out.print(f"plot    {path}", **_PLAIN)
    example = next(r for r in records if r.method["name"] == a and r.status == "ok")
    out.print(f"again   sslbench rerun {folder} {example.id}   (or another METHOD/SCENARIO/seedN)", **_PLAIN)


@app.command(epilog="Example: `sslbench rerun results/quick-cpu vat/mnist5k-50/seed1`")
def rerun(
    folder: FolderArgument,
    cell: Annotated[str, typer.Argument(metavar="CELL", help="Which one, as METHOD/SCENARIO/seedN.")],
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    data_dir: DataOption = None,
) -> None:
    """Train one cell again, from its record alone, and hold the new numbers against the stored ones. Stores nothing."""
    from sslbench import runner
    from sslbench.errors import unknown
    from sslbench.records import load_records

    _use_data(data_dir)
    _load_plugins(plugin)
    records = {r.id: r for r in load_records(folder)}
    if cell not in records:
        raise unknown(f"cell in {folder}", cell, records)
    old = records[cell]
    new = runner.rerun(old, runner.resolve_device(device, old.provenance.get("precision", "float32")))
    for name in ("final", "selected", "oracle"):
        before, after = (r.metrics.get("accuracy", {}).get(name) for r in (old, new))
        out.print(f"{name:<9} {_percent(before):>7}  then, {_percent(after):>7} now", **_PLAIN)
    curves = all(new.curves.get(name) == curve for name, curve in old.curves.items())
    if same := (old.status, old.metrics) == (new.status, new.metrics) and curves:
        out.print("Every metric and every point of the curves is the same.")
    else:
        out.print("The numbers differ.")
    for what, before, after in (
        ("status", f"{old.status} {old.reason}", f"{new.status} {new.reason}"),
        ("data", old.provenance.get("data_sha256"), new.provenance.get("data_sha256")),
        ("split", old.provenance.get("split_sha256"), new.provenance.get("split_sha256")),
        ("code of the method", old.method.get("code"), new.method.get("code")),
        ("code of engine and scenario", old.scenario.get("code"), new.scenario.get("code")),
        ("versions", old.provenance.get("versions"), new.provenance.get("versions")),
        ("machine", old.provenance.get("machine"), new.provenance.get("machine")),
        ("device", old.provenance.get("device"), new.provenance.get("device")),
    ):
        if before != after:
            out.print(f"  {what}: {_escaped(str(before))} then, {_escaped(str(after))} now", **_PLAIN)
    if not same:
        raise typer.Exit(FAILED)


@app.command(epilog="Example: `sslbench merge node1/quick node2/quick --out results/local/quick`")
def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders, the preferred one first.")],
    out_dir: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder to join them into. What it holds stays and goes first.")
    ],
    prefer: Annotated[
        str | None,
        typer.Option(metavar="cpu|cuda", help="Of cells computed on both, keep those. Default: by the folder."),
    ] = None,
) -> None:
    """Join the results of several machines: each cell once, with its arrays and tracebacks.

    The same cell in two folders is kept once where status, metrics and curves are equal to the bit. Where they are not, the one
    of the folder named first is kept, both are named, and the exit code is 1. A finished cell goes before a failed one. Cells
    computed on different devices differ by nature: they are counted, and the exit code stays 0.
    """
    from sslbench import merging

    made = merging.merge(folders, out_dir, prefer)
    for folder, count in made.added.items():
        out.print(f"{count:>6} records from {folder}", **_PLAIN)
    if made.equal:
        out.print(f"{made.equal:>6} were there already, with equal results", **_PLAIN)
    if made.without_arrays:
        count, first = len(made.without_arrays), made.without_arrays[0]
        err.print(
            f"[yellow]Warning:[/] the arrays of {count} of them, such as {_escaped(first)}, are missing or damaged where they "
            "came from: plots that need them leave them out.",
            **_PLAIN,
        )
    for remark in made.remarks():
        out.print(_escaped(remark), **_PLAIN)
    for conflict in made.conflicts[:CONFLICTS]:
        err.print(f"[yellow]Conflict:[/] {_escaped(str(conflict))}", **_PLAIN)
    if (more := len(made.conflicts) - CONFLICTS) > 0:
        err.print(f"[yellow]Conflict:[/] and {more} more such cells.", **_PLAIN)
    out.print(f"{made.cells:>6} cells are in {out_dir} now   (sslbench report {out_dir})", **_PLAIN)
    if made.conflicts:
        raise typer.Exit(FAILED)


@app.command(epilog="Example: `sslbench track results/local/quick --tracking-uri http://127.0.0.1:5000`")
def track(
    folder: FolderArgument,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow store. Default: SQLite beside the folder.")] = None,
) -> None:
    """Write the stored records to MLflow. What is there already is left as it is."""
    from sslbench import tracking

    uri = tracking_uri or tracking.default_uri(folder)
    try:
        count = tracking.track(folder, tracking_uri)
    except tracking.TrackingError as error:
        raise BadInput(str(error)) from error
    out.print(f"{count} cells written to {_escaped(tracking.shown(uri))}", **_PLAIN)


@app.command(epilog="Example: `sslbench splits benchmarks/quick.toml --scenarios mnist5k-50 --seeds 3 --out splits`")
def splits(
    suite: SuiteArgument,
    scenarios: ScenariosOption = None,
    seeds: Annotated[str | None, typer.Option(help="A count, or names: 3,7,1000-1009.")] = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for one JSON file a scenario and seed.")] = Path(
        "splits"
    ),
    plugin: PluginOption = None,
    data_dir: DataOption = None,
) -> None:
    """Write out which examples are labelled, unlabelled and for validation: indices into the training pool."""
    from sslbench.suite import Overrides, read_suite, seed_rng

    _use_data(data_dir)
    _load_plugins(plugin)
    chosen = read_suite(suite, Overrides(scenarios=_names(scenarios), seeds=seeds))
    files = 0
    for name, (_, scenario) in chosen.scenarios.items():
        for seed in chosen.seeds(name):
            rng = seed_rng(chosen.seed, seed)
            dataset = scenario.dataset(rng.child("data"))
            split = scenario.split(dataset, rng.child("split"))
            content: dict[str, Any] = {"scenario": name, "seed": seed, "suite_seed": chosen.seed}
            content |= {"data_sha256": dataset.sha256, "split_sha256": split.sha256}
            parts = ("labelled", "unlabelled", "validation", *(["test"] if len(split.test) else []))
            content |= {part: getattr(split, part).tolist() for part in parts}
            _write(out_dir / f"{name}-seed{seed}.json", json.dumps(content))
            files += 1
    out.print(f"{files} splits written to {out_dir}/", soft_wrap=True)


app.command(epilog="Examples: `sslbench check vat`, `sslbench check --plugin mine.py`, `sslbench check --all`")(check)
app.add_typer(new_app, name="new")


def _percent(accuracy: float | None) -> str:
    return "—" if accuracy is None else f"{100 * accuracy:.2f} %"


# Parts of `run` -----------------------------------------------------------------------------------------------------


def _consume(records: Generator[Record, None, None], tracker: Background | None) -> bool:
    """Take each record as it comes, and hand it to MLflow. Returns whether Ctrl-C ended it."""
    try:
        with contextlib.closing(records):  # which ends the workers, however this ends
            for record in records:
                if tracker is not None:
                    tracker.log(record)
    except KeyboardInterrupt:
        return True
    except BadInput:  # the store can no longer be written
        if tracker is not None:
            tracker.close(interrupted=True)
        raise
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def _stop_after(minutes: float) -> None:
    """Interrupt this process then, as Ctrl-C would."""
    if not hasattr(signal, "setitimer"):
        raise BadInput("--stop-after needs an alarm signal, which this system has not: use Ctrl-C.")

    def stop(number: int, frame: object) -> None:
        del number, frame
        global _time_is_up
        _time_is_up = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)


def _finish(
    store: Store, plan: Plan, tracker: Background | None, interrupted: bool, published: Path | None = None
) -> None:
    """Report, MLflow's end, and the exit code."""
    from sslbench.records import current
    from sslbench.report import write_report
    from sslbench.runner import CHECKPOINTS
    from sslbench.tracking import shown

    history = store.load()
    records = current(history)
    try:
        if records:
            _tell_report(write_report(store.folder, published=published))
        _tell_left_out(history, records)
    finally:
        if tracker is not None:
            tracker.close(store.folder / "report", interrupted=interrupted)
            if tracker.alive:
                out.print(f"mlflow  {_escaped(shown(tracker.uri))}   (make ui shows it)", **_PLAIN)
    here = {p.cell.id for p in plan.planned}
    unfinished = [r for r in records if r.id in here and r.status not in ("ok", "skipped")]
    for record in unfinished:
        trace = store.traceback_path(record)
        where = f"   ({_escaped(str(trace))})" if trace.exists() else ""
        err.print(f"[yellow]{record.status}:[/] {record.id}: {_escaped(record.reason)}{where}", **_PLAIN)
    if interrupted:
        saved = len(list((store.folder / CHECKPOINTS).glob("*.npz")))
        running = f", and {saved} unfinished cells at the step they had reached" if saved else ""
        err.print(f"Stopped. What was finished is kept{running}: the same command goes on from here.", **_PLAIN)
        raise typer.Exit(TIME_UP if _time_is_up else INTERRUPTED)
    if unfinished:
        raise typer.Exit(FAILED)


def _tell_plan(suite: Suite, plan: Plan, store: Store, device: str, workers: int) -> None:
    done, todo, skipped, failed = len(plan.finished), len(plan.pending), len(plan.impossible), len(plan.failed)
    parts = " + ".join(
        f"{len(g.methods)} methods × {len(g.scenarios)} scenarios × {len(g.seeds)} seeds"
        + (f" × {len(g.training_seeds)} training seeds" if g.training_seeds else "")
        for g in suite.grids
    )
    crossing = f"{parts} = " if len(suite.grids) <= 2 else ""
    err.print(f"[bold]{_escaped(suite.name)}[/]: {crossing}{len(plan.planned)} cells, on {device}", highlight=False)
    store.warn_of_damage()
    if not todo and not skipped:
        state = f"{done} are finished and {failed} failed" if failed else "all of them are finished"
        err.print(f"Nothing to run: {state} in {store.folder}.", **_PLAIN)
    else:
        left_out = (f", {failed} failed earlier" if failed else "") + (
            f", {skipped} that make no sense" if skipped else ""
        )
        err.print(f"{done} finished, {todo} to run{left_out}, {workers} at a time.", highlight=False)
    if note := plan.note(device):
        err.print(note, **_PLAIN)
    if failed:
        err.print("What failed would fail the same way: --retry-failed runs it again.", highlight=False)


def _tell_died(store: Store) -> None:
    if store.died is not None:
        text = f"The last run here was killed ({store.died}). What it had finished is kept."
        err.print(_escaped(text), **_PLAIN)


def _tell_tuning(plan: Tuning, device: str) -> None:
    studies, seeds = len(plan.studies), len(plan.seeds)
    trainings = studies * plan.trials * seeds
    err.print(
        f"[bold]{_escaped(plan.suite.name)}[/]: {studies} searches × {plan.trials} trials × {seeds} seeds = {trainings} "
        f"trainings, on {device}",
        highlight=False,
    )


def _tell_estimate(plan: Plan, device: str, workers: int) -> None:
    from sslbench.runner import seconds_per_cell

    seconds = seconds_per_cell(plan, device)
    table = Table("cell", "state", "estimate", box=None, padding=(0, 2, 0, 0))
    total = 0.0
    for p in plan.planned:
        pair = p.cell.method_name, p.cell.scenario_name
        if p.known is not None:
            table.add_row(p.cell.id, p.known.status, "")
        elif p.cell.obstacle:
            table.add_row(p.cell.id, "skipped", _escaped(p.cell.obstacle))
        else:
            total += seconds[pair]
            table.add_row(p.cell.id, "to run", "" if math.isnan(seconds[pair]) else f"{seconds[pair]:.0f} s")
    out.print(table)
    about = "No estimate, as no such device is here:" if math.isnan(total) else f"About {_duration(total / workers)}"
    out.print(f"{about} with {workers} at a time. Nothing was run.")


def _tell_report(made: Report) -> None:
    from sslbench.live import grid_table
    from sslbench.report import comparison_grid

    out.print(grid_table(comparison_grid(made.comparison, counts=out.width >= WIDE)))
    out.print()
    out.print(_escaped(made.verdict), **_PLAIN)
    out.print(f"report  {made.html}", **_PLAIN)
    out.print(f"plots   {made.folder / 'plots'} ({len(made.plots)} files)", **_PLAIN)


def _tell_left_out(history: list[Record], shown: list[Record]) -> None:
    """What was stored and is not comparable with what is shown."""
    if older := {r.id for r in history} - {r.id for r in shown}:
        out.print(f"{len(older)} older records of other settings or code are left out, such as {min(older)}.", **_PLAIN)


def _tracker(plan: Plan, store: Store, suite: str, given: str | None) -> Background:
    """MLflow, told what is finished already. A URI that cannot be used is refused before anything runs."""
    from sslbench import tracking
    from sslbench.executors.jobs import blank_record

    uri = tracking.checked(given or tracking.default_uri(store.folder))
    tracking.require_mlflow()
    sweep = tracking.sweep_of(store.folder, suite)
    cells = [blank_record(p.cell, p.key, "ok", "") for p in plan.planned]
    names = tracking.varying((c.method, c.scenario) for c in cells)

    def warn(line: str) -> None:
        err.print(f"[yellow]Warning:[/] {_escaped(line)} `sslbench track {store.folder}` writes them later.", **_PLAIN)

    background = tracking.Background(uri, lambda: tracking.Tracker(uri, sweep, names), warn)
    for record in plan.finished + plan.failed:
        background.log(record)
    return background


def _cluster(address: str | None, cpus: float | None, gpus: float | None) -> Cluster | None:
    """The Ray cluster that was asked for, if any of it was."""
    from sslbench.executors import Cluster

    if address is None and cpus is None and gpus is None:
        return None
    return Cluster(address or "auto", 1.0 if cpus is None else cpus, gpus)


def _use_data(folder: Path | None) -> None:
    if folder is not None:
        if not folder.is_dir():
            raise BadInput(f"--data-dir {folder} is no folder.")
        os.environ["SSLBENCH_DATA"] = str(folder.resolve())


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Give another folder with --out.") from error


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextlib.contextmanager
def _damage_in_a_line() -> Generator[None, None, None]:
    """Print each warning of damage once, as a line."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, Damage):
                err.print(f"[yellow]Warning:[/] {_escaped(str(message))}", **_PLAIN)
            else:
                others(message, category, *where, **more)

        warnings.simplefilter("default", Damage)
        warnings.showwarning = show
        yield


def _usage_error(error: Exception) -> int:
    """The parser's own errors (an unknown option, a missing argument) as one line; anything else is a bug."""
    show: Callable[[], None] | None = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", BAD_INPUT))
