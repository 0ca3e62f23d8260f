"""The command line as a user meets it: what it prints, what it refuses, its exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sslbench.cli import COMMANDS, main
from sslbench.records import Store
from tests.test_registry import write_plugin

SUITE = """
name = "tiny"
seeds = 2
methods = ["supervised", "vat"]
scenarios = ["two-moons-6"]
[scenario.two-moons-6]
steps = 5
points = 2
training_points = 60
test_points = 40
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A tiny suite file in a folder of its own, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return path


def sslbench(*words, capsys):
    """Run the command line here: (exit code, standard output, standard error)."""
    old = sys.argv
    sys.argv = ["sslbench", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = old
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_run_ends_with_a_table_and_says_where_things_are(suite, capsys, tmp_path):
    code, out, err = sslbench("run", suite, capsys=capsys)
    assert code == 0
    assert "2 methods × 1 scenarios × 2 seeds = 4 cells" in err
    assert "4/4 cells, 0 failed" in err
    assert "supervised" in out
    assert "±" in out
    assert "highest mean accuracy" in out
    folder = tmp_path / "results" / "local" / "tiny"
    for made in ("report/report.html", "report/comparison.csv", "records.jsonl"):
        assert (folder / made).stat().st_size > 0
    assert str(folder / "report" / "report.html") in out
    with sqlite3.connect(tmp_path / "results" / "local" / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (5,)  # a parent and four cells
    database.close()

    code, out, err = sslbench("run", suite, capsys=capsys)
    assert code == 0
    assert "Nothing to run" in err
    assert "±" in out
    with sqlite3.connect(tmp_path / "results" / "local" / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (5,)
    database.close()


def test_a_dry_run_prints_the_cells_and_an_estimate_and_writes_nothing(suite, capsys, tmp_path):
    code, out, _ = sslbench("run", suite, "--dry-run", capsys=capsys)
    assert code == 0
    assert "vat/two-moons-6/seed1" in out
    assert "to run" in out
    assert "About" in out
    assert not (tmp_path / "results").exists()
    assert sslbench("run", suite, "--no-mlflow", "--methods", "vat", capsys=capsys)[0] == 0
    _, out, err = sslbench("run", suite, "--dry-run", capsys=capsys)
    assert "2 finished, 2 to run" in err
    assert out.count(" ok") == 2


def test_a_plan_says_when_its_seeds_are_too_few_to_tell_anything(suite, capsys):
    _, _, err = sslbench("run", suite, "--dry-run", capsys=capsys)
    assert "With 2 seeds no difference can be told from chance" in err
    assert "6 seeds are the fewest that can. To run more: seeds in the suite file, or --seeds." in err
    for enough in (["--seeds", "0-5"], ["--methods", "vat"]):  # without its baseline nothing is compared
        assert "chance" not in sslbench("run", suite, "--dry-run", *enough, capsys=capsys)[2]


@pytest.mark.parametrize("example", [e.split() for examples in COMMANDS.values() for e in examples], ids=" ".join)
def test_what_an_example_writes_is_not_what_it_reads(example):
    if "--out" in example:
        place = example.index("--out")
        assert example[place + 1] not in example[2:place]


def test_overrides_and_filters(suite, capsys, tmp_path):
    words = ["--no-mlflow", "--out", tmp_path / "o", "--seeds", "5,7", "--methods", "vat", "--set", "vat.radius=0.9"]
    assert sslbench("run", suite, *words, capsys=capsys)[0] == 0
    records = Store(tmp_path / "o").load()
    assert sorted(r.id for r in records) == ["vat/two-moons-6/seed5", "vat/two-moons-6/seed7"]
    assert records[0].method["params"]["radius"] == 0.9
    assert not list(tmp_path.glob("**/mlflow.db"))


def test_going_back_to_earlier_settings_shows_their_table_again(suite, capsys):
    words = ["run", suite, "--no-mlflow", "--methods", "vat"]
    table = sslbench(*words, capsys=capsys)[1]
    other = sslbench(*words, "--set", "two-moons-6.steps=1", capsys=capsys)[1]
    code, again, err = sslbench(*words, capsys=capsys)
    assert code == 0
    assert "Nothing to run" in err
    assert again == table != other


def test_a_plugin_method_runs_and_is_listed(suite, capsys, tmp_path):
    plugin = write_plugin(tmp_path / "mine.py", name="from-the-command-line")
    code, out, _ = sslbench("list", "methods", "--plugin", plugin, capsys=capsys)
    assert code == 0
    assert "from-the-command-line" in out
    words = ["--plugin", plugin, "--no-mlflow", "--methods", "supervised,from-the-command-line"]
    code, out, _ = sslbench("run", suite, *words, capsys=capsys)
    assert code == 0
    assert {r.method["name"] for r in Store(tmp_path / "results/local/tiny").load()} == {
        "supervised",
        "from-the-command-line",
    }


def test_a_failed_cell_is_exit_code_1(suite, capsys, tmp_path):
    plugin = write_plugin(tmp_path / "fails.py", name="fails", body="raise RuntimeError('[bold]odd[/] reason')")
    code, _, err = sslbench(
        "run", suite, "--plugin", plugin, "--no-mlflow", "--methods", "supervised,fails", capsys=capsys
    )
    assert code == 1
    assert "failed: fails/two-moons-6/seed0: RuntimeError: [bold]odd[/] reason" in err
    assert "Traceback" not in err


def test_report_track_and_splits(suite, capsys, tmp_path):
    sslbench("run", suite, "--no-mlflow", capsys=capsys)
    folder = tmp_path / "results" / "local" / "tiny"
    assert sslbench("report", folder, capsys=capsys)[0] == 0
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    code, out, _ = sslbench("track", folder, "--tracking-uri", uri, capsys=capsys)
    assert (code, out.startswith("4 cells")) == (0, True)
    assert sslbench("track", folder, "--tracking-uri", uri, capsys=capsys)[1].startswith("0 cells")
    assert sslbench("splits", suite, "--out", tmp_path / "s", capsys=capsys)[0] == 0
    split = json.loads((tmp_path / "s" / "two-moons-6-seed1.json").read_text())
    recorded = {r.provenance["split_sha256"] for r in Store(folder).load() if r.seed == 1}
    assert recorded == {split["split_sha256"]}
    assert len(split["labelled"]) == 6


def test_list_as_json(capsys):
    code, out, _ = sslbench("list", "--json", capsys=capsys)
    content = json.loads(out)
    assert code == 0
    assert "vat" in {m["name"] for m in content["methods"]}
    assert {"name", "summary", "origin"} == content["scenarios"][0].keys()
    assert content.keys() == {"methods", "scenarios", "suites"}


def refused(capsys, *words):
    code, _, err = sslbench(*words, capsys=capsys)
    assert code == 2, err
    assert "Traceback" not in err
    return " ".join(err.split())


def test_bad_input_is_one_line_and_exit_code_2(suite, capsys, tmp_path):
    run = ["run", suite, "--no-mlflow"]
    assert "Unknown method 'vta'. Did you mean 'vat'?" in refused(capsys, *run, "--methods", "vta")
    assert "Unknown scenario 'two-moons'. Did you mean 'two-moons-6'?" in refused(
        capsys, *run, "--scenarios", "two-moons"
    )
    assert "seeds = 0 names no seeds" in refused(capsys, *run, "--seeds", "0")
    assert "Unknown key of method 'vat' 'radios'" in refused(capsys, *run, "--set", "vat.radios=1")
    assert "labels = 7 cannot be shared out" in refused(capsys, *run, "--set", "two-moons-6.labels=7")
    assert "Unknown device 'gpu'" in refused(capsys, *run, "--device", "gpu")
    assert "Unknown executor 'slurm'" in refused(capsys, *run, "--executor", "slurm")
    assert "--workers must be at least 1" in refused(capsys, *run, "--workers", "-1")
    assert "No suite file" in refused(capsys, "run", tmp_path / "none.toml")
    assert "No plugin file" in refused(capsys, *run, "--plugin", tmp_path / "none.py")
    assert "No records in" in refused(capsys, "report", tmp_path)
    assert "holds no records" in refused(capsys, "track", tmp_path)
    assert "cannot be listed" in refused(capsys, "list", "everything")
    assert "is no folder" in refused(capsys, *run, "--data-dir", tmp_path / "none")
    refused(capsys, "run")
    refused(capsys, "run", suite, "--no-such-option")
    assert not (tmp_path / "results").exists()


def test_a_plugin_with_a_syntax_error_is_refused(suite, capsys, tmp_path):
    (tmp_path / "broken.py").write_text("def (:\n")
    message = refused(capsys, "run", suite, "--plugin", tmp_path / "broken.py")
    assert "broken.py cannot be loaded: SyntaxError" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(suite, capsys):
    assert "torch finds no CUDA device here" in refused(capsys, "run", suite, "--device", "cuda")


def test_missing_data_are_refused(suite, capsys, tmp_path):
    (tmp_path / "data").mkdir()
    words = ["--scenarios", "mnist-50", "--data-dir", tmp_path / "data"]
    try:
        assert "No data set 'mnist' in" in refused(capsys, "run", suite, *words)
    finally:
        os.environ.pop("SSLBENCH_DATA", None)


def test_an_output_folder_that_cannot_be_written_is_refused(suite, capsys, tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    message = refused(capsys, "run", suite, "--out", tmp_path / "taken" / "deeper")
    assert "cannot be written" in message or "cannot be read" in message


def test_a_store_of_another_schema_is_refused_and_left_as_it_is(suite, capsys, tmp_path):
    sslbench("run", suite, "--no-mlflow", "--methods", "supervised", capsys=capsys)
    path = Store(tmp_path / "results" / "local" / "tiny").path
    record = Store(path.parent).load()[0]
    path.write_bytes(path.read_bytes() + dataclasses.replace(record, schema=99).to_line())
    before = path.read_bytes()
    assert "schema 99" in refused(capsys, "run", suite, "--no-mlflow")
    assert path.read_bytes() == before


def test_a_dead_mlflow_server_costs_one_warning_and_no_result(suite, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, out, err = sslbench(
        "run", suite, "--tracking-uri", "http://127.0.0.1:9", "--methods", "supervised", capsys=capsys
    )
    assert code == 0
    assert err.count("Warning:") == 1
    assert "sslbench track" in " ".join(err.split())
    assert "±" in out
    assert len(Store(tmp_path / "results" / "local" / "tiny").load()) == 2


@contextlib.contextmanager
def heard(number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_ctrl_c_keeps_what_is_finished(suite, tmp_path):
    suite.write_text(SUITE.replace("steps = 5", "steps = 400").replace("seeds = 2", "seeds = 40"))
    command = [sys.executable, "-m", "sslbench", "run", str(suite), "--no-mlflow", "--workers", "2"]
    with heard(signal.SIGINT):  # a shell's background jobs ignore it, and so would their children
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    records = tmp_path / "results" / "local" / "tiny" / "records.jsonl"
    deadline = time.monotonic() + 120
    while not (records.exists() and records.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "What was finished is kept" in err
    assert "Traceback" not in err
    assert 0 < len(Store(records.parent).load()) < 80


def test_a_run_can_be_told_when_to_stop_and_goes_on(suite, capsys):
    long = ["--set", "two-moons-6.steps=200000", "--workers", "0", "--no-mlflow"]
    code, _, err = sslbench("run", suite, *long, "--stop-after", "0.02", capsys=capsys)
    assert code == 3
    assert "goes on from here" in err
    assert sslbench("run", suite, "--workers", "0", "--no-mlflow", "--stop-after", "10", capsys=capsys)[0] == 0


def test_a_cell_can_be_run_again_and_is_held_against_its_record(suite, capsys, tmp_path):
    assert sslbench("run", suite, "--no-mlflow", "--workers", "0", "--methods", "vat", capsys=capsys)[0] == 0
    folder = tmp_path / "results" / "local" / "tiny"
    code, out, _ = sslbench("rerun", folder, "vat/two-moons-6/seed1", capsys=capsys)
    assert code == 0
    assert "Every metric and every point of the curves is the same." in out
    store = Store(folder)
    record = store.load()[-1]
    record.metrics["nll"] = 99.0
    store.append(record)
    code, out, _ = sslbench("rerun", folder, record.id, capsys=capsys)
    assert code == 1
    assert "The numbers differ." in out
    code, _, err = sslbench("rerun", folder, "vat/two-moons-6/seed7", capsys=capsys)
    assert code == 2
    assert "Unknown cell" in err


def test_published_numbers_are_read_before_anything_runs(suite, capsys, tmp_path):
    (tmp_path / "p.toml").write_text('[[result]]\nwhat = "x"\n')
    code, _, err = sslbench("run", suite, "--published", tmp_path / "p.toml", capsys=capsys)
    assert code == 2
    assert "[[result]]" in err
    assert not (tmp_path / "results").exists()


def test_a_failure_is_named_again_and_left_alone_until_it_is_asked_for(suite, capsys, tmp_path):
    plugin = write_plugin(tmp_path / "fails2.py", name="fails2", body="raise RuntimeError('as ever')")
    run = ["run", suite, "--plugin", plugin, "--no-mlflow", "--workers", "0", "--methods", "supervised,fails2"]
    assert sslbench(*run, capsys=capsys)[0] == 1
    code, _, err = sslbench(*run, capsys=capsys)
    assert code == 1
    assert "Nothing to run: 2 are finished and 2 failed in" in err
    assert "--retry-failed runs it again" in err
    named = next(line for line in err.splitlines() if line.startswith("failed: fails2/two-moons-6/seed1"))
    reason, _, trace = named.partition("   (")
    assert reason.endswith(": RuntimeError: as ever")
    assert "RuntimeError: as ever" in Path(trace.rstrip(")")).read_text()
    code, out, _ = sslbench(*run, "--dry-run", capsys=capsys)
    assert (code, out.count(" failed")) == (0, 2)
    code, _, err = sslbench(*run, "--retry-failed", capsys=capsys)
    assert code == 1
    assert "2 finished, 2 to run," in err
    assert "runs again, in 2 parts" in err


def test_limits_and_retries_are_checked_and_this_process_says_that_it_cannot_keep_a_limit(suite, capsys):
    run = ["run", suite, "--no-mlflow"]
    assert "timeout = 0.0 is not valid" in refused(capsys, *run, "--timeout", "0")
    assert "timeout = -1.0 is not valid" in refused(capsys, *run, "--timeout", "-1")
    assert "timeout = nan is not valid" in refused(capsys, *run, "--timeout", "nan")
    refused(capsys, *run, "--retries", "-1")
    code, _, err = sslbench(*run, "--workers", "0", "--methods", "supervised", "--timeout", "5", capsys=capsys)
    assert code == 0
    assert "Warning: no time limit is kept in this process (--workers 0): cells run as long as they take." in " ".join(
        err.split()
    )
