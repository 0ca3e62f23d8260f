"""What the numbers of a report support."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sslbench.report import grids
from sslbench.report.evidence import Evidence, weigh
from sslbench.report.tables import Comparison, compare, frame
from sslbench.stats import crossed_lottery, holm, labels_saved
from tests.report.factory import record, whole


def weighed(records) -> tuple[Comparison, Evidence]:
    comparison = compare(records)
    return comparison, weigh(comparison, frame(records))


def test_the_p_values_are_adjusted_over_the_whole_table():
    _, evidence = weighed([r for r, _ in whole(seeds=6)])
    pairs = list(evidence.comparisons)
    assert len(pairs) > 15
    expected = holm([evidence.comparisons[p].test.p for p in pairs])
    assert [evidence.decisions[p].p for p in pairs] == pytest.approx(list(expected))


def test_labels_saved_are_those_of_the_series():
    cells = whole(seeds=3)
    comparison, evidence = weighed([r for r, _ in cells])
    counts = [10, 20, 50, 1000]
    supervised = [[comparison.entries["supervised", f"mnist5k-{n}"].accuracies[s] for s in range(3)] for n in counts]
    vat = [comparison.entries["vat", "mnist5k-20"].accuracies[s] for s in range(3)]
    assert evidence.saved["vat", "mnist5k-20"] == labels_saved(counts, supervised, 20, vat, seed=0)
    assert ("vat", "two-moons-6") not in evidence.saved  # one label count makes no curve
    grid = grids.saved_grid(comparison, evidence)
    assert grid is not None
    assert [row.name for row in grid.rows] == [f"mnist5k-{n}" for n in counts]


def test_harm_counts_the_seeds_below_the_baseline():
    records = [record("supervised", seed=s, accuracy=0.8) for s in range(4)]
    records += [record("vat", seed=s, accuracy=a) for s, a in enumerate((0.9, 0.75, 0.7, 0.8))]
    comparison, evidence = weighed(records)
    harm = evidence.harms["vat", "mnist5k-50"]
    assert (harm.share, harm.pairs, harm.worst) == (0.5, 4, pytest.approx(10))
    grid = grids.harm_grid(comparison, evidence)
    assert grid is not None
    assert grid.rows[0].cells[0].text == "2 of 4, 10.00"


def test_the_ranking_takes_scenarios_that_every_method_finished():
    records = [r for r, _ in whole(seeds=2) if r.id != "vat/mnist5k-10/seed1"]
    _, evidence = weighed(records)
    assert evidence.ranking is not None
    assert "mnist5k-10" not in evidence.ranking.scenarios
    assert "two-moons-6" in evidence.ranking.scenarios
    assert set(evidence.ranking.methods) == {"supervised", "pseudo-label", "pi-model", "vat"}


def test_two_methods_have_no_ranking_and_no_baseline_no_evidence():
    _, two = weighed([r for r, _ in whole(seeds=2, methods=("supervised", "vat"))])
    assert two.ranking is None
    comparison, none = weighed([record("vat"), record("pi-model")])
    assert not none.comparisons
    assert grids.difference_grid(comparison, none) is None
    assert grids.harm_grid(comparison, none) is None


def test_the_lottery_is_that_of_the_crossed_table():
    table = np.random.default_rng(0).normal(0.8, 0.05, (4, 3))
    records = [
        record("supervised", seed=s, accuracy=float(table[s, t]), training_seed=t) for s in range(4) for t in range(3)
    ]
    comparison, evidence = weighed(records)
    found, expected = evidence.lotteries["supervised", "mnist5k-50"], crossed_lottery(100 * table)
    assert (found.split, found.training, found.residual) == pytest.approx(
        (expected.split, expected.training, expected.residual)
    )
    grid = grids.lottery_grid(evidence)
    assert grid is not None
    assert grid.rows[0].cells[1].value == pytest.approx(math.sqrt(expected.total))
    assert len(comparison.entries["supervised", "mnist5k-50"].accuracies) == 4
