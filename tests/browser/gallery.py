"""The pictures of results/gallery, as `make screenshots` makes them: python -m tests.browser.gallery RECORDS OUT."""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from sslbench import live, runner
from sslbench.executors import Advanced, InlineExecutor
from sslbench.records import RECORDS_FILE, Store
from sslbench.report import write_report
from sslbench.report.canvas import few_colours
from sslbench.suite import make_suite
from sslbench.tracking import track
from tests.browser import driving

WIDTH = 1180
SMALL = {
    "name": "gallery",
    "seeds": 2,
    "methods": ["supervised", "pseudo-label", "pi-model", "vat"],
    "scenarios": ["two-moons-6"],
    "scenario": {"*": {"steps": 900, "points": 4}},
}
"""A run of its own: committed records have no arrays, which boundaries are drawn from."""


def main(records: Path, out: Path) -> None:
    """Make all pictures. `records` is a results folder, which stays as it is."""
    if reason := driving.obstacle():
        sys.exit(reason)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "quick"
        folder.mkdir()
        shutil.copy(records / RECORDS_FILE, folder)
        page = write_report(folder).html
        moons = _moons(Path(name) / "moons", out)
        track(folder, f"sqlite:///{name}/mlflow.db")
        with driving.browser() as opened:
            _report(opened, page, out)
            _boundaries(opened, moons, out)
            with driving.mlflow_server(Path(name) / "mlflow.db") as address:
                _mlflow(opened, driving.runs_page(address, "1"), out)


def _moons(folder: Path, out: Path) -> Path:
    """Run the small suite; half-way, what the terminal shows is kept."""
    store = Store(folder)
    plan = runner.make_plan(make_suite(SMALL), store)
    store.prepare()
    sweep = live.Sweep(plan, 1)
    taken = False

    def hear(event: Any) -> None:
        nonlocal taken
        sweep.hear(event)
        if not taken and sweep.done >= 4 and sweep.running:
            console = Console(width=92, height=24, record=True, file=io.StringIO(), force_terminal=True)
            console.print(live.picture(sweep, *console.size))
            drawn = console.export_svg(title="sslbench run")
            drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # nothing is fetched from elsewhere
            (out / "terminal.svg").write_text(drawn, encoding="utf-8")
            taken = isinstance(event, Advanced) and 2 * event.done >= event.total

    for _ in runner.run(plan, store, InlineExecutor(), "cpu", listen=hear):
        pass
    return write_report(folder).html


def _report(opened: Any, html: Path, out: Path) -> None:
    with driving.window(opened, WIDTH, 980) as page:
        page.goto(html.as_uri())
        _keep(page.screenshot(), out / "report.png")
        table = page.locator("#comparison .ask").nth(6)
        page.locator("#comparison h2").evaluate("heading => heading.scrollIntoView()")
        table.click()
        answer = page.locator(".asked:popover-open").bounding_box()
        top = page.locator("#comparison h2").bounding_box()
        clip = {"x": 0, "y": top["y"], "width": 900, "height": answer["y"] + answer["height"] - top["y"] + 16}
        _keep(page.screenshot(clip=clip), out / "asked.png")
        page.keyboard.press("Escape")
        for section in ("labels", "curves", "cost"):
            _keep(page.locator(f"#{section}").screenshot(), out / f"{section}.png")
    with driving.window(opened, 390, 844) as page:
        page.goto(html.as_uri())
        _keep(page.screenshot(), out / "phone.png")


def _boundaries(opened: Any, html: Path, out: Path) -> None:
    with driving.window(opened, WIDTH) as page:
        page.goto(html.as_uri())
        _keep(page.locator("figure", has_text="the boundaries that were learned").screenshot(), out / "boundaries.png")


def _mlflow(opened: Any, experiment: str, out: Path) -> None:
    with driving.window(opened, 1500, 900) as page:
        page.goto(experiment)
        table = driving.follow(page, "All cells in one table")
        table.locator(".ag-row").nth(5).wait_for()
        table.wait_for_timeout(3000)
        _keep(table.screenshot(), out / "mlflow-table.png")
        charts = driving.follow(page, "their curves and parallel coordinates")
        charts.locator(".scatterlayer .trace").first.wait_for()
        charts.wait_for_timeout(5000)
        _keep(charts.screenshot(), out / "mlflow-charts.png")


def _keep(png: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(png)) as picture:
        few_colours(picture.convert("RGB")).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
