"""Records and their store: what is written is read, what is torn is recognised, what is foreign is refused."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from sslbench.errors import BadInput
from sslbench.records import SCHEMA, Record, Store, current, load_records


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


@pytest.mark.parametrize("line", ["[1]", "null", "no json", '{"schema": 1}', "\xff\xfe"])
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
    with pytest.raises(ValueError, match="pickle"):
        store.arrays(record)


def test_the_newest_record_of_a_cell_counts():
    old, new = a_record(key="old"), a_record(key="new")
    assert current([old, a_record("vat/moons/seed1"), new]) == [a_record("vat/moons/seed1"), new]


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
