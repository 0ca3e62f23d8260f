"""A few kills of each kind; `python -m tests.faults.kill --kills 100` is the long version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kill import Run, _soon, kill

HANG = """
name = "hang"
seeds = [1]
methods = ["hang"]
scenarios = ["two-moons-6"]
[method.hang]
base = "faulty"
what = "hang"
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine each start takes long
def test_kills_at_random_moments_lose_double_and_change_nothing(tmp_path):
    tally = kill(tmp_path, kills=3, seed=7, steps=100)
    assert tally.kills.total() == 3
    assert tally.clean, "\n".join(tally.lines())


@pytest.mark.slow
def test_a_worker_in_training_dies_with_its_driver(tmp_path, monkeypatch):
    sign = tmp_path / "it hangs"
    monkeypatch.setenv("SSLBENCH_FAULTS_SIGN", str(sign))
    suite = tmp_path / "hang.toml"
    suite.write_text(HANG)
    run = Run(suite, tmp_path / "hang", mlflow=False, plugin=Path(__file__).parent / "plugin.py")
    try:
        assert _soon(sign.exists), run.log.read_text()
        assert run.workers()
        run.process.kill()
    finally:
        gone = run.is_gone()
    assert gone
