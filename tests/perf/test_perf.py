"""The speed benchmarks work: one pair in a quick look, the ratio of turns, the page. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.perf import settings, summary, work
from benchmarks.perf.sides import Side, ratio

ROOT = Path(__file__).parent.parent.parent


def test_a_pair_from_the_command_line_to_the_page(tmp_path):
    """The benchmark asserts itself that both sides computed the same."""
    file = tmp_path / "perf.json"
    pair = "benchmarks/perf/test_training.py::test_step[supervised-two moons 6 + 1000-1]"
    words = [sys.executable, "-m", "pytest", pair, "-q", "--quick", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += [f"--benchmark-json={file}"]
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }  # not a worker of ours
    ran = subprocess.run(words, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    measured = json.loads(file.read_text())
    (benchmark,) = measured["benchmarks"]
    info = benchmark["extra_info"]
    assert info["low"] <= info["ratio"] <= info["high"]
    assert info["flops"] > 0
    assert "node" not in measured["machine_info"]
    summary.main(str(file))
    page = (tmp_path / "README.md").read_text()
    assert "| supervised, two moons 6 + 1000, 1 seed |" in page
    assert "A quick look, not a measurement" in page


def test_the_ratio_is_the_median_of_the_rounds():
    found = ratio([2.0, 4.0, 6.0, 8.0, 20.0, 3.0, 5.0, 7.0, 9.0, 10.0], [1.0] * 9 + [10.0])
    assert found.median == pytest.approx(5.5)
    assert (found.low, found.high, found.rounds) == (2.0, 9.0, 10)  # ranks 2 and 9 of 10: 97.9 %
    assert ratio([1.0, 3.0], [1.0, 1.0]).high == 3.0


def test_a_sides_mistake_is_told():
    with pytest.raises(RuntimeError, match="no such network|KeyError"):
        Side(settings.setting, "vat", "no such network")


def test_every_pair_of_the_step_has_both_sides():
    for network in settings.NETWORKS:
        given = settings.setting("supervised", network, labelled_batch=4, unlabelled_batch=4)
        assert work.engine_steps(given, 1, "cpu")(2) == work.plain_steps(given, 1, "cpu")(2) == 2
