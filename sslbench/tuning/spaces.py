"""What values a search may try."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sslbench.errors import BadInput, unknown
from sslbench.methods.base import Around, Range

LEARNING_RATE = {"lr": Around(10)}

Space = Mapping[str, Range | tuple[Any, ...]]
"""By hyperparameter: a range or choices that have the value in force."""


def space_of(name: str, thing: Any, search: Mapping[str, Any]) -> Space:
    """A search space with the values in force in it, and nothing relative any more."""
    known = [f.name for f in dataclasses.fields(thing)]
    if odd := next((key for key in search if key not in known), None):
        raise unknown(f"parameter in the search space of '{name}'", odd, known)
    return {key: widened(f"{name}: {key}", space, getattr(thing, key)) for key, space in search.items()}


def widened(what: str, space: Any, value: Any) -> Range | tuple[Any, ...]:
    """A range or choices that have the value in force.

    Raises:
        BadInput: it cannot be had there (0 on a logarithmic scale), or the space is of no known form.
    """
    if isinstance(space, tuple):
        return space if value in space else (*space, value)
    if not isinstance(space, Range | Around):
        raise BadInput(f"{what} cannot be searched in {space!r}: give a Range, an Around, or a tuple of choices.")
    if not isinstance(value, int | float) or ((isinstance(space, Around) or space.log) and value <= 0):
        raise BadInput(
            f"{what} = {value!r} cannot be searched in {space}: set it to a number above 0, or leave the method out."
        )
    if isinstance(space, Around):
        return Range(value / space.factor, value * space.factor, log=True)
    return dataclasses.replace(space, low=min(space.low, value), high=max(space.high, value))
