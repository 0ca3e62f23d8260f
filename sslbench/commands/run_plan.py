"""What `sslbench run` says before anything runs: what is finished, what is to run, and how long it would take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from sslbench.commands.console import PLAIN, err, escaped, out

if TYPE_CHECKING:
    from sslbench.records import Store
    from sslbench.runner import Plan
    from sslbench.suite import Suite


def tell_plan(suite: Suite, plan: Plan, store: Store, device: str, workers: int) -> None:
    done, todo, skipped, failed = len(plan.finished), len(plan.pending), len(plan.impossible), len(plan.failed)
    parts = " + ".join(
        f"{len(g.methods)} methods × {len(g.scenarios)} scenarios × {len(g.seeds)} seeds"
        + (f" × {len(g.training_seeds)} training seeds" if g.training_seeds else "")
        for g in suite.grids
    )
    crossing = f"{parts} = " if len(suite.grids) <= 2 else ""
    err.print(f"[bold]{escaped(suite.name)}[/]: {crossing}{len(plan.planned)} cells, on {device}", highlight=False)
    store.warn_of_damage()
    if not todo and not skipped:
        state = f"{done} are finished and {failed} failed" if failed else "all of them are finished"
        err.print(f"Nothing to run: {state} in {store.folder}.", **PLAIN)
    else:
        left_out = (f", {failed} failed earlier" if failed else "") + (
            f", {skipped} that make no sense" if skipped else ""
        )
        err.print(f"{done} finished, {todo} to run{left_out}, {workers} at a time.", highlight=False)
    for note in (plan.note(device), _power(plan)):
        if note:
            err.print(note, **PLAIN)
    if failed:
        err.print("What failed would fail the same way: --retry-failed runs it again.", highlight=False)


def _power(plan: Plan) -> str:
    """That the suite's seeds are too few for the comparison with its baseline; empty if they are not."""
    from sslbench.report.tables import baseline_of
    from sslbench.report.words import too_few

    cells = [p.cell for p in plan.planned if not p.cell.obstacle]
    baseline = baseline_of((c.method_name, c.method_base) for c in cells)
    seeds: dict[tuple[str, str], set[int]] = {}
    for c in cells:
        seeds.setdefault((c.method_name, c.scenario_name), set()).add(c.seed)
    shared = [len(own & seeds.get((str(baseline), s), set())) for (m, s), own in seeds.items() if m != baseline]
    told = too_few(max(shared, default=0), sum(count > 0 for count in shared))
    return f"{told} To run more: seeds in the suite file, or --seeds." if told else ""


def tell_died(store: Store) -> None:
    if store.died is not None:
        text = f"The last run here was killed ({store.died}). What it had finished is kept."
        err.print(escaped(text), **PLAIN)


def tell_estimate(plan: Plan, device: str, workers: int) -> None:
    from sslbench.estimates import seconds_per_cell

    with err.status("Timing a few steps of each method on each scenario"):
        seconds = seconds_per_cell(plan, device, workers)
    table = Table("cell", "state", "estimate", box=None, padding=(0, 2, 0, 0))
    total = 0.0
    for p in plan.planned:
        pair = p.cell.method_name, p.cell.scenario_name
        if p.known is not None:
            table.add_row(p.cell.id, p.known.status, "")
        elif p.cell.obstacle:
            table.add_row(p.cell.id, "skipped", escaped(p.cell.obstacle))
        else:
            total += seconds[pair]
            table.add_row(p.cell.id, "to run", "" if math.isnan(seconds[pair]) else f"{seconds[pair]:.0f} s")
    out.print(table)
    about = "No estimate, as no such device is here:" if math.isnan(total) else f"About {_duration(total / workers)}"
    out.print(f"{about} with {workers} at a time. Nothing was run.")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
