"""Suite files: TOML to a frozen `Suite`, and the suite to cells with their keys.

name = "quick"
seed = 0                       # keys every draw
precision = "float32"          # or "tf32", on CUDA
timeout = 30                   # minutes that a cell may take; as long as it takes, if left out
checkpoint_every = 5           # minutes of training that a kill may cost a cell, at most; 0: no checkpoints
folder = "."                   # where relative paths of data start; "." is the folder of this file
seeds = 3                      # 0, 1, 2;  or [3, 7];  or "3,7,1000-1009"
methods = ["supervised", "vat", "vat-small"]
scenarios = ["mnist5k-50"]

[method.vat]                   # a method's hyperparameters, on every scenario
radius = 2.0
[method.vat.on.mnist5k-50]     # … and on one
radius = 1.5
[method.vat-small]             # a variant under a name of its own
base = "vat"                    # a registered name, or another variant
radius = 0.5
[scenario.mnist5k-50]          # a scenario's parameters
steps = 800
[scenario."*"]                 # … of all scenarios that have them
points = 10

A suite that is not one whole crossing lists its parts; what a part leaves out is taken from the top:

[[grid]]
methods = ["supervised"]
scenarios = ["mnist5k-20"]
seeds = 10
training_seeds = 5             # each split is trained on five times, with weights, batches and noise of its own
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from sslbench import shipped
from sslbench.engine import Precision, obstacle
from sslbench.errors import BadInput, unknown
from sslbench.methods.base import FitMethod, LossMethod, method
from sslbench.records import SCHEMA
from sslbench.registry import Entry, Registry, source_digest
from sslbench.rng import Rng
from sslbench.scenarios.base import Scenario, scenario

MOST_SEEDS = 100_000
Method = LossMethod | FitMethod
Params = dict[str, Any]
T = TypeVar("T")
Thing = TypeVar("Thing", bound=LossMethod | FitMethod | Scenario)

# What every cell's result depends on, beside its method and its scenario.
_CORE = (
    "sslbench.rng",
    "sslbench.views",
    "sslbench.metrics",
    "sslbench.data.splits",
    "sslbench.data.two_moons",
    "sslbench.networks.base",
    "sslbench.networks.convnet",
    "sslbench.networks.dropout",
    "sslbench.networks.initial",
    "sslbench.networks.mlp",
    "sslbench.scenarios.base",
    "sslbench.methods.base",
    "sslbench.methods.estimators",
    "sslbench.engine.batches",
    "sslbench.engine.evaluation",
    "sslbench.engine.maps",
    "sslbench.engine.seeds",
    "sslbench.engine.training",
)


@dataclass(frozen=True)
class Source:
    """Digests of the code that computes a result."""

    common: str
    method: str
    scenario: str


@dataclass(frozen=True)
class Cell:
    """One method on one scenario at one seed, all parameters settled."""

    method_name: str
    method_base: str
    method: Method
    scenario_name: str
    scenario_base: str
    scenario: Scenario
    suite_seed: int
    seed: int
    source: Source
    precision: Precision
    training_seed: int | None = None
    """What weights, batches and the method's draws come from, where it is not the seed."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each of the method's parameters was set: "default", "scenario", "suite" or "--set"."""

    @property
    def id(self) -> str:
        training = "" if self.training_seed is None else f"-training{self.training_seed}"
        return f"{self.method_name}/{self.scenario_name}/seed{self.seed}{training}"

    @property
    def obstacle(self) -> str | None:
        """Why the method cannot run on the scenario, if it cannot."""
        return obstacle(self.method, self.scenario)

    @property
    def rng(self) -> Rng:
        """What the cell's problem is drawn from: the same for every method and scenario at this seed."""
        return seed_rng(self.suite_seed, self.seed)

    @property
    def training_rng(self) -> Rng:
        """What its training draws from: likewise, and where there are training seeds the same for every split."""
        if self.training_seed is None:
            return self.rng
        return Rng.root(self.suite_seed).child("training seed", self.training_seed)

    def key(self, data_sha256: str) -> str:
        """Hash over everything that could change the result. The split follows from what is in it."""
        content = (
            SCHEMA,
            (self.method_base, _params_text(self.method)),
            (self.scenario_base, _params_text(self.scenario)),
            (self.suite_seed, self.seed, self.training_seed),
            (self.source.common, self.source.method, self.source.scenario),
            self.precision,
            data_sha256,
        )
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Grid:
    """A part of a suite: some of its methods on some of its scenarios at some seeds."""

    methods: tuple[str, ...]
    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]
    training_seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Suite:
    """A validated suite file: every name known, every parameter of the right type and range."""

    name: str
    methods: Mapping[str, tuple[str, Mapping[str, Method]]]
    """Name -> (registered name, instance for each scenario)."""
    scenarios: Mapping[str, tuple[str, Scenario]]
    """Name -> (registered name, instance)."""
    grids: tuple[Grid, ...]
    precision: Precision = "float32"
    """Arithmetic of matrix products and convolutions; tf32 is CUDA's faster and coarser one."""
    seed: int = 0
    description: str = ""
    origins: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """By (method, scenario): where each of the method's parameters was set."""
    tuning: Params = field(default_factory=dict)
    """How the hyperparameters were found, if `sslbench tune` wrote the file."""
    timeout: float | None = None
    """Minutes that a cell may take; None: as long as it takes."""
    checkpoint_every: float = 5.0
    """Minutes from one checkpoint of a running cell to the next; 0: none. No part of a cell's key."""

    def seeds(self, scenario: str) -> tuple[int, ...]:
        """The seeds at which a scenario's problem is posed."""
        return tuple(dict.fromkeys(s for g in self.grids if scenario in g.scenarios for s in g.seeds))

    def methods_on(self, scenario: str) -> tuple[str, ...]:
        """The methods that run on a scenario."""
        return tuple(dict.fromkeys(m for g in self.grids if scenario in g.scenarios for m in g.methods))

    def cells(self) -> Iterator[Cell]:
        """Every method on every scenario at every seed, grid by grid and scenario by scenario, each cell once."""
        seen: set[str] = set()
        for grid in self.grids:
            for scenario_name, method_name in itertools.product(grid.scenarios, grid.methods):
                scenario_base, instance = self.scenarios[scenario_name]
                method_base, instances = self.methods[method_name]
                chosen = instances[scenario_name]
                source = source_of(chosen, instance)
                for seed, training_seed in itertools.product(grid.seeds, grid.training_seeds or (None,)):
                    cell = Cell(
                        method_name,
                        method_base,
                        chosen,
                        scenario_name,
                        scenario_base,
                        instance,
                        self.seed,
                        seed,
                        source,
                        self.precision,
                        training_seed,
                        self.origins.get((method_name, scenario_name), {}),
                    )
                    if cell.id not in seen:
                        seen.add(cell.id)
                        yield cell


def source_of(method: Method, scenario: Scenario) -> Source:
    """Digests of the code, as it is installed here, that computes the results of a method on a scenario."""
    return Source(source_digest(*_CORE), _own_source(type(method)), _own_source(type(scenario)))


def seed_rng(suite_seed: int, seed: int) -> Rng:
    """The generator of one seed of a suite."""
    return Rng.root(suite_seed).child("seed", seed)


def params(thing: Method | Scenario) -> Params:
    """The parameters of a method or scenario, as JSON has them."""
    given: Params = json.loads(_params_text(thing))
    return given


_texts: dict[int, tuple[Method | Scenario, str]] = {}  # by identity: the cells of a pair share their instances


def _params_text(thing: Method | Scenario) -> str:
    """The parameters as JSON text, written once for each instance."""
    known = _texts.get(id(thing))
    if known is None or known[0] is not thing:
        assert dataclasses.is_dataclass(thing)
        if len(_texts) >= 4096:
            _texts.clear()
        values = dataclasses.asdict(thing)
        for name in _paths(type(thing)):
            values[name] = values[name] and Path(values[name]).name
        known = _texts[id(thing)] = thing, json.dumps(values, sort_keys=True)
    return known[1]


def _paths(thing: type) -> tuple[str, ...]:
    """Fields of a scenario class that name files or folders."""
    return thing.paths if issubclass(thing, Scenario) else ()


@dataclass(frozen=True)
class Overrides:
    """What the command line changes of a suite file. None and empty leave it as it is."""

    methods: Sequence[str] | None = None
    scenarios: Sequence[str] | None = None
    seeds: str | None = None
    settings: Sequence[str] = ()
    """`name.parameter=value`: of a method, a scenario, or `*` for all scenarios. A value as in TOML, or a bare word."""
    timeout: float | None = None
    """Minutes that a cell may take."""


def read_suite(path: Path, overrides: Overrides | None = None) -> Suite:
    """Read and validate a suite file.

    Raises:
        BadInput: naming the file, the key, what was given and what is valid.
    """
    content = read_content(path)
    try:
        return make_suite(content, overrides)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


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


def relocated(content: Mapping[str, Any], path: Path) -> Params:
    """The document as it has to read in a file at `path`, so that its relative paths lead to the same data.

    Raises:
        BadInput: as `make_suite`.
    """
    moved = {k: v for k, v in content.items() if k != "folder"}
    if any(_paths(type(instance)) for _, instance in make_suite(content).scenarios.values()):
        moved["folder"] = Path(os.path.relpath(content.get("folder", "."), path.parent)).as_posix()
    return moved


def make_suite(content: Mapping[str, Any], overrides: Overrides | None = None) -> Suite:
    """The suite that a TOML document of the form above describes.

    Raises:
        BadInput: naming the key, what was given and what is valid.
    """
    overrides = overrides or Overrides()
    limit = {} if overrides.timeout is None else {"timeout": overrides.timeout}
    top = _TOP.validated("the suite", {k: v for k, v in content.items() if k not in _TABLES} | limit)
    tables = {kind: _tables(content, kind) for kind in ("method", "scenario")}
    if "/" in top.name or "\\" in top.name or top.name.strip(". ") == "":
        raise BadInput(f"name = {top.name!r} cannot name a folder: give letters, digits, dashes.")
    touched = _apply(overrides.settings, tables)
    grids = _grids(content.get("grid", []), top, overrides)
    names = {
        "method": list(dict.fromkeys(m for g in grids for m in g.methods)),
        "scenario": list(dict.fromkeys(s for g in grids for s in g.scenarios)),
    }
    for kind, registry in (("method", method), ("scenario", scenario)):
        _check_names(kind, names[kind], tables[kind], registry)
        _check_unused(kind, names[kind], tables[kind], registry)
        if idle := [n for n in touched[kind] if n not in names[kind]]:
            raise BadInput(
                f"--set {idle[0]}…: the {kind} '{idle[0]}' is not in this run, which has {', '.join(names[kind])}."
            )
    scenarios = {name: _scenario(name, tables["scenario"], Path(top.folder)) for name in names["scenario"]}
    _check_everyone(tables["scenario"].get("*", {}), [s for _, s in scenarios.values()])
    methods = {name: _method(name, tables["method"], scenarios) for name in names["method"]}
    return Suite(
        name=top.name,
        description=top.description,
        seed=top.seed,
        grids=grids,
        precision=top.precision,
        methods=methods,
        scenarios=scenarios,
        origins=_origins(methods, scenarios, tables["method"], touched["setting"]),
        tuning=_tuning(content.get("tuning", {})),
        timeout=top.timeout,
        checkpoint_every=top.checkpoint_every,
    )


def _grids(given: Any, top: _Top, overrides: Overrides) -> tuple[Grid, ...]:
    """The crossings of a suite: its `[[grid]]` tables, or one of all that stands at the top."""
    if not isinstance(given, list) or not all(isinstance(g, dict) for g in given):
        raise BadInput("grid holds parts of the suite: write [[grid]] above the lists of each.")
    listed: dict[str, list[str]] = {"methods": [], "scenarios": []}
    parts = []
    for number, table in enumerate(given or [{}], 1):
        what = f"[[grid]] {number}" if given else "the suite"
        part = _GRID.validated(what, table)
        row: dict[str, Any] = {}
        for kind, chosen in (("methods", overrides.methods), ("scenarios", overrides.scenarios)):
            own = getattr(part, kind) or getattr(top, kind)
            if own is None and (given or chosen is None):
                raise BadInput(f"{what} has no {kind}: add it.")
            if given and own:
                if twice := next((n for n in own if own.count(n) > 1), None):
                    raise BadInput(f"{kind} of {what} names '{twice}' twice: name each once.")
                listed[kind] += own
                row[kind] = [n for n in own if chosen is None or n in chosen]
            else:
                row[kind] = list(own or ()) if chosen is None else list(chosen)
                _check_twice(kind, row[kind])
        seeds = overrides.seeds if overrides.seeds is not None else part.seeds if part.seeds is not None else top.seeds
        training = part.training_seeds if part.training_seeds is not None else top.training_seeds
        parts.append(
            Grid(
                tuple(row["methods"]),
                tuple(row["scenarios"]),
                parse_seeds(seeds),
                None if training is None else parse_seeds(training, "training_seeds"),
            )
        )
    if given:
        for kind, chosen in (("methods", overrides.methods), ("scenarios", overrides.scenarios)):
            if chosen is not None:
                if not chosen:
                    raise BadInput(f"{kind} is empty: name at least one of {', '.join(dict.fromkeys(listed[kind]))}.")
                _check_twice(kind, list(chosen))
                if foreign := [n for n in chosen if n not in listed[kind]]:
                    raise unknown(f"{kind.rstrip('s')} of this suite", foreign[0], dict.fromkeys(listed[kind]))
        parts = [g for g in parts if g.methods and g.scenarios]
        if not parts:
            raise BadInput("No grid of this suite has one of these methods on one of these scenarios.")
    return tuple(parts)


def _check_twice(kind: str, names: Sequence[str]) -> None:
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise BadInput(f"{kind} names '{twice}' twice: name each once.")


def with_settings(content: Mapping[str, Any], settings: Sequence[str]) -> Params:
    """The document with `--set` written into its tables, all of them copies.

    Raises:
        BadInput: a setting of another form, or of a name that nobody has.
    """
    tables = {kind: _tables(content, kind) for kind in ("method", "scenario")}
    _apply(settings, tables)
    return {**content, **tables}


def changed(thing: Thing, values: Mapping[str, Any]) -> Thing:
    """A method or scenario with other values, checked as those of a suite file are.

    Raises:
        BadInput: an unknown key, or a value that the class does not take.
    """
    assert dataclasses.is_dataclass(thing)
    given: Thing = _Form(type(thing)).validated(type(thing).__name__, {**dataclasses.asdict(thing), **values})
    return given


def parse_seeds(given: int | str | Sequence[int], what: str = "seeds") -> tuple[int, ...]:
    """`10` counts 0 to 9, `"3,7,1000-1009"` and `[3, 7]` name them.

    Raises:
        BadInput: no seed, a repeated one, or something else than such a number, list or range.
    """
    if isinstance(given, str) and given.strip().isdecimal():
        given = int(given)
    if isinstance(given, int):
        seeds: list[int] = list(range(min(given, MOST_SEEDS + 1)))
    elif isinstance(given, str):
        seeds = [seed for part in given.split(",") for seed in _range(part, given, what)]
    else:
        seeds = list(given)
    if not seeds or min(seeds) < 0:
        raise _bad_seeds(given, what)
    if len(seeds) > MOST_SEEDS:
        raise BadInput(f"{what} = {given!r} are too many: give at most {MOST_SEEDS}.")
    if len(set(seeds)) < len(seeds):
        raise BadInput(f"{what} = {given!r} names a seed twice: name each once.")
    return tuple(seeds)


def _range(part: str, given: str, what: str) -> Iterable[int]:
    first, dash, last = part.strip().partition("-")
    try:
        return range(int(first), min(int(last), int(first) + MOST_SEEDS) + 1) if dash else [int(first)]
    except ValueError:
        raise _bad_seeds(given, what) from None


def _bad_seeds(given: object, what: str) -> BadInput:
    return BadInput(f'{what} = {given!r} names no seeds: give a count of at least 1, a list, or "3,7,1000-1009".')


# Validation ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Top:
    __pydantic_config__ = ConfigDict(strict=True)
    name: str
    methods: tuple[str, ...] | None = None
    scenarios: tuple[str, ...] | None = None
    seeds: int | str | tuple[int, ...] = 3
    training_seeds: int | str | tuple[int, ...] | None = None
    seed: Annotated[int, Ge(0), Lt(1 << 63)] = 0
    precision: Precision = "float32"
    timeout: Annotated[float, Gt(0)] | None = None
    checkpoint_every: Annotated[float, Ge(0)] = 5.0
    description: str = ""
    folder: str = "."


@dataclass(frozen=True)
class _Part:
    __pydantic_config__ = ConfigDict(strict=True)
    methods: tuple[str, ...] | None = None
    scenarios: tuple[str, ...] | None = None
    seeds: int | str | tuple[int, ...] | None = None
    training_seeds: int | str | tuple[int, ...] | None = None


class _Form:
    """Validates a table against the fields of a dataclass."""

    def __init__(self, form: type[Any]) -> None:
        if not dataclasses.is_dataclass(form):
            raise BadInput(f"{form.__name__} is not a dataclass: decorate it with @dataclass(frozen=True).")
        self.form = form

    def validated(self, what: str, values: Mapping[str, Any]) -> Any:
        """An instance.

        Raises:
            BadInput: an unknown or missing key, a wrong type, a value out of range.
        """
        known = [f.name for f in dataclasses.fields(self.form)]
        for key in values:
            if key not in known:
                raise unknown(f"key of {what}", key, known)
        if odd := next((k for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)), None):
            raise BadInput(f"{what}: {odd} = {values[odd]} is not valid: give a finite number.")
        try:
            # Through JSON, strict, so that a list may be a tuple but a string is never a number.
            return TypeAdapter(self.form).validate_json(json.dumps(values, default=str), strict=True)
        except ValidationError as error:
            raise BadInput(_one_line(what, error.errors()[0], values)) from error
        except (PydanticUserError, NameError) as error:
            line = str(error).splitlines()[0]
            raise BadInput(f"{what}: the types of {self.form.__name__}'s fields cannot be read: {line}") from error
        except BadInput as error:  # raised by the class itself, of fields that do not go together
            raise BadInput(f"{what}: {error}") from error


_TOP, _GRID = _Form(_Top), _Form(_Part)
_TABLES = ("method", "scenario", "grid", "tuning")


def _one_line(what: str, error: Any, values: Mapping[str, Any]) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{what} has no {key}: add it."
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error" and not key:
        return f"{what}: {message}"
    given = values.get(key, error["input"])
    return f"{what}: {key} = {given!r} is not valid: {message[0].lower()}{message[1:]}."


def _tables(content: Mapping[str, Any], kind: str) -> dict[str, Params]:
    tables = content.get(kind, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise BadInput(f"[{kind}] holds tables, one a {kind}: write [{kind}.NAME] and its parameters below.")
    return json.loads(json.dumps(tables, default=str))  # a deep copy, of JSON's types


def _apply(settings: Sequence[str], tables: Mapping[str, dict[str, Params]]) -> Mapping[str, list[str]]:
    """Write `--set name.parameter=value` into the tables. Returns the names that were set."""
    touched: dict[str, list[str]] = {"method": [], "scenario": [], "setting": []}
    for setting in settings:
        path, equals, text = setting.partition("=")
        name, dot, key = path.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise BadInput(f"--set {setting!r} is not of the form NAME.PARAMETER=VALUE, such as vat.radius=2.0.")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        if name == "*":
            tables["scenario"].setdefault("*", {})[key] = value
            continue
        kinds = [k for k, r in (("method", method), ("scenario", scenario)) if name in tables[k] or name in r]
        if not kinds:
            raise unknown("method or scenario in --set", name, [*method.names(), *scenario.names()])
        tables[kinds[0]].setdefault(name, {})[key] = value
        touched[kinds[0]].append(name)
        touched["setting"].append(f"{name}.{key}")
    return touched


def _check_names(kind: str, names: Sequence[str], tables: Mapping[str, Params], registry: Registry[Any]) -> None:
    if not names:
        raise BadInput(f"{kind}s is empty: name at least one {kind} ({', '.join(registry.names())}).")
    known = [*registry.names(), *(n for n, table in tables.items() if "base" in table)]
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    for name, table in tables.items():
        if name != "*" and name not in known:
            raise unknown(f"{kind} in [{kind}.{name}]", name, known)
        if "base" in table:
            if name in registry:
                raise BadInput(f"[{kind}.{name}] has a base, but '{name}' is a registered {kind}: choose another name.")
            _settled(name, tables, registry)


def _check_unused(kind: str, names: Sequence[str], tables: Mapping[str, Params], registry: Registry[Any]) -> None:
    """A table that this run does not use may not hold an unknown key either."""
    for name, table in tables.items():
        if name not in names and name != "*":
            known = [f.name for f in dataclasses.fields(_settled(name, tables, registry)[0].thing)]
            for key in table:
                if key not in (*known, "base", "on"):
                    raise unknown(f"key of {kind} '{name}'", key, known)


def _check_everyone(table: Params, scenarios: Sequence[Scenario]) -> None:
    known = {f.name for s in scenarios for f in dataclasses.fields(s)}
    for key in table:
        if key not in known:
            raise unknown('key of [scenario."*"]', key, known)


def _settled(name: str, tables: Mapping[str, Params], registry: Registry[T]) -> tuple[Entry[T], Params]:
    """What a name stands for: the registered thing that it is or is a variant of, and the values that the file gives it.

    A variant's base may be another variant, whose values it then has where it gives none of its own.
    """
    line = [name]
    while (base := tables.get(line[-1], {}).get("base")) is not None:
        if base in line:
            raise BadInput(f"The base of '{name}' leads back to '{base}': {' → '.join([*line, str(base)])}.")
        line.append(str(base))
        if "base" not in tables.get(str(base), {}):
            break  # a registered name: what the file sets on that itself does not reach its variants
    root = line[-1]
    values: Params = dict(tables.get(root, {})) if len(line) == 1 else {}
    for heir in reversed(line[:-1]):
        own = tables[heir]
        on = {**values.get("on", {}), **own["on"]} if isinstance(own.get("on"), dict) else values.get("on")
        values = {**values, **own} | ({"on": on} if on is not None else {})
    return registry.get(root), {k: v for k, v in values.items() if k != "base"}


def _scenario(name: str, tables: Mapping[str, Params], folder: Path) -> tuple[str, Scenario]:
    entry, own = _settled(name, tables, scenario)
    fields = {f.name for f in dataclasses.fields(entry.thing)}
    everyone = {k: v for k, v in tables.get("*", {}).items() if k in fields}
    values = {**entry.preset, **everyone, **own}
    for path in _paths(entry.thing):
        if isinstance(given := values.get(path), str):
            values[path] = os.path.abspath(folder.expanduser() / Path(given).expanduser())
    return entry.name, _Form(entry.thing).validated(f"scenario '{name}'", values)


def _method(
    name: str, tables: Mapping[str, Params], scenarios: Mapping[str, tuple[str, Scenario]]
) -> tuple[str, dict[str, Method]]:
    entry, table = _settled(name, tables, method)
    if not issubclass(entry.thing, LossMethod | FitMethod):
        raise BadInput(f"{entry.thing.__name__} is neither a LossMethod nor a FitMethod: derive it from one of them.")
    everywhere = {k: v for k, v in table.items() if k != "on"}
    on = table.get("on", {})
    if not isinstance(on, dict) or not all(isinstance(v, dict) for v in on.values()):
        raise BadInput(f"[method.{name}] on holds tables: write [method.{name}.on.SCENARIO] and parameters below.")
    for target in on:
        if target not in scenarios and target not in scenario:
            raise unknown(f"scenario in [method.{name}.on.{target}]", target, [*scenarios, *scenario.names()])
    form = _Form(entry.thing)
    instances = {}
    for scenario_name, (_, instance) in scenarios.items():
        suited = instance.hyperparameters.get(entry.name, {})
        values = {**entry.preset, **suited, **everywhere, **on.get(scenario_name, {})}
        instances[scenario_name] = form.validated(f"method '{name}'", values)
    return entry.name, instances


def _origins(
    methods: Mapping[str, tuple[str, Mapping[str, Method]]],
    scenarios: Mapping[str, tuple[str, Scenario]],
    tables: Mapping[str, Params],
    settings: Sequence[str],
) -> dict[tuple[str, str], dict[str, str]]:
    """By (method, scenario): where each of the method's parameters was set."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, (base, instances) in methods.items():
        table = _settled(name, tables, method)[1]
        for scenario_name, instance in instances.items():
            assert dataclasses.is_dataclass(instance)
            suited = scenarios[scenario_name][1].hyperparameters.get(base, {})
            own = {**table, **table.get("on", {}).get(scenario_name, {})}
            found[name, scenario_name] = {
                f.name: "--set"
                if f"{name}.{f.name}" in settings
                else "suite"
                if f.name in own
                else "scenario"
                if f.name in suited
                else "default"
                for f in dataclasses.fields(instance)
            }
    return found


def _tuning(given: Any) -> Params:
    if not isinstance(given, dict):
        raise BadInput(
            "[tuning] is a table: `sslbench tune` writes it, and it says how the hyperparameters were found."
        )
    return dict(given)


def _own_source(thing: type) -> str:
    """Digest of the modules that define a class, what it inherits and what those take from their own kind."""
    todo = [c.__module__ for c in thing.__mro__ if c.__module__ != "builtins"]
    modules: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in modules:
            modules.add(name)
            used = vars(sys.modules[name]).values()
            origins = {v.__name__ if isinstance(v, ModuleType) else getattr(v, "__module__", None) for v in used}
            todo += [o for o in origins if isinstance(o, str) and o in sys.modules and _of_a_kind(name, o)]
    return source_digest(*sorted(modules))


def _of_a_kind(name: str, other: str) -> bool:
    """Whether two modules are of one plugin package, or both built-in methods, or both built-in scenarios."""
    package = ".".join(name.split(".")[:2]) if name.startswith("sslbench.") else name.split(".")[0]
    return other == package or other.startswith(f"{package}.")
