"""Two methods against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sslbench.errors import BadInput
from sslbench.report import canvas
from sslbench.report.versus import settings_difference, versus
from tests.report.factory import lost, record


def pair(differences, scenario="mnist5k-50"):
    """Records of vat and supervised whose differences are given, in percentage points."""
    return [
        r
        for seed, d in enumerate(differences)
        for r in (record("supervised", scenario, seed, 0.8), record("vat", scenario, seed, 0.8 + d / 100))
    ]


def test_a_clear_difference_is_better_and_its_mirror_worse():
    records = pair([2, 3, 2.5, 4, 3.2, 2.1, 3.3, 2.8])
    found = versus(records, "vat", "supervised")
    assert found.sentence.startswith("vat is better than supervised on 1 of 1 scenario, worse on 0, undecided on 0")
    c = found.comparisons["mnist5k-50"]
    assert c.mean == pytest.approx(2.8625)
    assert c.test.p == pytest.approx(2 / 2**8)
    assert versus(records, "supervised", "vat").decisions["mnist5k-50"].verdict == "worse"


def test_three_seeds_decide_nothing_and_it_says_how_many_would():
    found = versus(pair([2, 3, 2.5]), "vat", "supervised")
    assert "undecided on 1" in found.sentence
    assert "would settle mnist5k-50, if its difference is what it seems" in found.sentence
    assert found.grid.rows[0].cells[4].text == "undecided"
    assert "0.25" in found.grid.notes[0]


def test_only_seeds_on_the_same_split_with_both_results_are_pairs():
    records = pair([1, 2, 3, 4])
    records[1] = record("vat", "mnist5k-50", 0, 0.9, split="another")
    records[3] = lost("vat", "mnist5k-50", 1, "diverged", "NaN")
    assert set(versus(records, "vat", "supervised").differences["mnist5k-50"]) == {2, 3}


def test_settings_are_told_where_they_differ():
    other = {"name": "vat", "base": "vat", "params": {"weight": 9}}
    elsewhere = [replace(r, method=other) if r.method["name"] == "vat" else r for r in pair([1, 2], "mnist5k-20")]
    records = pair([1, 2]) + elsewhere
    assert settings_difference(records, "vat", "supervised") == [
        "supervised: weight 1.0",
        "vat: weight 1.0 (on mnist5k-50)",
        "vat: weight 9 (on mnist5k-20)",
    ]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("vta", "supervised", "Did you mean 'vat'"),
        ("vat", "vat", "with itself"),
        ("vat", "other", "no seed of any scenario"),
    ],
)
def test_what_cannot_be_compared_is_told(a, b, message):
    records = [*pair([1, 2]), record("other", "mnist5k-20", 0, 0.5)]
    with pytest.raises(BadInput, match=message):
        versus(records, a, b)


def test_the_plot_has_a_row_a_scenario():
    found = versus(pair([1, 2, 3]) + pair([1], "mnist5k-20"), "vat", "supervised")
    with canvas.style():
        drawn = found.figure()
        assert canvas.png(drawn) == canvas.png(found.figure())
    assert [t.get_text() for t in drawn.axes[0].get_yticklabels()] == ["mnist5k-50", "mnist5k-20"]
