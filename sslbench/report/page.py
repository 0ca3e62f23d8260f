"""The report as one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sslbench.records import Record
from sslbench.report import grids, settings, words
from sslbench.report.canvas import Plot
from sslbench.report.evidence import Evidence
from sslbench.report.grids import Grid
from sslbench.report.palette import looks
from sslbench.report.tables import Comparison

GLOSSARY = (
    (
        "final",
        "Test accuracy after the last training step. The headline: nothing was chosen by looking at test data.",
    ),
    (
        "selected",
        "Test accuracy at the checkpoint that a small validation set picked, one no larger than the labelled set.",
    ),
    (
        "oracle",
        "The best test accuracy over training. It is chosen on the test set and therefore too high; it is here only to "
        "compare with papers and articles that report it.",
    ),
    (
        "seed",
        "One choice of labelled examples, initial weights and batches. At one seed every method sees the same ones, so "
        "methods are compared in pairs.",
    ),
    (
        "± standard deviation",
        "Spread over the seeds (with n − 1 in the denominator), not the uncertainty of the mean.",
    ),
    ("won–lost", "Seeds on which the method is above and below the supervised baseline; equal counts for neither."),
    (
        "better, worse",
        "Said only where the exact sign-flip test is significant after Holm's adjustment over the whole table and the interval "
        "of the mean difference excludes zero. Everything else is undecided, which is not the same as equal.",
    ),
    (
        "Pareto front",
        "The methods that no other beats in accuracy and in training time at once. Whoever is off it costs more for less.",
    ),
    ("α(t)", "Weight of the unlabelled term of the loss at step t."),
    ("NLL, ECE", "Mean negative log-likelihood in nats and expected calibration error, on the test set at the end."),
    ("diverged", "The loss stopped being finite. The cell counts as finished and has no accuracy."),
    ("skipped", "The method cannot be run on the scenario, for the reason given."),
)  # fmt: skip

SECTIONS = ("ranks", "labels", "curves", "cost")
"""Parts of the page that plots of several scenarios belong to."""

FEW = 4
"""Methods of which each may have its sentence below the verdict; of more they are folded up."""

UNFOLDED = 4
"""Scenarios whose parts stand open; of more only the first does."""

RELOAD = """<script>
setInterval(() => { if (!document.hidden && !document.querySelector(":popover-open")) location.reload(); }, 5000);
</script>"""
"""Stands in the page only while `sslbench report --watch` keeps it up to date."""


@dataclass(frozen=True)
class Picture:
    """A plot, ready to stand in the page."""

    plot: Plot
    png: bytes
    width: int
    height: int

    @property
    def source(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def page(
    records: Sequence[Record],
    cells: pd.DataFrame,
    comparison: Comparison,
    evidence: Evidence,
    damage: Sequence[str],
    published: Grid | None,
    pictures: Sequence[Picture],
    *,
    reload: bool = False,
) -> str:
    """The whole page as HTML. It holds its styles, its script and its images and loads nothing.

    Args:
        damage: what of the stored results could not be read.
        reload: whether an open page loads itself again every few seconds.
    """
    template = _environment().get_template("report.html.j2")
    standing = words.against_baseline(comparison, evidence)
    return template.render(
        verdict=words.verdict(comparison),
        standing=standing,
        folded=len(standing) > FEW,
        power=[*words.power(evidence), *damage],
        baseline=comparison.baseline,
        colours={name: look.colour for name, look in looks(comparison.methods).items()},
        published=published,
        comparison=grids.comparison_grid(comparison, evidence),
        differences=grids.difference_grid(comparison, evidence),
        ranking=grids.ranking_grid(evidence),
        saved=grids.saved_grid(comparison, evidence),
        harm=grids.harm_grid(comparison, evidence),
        lottery=grids.lottery_grid(evidence),
        tuning=settings.tuning_lines(records),
        gradients=settings.gradients_grid(records),
        missing=grids.missing_grid(comparison, cells),
        failures=grids.failures_grid(comparison),
        costs=grids.cost_grid(comparison, cells),
        scenarios=[
            (s, grids.scenario_grid(comparison, cells, s), [p for p in pictures if p.plot.scenario == s])
            for s in comparison.scenarios
        ],
        unfolded=len(comparison.scenarios) <= UNFOLDED,
        methods=settings.methods_grid(records),
        shared=settings.shared_settings(records),
        differing=settings.scenarios_grid(records),
        provenance=settings.provenance_grid(records),
        splits=settings.splits_grid(records),
        dirty=any(r.provenance.get("dirty") for r in records),
        sections={name: [p for p in pictures if p.plot.section == name and not p.plot.scenario] for name in SECTIONS},
        glossary=GLOSSARY,
        reload=Markup(RELOAD if reload else ""),
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sslbench.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
