"""`sslbench new method`: what it writes runs, passes its check, and installs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench.conformance import cases
from sslbench.new.from_template import words_of
from sslbench.registry import load_plugin
from tests.test_cli import sslbench
from tests.test_registry import clean_registry  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[2]


def test_a_file_is_written_that_keeps_every_promise(tmp_path, monkeypatch, capsys, clean_registry):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    code, out, _ = sslbench("new", "method", "my-method", capsys=capsys)
    assert code == 0
    assert "check    sslbench check my-method --plugin my_method.py" in out
    assert "run      sslbench run my_method.toml --plugin my_method.py" in out
    load_plugin(Path("my_method.py"))
    found = {str(case): case.verdict() for case in cases("my-method", kinds=("points", "features"))}
    assert {name: str(v) for name, v in found.items() if v.status == "failed"} == {}
    assert found["alive-points"].status == found["weight-zero-points"].status == "passed"
    few = ["--seeds", "1", "--scenarios", "two-moons-6", "--set", "*.steps=4", "--no-mlflow", "--workers", "0"]
    code, out, err = sslbench("run", "my_method.toml", "--plugin", "my_method.py", *few, capsys=capsys)
    assert code == 0, err
    assert "my-method" in out


def test_its_code_is_as_tidy_as_ours(tmp_path, capsys):
    sslbench("new", "method", "my-method", "--package", "--out", tmp_path, capsys=capsys)
    for words in (["check", "--select", "E,F,W,I,B,UP,SIM,C4,PT,RET"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--isolated", "--line-length", "120", "--no-cache", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "my_method.toml").write_text("mine")
    code, _, err = sslbench("new", "method", "my-method", "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "is there already, and nothing is overwritten" in " ".join(err.split())
    assert (tmp_path / "my_method.toml").read_text() == "mine"
    assert not (tmp_path / "my_method.py").exists()


@pytest.mark.parametrize("name", ["My-Method", "my_method", "3d", "-x", "a--b", "a-", "ä", "a/b", "..", "a" * 41, ""])
def test_a_name_of_another_form_is_refused(name, tmp_path, capsys):
    code, _, err = sslbench("new", "method", "--out", tmp_path, "--", name, capsys=capsys)
    assert code == 2
    assert "is no name for a method: give lower-case letters" in " ".join(err.split())
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_refused(tmp_path, capsys):
    code, _, err = sslbench("new", "method", "vat", "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "There is a method 'vat' already" in err


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = sslbench("new", "method", "mine", "--out", tmp_path / "file" / "deeper", capsys=capsys)
    assert code == 2
    assert "cannot be written" in " ".join(err.split())


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
    | st.sampled_from(["loss", "none", "step", "f"])
)
def test_every_name_makes_a_class_that_shadows_nothing(name):
    words = words_of(name)
    template = (ROOT / "sslbench" / "new" / "templates" / "method.py.template").read_text()
    for key in sorted(words, key=len, reverse=True):
        template = template.replace(f"${key}", words[key])
    tree = ast.parse(template)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    (cls,) = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert cls not in imported | {"F"}


@pytest.mark.slow
def test_an_installed_package_is_found_checked_run_and_reported(tmp_path, capsys):
    """A package from `sslbench new method --package`, installed beside sslbench by pip, without a network."""
    sslbench("new", "method", "my-method", "--package", "--out", tmp_path, capsys=capsys)
    package, site = tmp_path / "sslbench-my-method", tmp_path / "site"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "COLUMNS": "200"}

    def here(*words):
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    here(sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(package))
    command = [sys.executable, "-m", "sslbench"]
    listed = {entry["name"]: entry for entry in json.loads(here(*command, "list", "methods", "--json"))["methods"]}
    assert listed["my-method"]["origin"] == "sslbench-my-method"
    few = ["--seeds", "2", "--scenarios", "two-moons-6", "--set", "*.steps=4", "--no-mlflow", "--workers", "1"]
    here(*command, "run", str(package / "suite.toml"), *few, "--out", "found")
    records = [json.loads(line) for line in (tmp_path / "found" / "records.jsonl").read_text().splitlines()]
    assert {(r["method"]["name"], r["status"]) for r in records} == {("supervised", "ok"), ("my-method", "ok")}
    assert "my-method" in (tmp_path / "found" / "report" / "report.html").read_text()
    tested = here(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package), "-k", "form or alive-points"
    )
    assert "2 passed" in tested
