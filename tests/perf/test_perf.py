"""The speed benchmarks work: one pair in a quick look, the ratio of turns, the page. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.perf.__main__ as perf
from benchmarks.perf import settings, summary, work
from benchmarks.perf.parts import PARTS, part_of
from benchmarks.perf.sides import Side, ratio

ROOT = Path(__file__).parent.parent.parent
MEASURED = {
    "machine_info": {
        "machine": "a machine",
        "device": "cpu",
        "versions": {"torch": "2"},
        "dirty": False,
        "load": 0.1,
        "started": "2026-01-01",
        "quick": False,
    },
    "commit_info": {"id": "0123456789abcdef"},
    "benchmarks": [],
}
"""As pytest-benchmark writes it."""


def alone():
    """The environment of a pytest that is not a worker of this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def test_a_pair_from_the_command_line_to_the_page(tmp_path):
    """The benchmark asserts itself that both sides computed the same."""
    file = tmp_path / "perf-points.json"
    pair = "benchmarks/perf/test_training.py::test_step[supervised-two moons 6 + 1000-1]"
    words = [sys.executable, "-m", "pytest", pair, "-q", "--quick", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += [f"--benchmark-json={file}", "--part", "points"]
    ran = subprocess.run(words, cwd=ROOT, env=alone(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    measured = json.loads(file.read_text())
    (benchmark,) = measured["benchmarks"]
    info = benchmark["extra_info"]
    assert info["low"] <= info["ratio"] <= info["high"]
    assert info["flops"] > 0
    assert "node" not in measured["machine_info"]
    (tmp_path / "notes.md").write_text("**What it says.** Nothing yet.\n")
    page = summary.write(tmp_path).read_text()
    assert "| supervised, two moons 6 + 1000, 1 seed |" in page
    assert "A quick look, not a measurement" in page
    assert "**What it says.** Nothing yet." in page
    assert "| points | training steps on two moons |" in page


def test_each_benchmark_is_in_one_part():
    command = [sys.executable, "-m", "pytest", "benchmarks/perf", "--collect-only", "-q", "-p", "no:cacheprovider"]

    def collected(*words):
        ran = subprocess.run([*command, *words], cwd=ROOT, env=alone(), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return {line for line in ran.stdout.splitlines() if "::" in line}

    parts = {line: parts_of(line) for line in collected()}
    assert set(parts.values()) == set(PARTS)
    assert collected("--part", "house") == {line for line, part in parts.items() if part == "house"}


def parts_of(line):
    """The part of `benchmarks/perf/FILE.py::FUNCTION[PARAMETERS]`, whose network is among the parameters."""
    path, _, name = line.partition("::")
    function, _, rest = name.partition("[")
    network = next((n for n in settings.NETWORKS if f"-{n}-" in rest), "")
    return part_of(Path(path).stem, function, {"network": network})


def test_a_part_that_fails_leaves_the_earlier_measurement(tmp_path, monkeypatch, capsys):
    (tmp_path / "perf-points.json").write_text(json.dumps(MEASURED))

    def fails(command, **how):
        Path(command[-1].removeprefix("--benchmark-json=")).write_text("half of it")
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", fails)
    assert perf.main([str(tmp_path), "--device", "cpu", "points"]) == 1  # in the order of the Makefile
    assert "failed: points" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "perf-points.json"]
    assert "0123456789ab" in (tmp_path / "README.md").read_text()
    with pytest.raises(SystemExit):
        perf.main([str(tmp_path), "ponts"])
    assert "unknown part 'ponts': give convolutions" in capsys.readouterr().err


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
