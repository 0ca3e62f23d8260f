"""`sslbench check`: whether methods keep what every method promises."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sslbench.commands.console import FAILED, PLAIN, err, escaped, out
from sslbench.commands.options import PluginOption, load_plugins, names
from sslbench.errors import BadInput

if TYPE_CHECKING:
    from sslbench.conformance import Case, Verdict

WIDE = 120
"""Columns of a terminal that has room for the promises."""
MARKS = {"passed": "[green]✓[/]", "failed": "[bold red]✗[/]", "skipped": "[dim]–[/]"}


@dataclass(frozen=True)
class Finding:
    """A case and what came of it."""

    case: Case
    verdict: Verdict
    seconds: float

    @property
    def on(self) -> str:
        """The kind of input, or `class`."""
        return self.case.kind or "class"


def check(
    method: Annotated[str, typer.Argument(metavar="[METHOD]", help="Which methods, comma-separated.")] = "",
    plugin: PluginOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every method that is known.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="Change a hyperparameter. Repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check that a method keeps what every method promises.

    Its unlabelled term is alive, it sees no hidden label and no test data, it repeats bit for bit, draws from its `rng` alone,
    trains on images, points and feature vectors, stacked as alone, and says what it is. The problems are small and on this
    machine; a method takes about ten seconds. Exit codes: 0 all is kept, 1 something is broken, 2 bad input.
    """
    chosen = _chosen(method, plugin, every)
    values = _settings(set_ or (), chosen)
    found = {}
    for name in chosen:
        found[name] = _findings(name, values.get(name, {}))
        if not as_json:
            _tell(name, found[name])
    if as_json:
        typer.echo(json.dumps({"methods": [_document(name, each) for name, each in found.items()]}, indent=2))
    if any(f.verdict.status == "failed" for each in found.values() for f in each):
        raise typer.Exit(FAILED)


def _chosen(given: str, plugin: list[Path] | None, every: bool) -> list[str]:
    """The names to check; without any, those that the plugin files register."""
    from sslbench.registry import METHODS, load_plugin

    load_plugins(plugin)
    if every:
        return METHODS.names()
    if named := names(given):
        return list(dict.fromkeys(named))
    own = [name for path in plugin or () for name in METHODS.of_module(load_plugin(path).__name__)]
    if not own:
        missing = "the plugin registers none" if plugin else "none is named"
        raise BadInput(f"No method to check, as {missing}: give its name, --plugin FILE.py, or --all.")
    return own


def _settings(given: Sequence[str], chosen: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    from sslbench.suite import with_settings

    values: Mapping[str, Mapping[str, Any]] = with_settings({}, given)["method"]
    if stray := next((name for name in values if name not in chosen), None):
        raise BadInput(f"--set names '{stray}', which is not checked: name one of {', '.join(chosen)}.")
    return values


def _findings(name: str, settings: Mapping[str, Any]) -> list[Finding]:
    """Check one method, telling what is under way."""
    from sslbench.conformance import cases

    found = []
    with err.status(f"{escaped(name)} …") as status:
        for case in cases(name, settings):
            status.update(f"{escaped(name)}: {case.check.name}{f' on {case.kind}' if case.kind else ''} …")
            began = time.perf_counter()
            found.append(Finding(case, case.verdict(), time.perf_counter() - began))
    return found


def _tell(name: str, found: Sequence[Finding]) -> None:
    """A table of marks, what is broken and where, what was left out and why, and a sentence."""
    skips = _skips(found)
    gone = {f.on for f in found} - {f.on for f in found if f.verdict.status != "skipped"}
    columns = [on for on in dict.fromkeys(f.on for f in found) if on not in gone]
    wide = out.width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), title=f"[bold]{escaped(name)}[/]", title_justify="left")
    table.add_column("check", no_wrap=True)
    for on in columns:
        table.add_column(on, justify="center")
    if wide:
        table.add_column("promise", style="dim", no_wrap=True, overflow="ellipsis")
    for check_ in dict.fromkeys(f.case.check for f in found):
        marks = {f.on: MARKS[f.verdict.status] for f in found if f.case.check == check_}
        if not marks.keys() & set(columns):
            continue
        table.add_row(check_.name, *(marks.get(on, "") for on in columns), *([escaped(check_.promise)] if wide else []))
    out.print(table)
    out.print()
    for (name_, broken), kinds in _failures(found).items():
        where = "" if kinds == ["class"] else f" on {', '.join(kinds)}"
        out.print(f"{MARKS['failed']} [bold]{name_}{where}[/]", **PLAIN)
        for word in ("expected", "seen", "where"):
            if text := getattr(broken, word):
                out.print(f"    {word:<10}{escaped(text)}", **PLAIN)
    for what, reason in skips:
        out.print(f"{MARKS['skipped']} {what}: skipped: {escaped(reason)}", **PLAIN)
    counts = Counter(f.verdict.status for f in found)
    seconds = sum(f.seconds for f in found)
    verdict = "[bold red]broken[/]" if counts["failed"] else "[green]kept[/]"
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    out.print(
        f"{escaped(name)}: {verdict}: {counts['passed']} passed, {counts['failed']} failed{skipped}, in {seconds:.0f} s",
        **PLAIN,
    )


def _skips(found: Sequence[Finding]) -> list[tuple[str, str]]:
    """(what, why) of what was skipped: a whole kind of input at once, or one check where it was."""
    kinds_of: defaultdict[str, list[str]] = defaultdict(list)
    for on in dict.fromkeys(f.on for f in found):
        here = [f.verdict for f in found if f.on == on]
        if all(v.status == "skipped" for v in here):
            kinds_of[here[0].reason].append(on)
    lines = [(", ".join(kinds), reason) for reason, kinds in kinds_of.items()]
    whole = {on for kinds in kinds_of.values() for on in kinds}
    rest: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for f in found:
        if f.verdict.status == "skipped" and f.on not in whole:
            rest[f.case.check.name, f.verdict.reason].append(f.on)
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (name, reason), kinds in rest.items():
        together["" if kinds == ["class"] else f" on {', '.join(kinds)}", reason].append(name)
    return lines + [(f"{', '.join(names_)}{where}", reason) for (where, reason), names_ in together.items()]


def _failures(found: Sequence[Finding]) -> Mapping[tuple[str, Verdict], list[str]]:
    """What is broken, and the kinds of input on which it is so."""
    kinds: defaultdict[tuple[str, Verdict], list[str]] = defaultdict(list)
    for f in found:
        if f.verdict.status == "failed":
            kinds[f.case.check.name, f.verdict].append(f.on)
    return kinds


def _document(name: str, found: Sequence[Finding]) -> dict[str, Any]:
    """What was found, as JSON has it."""
    return {
        "method": name,
        "passed": all(f.verdict.status != "failed" for f in found),
        "checks": [
            {
                "check": f.case.check.name,
                "promise": f.case.check.promise,
                "on": f.on,
                **vars(f.verdict),
                "seconds": round(f.seconds, 3),
            }
            for f in found
        ],
    }
