"""`sslbench compare`: two methods, seed by seed."""

from __future__ import annotations

from typing import Annotated

import typer

from sslbench import atomic
from sslbench.commands.console import PLAIN, escaped, out
from sslbench.commands.options import FolderArgument
from sslbench.errors import BadInput


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
    atomic.save(path, picture, "Make it writable.")
    out.print(grid_table(found.grid))
    out.print()
    out.print(escaped(found.sentence), **PLAIN)
    for line in settings_difference(records, a, b):
        out.print(f"  {escaped(line)}", **PLAIN)
    out.print(f"plot    {path}", **PLAIN)
    example = next(r for r in records if r.method["name"] == a and r.status == "ok")
    out.print(f"again   sslbench rerun {folder} {example.id}   (or another METHOD/SCENARIO/seedN)", **PLAIN)
