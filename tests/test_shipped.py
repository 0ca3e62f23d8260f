"""The suites that come with sslbench: by their name, from a checkout and from an installed wheel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from sslbench import shipped
from sslbench.suite import make_suite, read_suite
from tests.test_cli import sslbench

ROOT = Path(__file__).parents[1]


def test_a_suite_is_run_by_its_name_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = sslbench("run", "quick", "--scenarios", "two-moons-6", "--seeds", "1", "--dry-run", capsys=capsys)
    assert code == 0, err
    assert "vat/two-moons-6/seed0" in out
    assert read_suite(Path("quick")) == read_suite(ROOT / "benchmarks" / "quick.toml")


def test_a_file_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quick").write_text('methods = ["vat"]\nscenarios = ["two-moons-6"]\nseeds = 7')
    assert list(read_suite(Path("quick")).methods) == ["vat"]


def test_who_names_none_is_told_which_there_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = sslbench("run", "quik", capsys=capsys)
    told = " ".join(err.split())
    assert code == 2
    assert "methods, mnist, quick); `sslbench new suite NAME` writes a file to start from." in told


@pytest.mark.slow
def test_the_wheel_has_them_all(tmp_path):
    """Every suite file of a checkout is named in pyproject.toml, and found where a wheel was unpacked."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = subprocess.run(
        [sys.executable, "-m", "sslbench", "list", "suites", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {entry["name"] for entry in json.loads(done.stdout)["suites"]}
    assert listed == {path.stem for path in (ROOT / "benchmarks").glob("*.toml")} == set(shipped.suites())


def test_a_suite_to_start_from_is_written_and_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = sslbench("new", "suite", "mine", capsys=capsys)
    assert code == 0
    assert "run      sslbench run mine.toml" in out
    suite = read_suite(Path("mine.toml"))
    assert (suite.name, next(iter(suite.methods))) == ("mine", "supervised")
    code, _, err = sslbench("run", "mine.toml", "--dry-run", "--seeds", "1", capsys=capsys)
    assert code == 0, err
    assert "4 methods × 2 scenarios × 1 seeds = 8 cells" in err


def test_what_it_has_in_comments_is_right_too(tmp_path, capsys):
    sslbench("new", "suite", "mine", "--out", tmp_path, capsys=capsys)
    head, *rest = (tmp_path / "mine.toml").read_text().split("\n")
    content = tomllib.loads("\n".join([head, *(re.sub("^# ", "", line) for line in rest)]))
    content["methods"].append("vat-strong")
    content["scenarios"].append("mnist5k-100")
    suite = make_suite(content)
    method, scenario = suite.methods["vat-strong"][1]["mnist5k-50"], suite.scenarios["mnist5k-100"][1]
    assert (method.radius, scenario.labels) == (4.0, 100)
    assert suite.methods["vat"][1]["two-moons-6"].radius == 0.3


def test_nothing_is_overwritten_and_no_name_taken(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text("mine")
    code, _, err = sslbench("new", "suite", "mine", "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "nothing is overwritten" in " ".join(err.split())
    assert (tmp_path / "mine.toml").read_text() == "mine"
    code, _, err = sslbench("new", "suite", "quick", "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "There is a suite 'quick' already" in err
