"""MLflow's UI on a small sweep, driven as a person would: nothing configured beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sslbench.report import write_report
from sslbench.tracking import track
from tests.browser import driving
from tests.report.factory import whole, write


@pytest.fixture(scope="module")
def ui(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of the experiment, on a server of its own."""
    root = tmp_path_factory.mktemp("mlflow")
    cells = [c for c in whole(seeds=2, points=6) if c[0].scenario["name"] in ("mnist5k-50", "two-moons-6")]
    folder = write(root / "small", cells)
    write_report(folder)
    track(folder, f"sqlite:///{root / 'mlflow.db'}")
    with driving.mlflow_server(root / "mlflow.db") as address:
        yield driving.runs_page(address, "1")


def values(page: Any, column: str) -> list[str]:
    """What a column shows, from the top."""
    page.locator(f".ag-row [col-id='{column}']").first.wait_for()
    rows = page.evaluate(
        "id => [...document.querySelectorAll(`.ag-row [col-id='${id}']`)].map(cell => "
        "[Number(cell.closest('.ag-row').getAttribute('row-index')), cell.innerText.trim().split('\\n').at(-1)])",
        column,
    )
    return [text for _, text in sorted(rows)]


def test_the_table_has_names_and_columns_and_sorts(desk: Any, ui: str) -> None:
    desk.goto(ui)
    table = driving.follow(desk, "All cells in one table")
    accuracies = values(table, "metrics.`accuracy.final`")
    assert len(accuracies) == 16
    assert accuracies == sorted(accuracies, key=float, reverse=True)
    assert "vat/two-moons-6/seed0" in values(table, "attributes.`Run Name`")
    for column in ("params.`method`", "params.`labels`", "params.`seed`", "params.`vat.radius`", "metrics.`train_s`"):
        assert all(values(table, column)), column
    table.locator(".ag-header-cell[col-id='params.`scenario`']").get_by_text("scenario").click()
    table.wait_for_url("**orderByKey=params.%60scenario%60**")
    table.wait_for_timeout(3000)
    scenarios = values(table, "params.`scenario`")
    assert scenarios in (sorted(scenarios), sorted(scenarios, reverse=True))


def test_the_charts_lay_curves_over_each_other_beside_parallel_coordinates(desk: Any, ui: str) -> None:
    desk.goto(ui)
    charts = driving.follow(desk, "their curves and parallel coordinates")
    plot = charts.locator("[data-testid='experiment-view-compare-runs-chart-area']")
    plot.get_by_text("curve/test_accuracy").first.wait_for()
    charts.locator(".scatterlayer .trace").first.wait_for()
    assert charts.locator(".plotly").first.locator(".scatterlayer .trace").count() > 5
    axes = charts.locator("svg text").all_text_contents()
    assert {"method", "scenario", "vat.radius", "accuracy.final"} <= set(axes)
    assert "vat.weight" not in axes  # it never varies
