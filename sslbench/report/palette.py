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


_DASHED = (0, (5, 1))
_DOTTED = (0, (1, 1))

KNOWN: dict[str, Look] = {
    "supervised": Look("#767676", "o", "--"),
    "pseudo-label": Look("#e69f00", "s"),
    "pseudo-label-interleaved": Look("#d55e00", "D"),
    "pseudo-label-rounds": Look("#cc79a7", "P"),
    "pi-model": Look("#0072b2", "^"),
    "vat": Look("#009e73", "v"),
    "mean-teacher": Look("#56b4e9", "X", _DASHED),
    "fixmatch": Look("#882255", "<", _DASHED),
    "mixmatch": Look("#332288", ">", _DASHED),
    "uda": Look("#999933", "h", _DASHED),
    "pseudo-label-mixup": Look("#661100", "d", _DASHED),
    "self-training": Look("#117733", "p", _DASHED),
    "label-propagation": Look("#000000", "8", _DASHED),
    "label-spreading": Look("#9a6fd0", "*", _DASHED),
}
"""The methods sslbench ships. The first six have the colours of Okabe and Ito, told apart with every common colour
blindness; of fourteen no choice of colours is, so dashes and markers differ too."""

FURTHER: tuple[Look, ...] = (
    Look("#aa4499", "X", _DOTTED),
    Look("#44aa99", "<", _DOTTED),
    Look("#ddaa33", ">", _DOTTED),
    Look("#4477aa", "h", _DOTTED),
    Look("#bb5566", "*", _DOTTED),
    Look("#228833", "p", _DOTTED),
    Look("#994455", "d", _DOTTED),
    Look("#88ccee", "8", _DOTTED),
    Look("#222255", "H", _DOTTED),
    Look("#997700", "s", _DOTTED),
    Look("#e07b9a", "o", _DOTTED),
    Look("#6699cc", "^", _DOTTED),
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
