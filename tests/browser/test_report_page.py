"""The report in a browser: it sorts, it answers, it fits a telephone, and a program finds nothing that shuts people out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sslbench.report import write_report
from tests.browser import driving
from tests.report.factory import record, whole, write

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    cells = whole(seeds=2, points=6)
    folder = write(tmp_path_factory.mktemp("results"), [*cells, (record(HOSTILE, "of its own"), {})])
    return write_report(folder).html.as_uri()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light")], ids=["desk", "dark", "phone"])
def page(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Any]:
    width, scheme = request.param
    with driving.window(chromium, width, color_scheme=scheme) as opened:
        opened.goto(address)
        yield opened


def column(page: Any, table: str, number: int) -> list[str]:
    return page.locator(f"table:has(#{table}) tbody tr > :nth-child({number})").all_inner_texts()


def test_nothing_shuts_people_out(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.locator(".ask").first.click()
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []


def test_nothing_but_tables_and_plots_is_wider_than_the_window(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_click_on_a_header_sorts_by_its_column(desk: Any, address: str) -> None:
    desk.goto(address)
    heads = desk.locator("table:has(#t-comparison) thead th")
    place = heads.all_inner_texts().index("supervised")
    header = heads.nth(place)
    before = column(desk, "t-comparison", place + 1)
    header.get_by_role("button").click()
    falling = column(desk, "t-comparison", place + 1)
    assert header.get_attribute("aria-sort") == "descending"
    assert falling.pop() == "—"  # what has no number comes last, either way
    values = [float(text.split()[0]) for text in falling]
    assert values == sorted(values, reverse=True)
    assert falling != before[: len(falling)]
    header.get_by_role("button").click()
    assert column(desk, "t-comparison", place + 1) == [*falling[::-1], "—"]


def test_what_sums_up_stays_below(desk: Any, address: str) -> None:
    desk.goto(address)
    desk.locator("table:has(#t-cost) thead th").first.get_by_role("button").click()
    assert desk.locator("table:has(#t-cost) tr").last.inner_text().startswith("on the front")


def test_an_accuracy_answers_and_goes_away_again(page: Any) -> None:
    answer = page.locator(".asked").nth(1)
    assert not answer.is_visible()
    page.locator(".ask").nth(1).click()
    assert answer.is_visible()
    assert "95 % interval" in answer.inner_text()
    assert "won–lost" in answer.inner_text()
    box, width = answer.bounding_box(), page.viewport_size["width"]
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    page.keyboard.press("Escape")
    assert not answer.is_visible()


def test_a_hostile_name_stays_text(desk: Any, address: str) -> None:
    asked: list[str] = []
    desk.on("request", lambda request: asked.append(request.url))
    desk.goto(address)
    assert desk.title() == "sslbench report"
    assert desk.get_by_text(HOSTILE).count() > 0
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1


def test_a_link_opens_the_part_of_a_scenario(desk: Any, address: str) -> None:
    desk.goto(address)
    part = desk.locator("#scenario-6")
    assert part.get_attribute("open") is None
    desk.locator(".jump a").nth(5).click()
    desk.wait_for_function("document.querySelector('#scenario-6').open")
    assert part.locator("table").is_visible()


def test_it_prints_with_all_parts_open(desk: Any, address: str, tmp_path: Path) -> None:
    desk.goto(address)
    desk.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert desk.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")
    assert (tmp_path / "report.pdf").stat().st_size > 100_000
