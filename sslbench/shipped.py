"""The suites that come with sslbench: each can be named wherever a suite file can be given."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from sslbench.registry import Listing

_HERE = Path(__file__).parent
FOLDERS = (_HERE / "suites", _HERE.parent / "benchmarks")
"""Where they lie in an installed package, and in a checkout. The wheel takes them from the latter."""


def suites() -> dict[str, Path]:
    """The file of each suite, by its name."""
    return next((found for folder in FOLDERS if (found := {p.stem: p for p in sorted(folder.glob("*.toml"))})), {})


def located(given: Path) -> Path:
    """A suite file as it was given; or the one that comes with sslbench, if that is its name and no such file is here."""
    return given if given.is_file() else suites().get(str(given), given)


def listings() -> Iterator[Listing]:
    """Name and description of each."""
    for name, path in suites().items():
        yield Listing(name, tomllib.loads(path.read_text(encoding="utf-8")).get("description", ""), "built-in")
