"""The report of a results folder: tables, plots and one HTML page, made from its records alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.records import RECORDS_FILE, Record, Store, current
from sslbench.report import grids, render, words
from sslbench.report.evidence import Evidence, weigh
from sslbench.report.gallery import draw_all
from sslbench.report.grids import Grid, comparison_grid
from sslbench.report.page import page
from sslbench.report.published import Published, published_grid, read_published
from sslbench.report.tables import Comparison, compare, frame, long_table
from sslbench.report.words import verdict

__all__ = ["Comparison", "Grid", "Report", "compare", "comparison_grid", "frame", "verdict", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written, and the comparison that all of it shows."""

    folder: Path
    html: Path
    markdown: Path
    csv: Path
    latex: Path
    plots: tuple[Path, ...]
    """A PNG and an SVG of every plot, and a GIF of one that moves."""
    comparison: Comparison
    verdict: str
    """Who is ahead, in one sentence."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file, the page first."""
        return (self.html, self.markdown, self.csv, self.latex, *self.plots)


def write_report(
    folder: Path, *, out: Path | None = None, published: Path | None = None, reload: bool = False
) -> Report:
    """Write the report of the records in `folder`; the same records give the same bytes.

    What is damaged in the folder is left out, with a `Damage` warning and a line in the report.

    Args:
        folder: a results folder.
        out: where to write; `folder/report` by default, where the plots of an earlier report are removed first.
        published: a file of published numbers to set ours beside, such as `baselines/published.toml`.
        reload: whether an open page loads itself again every few seconds.

    Raises:
        BadInput: the folder has no records, the published numbers cannot be read, or the report cannot be written.
    """
    theirs = read_published(published) if published is not None else []
    folder = Path(folder)
    store = Store(folder)
    records = current(store.load())
    store.warn_of_damage()
    if not records:
        raise BadInput(
            f"No records in {folder} (it has no whole line in {RECORDS_FILE}). "
            f"Run a suite first: sslbench run SUITE.toml --out {folder}"
        )
    own, out = out is None, Path(out or folder / "report")
    try:
        _prepare(out / "plots", empty=own)
        return _write(records, store, out, theirs, reload)
    except OSError as error:
        raise BadInput(f"The report cannot be written to {out}: {error.strerror}. Give another with --out.") from error


def _write(records: list[Record], store: Store, out: Path, theirs: list[Published], reload: bool) -> Report:
    comparison, cells = compare(records), frame(records)
    evidence = weigh(comparison, cells)
    made = draw_all(records, comparison, evidence, store, out / "plots")
    damage = [*([store.damage_line()] if store.damage else []), *made.damage]
    damage = [line.replace(f"{store.folder}{os.sep}", "") for line in damage]  # a page is shown elsewhere, too
    known = published_grid(theirs, comparison)
    report = Report(
        out,
        html=out / "report.html",
        markdown=out / "comparison.md",
        csv=out / "comparison.csv",
        latex=out / "comparison.tex",
        plots=made.files,
        comparison=comparison,
        verdict=verdict(comparison),
    )
    atomic.write(report.markdown, _markdown(comparison, cells, evidence, damage, known))
    atomic.write(report.csv, long_table(comparison).to_csv(index=False, lineterminator="\n"))
    atomic.write(report.latex, render.latex(comparison_grid(comparison), "tab:sslbench"))
    atomic.write(report.html, page(records, cells, comparison, evidence, damage, known, made.pictures, reload=reload))
    return report


def _markdown(
    comparison: Comparison, cells: pd.DataFrame, evidence: Evidence, damage: Sequence[str], known: Grid | None
) -> str:
    """The tables and the sentences about them."""
    tables = [
        known,
        comparison_grid(comparison),
        grids.difference_grid(comparison, evidence),
        grids.saved_grid(comparison, evidence),
        grids.harm_grid(comparison, evidence),
        grids.ranking_grid(evidence),
        grids.lottery_grid(evidence),
        grids.cost_grid(comparison, cells),
        grids.accuracies_grid(comparison),
        grids.missing_grid(comparison, cells),
        grids.failures_grid(comparison),
    ]
    parts = [
        "# Comparison\n",
        render.escape_markdown(verdict(comparison)) + "\n",
        *(f"- {render.escape_markdown(text)}" for text in (*words.cautions(comparison, evidence), *damage)),
        "",
        *(render.markdown(grid) for grid in tables if grid is not None),
    ]
    return "\n".join(parts)


def _prepare(folder: Path, *, empty: bool) -> None:
    """Make the folder. It is emptied only where it is ours: a folder the user names may hold other plots."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir()) if empty else []:
        if old.suffix in (".png", ".svg", ".gif"):
            old.unlink(missing_ok=True)  # another report of the folder may be at it
