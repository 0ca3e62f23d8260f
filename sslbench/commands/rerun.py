"""`sslbench rerun`: one cell again, held against its record."""

from __future__ import annotations

from typing import Annotated

import typer

from sslbench.commands.console import FAILED, PLAIN, escaped, out
from sslbench.commands.options import DataOption, DeviceOption, FolderArgument, PluginOption, load_plugins, use_data


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

    use_data(data_dir)
    load_plugins(plugin)
    records = {r.id: r for r in load_records(folder)}
    if cell not in records:
        raise unknown(f"cell in {folder}", cell, records)
    old = records[cell]
    new = runner.rerun(old, runner.resolve_device(device, old.provenance.get("precision", "float32")))
    for name in ("final", "selected", "oracle"):
        before, after = (r.metrics.get("accuracy", {}).get(name) for r in (old, new))
        out.print(f"{name:<9} {_percent(before):>7}  then, {_percent(after):>7} now", **PLAIN)
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
            out.print(f"  {what}: {escaped(str(before))} then, {escaped(str(after))} now", **PLAIN)
    if not same:
        raise typer.Exit(FAILED)


def _percent(accuracy: float | None) -> str:
    return "—" if accuracy is None else f"{100 * accuracy:.2f} %"
