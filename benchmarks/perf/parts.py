"""The benchmarks in parts, each measured for itself: together they take an hour and more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = {
    "convolutions": "training steps of the convolution network, and the machine's peaks",
    "points": "training steps on two moons",
    "features": "training steps of the linear model",
    "cells": "whole cells, and VAT over supervised",
    "suite": "whole suites from the command line",
    "logistic": "the article's logistic pseudo-labelling",
    "house": "evaluation, store, report, MLflow, start-up, memory",
    "shares": "where the time of suites goes",
}
"""By name: what is in it."""
_OF_NETWORK = {"convolution": "convolutions", "two moons": "points", "linear": "features"}
_OF_FUNCTION = {
    "test_peak": "convolutions",
    "test_cell": "cells",
    "test_vat_over_supervised": "cells",
    "test_suite": "suite",
    "test_logistic_rounds": "logistic",
    "test_shares_of_a_suite": "shares",
}


def part_of(file: str, function: str, parameters: Mapping[str, Any]) -> str:
    """The part that a benchmark is in.

    Args:
        file: its name without the ending.
        function: its name.
        parameters: what it is parametrised by.
    """
    if function in _OF_FUNCTION:
        return _OF_FUNCTION[function]
    if file == "test_house":
        return "house"
    return next(part for network, part in _OF_NETWORK.items() if parameters["network"].startswith(network))
