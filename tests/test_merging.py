"""Stores of several machines become one: each cell once, disagreements named, "newest" as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sslbench.errors import BadInput, Damage
from sslbench.merging import merge
from sslbench.records import SCHEMA, Store, current, load_records
from tests.test_cli import sslbench as command
from tests.test_records import a_record


def finished(hour: int, name: str = "vat/moons/seed0", key: str = "k0", **changes):
    return a_record(name, key, provenance={"finished_at": f"2026-01-01T{hour:02}:00:00.000+00:00"}, **changes)


def store(folder, *records):
    made = Store(folder)
    for record in records:
        made.append(record)
    return folder


def test_cells_of_all_folders_come_together_by_the_time_they_finished(tmp_path):
    a = store(tmp_path / "a", finished(1), finished(5, "vat/moons/seed1", "k1"))
    b = store(tmp_path / "b", finished(3, "vat/moons/seed2", "k2"))
    made = merge([a, b], tmp_path / "out")
    assert [r.key for r in Store(tmp_path / "out").load()] == ["k0", "k2", "k1"]
    assert (list(made.added.values()), made.equal, made.conflicts, made.cells) == ([2, 1], 0, (), 3)
    assert merge([a, b], tmp_path / "out").equal == 3  # again: nothing comes twice
    assert len(Store(tmp_path / "out").load()) == 3


def test_equal_is_what_was_computed_and_not_when_or_where(tmp_path):
    one = finished(1, timing={"train_s": 1.0}, peak_memory_bytes=1)
    other = finished(2, timing={"train_s": 2.0}, peak_memory_bytes=2)
    made = merge([store(tmp_path / "a", one), store(tmp_path / "b", other)], tmp_path / "out")
    assert (made.equal, made.conflicts) == (1, ())
    assert Store(tmp_path / "out").load() == [one]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"metrics": {"accuracy": {"final": 0.5}}}, "metrics"),
        ({"curves": {"step": [1, 2], "labelled_loss": [0.5, 0.25]}}, "curves"),
        ({"status": "diverged", "metrics": {}}, "status, metrics"),
    ],
)
def test_what_is_not_equal_is_named_and_the_first_folder_goes_first(tmp_path, capsys, changes, part):
    a, b = store(tmp_path / "a", finished(2)), store(tmp_path / "b", finished(1, **changes))
    code, out, err = command("merge", a, b, "--out", tmp_path / "out", capsys=capsys)
    assert code == 1
    assert f"Conflict: vat/moons/seed0 differs in {part}: ok with 30.00 % from {a} is kept, " in err
    assert f"from {b} is not." in err
    assert "1 cells are in" in out
    assert load_records(tmp_path / "out") == [finished(2)]
    assert command("merge", b, a, "--out", tmp_path / "other", capsys=capsys)[0] == 1
    assert load_records(tmp_path / "other") == [finished(1, **changes)]


def on(device, hour=1, final=0.5, **changes):
    record = finished(hour, metrics={"accuracy": {"final": final}}, arrays=["grid"], **changes)
    return dataclasses.replace(record, provenance={**record.provenance, "device": device})


def two_devices(folder, **changes):
    """The same cell, computed on two devices, each with its arrays."""
    for name, record in (("a", on("cpu", 1, 0.9)), ("b", on("NVIDIA H100", 2, 0.875, **changes))):
        Store(folder / name).append(record, {"grid": np.full(2, record.metrics["accuracy"]["final"])})
    return folder / "a", folder / "b", folder / "out"


@pytest.mark.parametrize(
    ("words", "kept", "final", "choice"),
    [
        ([], "cpu", 0.9, "(--prefer cuda keeps the others)"),
        (["--prefer", "cpu"], "cpu", 0.9, "(--prefer cuda keeps the others)"),
        (["--prefer", "cuda"], "NVIDIA H100", 0.875, "(--prefer cpu keeps the others)"),
    ],
)
def test_a_cell_of_two_devices_is_no_conflict_and_one_may_be_preferred(tmp_path, capsys, words, kept, final, choice):
    a, b, out = two_devices(tmp_path)
    code, said, err = command("merge", a, b, "--out", out, *words, capsys=capsys)
    assert (code, "Conflict" in err) == (0, False)
    assert "whose arithmetic differs, in final accuracy by 2.50 points at most: " in said
    assert f"those on {kept} are kept {choice}" in said
    (record,) = load_records(out)
    assert record.metrics["accuracy"]["final"] == final
    assert Store(out).arrays(record)["grid"].tolist() == [final] * 2


def test_without_a_preference_a_record_of_an_unknown_device_does_not_go_first(tmp_path):
    a, b, out = two_devices(tmp_path)
    (other,) = load_records(b)
    nameless = store(tmp_path / "c", dataclasses.replace(other, arrays=[], provenance={}))
    merge([a, nameless], out)
    assert load_records(out)[0].device == "cpu"


def test_what_is_preferred_replaces_what_is_there_once(tmp_path):
    a, b, out = two_devices(tmp_path)
    for again in (False, True):
        made = merge([a, b], out, "cuda")
        assert list(made.added.values()) == ([0, 0] if again else [0, 1])
        (record,) = load_records(out)
        assert record.device == "cuda"
        merge([b], a, "cuda")
        merge([b], a)
    assert [r.device for r in Store(a).load()] == ["cpu", "cuda"]
    assert Store(a).arrays(load_records(a)[0])["grid"].tolist() == [0.875] * 2


def test_one_that_diverged_on_another_device_is_a_conflict(tmp_path):
    a, b, out = two_devices(tmp_path, status="diverged")
    made = merge([a, b], out)
    assert (len(made.conflicts), made.remarks()) == (1, [])


def test_an_unknown_device_is_refused(tmp_path, capsys):
    a, b, out = two_devices(tmp_path)
    code, _, err = command("merge", a, b, "--out", out, "--prefer", "tpu", capsys=capsys)
    assert (code, out.exists()) == (2, False)
    assert "--prefer tpu: give cpu or cuda" in err


def test_a_result_goes_before_a_failure_and_of_failures_the_newest_is_kept(tmp_path):
    a = store(tmp_path / "a", finished(1), finished(2, "vat/moons/seed1", "k1", status="failed", reason="early"))
    b = store(
        tmp_path / "b",
        finished(8, status="timeout"),
        finished(9, "vat/moons/seed1", "k1", status="failed", reason="late"),
    )
    for order in ([a, b], [b, a]):
        out = tmp_path / f"out-{order[0].name}"
        assert merge(order, out).conflicts == ()
        assert {r.key: (r.status, r.reason) for r in load_records(out)} == {"k0": ("ok", ""), "k1": ("failed", "late")}


def test_a_cell_that_failed_here_and_finished_there_is_finished(tmp_path):
    out = store(tmp_path / "out", finished(5, status="failed"))
    merge([store(tmp_path / "a", finished(1))], out)
    assert [r.status for r in load_records(out)] == ["ok"]
    assert len(Store(out).load()) == 2  # nothing that was there is removed


def test_newest_settings_stay_the_newest_also_where_the_target_had_them(tmp_path):
    old = finished(1, "vat/moons/seed1", "old", method={"name": "vat", "params": {"radius": 1.0}})
    new = finished(5, "vat/moons/seed0", "new", method={"name": "vat", "params": {"radius": 2.0}})
    for name, target in (("there", [new]), ("not there", [])):
        folders = [store(tmp_path / name / "old", old), *([] if target else [store(tmp_path / name / "new", new)])]
        merge(folders, store(tmp_path / name / "out", *target))
        assert load_records(tmp_path / name / "out") == [new]
        assert {r.key for r in Store(tmp_path / name / "out").load()} == {"old", "new"}


def test_what_a_folder_made_the_newest_again_stays_so(tmp_path):
    """A run that goes back to earlier settings writes their records again, with their old times; skipped ones have none."""
    first, second = (
        finished(hour, key=key, method={"name": "vat", "params": {"radius": hour}})
        for hour, key in ((1, "a"), (2, "b"))
    )
    skipped = a_record("pi/moons/seed0", "s", status="skipped", metrics={})
    a = store(tmp_path / "a", skipped, first, second, first)
    b = store(tmp_path / "b", finished(1, "vat/rings/seed0", "r"))
    merge([b, a], tmp_path / "out")
    ids = {r.id: r for r in load_records(tmp_path / "out")}
    assert ids == {r.id: r for r in [*current(Store(a).load()), finished(1, "vat/rings/seed0", "r")]}
    assert ids["vat/moons/seed0"] == first


def test_what_becomes_the_newest_again_keeps_its_traceback(tmp_path):
    first, second = (
        finished(hour, key=key, method={"name": "vat", "params": {"radius": hour}}, status=status)
        for hour, key, status in ((1, "a", "failed"), (2, "b", "ok"))
    )
    a = Store(tmp_path / "a")
    for record in (first, second, first):
        a.append(record, traceback="" if record is second else "Traceback: α")
    merge([tmp_path / "a"], tmp_path / "out")
    out = Store(tmp_path / "out")
    assert load_records(tmp_path / "out") == [first]
    assert out.traceback(first) == "Traceback: α"


def test_arrays_and_tracebacks_come_along_from_whoever_has_them_whole(tmp_path):
    arrays = {"grid": np.arange(4.0)}
    lost, whole = Store(tmp_path / "lost"), Store(tmp_path / "whole")
    for s in (lost, whole):
        s.append(finished(1, arrays=["grid"]), arrays)
    lost.append(finished(2, "vat/moons/seed1", "k1", status="failed"), None, "Traceback: α")
    lost.append(finished(3, "vat/moons/seed2", "k2", arrays=["grid"]), arrays)
    (tmp_path / "lost" / "arrays" / "k0.npz").write_bytes(b"damaged")
    (tmp_path / "lost" / "arrays" / "k2.npz").unlink()
    made = merge([lost.folder, whole.folder], tmp_path / "out")
    assert made.without_arrays == ("vat/moons/seed2",)
    out = Store(tmp_path / "out")
    first, failed, _ = out.load()
    assert np.array_equal(out.arrays(first)["grid"], arrays["grid"])
    assert out.traceback(failed) == "Traceback: α"


def test_bad_folders_are_refused_and_nothing_is_written(tmp_path, capsys):
    good, out = store(tmp_path / "good", finished(1)), tmp_path / "out"
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "records.jsonl").write_bytes(dataclasses.replace(finished(1), schema=SCHEMA + 1).to_line())
    for folders, message in (
        ([good, tmp_path / "none"], "holds no records"),
        ([good, newer], "schema"),
        ([out], "at least"),
    ):
        with pytest.raises(BadInput, match=message):
            merge(folders, out)
        assert not out.exists()
    code, _, err = command("merge", good, tmp_path / "none", "--out", out, capsys=capsys)
    assert code == 2
    assert "holds no records" in err


def test_damaged_lines_stay_behind_and_are_named(tmp_path):
    folder = store(tmp_path / "a", finished(1), finished(2, "vat/moons/seed1", "k1"))
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":3'))
    with pytest.warns(Damage, match="line 2 .its checksum does not fit"):
        merge([folder], tmp_path / "out")
    clean = Store(tmp_path / "out")
    assert clean.load() == [finished(1)]
    assert clean.torn == []
