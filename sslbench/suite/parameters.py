"""The parameters of a method or a scenario, as JSON has them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from sslbench.methods.base import FitMethod, LossMethod
from sslbench.scenarios.base import Scenario

Method = LossMethod | FitMethod
Params = dict[str, Any]


def params(thing: Method | Scenario) -> Params:
    """The parameters of a method or scenario, as JSON has them."""
    given: Params = json.loads(params_text(thing))
    return given


_texts: dict[int, tuple[Method | Scenario, str]] = {}  # by identity: the cells of a pair share their instances


def params_text(thing: Method | Scenario) -> str:
    """The parameters as JSON text, written once for each instance."""
    known = _texts.get(id(thing))
    if known is None or known[0] is not thing:
        assert dataclasses.is_dataclass(thing)
        if len(_texts) >= 4096:
            _texts.clear()
        values = dataclasses.asdict(thing)
        for name in paths(type(thing)):
            values[name] = values[name] and Path(values[name]).name
        known = _texts[id(thing)] = thing, json.dumps(values, sort_keys=True)
    return known[1]


def paths(thing: type) -> tuple[str, ...]:
    """Fields of a scenario class that name files or folders."""
    return thing.paths if issubclass(thing, Scenario) else ()
