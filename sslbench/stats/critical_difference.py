"""What a critical-difference diagram shows: mean ranks, and the groups that the data cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslbench.stats._inputs import probability
from sslbench.stats.ranks import Friedman, complete, friedman
from sslbench.stats.signed_ranks import PairwiseWilcoxon, pairwise_wilcoxon


@dataclass(frozen=True)
class CriticalDifference:
    """Methods by mean rank, and the groups among them."""

    friedman: Friedman
    """The test over all methods, with their mean ranks."""
    pairwise: PairwiseWilcoxon
    """The tests between pairs."""
    groups: tuple[tuple[int, ...], ...]
    """Positions of two or more methods, best rank first, no two of which differ significantly; none inside another.

    A method that differs from all others is in no group. A group may pass over a method whose mean rank lies between
    two of its members: signed ranks need not agree with mean ranks.
    """


def critical_difference(scores: ArrayLike, *, seed: int, alpha: float = 0.05) -> CriticalDifference:
    """Friedman's test, then pairwise signed-rank tests with Holm, on `scores`, shape (scenarios, methods).

    Over the scenarios where every method has a score (Demšar 2006, section 3.2; Benavoli, Corani and Mangili 2016 on
    why signed ranks and not mean ranks decide a pair). Unless Friedman's test finds a difference, all methods are one
    group. Groups are the maximal cliques of "not significantly different".

    Raises:
        ValueError: fewer than three methods, fewer than two complete scenarios, or alpha outside (0, 1).
    """
    probability(alpha, "alpha")
    overall = friedman(scores)
    pairwise = pairwise_wilcoxon(complete(scores)[0], seed=seed)
    alike = pairwise.p > alpha if overall.p <= alpha else np.ones_like(pairwise.p, dtype=bool)
    return CriticalDifference(overall, pairwise, indistinct_groups(alike, overall.mean_ranks))


def indistinct_groups(alike: ArrayLike, mean_ranks: ArrayLike) -> tuple[tuple[int, ...], ...]:
    """The maximal sets of two or more methods that are pairwise `alike`, each and all of them ordered by mean rank.

    Args:
        alike: symmetric booleans, shape (methods, methods); the diagonal is not read.
        mean_ranks: shape (methods,).

    Raises:
        ValueError: the shapes do not agree, or `alike` is not symmetric.
    """
    graph = np.array(alike, dtype=bool)
    order = np.argsort(np.asarray(mean_ranks, dtype=np.float64), kind="stable")
    if graph.shape != (order.size, order.size) or (graph != graph.T).any():
        raise ValueError(f"alike has shape {graph.shape}: give a symmetric ({order.size}, {order.size}) matrix.")
    graph = graph[np.ix_(order, order)]
    np.fill_diagonal(graph, False)
    cliques = sorted(clique for clique in _cliques((), set(range(order.size)), set(), graph) if len(clique) > 1)
    return tuple(tuple(int(order[i]) for i in clique) for clique in cliques)


def _cliques(
    chosen: tuple[int, ...], open_: set[int], seen: set[int], graph: NDArray[np.bool_]
) -> Iterator[tuple[int, ...]]:
    """Maximal cliques that hold `chosen` (Bron and Kerbosch 1973); methods are few, so no pivot."""
    if not open_ and not seen:
        yield tuple(sorted(chosen))
    for i in sorted(open_):
        near = set(np.flatnonzero(graph[i]).tolist())
        yield from _cliques((*chosen, i), open_ & near, seen & near, graph)
        open_, seen = open_ - {i}, seen | {i}
