"""The plots of a report. Each is drawn from the cells or the records alone; one that does not apply is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from sslbench.records import Record
from sslbench.report.canvas import Arrays, Plot
from sslbench.report.evidence import Evidence
from sslbench.report.palette import looks
from sslbench.report.plots import boundary, classes, cost, curves, labels, pseudo_labels, ranks
from sslbench.report.tables import Comparison, frame


def draw(records: Sequence[Record], comparison: Comparison, evidence: Evidence, arrays: Arrays) -> Iterator[Plot]:
    """All plots that apply; none is drawn yet."""
    cells = frame(records)
    found = looks(comparison.methods)
    style = {method: found[method] for method in comparison.methods}
    order = {pair: place for place, pair in enumerate(product(comparison.scenarios, comparison.methods))}
    done = sorted((r for r in records if r.status == "ok"), key=lambda r: order[r.scenario["name"], r.method["name"]])
    if evidence.ranking is not None:
        yield ranks.plot(evidence.ranking, style)
    yield from labels.draw(cells, comparison, evidence, style)
    yield from curves.draw(done, style)
    yield from pseudo_labels.draw(done, arrays)
    yield from boundary.draw(done, arrays)
    yield from cost.draw(cells, style)
    yield from classes.draw(done)
