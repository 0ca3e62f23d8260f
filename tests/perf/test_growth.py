"""The script that measures growth measures what it says, on a handful of cells."""

from __future__ import annotations

from benchmarks import growth


def test_a_run_and_its_plan_are_measured_and_written(tmp_path):
    found = growth.measure_run(20, "inline", tmp_path / "store") | growth.measure_plan(20, tmp_path / "store")
    assert len(found["seconds"]) == len(found["cpu_s"]) == len(found["memory"]) == growth.TENTHS + 1
    assert found["records_bytes"] == (tmp_path / "store" / "records.jsonl").stat().st_size
    growth.write([found | {"cells": 20, "executor": "inline"}], tmp_path / "out")
    assert growth.known(tmp_path / "out")[0]["cells"] == 20
    text = (tmp_path / "out" / "growth.md").read_text()
    assert "| 20 | inline |" in text
    assert (tmp_path / "out" / "growth.png").stat().st_size > 10_000
