"""Accuracy, and gain over supervised, against the number of labels."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sslbench.report.canvas import NARROW, Plot, as_given, figure, legend, slug
from sslbench.report.evidence import Evidence
from sslbench.report.palette import Look
from sslbench.report.tables import Comparison
from sslbench.stats import Interval


def labels_figure(
    comparison: Comparison, evidence: Evidence, scenarios: Sequence[str], style: Mapping[str, Look]
) -> Figure:
    """Final accuracy over the number of labels, for the scenarios of one series: mean, its interval and every seed."""
    return _over_labels(
        comparison,
        {
            method: [
                (comparison.labels[s] or 0, list(comparison.entries[method, s].accuracies.values()), interval)
                for s in scenarios
                if (interval := evidence.accuracies.get((method, s)))
            ]
            for method in comparison.methods
        },
        style,
        "final test accuracy (%)",
    )


def gain_figure(
    comparison: Comparison, evidence: Evidence, scenarios: Sequence[str], style: Mapping[str, Look]
) -> Figure:
    """Difference to the baseline on the same seeds over the number of labels: mean, interval and every seed, in points."""
    lines = {
        method: [
            (comparison.labels[s] or 0, list(paired.differences.values()), evidence.comparisons[method, s].interval)
            for s in scenarios
            if (paired := comparison.entries[method, s].paired)
        ]
        for method in comparison.methods
    }
    drawn = _over_labels(comparison, lines, style, f"gain over {comparison.baseline} (points)")
    drawn.axes[0].axhline(0, color=style[comparison.baseline or ""].colour, linestyle="--", lw=1.6, zorder=1)
    return drawn


Measured = tuple[int, list[float], Interval]
"""Number of labels, a value a seed, and the interval of their mean."""


def _over_labels(
    comparison: Comparison, lines: Mapping[str, list[Measured]], style: Mapping[str, Look], label: str
) -> Figure:
    drawn = figure(*NARROW)
    axes = drawn.subplots()
    shown = [method for method in comparison.methods if lines[method]]
    for place, method in enumerate(shown):
        _labels_line(axes, sorted(lines[method], key=lambda point: point[0]), style[method], _dodge(place, len(shown)))
    _labels_axis(axes, sorted({labels for method in shown for labels, _, _ in lines[method]}))
    axes.set_ylabel(label)
    legend(drawn, {m: style[m] for m in shown})
    return drawn


def _labels_axis(axes: Axes, counts: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(counts)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("labelled examples")


def draw(cells: pd.DataFrame, comparison: Comparison, evidence: Evidence, style: Mapping[str, Look]) -> Iterator[Plot]:
    known = cells.dropna(subset=["final", "labels"])
    for series, group in known.groupby("series", sort=False):
        if group["labels"].nunique() > 1:
            scenarios = list(group["scenario"].unique())
            yield Plot(
                f"labels-{slug(series)}",
                "labels",
                f"{series}: accuracy over the number of labels",
                "Line: mean over the seeds; bar: its 95 % interval (BCa bootstrap; of fewer than five seeds too narrow); "
                "small points: single seeds. Methods are set apart sideways so that they do not hide each other.",
                f"Final test accuracy over the number of labelled examples on {series}, one line a method. "
                "The comparison table holds the same numbers.",
                functools.partial(labels_figure, comparison, evidence, scenarios, style),
            )
            if any(comparison.entries[m, s].paired for m in comparison.methods for s in scenarios):
                yield Plot(
                    f"gain-{slug(series)}",
                    "labels",
                    f"{series}: gain over {comparison.baseline}",
                    f"Difference to {comparison.baseline} on the same seeds: mean, its 95 % interval, single seeds. Below "
                    "the dashed line the unlabelled data did harm.",
                    f"Difference in accuracy to {comparison.baseline} on the same seeds over the number of labelled "
                    f"examples on {series}, one line a method. The table of differences holds the same numbers.",
                    functools.partial(gain_figure, comparison, evidence, scenarios, style),
                )


def _labels_line(axes: Axes, points: Sequence[Measured], look: Look, dodge: float) -> None:
    for labels, values, _ in points:
        # Beside the bar: on it they would not be seen.
        axes.plot([1.018 * dodge * labels] * len(values), values, "o", color=look.colour, ms=3.2, alpha=0.6, mew=0)
    means = [float(np.mean(values)) for _, values, _ in points]
    ends = np.array(
        [(i.low, i.high) if math.isfinite(i.high) else (m, m) for m, (_, _, i) in zip(means, points, strict=True)]
    )
    axes.errorbar(
        [dodge * labels for labels, _, _ in points],
        means,
        np.abs(ends.T - means),
        color=look.colour,
        linestyle=as_given(look.dashes),
        marker=look.marker,
        ms=5.5,
        lw=1.6,
        elinewidth=1,
        capsize=2.5,
    )


def _dodge(place: int, of: int) -> float:
    """A factor near 1 that spreads the methods over a narrow stretch of a logarithmic axis."""
    step = min(1.05, 1.2 ** (1 / max(of - 1, 1)))  # together no wider than a fifth: 10 labels must not look like 13
    return float(step ** (place - (of - 1) / 2))
