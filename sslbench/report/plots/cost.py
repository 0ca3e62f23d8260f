"""Accuracy against what it costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sslbench.report.canvas import Plot, legend, panels
from sslbench.report.palette import Look
from sslbench.report.tables import with_cost
from sslbench.stats import pareto_front


def cost_figure(cells: pd.DataFrame, style: Mapping[str, Look]) -> Figure:
    """Mean final accuracy against mean training time, a panel a scenario, those on the Pareto front joined and ringed."""
    scenarios = list(cells["scenario"].unique())
    methods = [m for m in style if m in set(cells["method"])]
    drawn, places = panels(len(scenarios))
    for axes, scenario in zip(places, scenarios, strict=False):
        _cost(axes, cells[cells["scenario"] == scenario], style)
        axes.set_title(scenario)
    drawn.supxlabel("training time of one seed (s)", fontsize=10)
    drawn.supylabel("final test accuracy (%)", fontsize=10)
    legend(drawn, {m: style[m] for m in methods}, above=True)
    return drawn


def draw(cells: pd.DataFrame, style: Mapping[str, Look]) -> Iterator[Plot]:
    known = with_cost(cells)
    if not known.empty:
        yield Plot(
            "cost",
            "cost",
            "Accuracy against training time",
            "Means over the seeds; bars: ± one standard deviation of the accuracy. Up and to the left is better. Ringed and "
            "joined: the Pareto front, the methods that no other beats in both. A time is a cell's share of the stack of "
            "seeds it trained in.",
            "Final test accuracy against the training time of one seed, a panel a scenario and a point a method, the Pareto "
            "front joined. The table holds the same numbers.",
            functools.partial(cost_figure, known, style),
            wide=True,
        )


def _cost(axes: Axes, cells: pd.DataFrame, style: Mapping[str, Look]) -> None:
    axes.set_xscale("log")
    means = cells.groupby("method", sort=False)[["train_s", "final"]].mean()
    spreads = cells.groupby("method", sort=False)["final"].agg(_sd)
    front = means.iloc[pareto_front(means["train_s"], means["final"])]
    axes.plot(front["train_s"], front["final"], color="#444444", lw=1, drawstyle="steps-post", zorder=1)
    axes.plot(front["train_s"], front["final"], "o", ms=14, mfc="none", mec="#444444", mew=1, zorder=1)
    for method, seconds, accuracy in means.itertuples():
        look = style[str(method)]
        axes.errorbar(
            seconds, accuracy, float(spreads[str(method)]), None, look.marker,
            color=look.colour, ms=7.5, capsize=2, elinewidth=1, mec="white", mew=0.6,
        )  # fmt: skip
    _log_ticks(axes, means["train_s"])


def _sd(values: pd.Series) -> float:
    return float(values.std()) if len(values) > 1 else 0.0


def _log_ticks(axes: Axes, values: pd.Series) -> None:
    """Plain numbers, and some of them also where the axis spans less than a decade."""
    decades = math.log10(values.max() / values.min())
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1.5 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = values.min(), values.max()
    axes.set_xlim(low / 1.6, high * 1.6)
