"""The public face."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sslbench


def test_every_public_name_is_there():
    for name in sslbench.__all__:
        assert getattr(sslbench, name) is not None
    assert set(sslbench.__all__) <= set(dir(sslbench))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sslbench.nothing  # noqa: B018


def test_importing_it_loads_nothing_heavy():
    subprocess.run([sys.executable, "-c", "import sys, sslbench; assert 'torch' not in sys.modules"], check=True)


def test_a_suite_runs_from_a_dictionary_and_becomes_a_frame(tmp_path):
    content = {
        "name": "api",
        "methods": ["supervised", "vat"],
        "scenarios": ["two-moons-6"],
        "scenario": {"two-moons-6": {"steps": 4, "points": 2}},
    }
    records = sslbench.run(content, seeds=2, out=tmp_path, workers=0, device="cpu")
    assert {r.id for r in records} == {f"{m}/two-moons-6/seed{s}" for m in ("supervised", "vat") for s in (0, 1)}
    assert sslbench.load_records(tmp_path) == records
    frame = sslbench.frame(records)
    assert list(frame["method"].unique()) == ["supervised", "vat"]
    assert frame["final"].between(0, 100).all()
    assert sslbench.write_report(tmp_path).html.exists()
    with pytest.raises(sslbench.BadInput, match="Unknown method"):
        sslbench.run(content, methods=["nothing"], out=tmp_path)


def test_a_made_suite_takes_no_overrides(mini, tmp_path):
    with pytest.raises(sslbench.BadInput, match="a Suite that is made already"):
        sslbench.run(mini(), seeds=2, out=tmp_path, workers=0)
