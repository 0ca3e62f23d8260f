"""What a comparison supports saying: better, worse, or undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sslbench.stats.intervals import Interval
from sslbench.stats.multiplicity import holm
from sslbench.stats.paired import PairedComparison
from sslbench.stats.power import MOST, SeedsNeeded, seeds_needed

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class Decision:
    """The verdict on one comparison of a table."""

    verdict: Verdict
    """Of the first method against the second."""
    p: float
    """Holm-adjusted over the table."""
    reachable: bool
    """Whether this many untied pairs could have reached alpha, the rest of the table as it is."""
    needed: SeedsNeeded | None
    """Seeds that would settle it; None where it is settled."""


def verdict(p: float, interval: Interval, alpha: float = 0.05) -> Verdict:
    """Better or worse only where the (adjusted) `p` is at most `alpha` and `interval` lies on one side of zero."""
    if p <= alpha and interval.low > 0:
        return "better"
    if p <= alpha and interval.high < 0:
        return "worse"
    return "undecided"


def decide(
    comparisons: Sequence[PairedComparison], *, alpha: float = 0.05, power: float = 0.8, most: int = MOST
) -> list[Decision]:
    """The verdict on each of the `comparisons` of one table, their p-values adjusted together by Holm's method.

    Args:
        alpha: chance of even one false finding in the table.
        power, most: as in `seeds_needed`.
    """
    p = [c.test.p for c in comparisons]

    def decided(i: int, c: PairedComparison) -> Decision:
        found = verdict(adjusted[i], c.interval, alpha)
        reachable = bool(holm([*p[:i], c.test.smallest, *p[i + 1 :]])[i] <= alpha)
        if found != "undecided":
            return Decision(found, adjusted[i], reachable, None)
        needed = seeds_needed(c.mean, c.sd, c.pairs, alpha=alpha, comparisons=len(p), power=power, most=most)
        return Decision(found, adjusted[i], reachable, needed)

    adjusted: list[float] = holm(p).tolist()
    return [decided(i, c) for i, c in enumerate(comparisons)]
