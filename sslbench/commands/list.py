"""`sslbench list`: what is known by a name: methods, scenarios, suites."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from sslbench.commands.console import escaped, out
from sslbench.commands.options import PluginOption, load_plugins
from sslbench.errors import BadInput


def list_(
    what: Annotated[
        str, typer.Argument(metavar="[methods|scenarios|suites]", help="What to list; all three if left out.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    plugin: PluginOption = None,
) -> None:
    """List the methods and scenarios that are known, and the suites that come with sslbench."""
    from sslbench import shipped
    from sslbench.registry import METHODS, SCENARIOS

    load_plugins(plugin)
    known = {"methods": METHODS.listings, "scenarios": SCENARIOS.listings, "suites": shipped.listings}
    if what and what not in known:
        raise BadInput(f"'{what}' cannot be listed: give methods, scenarios or suites, or leave it out for all three.")
    listings = {kind: list(entries()) for kind, entries in known.items() if what in ("", kind)}
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
