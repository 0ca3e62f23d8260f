"""`sslbench report`: tables, plots and the page, once or whenever the records change."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslbench.commands.console import PLAIN, escaped, out
from sslbench.commands.options import FolderArgument, PublishedOption

if TYPE_CHECKING:
    from sslbench.records import Record
    from sslbench.report import Report

WIDE = 110
"""Columns of a terminal that has room for more than the accuracies."""


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

    tell_report(write_report(folder, published=published))
    history = Store(folder).load()
    tell_left_out(history, current(history))


def _watch_report(folder: Path, published: Path | None) -> None:
    from sslbench.report.watch import watch

    out.print(f"Watching {folder}. Ctrl-C ends it; an open report.html loads itself again meanwhile.", **PLAIN)
    with contextlib.closing(watch(folder, published=published)) as reports:
        try:
            for made in reports:
                cells = sum(entry.n for entry in made.comparison.entries.values())
                out.print(f"{time.strftime('%H:%M:%S')}  {cells} results  {made.html}", **PLAIN)
        except KeyboardInterrupt:
            pass
    out.print("Stopped.")


def tell_report(made: Report) -> None:
    from sslbench.live import grid_table
    from sslbench.report import comparison_grid

    out.print(grid_table(comparison_grid(made.comparison, counts=out.width >= WIDE)))
    out.print()
    out.print(escaped(made.verdict), **PLAIN)
    out.print(f"report  {made.html}", **PLAIN)
    out.print(f"plots   {made.folder / 'plots'} ({len(made.plots)} files)", **PLAIN)


def tell_left_out(history: list[Record], shown: list[Record]) -> None:
    """What was stored and is not comparable with what is shown."""
    if older := {r.id for r in history} - {r.id for r in shown}:
        out.print(f"{len(older)} older records of other settings or code are left out, such as {min(older)}.", **PLAIN)
