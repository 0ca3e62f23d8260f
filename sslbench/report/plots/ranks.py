"""Ranks over the scenarios."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from matplotlib.figure import Figure

from sslbench.report.canvas import Plot, figure
from sslbench.report.evidence import Ranking
from sslbench.report.palette import Look


def ranks_figure(ranking: Ranking, style: Mapping[str, Look]) -> Figure:
    """Critical-difference diagram (Demšar 2006): mean ranks on a line, a bar under methods that cannot be told apart."""
    ranks, groups = ranking.difference.friedman.mean_ranks, ranking.difference.groups
    count = len(ranking.methods)
    drawn = figure(5.4, 0.9 + 0.3 * count + 0.18 * len(groups))
    axes = drawn.subplots()
    order = sorted(range(count), key=lambda i: ranks[i])
    for height, group in enumerate(groups):
        ends = [ranks[i] for i in group]
        axes.plot(
            [min(ends) - 0.03, max(ends) + 0.03],
            [-0.35 * (height + 1)] * 2,
            color="#333333",
            lw=4,
            solid_capstyle="round",
        )
    top = 0.35 * len(groups)
    paper = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
    for place, i in enumerate(order):
        look, y = style[ranking.methods[i]], -top - 0.55 * (place + 1)
        axes.plot([ranks[i], ranks[i]], [0, y], color=look.colour, lw=1, zorder=1)
        axes.plot(ranks[i], 0, look.marker, color=look.colour, ms=8, clip_on=False)
        side, aside = ("right", -0.04) if ranks[i] > (1 + count) / 2 else ("left", 0.04)  # within the figure
        label = f"{ranking.methods[i]}  {ranks[i]:.2f}"
        axes.text(ranks[i] + aside, y, label, va="center", ha=side, fontsize=9.5, bbox=paper)
    axes.set(xlim=(1, count + 0.6), ylim=(-top - 0.55 * count - 0.3, 0), yticks=[], xticks=range(1, count + 1))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("mean rank (1 is best)")
    axes.grid(False)
    for side in ("left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    return drawn


def plot(ranking: Ranking, style: Mapping[str, Look]) -> Plot:
    return Plot(
        "ranks",
        "ranks",
        f"Mean ranks over {len(ranking.scenarios)} scenarios",
        "Critical-difference diagram. A black bar joins methods that these scenarios cannot tell apart.",
        "The mean rank of each method on a line. The table of ranks holds the same numbers.",
        functools.partial(ranks_figure, ranking, style),
    )
