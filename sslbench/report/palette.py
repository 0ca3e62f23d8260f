"""One colour and one marker for each method, the same in every plot of every report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a method is drawn. The marker and the dashes tell methods apart without colour."""

    colour: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]] = "-"


KNOWN: dict[str, Look] = {
    "supervised": Look("#767676", "o", "--"),
    "pseudo-label": Look("#e69f00", "s"),
    "pseudo-label-interleaved": Look("#d55e00", "D"),
    "pseudo-label-rounds": Look("#cc79a7", "P"),
    "pi-model": Look("#0072b2", "^"),
    "vat": Look("#009e73", "v"),
}
"""The methods sslbench ships. Colours of Okabe and Ito, told apart with every common colour blindness."""

FURTHER: tuple[Look, ...] = (
    Look("#56b4e9", "X", (0, (5, 1))),
    Look("#882255", "<", (0, (5, 1))),
    Look("#999933", ">", (0, (5, 1))),
    Look("#332288", "h", (0, (5, 1))),
    Look("#aa4499", "*", (0, (5, 1))),
    Look("#117733", "p", (0, (5, 1))),
    Look("#661100", "d", (0, (5, 1))),
    Look("#44aa99", "8", (0, (5, 1))),
    Look("#000000", "H", (0, (5, 1))),
    Look("#88ccee", "s", (0, (1, 1))),
    Look("#ddaa33", "o", (0, (1, 1))),
    Look("#bb5566", "^", (0, (1, 1))),
)
"""For methods from elsewhere."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method.

    A method from elsewhere takes the place its name hashes to, so that it looks the same whichever others are there. It
    moves to the next free place only where another such method holds its own; past twelve of them, looks repeat.
    """
    names = sorted(set(methods))
    taken: dict[int, str] = {}
    for name in (n for n in names if n not in KNOWN):
        taken[_place(name, taken)] = name
    return {name: KNOWN[name] for name in names if name in KNOWN} | {
        name: FURTHER[place % len(FURTHER)] for place, name in taken.items()
    }


def _place(name: str, taken: dict[int, str]) -> int:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % len(FURTHER)
    round_ = len(taken) // len(FURTHER) * len(FURTHER)
    places = [round_ + (start + i) % len(FURTHER) for i in range(len(FURTHER))]
    return next(place for place in places if place not in taken)
