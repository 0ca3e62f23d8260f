"""One registry for everything that can be added: methods, scenarios, data sets.

Built-ins are found by reading their package's files, not by importing them, so that listing them loads nothing heavy. Third
parties come in by entry points (`sslbench.methods`, `sslbench.scenarios`) or as a file (`--plugin FILE.py`).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from sslbench.errors import BadInput, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered thing."""

    name: str
    thing: T
    """What was registered: a class or a function."""
    preset: Mapping[str, Any]
    """Field values that this name stands for, beside the class's own defaults."""


@dataclass(frozen=True)
class Listing:
    """What is known of a name before anything is imported."""

    name: str
    summary: str
    origin: str
    """`built-in`, the distribution of an entry point, or a plugin file."""


class Registry(Generic[T]):
    """Names to classes, filled by a decorator.

    method = Registry("method", package="sslbench.methods", group="sslbench.methods")

    @method("vat")
    class VAT: ...
    """

    def __init__(self, kind: str, package: str, group: str | None = None) -> None:
        """
        Args:
            kind: what is registered, as an error names it ("method"); also the decorator's name in built-in files.
            package: the package whose files hold the built-ins.
            group: the entry-point group of third parties.
        """
        self.kind, self.package, self.group = kind, package, group
        self._entries: dict[str, Entry[T]] = {}
        self._origins: dict[str, str] = {}

    def __call__(self, name: str, **preset: Any) -> Callable[[T], T]:
        """Register the decorated thing under `name`, with `preset` field values. Raises on a name already taken."""

        def register(thing: T) -> T:
            self._refuse_duplicate(name, thing)
            self._entries[name] = Entry(name, thing, preset)
            return thing

        return register

    def get(self, name: str) -> Entry[T]:
        """The entry of that name, importing only the file that holds it.

        Raises:
            BadInput: no such name (the nearest one and all known ones are named), or its plugin cannot be loaded.
        """
        if name not in self._entries:
            if name in self._built_in:
                importlib.import_module(self._built_in[name][0])
            elif name in self._external:
                self._load_entry_point(self._external[name])
        if name not in self._entries:
            raise unknown(self.kind, name, self.names())
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries or name in self._built_in or name in self._external

    def module(self, name: str) -> str | None:
        """The module that holds the built-in of that name, without importing it; None if there is none."""
        return self._built_in[name][0] if name in self._built_in else None

    def names(self) -> list[str]:
        """All known names, built-ins first in the order of their files."""
        return list(dict.fromkeys([*self._built_in, *self._external, *self._entries]))

    def of_module(self, module: str) -> list[str]:
        """Names that a module has registered."""
        return [name for name, entry in self._entries.items() if getattr(entry.thing, "__module__", None) == module]

    def listings(self) -> Iterator[Listing]:
        """Name, first docstring line and origin of each, importing nothing but what is already imported."""
        for name in self.names():
            if name in self._built_in:
                yield Listing(name, self._built_in[name][1], "built-in")
            elif name in self._external:
                point = self._external[name]
                yield Listing(name, point.value, point.dist.name if point.dist else "entry point")
            else:
                thing = self._entries[name].thing
                yield Listing(name, _first_line(inspect.getdoc(thing)), self._origins.get(name, thing.__module__))

    def own(self, name: str, origin: str) -> None:
        """Remember where a name came from (a plugin file)."""
        self._origins[name] = origin

    @functools.cached_property
    def _built_in(self) -> dict[str, tuple[str, str]]:
        """name -> (module, first docstring line), read from the decorators in the package's files."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found = {}
        for path in sorted(Path(spec.submodule_search_locations[0]).glob("*.py")):
            for name, summary in _decorated(path, self.kind):
                found[name] = (f"{self.package}.{path.stem}", summary)
        return found

    @functools.cached_property
    def _external(self) -> dict[str, importlib.metadata.EntryPoint]:
        if self.group is None:
            return {}
        points = {}
        for point in importlib.metadata.entry_points(group=self.group):
            if point.name in self._built_in or point.name in points:
                raise BadInput(
                    f"The {self.kind} '{point.name}' of {_distribution(point)} has a name that is already taken: "
                    f"rename its entry point in group '{self.group}'."
                )
            points[point.name] = point
        return points

    def _load_entry_point(self, point: importlib.metadata.EntryPoint) -> None:
        try:
            point.load()
        except Exception as error:
            raise BadInput(
                f"The {self.kind} '{point.name}' of {_distribution(point)} cannot be loaded from {point.value}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if point.name not in self._entries:
            raise BadInput(
                f"{point.value} registers no {self.kind} '{point.name}': "
                f"decorate it with @sslbench.{self.kind}({point.name!r})."
            )

    def _refuse_duplicate(self, name: str, thing: T) -> None:
        module = getattr(thing, "__module__", "?")
        taken = self._entries[name].thing if name in self._entries else None
        where = getattr(taken, "__module__", None) or self._built_in.get(name, (None,))[0]
        if where is not None and (taken is not None or where != module):
            raise BadInput(
                f"The {self.kind} '{name}' of {module} has a name that {where} has already taken: choose another."
            )


METHODS: Registry[Any] = Registry("method", "sslbench.methods", "sslbench.methods")
SCENARIOS: Registry[Any] = Registry("scenario", "sslbench.scenarios", "sslbench.scenarios")
DATASETS: Registry[Any] = Registry("dataset", "sslbench.data")


def plugin_name(path: Path) -> str:
    """What the module of a plugin file is called: by its place, so that two files of one name do not meet."""
    path = path.resolve()
    return f"sslbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def load_plugin(path: Path, name: str | None = None) -> ModuleType:
    """Run a plugin file, so that its decorators register what it holds. Loading a file twice does nothing more.

    Args:
        path: the file.
        name: what its module is called, where it is a copy of a file on another machine; by default `plugin_name` of it.

    Raises:
        BadInput: no such file, or it cannot be run (its error, with file and line).
    """
    path = path.resolve()
    name = name or plugin_name(path)
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise BadInput(f"No plugin file {path}: give --plugin the path of a Python file.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"The plugin {path} is not a Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BadInput:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadInput(
            f"The plugin {path} cannot be loaded: {type(error).__name__}: {error}{_line_in(error, path)}"
        ) from error
    for registry in (METHODS, SCENARIOS, DATASETS):
        for registered in registry.of_module(name):
            registry.own(registered, path.name)
    return module


def source_digest(*modules: str) -> str:
    """Hash of what those modules do: their code without comments, docstrings, layout and search spaces.

    Part of a cell's key, so that editing a method re-runs its cells, and reformatting it or tuning it more widely does not.
    """
    digest = hashlib.sha256()
    for name in modules:
        digest.update(_normalised_source(name))
    return digest.hexdigest()[:16]


@functools.cache
def _normalised_source(module: str) -> bytes:
    found = sys.modules.get(module)
    path = getattr(found, "__file__", None)
    if path is None:
        spec = importlib.util.find_spec(module)
        path = spec.origin if spec is not None else None
    if path is None:  # defined in an interactive session: nothing to read, so its name must do
        return module.encode()
    tree = ast.parse(Path(path).read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a bare string is a docstring, of a module, a class, a function or a field
            kept = [n for n in body if not _is_string(n) and not (isinstance(node, ast.ClassDef) and _is_search(n))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree).encode()


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_search(node: ast.AST) -> bool:
    """`search = …`, annotated or not: what may be tried, which no result follows from."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "search" for target in targets)


def _decorated(path: Path, decorator: str) -> Iterator[tuple[str, str]]:
    """(name, first docstring line) of each thing in the file that is decorated with `@decorator("name")`."""
    for node in ast.parse(path.read_bytes()).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for call in node.decorator_list:
            match call:
                case ast.Call(func=ast.Name(id=found), args=[ast.Constant(value=str(name)), *_]) if found == decorator:
                    yield name, _first_line(ast.get_docstring(node))


def _first_line(doc: str | None) -> str:
    return doc.strip().splitlines()[0] if doc else ""


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist else "an entry point"


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return ""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
