"""The plots of a report. Each is drawn from the cells or the records alone; one that does not apply is left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from sslbench.records import Record
from sslbench.report import pseudo_label_plots
from sslbench.report.canvas import Plot, as_given, bare, figure, legend, slug
from sslbench.report.evidence import Evidence, Ranking
from sslbench.report.palette import Look, looks
from sslbench.report.tables import Comparison, frame, with_cost
from sslbench.stats import Interval, pareto_front

CLASSES = ("#c2571a", "#2b6cb0")
"""Colours of the two classes of two moons."""

_BOUNDARY = LinearSegmentedColormap.from_list("boundary", ["#f3b98a", "#ffffff", "#93bfe8"])

NARROW = (5.4, 3.9)
"""Inches of a plot that a telephone still shows legibly."""

Arrays = pseudo_label_plots.Arrays
"""Gives the arrays of a record, as `Store.arrays` does."""


def draw(records: Sequence[Record], comparison: Comparison, evidence: Evidence, arrays: Arrays) -> Iterator[Plot]:
    """All plots that apply, one at a time so that few are in memory. Call inside `canvas.style()`."""
    cells = frame(records)
    found = looks(comparison.methods)
    style = {method: found[method] for method in comparison.methods}
    done = [r for r in records if r.status == "ok"]
    if evidence.ranking is not None:
        yield _ranks_plot(evidence.ranking, style)
    yield from _labels_plots(cells, comparison, evidence, style)
    yield from _curve_plots(done, style)
    yield from pseudo_label_plots.draw(done, arrays)
    yield from _boundary_plots(done, arrays)
    yield from _cost_plots(cells, style)
    yield from _class_plots(done)


# Ranks over the scenarios


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


def _ranks_plot(ranking: Ranking, style: Mapping[str, Look]) -> Plot:
    return Plot(
        "ranks",
        "ranks",
        f"Mean ranks over {len(ranking.scenarios)} scenarios",
        "Critical-difference diagram. A black bar joins methods that these scenarios cannot tell apart.",
        "The mean rank of each method on a line. The table of ranks holds the same numbers.",
        ranks_figure(ranking, style),
    )


# Accuracy over the number of labels


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


def _labels_plots(
    cells: pd.DataFrame, comparison: Comparison, evidence: Evidence, style: Mapping[str, Look]
) -> Iterator[Plot]:
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
                labels_figure(comparison, evidence, scenarios, style),
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
                    gain_figure(comparison, evidence, scenarios, style),
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


# Learning curves


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
    panels = [panel for panel in PANELS if any(_defined(r, panel[0]) for r in records)]
    heights = [panel[3] for panel in panels]
    drawn = figure(NARROW[0], 1.2 * sum(heights) + 0.7)
    rows = drawn.subplots(len(panels), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    methods = [m for m in style if any(r.method["name"] == m for r in records)]
    single = len(records) <= MANY
    for axes, (curve, label, scale, _) in zip(rows, panels, strict=True):
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
    drawn, panels = _panels(len(scenarios))
    for axes, scenario in zip(panels, scenarios, strict=False):
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


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with a small panel for each scenario, at most four beside each other."""
    columns = min(count, 4 if count > 9 else 3)
    lines = math.ceil(count / columns)
    drawn = figure(max((2.6 if columns == 4 else 3.1) * columns, 5), 2.4 * lines + 0.4)
    panels = list(np.ravel(drawn.subplots(lines, columns, squeeze=False)))
    for axes in panels[count:]:
        bare(axes)
    return drawn, panels


def _epochs_axis(axes: Axes, records: Sequence[Record]) -> None:
    """Passes over the unlabelled pool along the top, where they are alike for all methods that make any."""
    lines = {
        tuple(line.items()) for r in records if len(line := _points(r, "unlabelled_epochs")) > 1 and line.max() > 0
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


def _curve_plots(records: Sequence[Record], style: Mapping[str, Look]) -> Iterator[Plot]:
    drawn = [r for r in records if _defined(r, "test_accuracy")]
    if len({r.scenario["name"] for r in drawn}) > 1:
        yield Plot(
            "curves",
            "curves",
            "Test accuracy over training",
            "Means over the seeds. The axes leave out the steep first tenth of training. Each scenario's part below has its "
            "own curves, with single seeds, the weight of the unlabelled term, its loss and its gradient.",
            "Mean test accuracy of each method over the training steps, a panel a scenario.",
            overview_figure(drawn, style),
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
                curves_figure(shown, style),
                scenario,
            )


def _floor(records: Sequence[Record]) -> float:
    """Lowest accuracy in percent worth showing: the steep first tenth of training would flatten all the rest."""
    lines = [_points(r, "test_accuracy") for r in records]
    late = [100 * float(line[line.index >= 0.1 * line.index[-1]].min()) for line in lines if len(line)]
    return max(0.0, min(late) - 2)


def _defined(record: Record, curve: str) -> bool:
    """A line needs two points."""
    return len(_points(record, curve)) > 1


def _points(record: Record, curve: str) -> pd.Series:
    """The curve by step, without the steps at which it is not defined."""
    steps, values = record.curves.get("step") or [], record.curves.get(curve) or []
    if curve == "unlabelled_weight" and not any(v is not None for v in record.curves.get("unlabelled_loss") or []):
        values = []  # the weight of a term that is not there
    found = {s: v for s, v in zip(steps, values, strict=False) if s is not None and v is not None}
    return pd.Series(found, dtype=float)


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


# Decision boundaries


def boundary_figure(records: Sequence[Record], arrays: Arrays) -> Figure:
    """Where each method draws the line between the moons, for records of one scenario and seed, a panel a method."""
    columns = min(len(records), 4)
    lines = math.ceil(len(records) / columns)
    drawn = figure(2.7 * columns, 2.6 * lines + 0.2)
    panels = list(np.ravel(drawn.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)))
    for axes, record in zip(panels, records, strict=False):
        _boundary(axes, arrays(record))
        axes.set_title(f"{record.method['name']}\n{100 * record.metrics['accuracy']['final']:.1f} %")
    for axes in panels[len(records) :]:
        bare(axes)
    return drawn


def _boundary_plots(records: Sequence[Record], arrays: Arrays) -> Iterator[Plot]:
    drawn = [r for r in records if "boundary_p" in r.arrays]
    for scenario in dict.fromkeys(r.scenario["name"] for r in drawn):
        shown = _same_seed([r for r in drawn if r.scenario["name"] == scenario], lambda r: "boundary_p" in arrays(r))
        if not shown:
            continue
        seed = shown[0].seed
        names = ", ".join(f"{r.method['name']} {100 * r.metrics['accuracy']['final']:.1f} %" for r in shown)
        yield Plot(
            f"boundary-{slug(scenario)}",
            "boundaries",
            f"{scenario}, seed {seed}: the boundaries that were learned",
            f"Seed {seed}, the first that most methods finished; other seeds may look different. Shade: probability of"
            " a class; line: where both are equal; large points: the labelled examples; title: final accuracy at this"
            " seed.",
            f"Decision boundaries on {scenario} at seed {seed}, a panel a method: {names}.",
            boundary_figure(shown, arrays),
            scenario,
            wide=True,
        )


def _same_seed(records: Sequence[Record], usable: Callable[[Record], bool]) -> list[Record]:
    """The usable records at the lowest of the seeds that have most: chosen before looking at any accuracy.

    `usable` opens a file, and so it is asked only about seeds that may be the one.
    """
    by_seed: dict[int, list[Record]] = {}
    for record in records:
        by_seed.setdefault(record.seed, []).append(record)
    best: list[Record] = []
    for seed in sorted(by_seed, key=lambda s: (-len(by_seed[s]), s)):
        if len(by_seed[seed]) <= len(best):
            break
        if len(found := list(filter(usable, by_seed[seed]))) > len(best):
            best = found
    return best


def _boundary(axes: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    x, y, p = arrays["boundary_x"], arrays["boundary_y"], arrays["boundary_p"]
    axes.imshow(
        p, extent=(x[0], x[-1], y[0], y[-1]), origin="lower", cmap=_BOUNDARY, vmin=0, vmax=1, aspect="auto",
        interpolation="bilinear",
    )  # fmt: skip
    if p.min() < 0.5 < p.max():
        axes.contour(x, y, p, levels=[0.5], colors="#333333", linewidths=1.4)
    if "points" in arrays:
        axes.plot(*arrays["points"].T, ".", color="#555555", ms=2, alpha=0.45, mew=0, rasterized=True)
    if "labelled" in arrays:
        for label, colour in enumerate(CLASSES):
            chosen = arrays["labelled"][arrays["labelled_y"] == label]
            axes.plot(*chosen.T, "os"[label], color=colour, ms=8, mec="white", mew=1.2)
    axes.set(xticks=[], yticks=[], xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


# Accuracy against cost


def cost_figure(cells: pd.DataFrame, style: Mapping[str, Look]) -> Figure:
    """Mean final accuracy against mean training time, a panel a scenario, those on the Pareto front joined and ringed."""
    scenarios = list(cells["scenario"].unique())
    methods = [m for m in style if m in set(cells["method"])]
    drawn, panels = _panels(len(scenarios))
    for axes, scenario in zip(panels, scenarios, strict=False):
        _cost(axes, cells[cells["scenario"] == scenario], style)
        axes.set_title(scenario)
    drawn.supxlabel("training time of one seed (s)", fontsize=10)
    drawn.supylabel("final test accuracy (%)", fontsize=10)
    legend(drawn, {m: style[m] for m in methods}, above=True)
    return drawn


def _cost_plots(cells: pd.DataFrame, style: Mapping[str, Look]) -> Iterator[Plot]:
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
            cost_figure(known, style),
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


# Classes without labels


def recall_figure(records: Sequence[Record]) -> Figure:
    """Recall of each class by each method on one scenario in percent, the classes without labels framed."""
    scenario = records[0].scenario
    table = _recalls(records)
    drawn = figure(max(5.0, 1.9 + 0.52 * table.shape[1]), 1.1 + 0.36 * len(table))
    axes = drawn.subplots()
    sns.heatmap(
        table, ax=axes, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="Blues", cbar=False, linewidths=0.8,
        annot_kws={"size": 9},
    )  # fmt: skip
    for place in scenario["missing"]:
        axes.add_patch(Rectangle((place, 0), 1, len(table), fill=False, ec="#d55e00", lw=2.5, clip_on=False))
    axes.set(xlabel="class (framed: without labels)", ylabel="")
    axes.tick_params(left=False, bottom=False)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    return drawn


def confusion_figure(records: Sequence[Record]) -> Figure:
    """What each class is taken for on one scenario, in percent of the class, a panel a method, mean over the seeds."""
    methods = list(dict.fromkeys(r.method["name"] for r in records))
    columns = min(len(methods), 4)
    lines = math.ceil(len(methods) / columns)
    drawn = figure(2.6 * columns, 2.75 * lines)
    panels = list(np.ravel(drawn.subplots(lines, columns, squeeze=False)))
    for axes, method in zip(panels, methods, strict=False):
        _confusion(axes, [r for r in records if r.method["name"] == method])
        axes.set_title(method)
    for axes in panels[len(methods) :]:
        bare(axes)
    return drawn


def _class_plots(records: Sequence[Record]) -> Iterator[Plot]:
    missing = [r for r in records if r.scenario.get("missing")]
    for scenario in dict.fromkeys(r.scenario["name"] for r in missing):
        shown = [r for r in missing if r.scenario["name"] == scenario]
        names = ", ".join(_class_names(shown[0])[c] for c in shown[0].scenario["missing"])
        if recalled := [r for r in shown if r.metrics.get("per_class_accuracy")]:
            yield Plot(
                f"recall-{slug(scenario)}",
                "classes",
                f"{scenario}: recall of each class",
                f"In %, mean over the seeds. No example of class {names} is labelled.",
                f"Recall of each class by each method on {scenario}; class {names} has no labels.",
                recall_figure(recalled),
                scenario,
                wide=True,
            )
        if confused := [r for r in shown if r.metrics.get("confusion")]:
            yield Plot(
                f"confusion-{slug(scenario)}",
                "classes",
                f"{scenario}: what each class is taken for",
                "Rows: the true class; columns: the predicted one; darker: a larger share of the row; framed: class "
                f"{names}, which has no labels; right answers (the diagonal) are left pale so that mistakes show.",
                f"Confusion matrices on {scenario}, a panel a method.",
                confusion_figure(confused),
                scenario,
                wide=True,
            )


def _class_names(record: Record) -> list[str]:
    """The names, or the numbers of classes where there are no names."""
    count = len(record.metrics.get("per_class_accuracy") or record.metrics.get("confusion") or [])
    given = [str(name) for name in record.scenario.get("class_names") or []]
    return given if len(given) >= count else [str(c) for c in range(max(count, 1 + max(record.scenario["missing"])))]


def _recalls(records: Sequence[Record]) -> pd.DataFrame:
    """Mean recall in percent: methods × classes."""
    rows = pd.DataFrame(
        [[math.nan if v is None else 100 * v for v in r.metrics["per_class_accuracy"]] for r in records],
        columns=_class_names(records[0]),
        dtype=float,
    )
    return rows.groupby(pd.Series([r.method["name"] for r in records], name="method"), sort=False).mean()


def _confusion(axes: Axes, records: Sequence[Record]) -> None:
    counts = np.mean([r.metrics["confusion"] for r in records], axis=0)  # (classes, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = _class_names(records[0])
    axes.imshow(shares - np.diag(0.85 * np.diag(shares)), cmap="Blues", vmin=0, vmax=0.5)
    for place in records[0].scenario["missing"]:
        axes.add_patch(Rectangle((-0.5, place - 0.5), len(names), 1, fill=False, ec="#d55e00", lw=1.8, clip_on=False))
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.grid(False)
