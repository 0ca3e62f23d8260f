"""`sslbench merge`: the results of several machines in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sslbench.commands.console import FAILED, PLAIN, err, escaped, out, warn

CONFLICTS = 20
"""How many of them are named."""


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
        out.print(f"{count:>6} records from {folder}", **PLAIN)
    if made.equal:
        out.print(f"{made.equal:>6} were there already, with equal results", **PLAIN)
    if made.without_arrays:
        count, first = len(made.without_arrays), made.without_arrays[0]
        warn(
            f"the arrays of {count} of them, such as {first}, are missing or damaged where they came from: plots that need them "
            "leave them out."
        )
    for remark in made.remarks():
        out.print(escaped(remark), **PLAIN)
    for conflict in made.conflicts[:CONFLICTS]:
        err.print(f"[yellow]Conflict:[/] {escaped(str(conflict))}", **PLAIN)
    if (more := len(made.conflicts) - CONFLICTS) > 0:
        err.print(f"[yellow]Conflict:[/] and {more} more such cells.", **PLAIN)
    out.print(f"{made.cells:>6} cells are in {out_dir} now   (sslbench report {out_dir})", **PLAIN)
    if made.conflicts:
        raise typer.Exit(FAILED)
