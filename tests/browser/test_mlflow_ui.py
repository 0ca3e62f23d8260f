"""MLflow's UI on a small sweep, driven as a person would: nothing configured beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sslbench.records import Record
from sslbench.report import write_report
from sslbench.tracking import track
from tests.browser import driving
from tests.report.factory import whole, write


@pytest.fixture(scope="module")
def ui(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of the experiment, on a server of its own."""
    root = tmp_path_factory.mktemp("mlflow")
    cells = [c for c in whole(seeds=2, points=6) if c[0].scenario["name"] in ("mnist5k-50", "two-moons-6")]
    cells += [(wide(record), arrays) for record, arrays in cells if record.method["name"] == "vat"]
    folder = write(root / "small", cells)
    write_report(folder)
    track(folder, f"sqlite:///{root / 'mlflow.db'}")
    with driving.mlflow_server(root / "mlflow.db") as address:
        yield driving.runs_page(address, "1")


def wide(record: Record) -> Record:
    """The same cell of a variant with a larger radius."""
    method = {"name": "vat-wide", "base": "vat", "params": record.method["params"] | {"radius": 4.0}}
    cell = {"id": record.id.replace("vat/", "vat-wide/"), "key": f"{record.key}-wide"}
    return replace(record, method=method, cell=cell)


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
    assert len(accuracies) == 20
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
    axes = charts.locator("svg .dimension .label").all_text_contents()
    assert axes == ["method", "scenario", "labels", "accuracy.final"]
    methods = charts.locator("svg .dimension").first.locator(".tick").all_text_contents()
    assert {"supervised", "pi-model", "vat", "vat-wide"} <= set(methods)  # MLflow left none out


def test_ticked_runs_are_compared_on_what_differs_with_their_curves_overlaid(desk: Any, ui: str) -> None:
    desk.goto(ui)
    table = driving.follow(desk, "All cells in one table")
    ticked = [f"{method}/mnist5k-50/seed0" for method in ("supervised", "vat", "vat-wide")]
    for name in ticked:
        row = table.locator(".ag-row", has=table.get_by_role("link", name=name, exact=True))
        row.locator("input.ag-checkbox-input").focus()
        table.keyboard.press("Space")
    table.get_by_role("button", name="Compare").click()
    table.get_by_text("Comparing 3 Runs").wait_for()
    table.locator(".parcoords .axis-title").first.wait_for()
    axes = table.locator(".parcoords .axis-title").all_text_contents()
    assert axes == ["method", "vat.radius", "accuracy.final"]  # labels, scenario and seed are the same in all three
    table.get_by_role("link", name="curve/test_accuracy").click()
    plot = table.locator(".plotly").first
    plot.locator(".scatterlayer .trace").nth(2).wait_for()
    for name in ticked:
        assert table.get_by_text(f"{name} (curve/test_accuracy)").count() == 1


def test_the_parent_run_shows_the_report_and_its_plots(desk: Any, ui: str) -> None:
    desk.goto(ui)
    desk.get_by_role("link", name=re.compile(r"^small 2026-")).first.click()
    shown = driving.follow(desk, "The report")
    report = shown.frame_locator("iframe")
    report.locator(".verdict", has_text="vat and vat-wide have the highest mean accuracy").wait_for()
    report.locator(".ask").first.click()  # its script runs there, too
    assert report.locator(".asked").first.is_visible()
    shown.get_by_text("plots", exact=True).click()
    shown.get_by_text("curves.png", exact=True).click()
    picture = shown.locator("img[src^='blob:'], img[src*='curves.png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
