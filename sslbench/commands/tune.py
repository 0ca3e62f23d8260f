"""`sslbench tune`: hyperparameters from validation data alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslbench.commands.console import FAILED, PLAIN, err, escaped, out, tell_error
from sslbench.commands.options import (
    DataOption,
    DeviceOption,
    MethodsOption,
    PluginOption,
    ScenariosOption,
    SetOption,
    SuiteArgument,
    WorkersOption,
    load_plugins,
    names,
    use_data,
)

if TYPE_CHECKING:
    from sslbench.tuning import Tuning


def tune(
    context: typer.Context,
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
    in force by more than the noise of so small a validation set, these stay. All trials are in the file. Trainings are kept as
    they end, in a folder beside it: an interrupted tuning goes on, and more --trials later cost only what is new.
    """
    from sslbench import runner, tuning
    from sslbench.records import Store

    use_data(data_dir)
    plugins = load_plugins(plugin)
    plan = tuning.make_tuning(suite, names(methods), names(scenarios), trials, seeds, tuple(set_ or ()))
    where = runner.resolve_device(device, plan.suite.precision)
    count = workers if workers is not None else runner.default_workers(where)
    path = out_file or runner.results_folder(f"{plan.suite.name.removesuffix('-tuned')}-tuned.toml")
    tuning.check_target(path, force)
    store = Store(path.with_suffix(".trials"))
    context.with_resource(store.lock())
    store.prepare()
    _tell_tuning(plan, where)
    kept = f"The trainings so far are kept in {store.folder}: the same command goes on from them."
    try:
        found = tuning.tune(plan, where, count, plugins, lambda line: err.print(escaped(line), **PLAIN), store)
    except tuning.TrialFailed as error:
        tell_error(error)
        err.print(escaped(kept), **PLAIN)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        err.print(f"Stopped. {escaped(kept)}", **PLAIN)
        raise
    tuning.write(path, suite.name, tuning.document(plan, found, where))
    for line in tuning.lines(plan, found):
        out.print(escaped(line), **PLAIN)
    out.print(f"suite   {path}   (sslbench run {path})", **PLAIN)


def _tell_tuning(plan: Tuning, device: str) -> None:
    studies, seeds = len(plan.studies), len(plan.seeds)
    trainings = studies * plan.trials * seeds
    err.print(
        f"[bold]{escaped(plan.suite.name)}[/]: {studies} searches × {plan.trials} trials × {seeds} seeds = {trainings} "
        f"trainings, on {device}",
        highlight=False,
    )
