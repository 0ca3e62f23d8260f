"""Published results, from a file of them, beside what was measured here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sslbench.errors import BadInput
from sslbench.report.grids import Grid, Row, Shown
from sslbench.report.tables import Comparison, number, spread

REPORTED = {
    "final": "at the end",
    "best": "best on test",
    "mean": "mean of several runs",
    "about": "in words",
}


@dataclass(frozen=True)
class Published:
    """One number that somebody else reported."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    what: str
    """What was measured, in a few words."""
    value: Annotated[float, Ge(0), Le(100)]
    """Accuracy in percent."""
    reported: Literal["final", "best", "mean", "about"]
    """How: after the last step, the best on the test set over training, a mean of several runs, or only in words."""
    source: str
    status: Literal["checked", "unverified"]
    """Whether the number was read in its source, or only recalled."""
    labels: Annotated[int, Ge(1)] | None = None
    method: str | None = None
    """The method here that it is to be held against; none where nothing here is comparable."""
    scenario: str | None = None
    """Likewise the scenario."""


def read_published(path: Path) -> list[Published]:
    """The published numbers of a TOML file of `[[result]]` tables.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    try:
        content = tomllib.loads(path.read_text())
        return TypeAdapter(list[Published]).validate_json(json.dumps(content.get("result", []), default=str))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"The published numbers in {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: [[result]] {where}: {first['msg']}.") from error


def published_grid(published: Sequence[Published], comparison: Comparison) -> Grid | None:
    """Each published number with our final, selected and oracle accuracy; None where nothing is published."""
    if not published:
        return None
    sources = dict.fromkeys(_source(p) for p in published)
    letters = {source: chr(ord("a") + place) for place, source in enumerate(sources)}
    return Grid(
        "Accuracy in %: what was published, and what was measured here, mean ± standard deviation over the seeds. Final is after "
        "the last step; selected, where validation data were best; oracle, the best on test, as many papers report it.",
        "what",
        ("labels", "published", "reported as", "final", "selected", "oracle", "seeds", "like for like"),
        tuple(Row(p.what, _cells(p, letters[_source(p)], comparison)) for p in published),
        tuple((letter, source) for source, letter in letters.items()),
        notes=(
            "Like for like: ours less the published number, in percentage points; our oracle against a best on test, and our "
            "final against all others.",
        ),
    )


def _source(published: Published) -> str:
    return f"{published.source} ({published.status})"


def _cells(published: Published, letter: str, comparison: Comparison) -> tuple[Shown, ...]:
    labels = "—" if published.labels is None else str(published.labels)
    value = f"about {published.value:g}" if published.reported == "about" else number(published.value)
    known = (
        Shown(labels, value=published.labels),
        Shown(value, footnotes=(letter,), value=published.value),
        Shown(REPORTED[published.reported]),
    )
    entry = comparison.entries.get((published.method or "", published.scenario or ""))
    if entry is None or not entry.n:
        return (*known, *(Shown("—") for _ in range(5)))
    ours = entry.oracle if published.reported == "best" else entry.mean
    return (
        *known,
        Shown(spread(entry.mean, entry.sd), value=entry.mean),
        Shown(number(entry.selected), value=entry.selected),
        Shown(number(entry.oracle), value=entry.oracle),
        Shown(str(entry.n), value=entry.n),
        Shown(number(ours - published.value, sign=True), value=ours - published.value),
    )
