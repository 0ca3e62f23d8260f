"""Tables, plots and one HTML page, from the records of a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslbench.errors import BadInput
from sslbench.records import Store, current
from sslbench.report import canvas, page, plots, render
from sslbench.report.grids import Grid, comparison_grid, difference_grid
from sslbench.report.tables import Comparison, compare, frame, long_table
from sslbench.report.words import verdict

__all__ = ["Comparison", "Grid", "Report", "compare", "comparison_grid", "frame", "verdict", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written."""

    folder: Path
    html: Path
    plots: tuple[Path, ...]
    comparison: Comparison
    verdict: str


def write_report(folder: Path, out: Path | None = None) -> Report:
    """Write comparison.md, .csv and .tex, plots/*.png and *.svg, and report.html.

    Args:
        folder: a results folder.
        out: where to write; by default `report` in the results folder.

    Raises:
        BadInput: the folder holds no records, or `out` cannot be written.
    """
    store = Store(folder)
    records = current(store.load())
    if not records:
        raise BadInput(f"{folder} holds no records: give a results folder that `sslbench run` wrote.")
    out = out or folder / "report"
    comparison, cells = compare(records), frame(records)
    try:
        for old in (out / "plots").glob("*.*"):
            old.unlink()
        (out / "plots").mkdir(parents=True, exist_ok=True)
        _write_tables(comparison, out)
        pictures, paths = [], []
        with canvas.style():
            for plot in plots.draw(records, store.arrays):
                picture = canvas.png(plot.figure)
                for ending, content in (("png", picture), ("svg", canvas.svg(plot.figure))):
                    path = out / "plots" / f"{plot.name}.{ending}"
                    path.write_bytes(content)
                    paths.append(path)
                pictures.append(page.Picture(plot.section, plot.title, plot.caption, plot.alt, picture, plot.wide))
        html = out / "report.html"
        html.write_text(page.render(f"Results of {store.folder.name}", comparison, cells, records, pictures))
    except OSError as error:
        raise BadInput(f"The report in {out} cannot be written: {error.strerror}.") from error
    return Report(out, html, tuple(paths), comparison, verdict(comparison))


def _write_tables(comparison: Comparison, out: Path) -> None:
    grids = [g for g in (comparison_grid(comparison, down="methods"), difference_grid(comparison)) if g]
    out.joinpath("comparison.md").write_text("\n".join(render.markdown(g) for g in grids))
    out.joinpath("comparison.tex").write_text(
        "\n".join(render.latex(g, f"tab:sslbench-{i}") for i, g in enumerate(grids, 1))
    )
    long_table(comparison).to_csv(out / "comparison.csv", index=False)
