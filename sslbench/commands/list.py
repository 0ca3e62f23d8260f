"""`sslbench list`: the methods and scenarios that are known."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from sslbench.commands.console import escaped, out
from sslbench.commands.options import PluginOption, load_plugins
from sslbench.errors import BadInput


def list_(
    what: Annotated[str, typer.Argument(metavar="[methods|scenarios]", help="What to list; both if left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    plugin: PluginOption = None,
) -> None:
    """List the methods and scenarios that are known."""
    from sslbench.registry import METHODS, SCENARIOS

    load_plugins(plugin)
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
            table.add_row(entry.name, escaped(entry.summary), escaped(entry.origin))
        out.print(table)
        out.print()
