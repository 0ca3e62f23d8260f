"""What many tests share: miniature suites, and instances of everything registered."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslbench.methods.base import FitMethod, LossMethod, method
from sslbench.rng import Rng
from sslbench.scenarios.base import Scenario, scenario
from sslbench.suite import Suite, make_suite

torch.set_num_threads(1)

LOSS_METHODS = [name for name in method.names() if issubclass(method.get(name).thing, LossMethod)]
FIT_METHODS = [name for name in method.names() if issubclass(method.get(name).thing, FitMethod)]
KINDS_OF_INPUT = {"images": "mnist5k-50", "points": "two-moons-6", "features": "mnist5k-1000-logreg"}


def make_scenario(name: str, **changes: Any) -> Scenario:
    entry = scenario.get(name)
    return entry.thing(**{**entry.preset, **changes})


def make_method(name: str, on: Scenario | None = None, **changes: Any) -> Any:
    entry = method.get(name)
    suited = on.hyperparameters.get(name, {}) if on is not None else {}
    return entry.thing(**{**entry.preset, **suited, **changes})


def rng_of(seed: int) -> Rng:
    return Rng.root(0).child("seed", seed)


@pytest.fixture
def mini() -> Any:
    """Makes a suite of a few quick cells: two moons, a handful of steps."""

    def make(**changes: Any) -> Suite:
        content = {
            "name": "mini",
            "seeds": 2,
            "methods": ["supervised", "vat"],
            "scenarios": ["two-moons-6"],
            "scenario": {"*": {"steps": 6, "points": 2}, "two-moons-6": {"training_points": 60, "test_points": 40}},
        }
        return make_suite(content | changes)

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `cuda` are left out where there is no CUDA device."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
