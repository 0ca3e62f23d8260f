"""Digests of the code that computes a result: they are part of a cell's key."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

from sslbench.registry import source_digest
from sslbench.scenarios.base import Scenario
from sslbench.suite.parameters import Method

# What every cell's result depends on, beside its method and its scenario.
_CORE = (
    "sslbench.rng",
    "sslbench.views",
    "sslbench.metrics",
    "sslbench.data.splits",
    "sslbench.data.two_moons",
    "sslbench.networks.base",
    "sslbench.networks.convnet",
    "sslbench.networks.convolution",
    "sslbench.networks.dropout",
    "sslbench.networks.frozen",
    "sslbench.networks.initial",
    "sslbench.networks.mlp",
    "sslbench.networks.pooling",
    "sslbench.networks.winograd",
    "sslbench.scenarios.base",
    "sslbench.methods.base",
    "sslbench.methods.estimators",
    "sslbench.engine.batches",
    "sslbench.engine.capture",
    "sslbench.engine.course",
    "sslbench.engine.cuda_graphs",
    "sslbench.engine.descent",
    "sslbench.engine.evaluation",
    "sslbench.engine.maps",
    "sslbench.engine.seeds",
    "sslbench.engine.sums",
    "sslbench.engine.tape",
    "sslbench.engine.training",
)


@dataclass(frozen=True)
class Source:
    """Digests of the code that computes a result."""

    common: str
    method: str
    scenario: str


def source_of(method: Method, scenario: Scenario) -> Source:
    """Digests of the code, as it is installed here, that computes the results of a method on a scenario."""
    return Source(source_digest(*_CORE), _own_source(type(method)), _own_source(type(scenario)))


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
