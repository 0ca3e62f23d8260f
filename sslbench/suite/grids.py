"""The crossings of a suite: its `[[grid]]` tables, cut to what the command line chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sslbench.errors import BadInput, unknown
from sslbench.suite.cells import Grid
from sslbench.suite.document import PART, Part, Top
from sslbench.suite.overrides import Overrides
from sslbench.suite.seeds import parse_seeds

KINDS = ("methods", "scenarios")


def make_grids(given: Any, top: Top, overrides: Overrides) -> tuple[Grid, ...]:
    """The crossings of a suite: its `[[grid]]` tables, or one of all that stands at the top.

    Raises:
        BadInput: a list that is missing or names something twice, or a choice that no grid has.
    """
    if not isinstance(given, list) or not all(isinstance(g, dict) for g in given):
        raise BadInput("grid holds parts of the suite: write [[grid]] above the lists of each.")
    chosen = {kind: names for kind in KINDS if (names := getattr(overrides, kind)) is not None}
    if not given:
        named = {kind: chosen.get(kind, getattr(top, kind)) for kind in KINDS}
        return (_grid(_lists("the suite", "", named), Part(), top, overrides.seeds),)
    parts = {f"[[grid]] {number}": table for number, table in enumerate(given, 1)}
    rows = []
    for what, table in parts.items():
        part = PART.validated(what, table)
        named = {k: getattr(top if getattr(part, k) is None else part, k) for k in KINDS}
        rows.append((part, _lists(what, f" of {what}", named)))
    for kind, names in chosen.items():
        _check_chosen(kind, names, dict.fromkeys(name for _, lists in rows for name in lists[kind]))
    picked = [
        _grid(
            {k: [n for n in names if n in chosen.get(k, names)] for k, names in lists.items()},
            part,
            top,
            overrides.seeds,
        )
        for part, lists in rows
    ]
    if not (grids := tuple(g for g in picked if g.methods and g.scenarios)):
        raise BadInput("No grid of this suite has one of these methods on one of these scenarios.")
    return grids


def _lists(what: str, where: str, named: Mapping[str, Sequence[str] | None]) -> dict[str, Sequence[str]]:
    """The names of each kind, all of them there and each once."""
    lists = {}
    for kind, names in named.items():
        if names is None:
            raise BadInput(f"{what} has no {kind}: add it.")
        if not names:
            raise BadInput(f"{kind}{where} is empty: name at least one, or remove the line.")
        _check_twice(f"{kind}{where}", names)
        lists[kind] = names
    return lists


def _grid(lists: Mapping[str, Sequence[str]], part: Part, top: Top, chosen: str | None) -> Grid:
    """A crossing of these names, at the seeds chosen, else the part's, else the suite's."""
    seeds = next(s for s in (chosen, part.seeds, top.seeds) if s is not None)
    training = top.training_seeds if part.training_seeds is None else part.training_seeds
    return Grid(
        tuple(lists["methods"]),
        tuple(lists["scenarios"]),
        parse_seeds(seeds),
        None if training is None else parse_seeds(training, "training_seeds"),
    )


def _check_chosen(kind: str, chosen: Sequence[str], listed: Iterable[str]) -> None:
    if not chosen:
        raise BadInput(f"{kind} is empty: name at least one of {', '.join(listed)}.")
    _check_twice(kind, chosen)
    if foreign := [name for name in chosen if name not in listed]:
        raise unknown(f"{kind.rstrip('s')} of this suite", foreign[0], listed)


def _check_twice(what: str, names: Sequence[str]) -> None:
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise BadInput(f"{what} names '{twice}' twice: name each once.")
