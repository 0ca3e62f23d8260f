"""What machines do to a results folder: second drivers, kills, full disks, lost power, hostile files."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import sslbench
from sslbench import locks, merging, runner
from sslbench.errors import BadInput, Damage
from sslbench.locks import Holder, Lock
from sslbench.records import LOCK_FILE, DamagedArrays, Record, Store
from tests.report.factory import whole, write
from tests.test_cli import SUITE
from tests.test_cli import sslbench as command
from tests.test_records import a_record

NOBODY = 65534


def cells_of(*scenarios: str):
    """(record, arrays) of some cells on these scenarios, with few points a curve."""
    return [c for c in whole(2, ("supervised", "vat"), points=4) if c[0].scenario["name"] in scenarios]


# Two drivers ----------------------------------------------------------------------------------------------------------

HOLD = (
    "import sys, time; from pathlib import Path; from sslbench.locks import Lock; Lock(Path(sys.argv[1])).acquire(); "
)
WAIT = "print('held', flush=True); time.sleep(600)"


@contextmanager
def held_elsewhere(path: Path, code: str = HOLD + WAIT):
    """Another process that holds the lock: yields it."""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("held")
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path):
    store = Store(tmp_path)
    with held_elsewhere(tmp_path / LOCK_FILE) as process:
        who = rf"process {process.pid} on {socket.gethostname()}, since 20\d\d-.*: wait until it ends, or give another --out"
        for write_something in (store.prepare, lambda: store.append(a_record())):
            with pytest.raises(BadInput, match=who):
                write_something()
        assert store.load() == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK_FILE).exists()  # what a kill leaves
        with store.lock():
            assert store.died is not None
            assert store.died.pid == process.pid
        assert not (tmp_path / LOCK_FILE).exists()
        with store.lock():
            assert store.died is None


def test_a_forked_child_does_not_keep_the_lock_of_a_dead_parent(tmp_path):
    code = HOLD + "import os, signal\nif os.fork():\n  time.sleep(600)\nprint('held', flush=True); time.sleep(5)"
    with held_elsewhere(tmp_path / LOCK_FILE, code) as process:
        process.kill()
        process.wait()
        Lock(tmp_path / LOCK_FILE).acquire()


def test_whatever_writes_is_refused_before_anything_trains_and_readers_are_not(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    folder, other = write(tmp_path / "held", cells_of("mnist5k-50")), tmp_path / "other"
    Store(other).append(a_record())
    before = (folder / "records.jsonl").read_bytes()
    monkeypatch.setattr(runner, "make_plan", lambda *_: pytest.fail("it was planned"))
    with Store(folder).lock():
        code, _, err = command("run", "tiny.toml", "--no-mlflow", "--out", folder, capsys=capsys)
        assert code == 2
        assert f"process {os.getpid()} on" in err
        assert command("merge", other, "--out", folder, capsys=capsys)[0] == 2
        with pytest.raises(BadInput, match="is being written by another sslbench"):
            sslbench.run(tmp_path / "tiny.toml", out=folder, workers=0)
        assert sslbench.load_records(folder)
        assert command("compare", folder, "vat", "supervised", capsys=capsys)[0] == 0
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_lock_is_taken_once_in_a_store_and_ends_with_the_outermost_block(tmp_path):
    store = Store(tmp_path / "new" / "store")
    with store.lock():
        with store.lock():
            store.prepare()
        with pytest.raises(BadInput):
            Store(store.folder).prepare()
    Store(store.folder).prepare()


def test_a_refused_run_leaves_no_folder_behind(tmp_path):
    with pytest.raises(BadInput, match="Unknown dataset"):
        sslbench.run(
            {
                "name": "x",
                "methods": ["vat"],
                "scenarios": ["mnist5k-50"],
                "scenario": {"mnist5k-50": {"data": "none"}},
            },
            out=tmp_path / "a" / "b",
            workers=0,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "refused"),
    [({}, True), ({"pid": 2**22 + 1}, False), ({"boot": "an earlier one"}, False), ({"host": "elsewhere"}, True)],
    ids=["alive", "dead", "before a reboot", "on another machine"],
)
def test_where_the_file_system_has_no_locks_the_text_decides(tmp_path, monkeypatch, changes, refused):
    def flock(*_):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    path = tmp_path / LOCK_FILE
    path.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(Holder.here(), **changes))))
    if refused:
        with pytest.raises(BadInput, match="is being written"):
            Lock(path).acquire()
    else:
        assert Lock(path).acquire() is not None


# Disks ----------------------------------------------------------------------------------------------------------------


@contextmanager
def files_at_most(size: int):
    """No file of this process may grow beyond so many bytes: writing ends in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_finds_no_room_is_taken_back_wherever_it_ends(tmp_path):
    store, record = Store(tmp_path), a_record("vat/moons/seed1", "k1")
    store.append(a_record())
    before = store.path.read_bytes()
    for room in range(len(record.to_line())):
        with (
            store.lock(),
            files_at_most(len(before) + room),
            pytest.raises(BadInput, match="File too large. What is stored"),
        ):
            store.append(record)
        assert store.path.read_bytes() == before
    store.append(record)
    assert store.load() == [a_record(), record]


def test_a_file_beside_the_records_that_finds_no_room_leaves_the_old_one(tmp_path):
    store, record = Store(tmp_path), a_record(arrays=["noise"])
    old, new = (np.random.default_rng(seed).random(1000) for seed in (0, 1))
    store.append(record, {"noise": old})
    with store.lock(), files_at_most(4096), pytest.raises(BadInput, match="cannot be written"):
        store.append(record, {"noise": new})
    assert np.array_equal(store.arrays(record)["noise"], old)
    assert store.load() == [record]
    assert [p.name for p in (tmp_path / "arrays").iterdir()] == ["k0.npz"]


@pytest.mark.parametrize("size", [4_000, 30_000], ids=["for arrays", "for records"])
def test_a_run_on_a_full_disk_ends_with_one_message_and_the_next_goes_on(tmp_path, capsys, monkeypatch, size):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    words = ["run", "tiny.toml", "--no-mlflow", "--workers", "0", "--seeds", "24", "--methods", "supervised"]
    with files_at_most(size):
        code, _, err = command(*words, "--out", "full", capsys=capsys)
    assert code == 2
    assert err.count("Error:") == 1
    assert "cannot be written: File too large. What is stored is kept: make room" in err
    kept = Store(Path("full")).load()
    assert len(kept) < 24
    assert (len(kept) > 0) == (size > 4_000)
    with Store(Path("full")).lock():  # the run has let go of it
        pass
    for folder in ("full", "roomy"):
        sslbench.run("tiny.toml", methods=["supervised"], seeds=24, workers=0, out=folder)
    full, roomy = (Store(Path(name)) for name in ("full", "roomy"))
    assert [(r.key, r.metrics, r.curves) for r in full.load()] == [(r.key, r.metrics, r.curves) for r in roomy.load()]
    assert full.load()[: len(kept)] == kept
    for record in full.load():
        ours, theirs = full.arrays(record), roomy.arrays(record)
        assert all(np.array_equal(ours[name], theirs[name]) for name in record.arrays)


def test_a_device_without_room_is_one_message(tmp_path):
    (tmp_path / "records.jsonl").symlink_to("/dev/full")
    with pytest.raises(BadInput, match="No space left on device"):
        Store(tmp_path).append(a_record())


@pytest.mark.parametrize("there", [True, False])
def test_a_read_only_folder_is_refused_before_training(there):
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "store"
        if there:
            Store(folder).append(a_record())
            (folder / "records.jsonl").chmod(0o444)
            folder.chmod(0o555)
        Path(parent).chmod(0o555)
        root = os.geteuid() == 0  # whom no permission stops
        if root:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(BadInput, match="cannot be written: Permission denied"), Store(folder).lock():
                pass
            assert len(Store(folder).load()) == there
        finally:
            if root:
                os.seteuid(0)
            Path(parent).chmod(0o755)
            if there:
                folder.chmod(0o755)


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path):
    store = Store(tmp_path)
    store.append(a_record(arrays=["a"]), {"a": np.zeros(2)}, "a traceback")
    for name in ("arrays/k1.part", "tracebacks/k1.part", "other/k1.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    store.prepare()
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["arrays/k0.npz", "other/k1.part", "records.jsonl", "tracebacks/k0.txt"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell which file was flushed")
def test_everything_is_flushed_before_what_points_to_it(tmp_path, monkeypatch):
    flushed, real = [], os.fsync

    def fsync(descriptor):
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(str(name.relative_to(tmp_path)) + ("/" if folder else ""))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store = Store(tmp_path / "s")
    store.append(a_record(arrays=["a"]), {"a": np.zeros(2)}, "a traceback")
    store.append(a_record("vat/moons/seed1", "k1"))
    part = f"{os.getpid()}.part"
    arrays, trace = [f"s/arrays/k0.npz.{part}", "s/arrays/"], [f"s/tracebacks/k0.txt.{part}", "s/tracebacks/"]
    assert flushed == ["./", *arrays, *trace, "s/records.jsonl", "s/", "s/records.jsonl"]


# Hostile files --------------------------------------------------------------------------------------------------------

PAYLOAD = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{7*7}}$\\frac$"


def hostile(value):
    """The value with the payload in every string."""
    if isinstance(value, str):
        return value + PAYLOAD
    if isinstance(value, list):
        return [hostile(v) for v in value]
    if isinstance(value, dict):
        return {k: hostile(v) for k, v in value.items()}
    return value


def hostile_record(record: Record) -> Record:
    given = json.loads(record.to_json())
    changed = {name: hostile(given[name]) for name in ("method", "scenario", "provenance")}
    for table in (changed["scenario"]["params"], changed["method"].setdefault("params", {}), changed["provenance"]):
        table[PAYLOAD] = {PAYLOAD: [PAYLOAD]}
    names = {"id": f"{changed['method']['name']}/{changed['scenario']['name']}/seed{record.seed}", "key": record.key}
    metrics = given["metrics"] | {PAYLOAD: PAYLOAD}
    return dataclasses.replace(record, cell=names, reason=PAYLOAD, metrics=metrics, **changed)


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # so long are the names
def test_no_string_of_a_record_becomes_markup(tmp_path):
    cells = cells_of("mnist5k-1000-no7", "two-moons-6")
    failed = dataclasses.replace(cells[0][0], method={"name": "vat"}, status="failed", metrics={}, curves={})
    cells.append((dataclasses.replace(failed, cell={"id": "x", "key": "x"}), {}))
    made = sslbench.write_report(write(tmp_path, [(hostile_record(r), arrays) for r, arrays in cells]))
    html = made.html.read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert "<img src=x" not in html
    assert "&lt;script&gt;" in html
    assert "{{7*7}}" in html  # text, and no template
    for path in (made.markdown, *(p for p in made.paths if p.suffix == ".svg")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\\)<(script|img)", text), path
    assert {p.resolve().relative_to(tmp_path.resolve()).parts[0] for p in made.paths} == {"report"}


def test_names_of_a_record_lead_no_file_out_of_the_folder(tmp_path, capsys):
    cells = []
    for record, arrays in cells_of("two-moons-6"):
        method = record.method | {"name": f"../../../{record.method['name']}"}
        scenario = record.scenario | {"name": f"/../../{record.scenario['name']}"}
        cell = {"id": f"{method['name']}/{scenario['name']}/seed{record.seed}", "key": record.key}
        cells.append((dataclasses.replace(record, cell=cell, method=method, scenario=scenario), arrays))
    folder = write(tmp_path / "a" / "b" / "store", cells)
    before = {p for p in tmp_path.rglob("*") if folder not in p.parents}
    sslbench.write_report(folder)
    code, *_ = command("compare", folder, "../../../vat", "../../../supervised", capsys=capsys)
    assert code == 0
    assert {p for p in tmp_path.rglob("*") if folder not in p.parents} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"name": "os.system", "params": {}}},
        {"method": {"name": "mine", "base": "os:system", "params": {}}},
        {"method": {"name": "mine", "base": "evil.py", "params": {}}},
        {"method": {"name": "mine", "base": ["vat"], "params": {}}},
        {"method": {"name": "vat", "params": {"base": "evil.py"}}},
        {"method": {"name": "vat", "params": {"plugin": "evil.py"}}},
        {"method": {"name": "vat", "params": {"__class__": "os.system"}}},
        {"method": {"name": "vat", "params": {"radius": {"__reduce__": ["os.system", "true"]}}}},
        {"method": {"name": "vat"}},
        {"scenario": {"name": "evil.py", "params": {}, "suite_seed": 0}},
        {"scenario": {"name": "two-moons-6", "params": {}, "suite_seed": "evil.py"}},
        {"scenario": {"name": "two-moons-6", "params": {"data": "evil.py"}, "suite_seed": 0}},
        {"scenario": {"name": "two-moons-6", "params": {}}},
        {"scenario": {"name": "*", "params": {}, "suite_seed": 0}},
        {"provenance": {"precision": "evil.py"}},
        {"provenance": {"precision": ["float32"]}},
        {"seed": -1},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_a_record_names_no_code_to_run(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    good = {
        "method": {"name": "vat", "params": {}},
        "scenario": {"name": "two-moons-6", "params": {}, "suite_seed": 0},
    }
    runner.suite_of(a_record("vat/two-moons-6/seed0", **good))
    with pytest.raises(BadInput):
        runner.suite_of(a_record("vat/two-moons-6/seed0", **{**good, **changes}))


@pytest.mark.parametrize("content", ["plugins = ['evil.py']", "plugin = 'evil.py'", "[method.mine]\nbase = 'evil:run'"])
def test_a_suite_file_names_no_code_to_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "s.toml").write_text(f"methods = ['vat']\nscenarios = ['two-moons-6']\n{content}\n")
    with pytest.raises(BadInput):
        sslbench.run(tmp_path / "s.toml", out=tmp_path / "o", workers=0)


def test_a_report_leaves_out_damaged_arrays_and_says_so(tmp_path):
    folder = write(tmp_path, cells_of("two-moons-6"))
    assert "boundary_p" in Store(folder).arrays(Store(folder).load()[0])
    for path in (folder / "arrays").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(
        Damage, match=r"arrays of supervised/two-moons-6/seed0, cannot be read .*and 3 more.*: left out of the plots"
    ):
        made = sslbench.write_report(folder)
    assert not (made.folder / "plots" / "boundary-two-moons-6.png").exists()
    for path in (made.html, made.markdown):
        text = path.read_text(encoding="utf-8").replace("\\", "")
        assert "two-moons-6/seed0, cannot be read" in text
        assert str(tmp_path) not in text  # a page is shown to others
    record = next(r for r in Store(folder).load() if r.arrays)
    with pytest.raises(DamagedArrays):
        Store(folder).arrays(record)


def test_damaged_lines_are_told_on_the_terminal_and_in_the_report(tmp_path, capsys):
    folder = write(tmp_path, cells_of("mnist5k-50"))
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b'{"half')
    number = len((folder / "records.jsonl").read_bytes().splitlines())
    code, _, err = command("report", folder, capsys=capsys)
    assert code == 0
    assert err.count("Warning:") == 1
    assert f"no whole record in line {number} (not JSON, or cut short): left out." in err
    assert f"records.jsonl: no whole record in line {number}" in (
        text := (folder / "report" / "report.html").read_text()
    )
    assert str(folder) not in text


def test_merging_checks_the_keys_too(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    Store(good).append(a_record())
    bad.mkdir()
    (bad / "records.jsonl").write_bytes(a_record("vat/moons/seed1", "k1").to_line() + a_record(key="../../x").to_line())
    with pytest.warns(Damage, match="line 2 .its key can name no file"):
        assert merging.merge([good, bad], tmp_path / "out").cells == 2
