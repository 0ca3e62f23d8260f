"""Published numbers beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslbench.errors import BadInput
from sslbench.report.published import published_grid, read_published
from sslbench.report.tables import compare
from tests.report.factory import record

FILE = Path(__file__).parents[2] / "baselines" / "published.toml"
RESULT = """
[[result]]
what = "x"
value = 97.5
reported = "{reported}"
source = "somebody 2020"
status = "unverified"
method = "vat"
scenario = "mnist5k-50"
"""


def test_the_published_numbers_here_can_be_read() -> None:
    published = read_published(FILE)
    assert {97.48, 98.46, 98.02, 95.57, 94.91, 85.63, 87.98, 90.86, 92.42} <= {p.value for p in published}
    assert {p.status for p in published} == {"checked", "unverified"}


def test_what_it_is_held_against_is_in_the_suite_of_the_article() -> None:
    from sslbench.suite import read_suite

    cells = {
        (c.method_name, c.scenario_name) for c in read_suite(FILE.parents[1] / "benchmarks" / "article.toml").cells()
    }
    for p in read_published(FILE):
        assert p.method is None or (p.method, p.scenario) in cells, p.what


@pytest.mark.parametrize(("reported", "difference"), [("best", "+0.50"), ("final", "−1.50"), ("mean", "−1.50")])
def test_a_best_on_test_is_held_against_our_oracle_and_others_against_our_final(tmp_path, reported, difference) -> None:
    (tmp_path / "p.toml").write_text(RESULT.format(reported=reported))
    accuracy = {"final": 0.96, "selected": 0.95, "oracle": 0.98}
    grid = published_grid(read_published(tmp_path / "p.toml"), compare([record("vat", metrics={"accuracy": accuracy})]))
    assert grid is not None
    (row,) = grid.rows
    assert [c.text for c in row.cells][3:] == ["96.00", "95.00", "98.00", "1", difference]
    assert grid.footnotes == (("a", "somebody 2020 (unverified)"),)


def test_a_number_that_nothing_here_is_held_against_is_listed(tmp_path) -> None:
    (tmp_path / "p.toml").write_text(RESULT.format(reported="best"))
    grid = published_grid(read_published(tmp_path / "p.toml"), compare([record("supervised")]))
    assert grid is not None
    assert [c.text for c in grid.rows[0].cells][3:] == ["—"] * 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[result]\n", "cannot be read"),
        (RESULT.format(reported="often"), "0 reported: Input should be 'final', 'best', 'mean' or 'about'"),
        (
            RESULT.format(reported="best").replace("97.5", "0.975e3"),
            "0 value: Input should be less than or equal to 100",
        ),
        (RESULT.format(reported="best") + "colour = 3\n", "0 colour: "),
    ],
)
def test_what_is_wrong_with_the_file_is_told(tmp_path, text, message) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_published(tmp_path / "p.toml")
    with pytest.raises(BadInput, match="cannot be read"):
        read_published(tmp_path / "none.toml")
