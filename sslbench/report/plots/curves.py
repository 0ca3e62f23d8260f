"""Learning curves."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from sslbench.records import Record
from sslbench.report.canvas import NARROW, Plot, as_given, figure, legend, panels, slug
from sslbench.report.palette import Look

PANELS = (
    ("test_accuracy", "test accuracy (%)", 100.0, 2.4),
    ("unlabelled_weight", "α(t), share of\nits highest", None, 1.0),
    ("unlabelled_loss", "unlabelled loss\n(before α)", 1.0, 1.2),
    ("unlabelled_gradient", "its gradient\n(with α)", 1.0, 1.0),
    ("pseudo_label_accuracy", "pseudo-label\naccuracy (%)", 100.0, 1.2),
)
"""Curve, its axis, what it is multiplied by (None: divided by its own highest value), and height of its panel."""


MANY = 24
"""Lines beside which single seeds can no longer be made out: their means get a band instead."""


def curves_figure(records: Sequence[Record], style: Mapping[str, Look]) -> Figure:
    """The curves of one scenario over training: mean over the seeds, single seeds thin (of very many, a band)."""
    known = [panel for panel in PANELS if any(_defined(r, panel[0]) for r in records)]
    heights = [panel[3] for panel in known]
    drawn = figure(NARROW[0], 1.2 * sum(heights) + 0.7)
    rows = drawn.subplots(len(known), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    methods = [m for m in style if any(r.method["name"] == m for r in records)]
    single = len(records) <= MANY
    for axes, (curve, label, scale, _) in zip(rows, known, strict=True):
        for place, method in enumerate(methods):
            own = [r for r in records if r.method["name"] == method]
            # Equal ramps lie on each other: the lower the wider, where there are few.
            width = 1.8 if scale is not None else 1.4 + min(0.7, 3 / len(methods)) * (len(methods) - 1 - place)
            _curve(axes, own, curve, scale, style[method], width, place / len(methods), single=single)
        axes.set_ylabel(label)
    rows[0].set_ylim(bottom=_floor(records))
    rows[-1].set_xlabel("training step")
    _epochs_axis(rows[0], records)
    drawn.align_ylabels(list(rows))
    legend(drawn, {m: style[m] for m in methods})
    return drawn


def overview_figure(records: Sequence[Record], style: Mapping[str, Look]) -> Figure:
    """Mean test accuracy over training, a panel a scenario."""
    scenarios = list(dict.fromkeys(r.scenario["name"] for r in records))
    methods = [m for m in style if any(r.method["name"] == m for r in records)]
    drawn, places = panels(len(scenarios))
    for axes, scenario in zip(places, scenarios, strict=False):
        here = [r for r in records if r.scenario["name"] == scenario]
        for place, method in enumerate(methods):
            own = [r for r in here if r.method["name"] == method]
            _curve(
                axes, own, "test_accuracy", 100.0, style[method], 1.5, place / len(methods), single=False, band=False
            )
        axes.set_ylim(bottom=_floor(here))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(scenario)
    drawn.supxlabel("training step", fontsize=10)
    drawn.supylabel("test accuracy (%)", fontsize=10)
    legend(drawn, {m: style[m] for m in methods}, above=True)
    return drawn


def _epochs_axis(axes: Axes, records: Sequence[Record]) -> None:
    """Passes over the unlabelled pool along the top, where they are alike for all methods that make any."""
    lines = {
        tuple(line.items())
        for r in records
        if len(line := _values(r, "unlabelled_epochs")) > 1 and max(line.values()) > 0
    }
    if len(lines) != 1:
        return
    steps, epochs = np.array(lines.pop()).T
    later = np.flatnonzero(epochs > 0)[0]  # before, a phase on the labelled set alone: no pass is done
    rate = (epochs[-1] - epochs[max(later - 1, 0)]) / (steps[-1] - steps[max(later - 1, 0)])
    begin = steps[-1] - epochs[-1] / rate
    top = axes.secondary_xaxis("top", functions=(lambda x: (x - begin) * rate, lambda e: e / rate + begin))
    top.set_xlabel("passes over the unlabelled pool", fontsize=9)
    ticks = MaxNLocator(6, integer=True).tick_values(0, epochs[-1])
    top.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= epochs[-1]]))


def draw(records: Sequence[Record], style: Mapping[str, Look]) -> Iterator[Plot]:
    drawn = [r for r in records if _defined(r, "test_accuracy")]
    if len({r.scenario["name"] for r in drawn}) > 1:
        yield Plot(
            "curves",
            "curves",
            "Test accuracy over training",
            "Means over the seeds. The axes leave out the steep first tenth of training. Each scenario's part below has its "
            "own curves, with single seeds, the weight of the unlabelled term, its loss and its gradient.",
            "Mean test accuracy of each method over the training steps, a panel a scenario.",
            functools.partial(overview_figure, drawn, style),
            wide=True,
        )
    for scenario in dict.fromkeys(r.scenario["name"] for r in records):
        shown = [r for r in records if r.scenario["name"] == scenario and _defined(r, "test_accuracy")]
        if shown:
            yield Plot(
                f"curves-{slug(scenario)}",
                "curves",
                f"{scenario}: over training",
                _how_drawn(shown),
                f"Test accuracy of each method over the training steps on {scenario}, with the weight of the unlabelled"
                " term and its loss below.",
                functools.partial(curves_figure, shown, style),
                scenario,
            )


def _floor(records: Sequence[Record]) -> float:
    """Lowest accuracy in percent worth showing: the steep first tenth of training would flatten all the rest."""
    lines = [_points(r, "test_accuracy") for r in records]
    late = [100 * float(line[line.index >= 0.1 * line.index[-1]].min()) for line in lines if len(line)]
    return max(0.0, min(late) - 2)


def _defined(record: Record, curve: str) -> bool:
    """A line needs two points."""
    return len(_values(record, curve)) > 1


def _points(record: Record, curve: str) -> pd.Series:
    """The curve by step, without the steps at which it is not defined."""
    found = _values(record, curve)
    return pd.Series(list(found.values()), index=list(found), dtype=float)


def _values(record: Record, curve: str) -> dict[float, float]:
    """The same as a dict: there are many, and most are only counted."""
    steps, values = record.curves.get("step") or [], record.curves.get(curve) or []
    if curve == "unlabelled_weight" and not any(v is not None for v in record.curves.get("unlabelled_loss") or []):
        values = []  # the weight of a term that is not there
    return {s: v for s, v in zip(steps, values, strict=False) if s is not None and v is not None}


def _curve(
    axes: Axes,
    records: Sequence[Record],
    curve: str,
    scale: float | None,
    look: Look,
    width: float,
    place: float,
    *,
    single: bool,
    band: bool = True,
) -> None:
    """The mean over the seeds, and the single ones thin or a band of the standard error of the mean.

    Args:
        place: in [0, 1): where the markers of this method begin, so that those of several do not hide each other.
    """
    lines = [points for r in records if len(points := _points(r, curve)) > 1]
    if not lines:
        return
    highest = max(float(line.max()) for line in lines)
    factor = scale if scale is not None else (1 / highest if highest > 0 else 1.0)
    if len(lines) > 1 and single:
        for line in lines:
            axes.plot(line.index, factor * line, color=look.colour, lw=0.6, alpha=0.4)
    table = factor * pd.concat(lines, axis=1).dropna()  # only where every seed has a value: no jump at an end
    mean, error = table.mean(axis=1), table.sem(axis=1)
    if len(lines) > 1 and band and not single:
        axes.fill_between(mean.index, mean - error, mean + error, color=look.colour, alpha=0.15, lw=0)
    marks: dict[str, Any] = {} if single else {"marker": look.marker, "ms": 4, "markevery": (place / 5, 0.2)}
    axes.plot(mean.index, mean, color=look.colour, linestyle=as_given(look.dashes), lw=width, **marks)


def _how_drawn(records: Sequence[Record]) -> str:
    """What the lines of `curves_figure` are."""
    seeds = "thin: single seeds" if len(records) <= MANY else "band: ± one standard error of the mean"
    return (
        f"Thick: mean over the seeds; {seeds}. The accuracy axis leaves out the steep first tenth of training. α(t) is drawn "
        "as a share of its highest value, as its size differs between methods; the settings below give it."
    )
