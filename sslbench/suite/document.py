"""The TOML document of a suite: what may stand in it, and how it is read from a file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict

from sslbench import shipped
from sslbench.engine import Precision
from sslbench.errors import BadInput
from sslbench.suite.forms import Form
from sslbench.suite.parameters import Params


@dataclass(frozen=True)
class Top:
    """What stands at the top of a document, beside its tables."""

    __pydantic_config__ = ConfigDict(strict=True)
    name: str
    methods: tuple[str, ...] | None = None
    scenarios: tuple[str, ...] | None = None
    seeds: int | str | tuple[int, ...] = 3
    training_seeds: int | str | tuple[int, ...] | None = None
    seed: Annotated[int, Ge(0), Lt(1 << 63)] = 0
    precision: Precision = "float32"
    cuda_graphs: bool = False
    timeout: Annotated[float, Gt(0)] | None = None
    checkpoint_every: Annotated[float, Ge(0)] = 5.0
    description: str = ""
    folder: str = "."


@dataclass(frozen=True)
class Part:
    """A `[[grid]]` table. What is None is taken from the top."""

    __pydantic_config__ = ConfigDict(strict=True)
    methods: tuple[str, ...] | None = None
    scenarios: tuple[str, ...] | None = None
    seeds: int | str | tuple[int, ...] | None = None
    training_seeds: int | str | tuple[int, ...] | None = None


TOP, PART = Form(Top), Form(Part)
TABLES = ("method", "scenario", "grid", "tuning")
"""What else stands in a document."""


def read_content(path: Path) -> Params:
    """The document in a suite file, or in the suite of that name that comes with sslbench, as `make_suite` takes it.

    Raises:
        BadInput: there is no such file, or it is not TOML.
    """
    path = shipped.located(path)
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise BadInput(
            f"No suite file {path}: give the path of a TOML file, or the name of a suite that comes with sslbench "
            f"({', '.join(shipped.suites())}); `sslbench new suite NAME` writes a file to start from."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"The suite file {path} cannot be read: {error}") from error
    content.setdefault("name", path.stem)
    if isinstance(folder := content.get("folder", "."), str):
        content["folder"] = str(path.parent / folder)
    return content


def tables_of(content: Mapping[str, Any]) -> dict[str, dict[str, Params]]:
    """The tables of methods and of scenarios, by kind and name: a deep copy, of JSON's types.

    Raises:
        BadInput: something else than tables.
    """
    tables = {kind: content.get(kind, {}) for kind in ("method", "scenario")}
    for kind, named in tables.items():
        if not isinstance(named, dict) or not all(isinstance(t, dict) for t in named.values()):
            raise BadInput(f"[{kind}] holds tables, one a {kind}: write [{kind}.NAME] and its parameters below.")
    return json.loads(json.dumps(tables, default=str))
