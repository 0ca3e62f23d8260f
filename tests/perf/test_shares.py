"""The script that says where the time of a suite went adds up what the records say."""

from __future__ import annotations

import pytest

from benchmarks import shares
from tests.report import factory


def test_the_parts_are_those_of_the_records_and_add_up(tmp_path, monkeypatch, capsys):
    timing = {"setup_s": 1.0, "train_s": 12.0, "eval_s": 2.0}
    records = [factory.record(seed=seed, timing=timing) for seed in range(2)]
    found = shares.shares(records, seconds=20, workers=2)
    assert found == pytest.approx({"data": 0.05, "training": 0.6, "evaluation": 0.1, shares.REST: 0.25})

    factory.write(tmp_path, [(record, {}) for record in records])
    monkeypatch.setattr("sys.argv", ["shares", str(tmp_path), "--seconds", "20", "--workers", "2"])
    shares.main()
    assert "| 2 | 2 | 0:20 | 5.0% | 60.0% | 10.0% | 25.0% | 35.0% |" in capsys.readouterr().out


def test_seconds_that_cannot_be_those_of_the_run_are_refused():
    with pytest.raises(ValueError, match="no part of 1 × 10 s"):
        shares.shares([factory.record()], seconds=10, workers=1)
