"""Where classes have no labels: the recall of each class, and what is taken for what."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sslbench.records import Record
from sslbench.report.canvas import Plot, beside, figure, panels, slug
from sslbench.report.plots.matrix import FRAMED, matrix


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
        axes.add_patch(Rectangle((place, 0), 1, len(table), fill=False, ec=FRAMED, lw=2.5, clip_on=False))
    axes.set(xlabel="class (framed: without labels)", ylabel="")
    axes.tick_params(left=False, bottom=False)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    return drawn


def confusion_figure(records: Sequence[Record]) -> Figure:
    """What each class is taken for on one scenario, in percent of the class, a panel a method, mean over the seeds."""
    methods = list(dict.fromkeys(r.method["name"] for r in records))
    drawn, places = panels(len(methods), (2.6, 2.75))
    columns = beside(len(methods), small=False)
    for place, (axes, method) in enumerate(zip(places, methods, strict=False)):
        counts = np.mean([r.metrics["confusion"] for r in records if r.method["name"] == method], axis=0)
        lowest = place + columns >= len(methods)  # of its column
        names, missing = _class_names(records[0]), records[0].scenario["missing"]
        matrix(axes, counts, names, missing, left=place % columns == 0, below=lowest)
        axes.set_title(method)
    return drawn


def draw(records: Sequence[Record]) -> Iterator[Plot]:
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
                functools.partial(recall_figure, recalled),
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
                functools.partial(confusion_figure, confused),
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
