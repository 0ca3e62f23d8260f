"""Records and their store: what is written is read, what is torn is recognised, what is foreign is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.errors import BadInput, Damage
from sslbench.records import SCHEMA, DamagedArrays, Record, Store, current, load_records


def a_record(name: str = "vat/moons/seed0", key: str = "k0", **changes) -> Record:
    method, scenario, seed = name.split("/")
    record = Record(
        cell={"id": name, "key": key},
        method={"name": method, "params": {"radius": 0.3}},
        scenario={"name": scenario, "params": {"steps": 10}},
        seed=int(seed.removeprefix("seed")),
        status="ok",
        metrics={"accuracy": {"final": 0.1 + 0.2, "selected": None, "oracle": 1 / 3}, "nll": 1e-17},
        curves={"step": [1, 2], "labelled_loss": [0.5, None]},
    )
    return dataclasses.replace(record, **changes)


def test_a_record_comes_back_bit_for_bit(tmp_path):
    store = Store(tmp_path)
    arrays = {"grid": np.arange(6.0).reshape(2, 3), "labels": np.array([1, 2])}
    record = a_record(arrays=["grid", "labels"])
    store.append(record, arrays)
    store.append(a_record("vat/moons/seed1", "k1"))
    assert store.load() == [record, a_record("vat/moons/seed1", "k1")]
    for name, array in store.arrays(record).items():
        assert np.array_equal(array, arrays[name])
    assert store.arrays(store.load()[1]) == {}


def test_nan_and_numpy_become_plain_json():
    record = a_record(metrics={"nll": math.nan, "counts": np.array([1, 2]), "one": np.float32(0.5), "inf": [math.inf]})
    assert Record.from_json(record.to_json()).metrics == {"nll": None, "counts": [1, 2], "one": 0.5, "inf": [None]}
    assert "NaN" not in record.to_json()


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_recognised_and_left_behind(tmp_path, cut):
    store = Store(tmp_path)
    store.append(a_record())
    store.append(a_record("vat/moons/seed1", "k1"))
    store.path.write_bytes(store.path.read_bytes()[:-cut])
    if cut == 1:  # only the line's end is missing: the record is whole
        assert len(store.load()) == 2
    else:
        assert store.load() == [a_record()]
        assert store.torn == [2]
    store.append(a_record("vat/moons/seed2", "k2"))
    assert store.load()[-1].id == "vat/moons/seed2"
    assert store.load()[0] == a_record()


FOREIGN = {
    "a list": "[1]",
    "null": "null",
    "no JSON": "no json",
    "zeroes": "\0\0\0",
    "an object": '{"a": 1}',
    "a schema alone": '{"schema": 1}',
    "another program's": a_record().to_json().replace('"seed"', '"sowed":3,"seed"'),
    "a text for a seed": a_record(seed="one").to_json(),
    "an unknown status": a_record(status="fine").to_json(),
    "a list of metrics": a_record(metrics=[1]).to_json(),
    "a name with a line's end": a_record(method={"name": "v\nat"}).to_json(),
    "a key that leaves the folder": a_record(key="../../x").to_json(),
    "a key that is hidden": a_record(key=".x").to_json(),
    "a key of another disk": a_record(key="C:x").to_json(),
    "a key that is long": a_record(key="k" * 300).to_json(),
}


@pytest.mark.parametrize("line", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_line_costs_no_other(tmp_path, line):
    store = Store(tmp_path)
    store.append(a_record())
    with store.path.open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    store.append(a_record("vat/moons/seed1", "k1"))
    assert [r.id for r in store.load()] == ["vat/moons/seed0", "vat/moons/seed1"]
    assert store.torn == [2]


def test_another_schema_is_refused(tmp_path):
    store = Store(tmp_path)
    content = json.loads(a_record().to_json()) | {"schema": SCHEMA + 1}
    store.prepare()
    store.path.write_text(json.dumps(content) + "\n")
    with pytest.raises(BadInput, match=rf"records.jsonl, line 1: .*schema {SCHEMA + 1}.*--out"):
        store.load()


def test_a_record_of_a_newer_schema_is_refused_and_stays_also_with_a_checksum(tmp_path):
    (tmp_path / "records.jsonl").write_bytes(a_record(schema=SCHEMA + 1).to_line())
    with pytest.raises(BadInput, match=f"schema {SCHEMA + 1}"):
        Store(tmp_path).load()


def test_no_bit_can_flip_unnoticed(tmp_path):
    """Each bit of a store in turn: every record that is read is one that was written, and at most one is lost."""
    written = [a_record(f"v/m/seed{i}", f"k{i}", metrics={"nll": 0.25 + i}, curves={}) for i in range(3)]
    store = Store(tmp_path)
    store.path.write_bytes(b"".join(r.to_line() for r in written))
    whole = bytearray(store.path.read_bytes())
    for place in range(8 * len(whole)):
        whole[place // 8] ^= 1 << place % 8
        store.path.write_bytes(whole)
        whole[place // 8] ^= 1 << place % 8
        read = store.load()
        assert all(r in written for r in read), place
        assert len(read) >= 2, place
        if len(read) < 3:
            assert store.torn, place
    store.path.write_bytes(whole)
    assert store.load() == written


@given(st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=40), st.integers(0, 40)), max_size=4))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_to_the_file_no_record_is_made_up(damage):
    """Bytes cut out and bytes put in, anywhere: what is read was written."""
    written = [a_record(f"v/m/seed{i}", f"k{i}") for i in range(4)]
    content = b"".join(r.to_line() for r in written)
    for place, put_in, cut_out in damage:
        content = content[:place] + put_in + content[place + cut_out :]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.path.write_bytes(content)
        read = store.load()
        assert all(r in written for r in read)
        store.append(a_record("v/m/seed9", "k9"))
        assert store.load() == [*read, a_record("v/m/seed9", "k9")]


def test_lines_without_a_checksum_are_read(tmp_path):
    """As earlier versions wrote them."""
    store = Store(tmp_path)
    store.path.write_text(a_record().to_json() + "\n")
    store.append(a_record("vat/moons/seed1", "k1"))
    assert [r.id for r in store.load()] == ["vat/moons/seed0", "vat/moons/seed1"]
    assert store.torn == []
    committed = sorted((Path(__file__).parent.parent / "results").glob("*/records.jsonl"))
    assert committed
    for path in committed:
        assert Store(path.parent).load()


def test_a_line_is_json_for_others(tmp_path):
    line = a_record(reason="α – ünï").to_line()
    assert json.loads(line)["reason"] == "α – ünï"
    assert line.count(b"\n") == 1


def test_loading_records_warns_of_what_is_left_out(tmp_path):
    store = Store(tmp_path)
    store.append(a_record())
    with store.path.open("ab") as file:
        file.write(b"{\n" * 9)
    with pytest.warns(
        Damage, match=r"records.jsonl: no whole record in line 2 \(not JSON.*line 6 .* and 4 more: left out"
    ):
        assert load_records(tmp_path) == [a_record()]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_arrays_are_one_clear_error(tmp_path, damage):
    store, record = Store(tmp_path), a_record(arrays=["grid"])
    grid = np.random.default_rng(0).random((20, 20))
    store.append(record, {"grid": grid})
    path = tmp_path / "arrays" / "k0.npz"
    whole = path.read_bytes()
    changed = {"cut": whole[:-40], "empty": b"", "text": b"no archive"}
    if damage == "flip":
        for place in range(0, len(whole), 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                assert np.array_equal(store.arrays(record)["grid"], grid), place  # a date, say, that nobody reads
            except DamagedArrays:
                continue
        path.write_bytes(whole[:200] + bytes([whole[200] ^ 4]) + whole[201:])
    else:
        path.write_bytes(changed[damage])
    with pytest.raises(DamagedArrays, match=r"k0.npz, the arrays of vat/moons/seed0, cannot be read"):
        store.arrays(record)


@pytest.mark.parametrize("key", ["../x", "a/b", "", ".", "..", "a\\b", "\0"])
def test_a_key_names_no_file_elsewhere(tmp_path, key):
    store = Store(tmp_path / "store")
    record = a_record(key=key, arrays=["a"])
    for attempt in (
        lambda: store.append(record, {"a": np.zeros(1)}),
        lambda: store.append(record, None, "trace"),
        lambda: store.arrays(record),
        lambda: store.traceback(record),
    ):
        with pytest.raises(ValueError, match="can name no file"):
            attempt()
    assert list(tmp_path.rglob("*.*")) == []


def test_no_records_is_an_empty_store(tmp_path):
    assert Store(tmp_path / "none").load() == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written.*--out"):
        Store(tmp_path / "file" / "deeper").prepare()


def test_pickled_arrays_are_never_loaded(tmp_path):
    store = Store(tmp_path)
    record = a_record(arrays=["evil"])
    store.append(record)
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "k0.npz", evil=np.array([{}], dtype=object))
    with pytest.raises(DamagedArrays, match="pickle"):
        store.arrays(record)


def test_the_newest_record_of_a_cell_counts_and_stands_where_the_first_stood():
    old, new = a_record(key="old"), a_record(key="new")
    assert current([old, a_record("vat/moons/seed1"), new]) == [new, a_record("vat/moons/seed1")]


def test_records_of_older_settings_of_a_scenario_are_left_out(tmp_path):
    store = Store(tmp_path)
    store.append(a_record("pi/moons/seed0"))
    store.append(a_record("pi/rings/seed0"))
    changed = a_record(scenario={"name": "moons", "params": {"steps": 20}})
    store.append(changed)
    assert load_records(tmp_path) == [a_record("pi/rings/seed0"), changed]


def test_what_is_finished():
    states = {s: a_record(status=s).finished for s in ("ok", "diverged", "skipped", "failed", "timeout")}
    assert states == {"ok": True, "diverged": True, "skipped": True, "failed": False, "timeout": False}


@pytest.mark.parametrize(
    ("name", "labels", "series"),
    [("mnist5k-50", 50, "mnist5k"), ("mnist5k-1000-no7", 1000, "mnist5k-no7"), ("mine", 50, "mine"), ("50", 50, "50")],
)
def test_the_series_is_the_name_without_the_label_count(name, labels, series):
    about = {"name": name, "labels": labels}
    assert Record(cell={}, method={}, scenario=about, seed=0, status="ok").series == series
