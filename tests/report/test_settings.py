"""What the page says was run, and where."""

from __future__ import annotations

from dataclasses import replace

from sslbench.records import Record
from sslbench.report import settings
from tests.report.factory import record


def tuned(method: str, scenario: str, **params: object) -> Record:
    return replace(record(method, scenario), method={"name": method, "base": method, "params": params})


def measured(seed: int, split: str, data: str = "d", method: str = "vat") -> Record:
    return replace(record(method, seed=seed), provenance={"split_sha256": split, "data_sha256": data, "device": "cpu"})


def test_nested_settings_are_named_with_dots() -> None:
    assert settings.flat(
        {"optimizer": {"name": "adam", "lr": 0.1}, "views": ["weak", "strong"], "validation": None}
    ) == {
        "optimizer.name": "adam",
        "optimizer.lr": "0.1",
        "views": "weak, strong",
        "validation": "not set",
    }


def test_a_hyperparameter_that_differs_names_its_scenarios() -> None:
    records = [tuned("vat", s, radius=1.5, on=True) for s in ("mnist5k-10", "mnist5k-20")]
    grid = settings.methods_grid([*records, tuned("vat", "two-moons-6", radius=0.3, on=True)])
    assert grid.rows[0].cells[1].text == "radius = 1.5 (0.3 on two-moons-6); on = yes"


def test_settings_are_told_apart_into_shared_and_differing() -> None:
    one = record("vat", "a")
    records = [
        replace(one, scenario=one.scenario | {"name": name, "params": {"steps": steps, "batch": 32}})
        for name, steps in (("a", 100), ("b", 200))
    ]
    assert settings.shared_settings(records) == {"batch": "32"}
    grid = settings.scenarios_grid(records)
    assert grid.header == ("steps",)
    assert [row.cells[0].text for row in grid.rows] == ["100", "200"]


def test_methods_that_did_not_share_a_split_show_as_unequal() -> None:
    grid = settings.splits_grid(
        [measured(0, "a" * 64), measured(0, "b" * 64, method="supervised"), measured(1, "c" * 64)]
    )
    assert [cell.text for cell in grid.rows[0].cells] == ["d", "aaaaaaaaaaaa ≠ bbbbbbbbbbbb", "cccccccccccc"]


def test_data_drawn_anew_at_each_seed_is_listed() -> None:
    grid = settings.splits_grid([measured(0, "a", "x"), measured(1, "b", "y")])
    assert grid.rows[0].cells[0].text == "x, y"


def test_provenance_counts_cells_where_values_differ() -> None:
    there = replace(measured(1, "a"), provenance={"device": "cuda", "versions": {"torch": "2.11"}})
    rows = {row.name: row.cells[0].text for row in settings.provenance_grid([measured(0, "a"), there]).rows}
    assert rows["device"] == "cpu (1 cell); cuda (1 cell)"
    assert rows["versions.torch"] == "2.11"
