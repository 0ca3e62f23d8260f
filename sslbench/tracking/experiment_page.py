"""What a reader of MLflow's UI finds of an experiment: a note, the table of cells, their charts."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sslbench.tracking.parameters import AXES, IDENTITY

VARYING_TAG = "mlflow.sslbench.varying"
"""Begins so that MLflow's UI does not show it."""

NOTE = """\
[All cells in one table, best first]({table}) · [their curves and parallel coordinates]({charts})

Semi-supervised learning methods compared on the same splits: suite {suite} of sslbench.

- A parent run is a sweep (a results folder); its children are the cells, named `method/scenario/seedN`.
- `accuracy.final` (after the last step) is the headline. `accuracy.selected` is at the checkpoint that a small
  validation set picked. `accuracy.oracle` is the best on test over training: to compare with papers that report that.
- At one scenario and seed all methods have the same split, initial weights and batches: compare them in pairs.
- `curve/…` are series over training steps. Filter with `params.scenario = "…"`, `tags.status != "ok"`.
- To compare: tick runs, then *Compare*; or group the table by `method`. The parent's description has the means.
"""
"""The links come first: folded up, MLflow's UI shows the first line alone."""
VIEW, CHARTS = "cells", "charts"
"""Views that MLflow's UI offers as shared. Its own default is the parents, folded up, without a metric in sight."""
VIEW_METRICS = ("accuracy.final", "accuracy.selected", "accuracy.oracle", "train_s")
VIEW_CURVES = ("test_accuracy", "unlabelled_loss", "unlabelled_weight")


def note_of(experiment_id: str, suite: str) -> str:
    """The experiment's description, in Markdown, with links to the views."""
    link = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey="
    return NOTE.format(suite=suite, table=link + VIEW, charts=f"{link}{CHARTS}&compareRunsMode=CHART")


def experiment_tags(hyperparameters: Collection[str]) -> dict[str, str]:
    """What MLflow's UI is told of an experiment when it is made."""
    return {
        "mlflow.experimentKind": "custom_model_development",  # else the UI guesses, and may offer pages for chat traces
        "mlflow.experiment.primaryMetric.name": "accuracy.final",
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    } | views(hyperparameters)


def views(hyperparameters: Collection[str]) -> dict[str, str]:
    """The tags that grow with what varies in an experiment."""
    return {
        VARYING_TAG: json.dumps(sorted(hyperparameters)),
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view(hyperparameters)),
        f"mlflow.sharedViewState.{CHARTS}": json.dumps(_view(hyperparameters) | _charts(hyperparameters)),
    }


def _view(hyperparameters: Collection[str]) -> dict[str, Any]:
    """The table of cells, in the form in which MLflow's UI keeps a shared view; what it does not know it ignores."""
    metrics = [f"metrics.`{name}`" for name in VIEW_METRICS]
    params = [f"params.`{name}`" for name in (*IDENTITY, *sorted(set(hyperparameters) - set(AXES)))]
    name, when = "attributes.`Run Name`", ("runDateAndNestInfo", "duration")
    return {
        "searchFilter": "params.seed != ''",  # parents have none
        "orderByKey": "metrics.`accuracy.final`",
        "orderByAsc": False,
        "selectedColumns": [*metrics, *params, "tags.`status`"],
        "columnOrder": [name, *metrics, *params, "tags.`status`", *when],
        "columnWidths": {name: 270},  # a whole name, such as pseudo-label/mnist5k-1000-no7/seed0
    }


def _charts(hyperparameters: Collection[str]) -> dict[str, Any]:
    """The same cells as charts: the curves that a reader looks for first, and parallel coordinates of what varies.

    Of a method's own hyperparameters there is no axis: MLflow leaves out of this chart each run that has no number where
    most runs have one, or a number where most have none. Its page for ticked runs draws them all, on what varies there.
    """
    axes = [name for name in AXES if name in hyperparameters]
    parallel = {
        "type": "PARALLEL",
        "selectedParams": axes or ["seed"],
        "selectedMetrics": ["accuracy.final"],
        "showAllRuns": True,
    }
    lines = [{"type": "LINE", "metricKey": f"curve/{name}"} | _LINE for name in VIEW_CURVES]
    place = {"metricSectionId": CHARTS, "deleted": False, "isGenerated": False}
    charts = [{"uuid": f"sslbench-{i}", **chart, **place} for i, chart in enumerate([lines[0], parallel, *lines[1:]])]
    section = {"uuid": CHARTS, "name": "sslbench", "display": True, "isReordered": False, "columns": 2}
    return {"compareRunCharts": charts, "compareRunSections": [section], "isAccordionReordered": True}


_LINE = {
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
"""What MLflow's UI keeps of a line chart beside its metric."""
