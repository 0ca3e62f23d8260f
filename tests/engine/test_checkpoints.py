"""Checkpoints: training that goes on from one has the bits of training that was never stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.engine import Checkpoint, CheckpointFile, Saver, Unusable, run
from sslbench.engine.checkpoints import FORMAT
from sslbench.methods.base import Loss, LossMethod, cross_entropy
from tests.conftest import KINDS_OF_INPUT, LOSS_METHODS, make_method, make_scenario, rng_of

CPU = torch.device("cpu")
STEPS = 7


class Killed(BaseException):
    """As SIGKILL ends a process: nothing is done after it."""


class KilledAt(Saver):
    """Writes a checkpoint after some steps, and ends there if it is told to."""

    def __init__(self, at, files, found=(), heard=None, dies=True):
        super().__init__(files, found, 0.0, (lambda *m: heard.append(m)) if heard is not None else lambda *m: None)
        self.at, self.dies = at, dies

    def save(self, checkpoints):
        if checkpoints[0].step == self.at:
            super().save(checkpoints)
            if self.dies:
                raise Killed


def files_in(folder, seeds):
    return [CheckpointFile(folder / f"{s}.npz", {"key": str(s)}) for s in seeds]


def stopped(method, scenario, seeds, at, files):
    with pytest.raises(Killed):
        run(method, scenario, [rng_of(s) for s in seeds], CPU, saver=KilledAt(at, files))


def assert_same(outcome, expected):
    for part in ("status", "reason", "metrics", "curves", "diagnostics", "digests"):
        assert getattr(outcome, part) == getattr(expected, part), part
    assert outcome.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(outcome.arrays[name], array)


def assert_same_tensors(one: Checkpoint, other: Checkpoint):
    """Parameters, state of the optimizer and the method, sums: values, types and order in memory."""
    assert one.step == other.step
    assert one.tensors.keys() == other.tensors.keys()
    for name, value in one.tensors.items():
        again = other.tensors[name]
        assert (value.dtype, value.shape, value.stride()) == (again.dtype, again.shape, again.stride()), name
        assert torch.equal(value, again) or torch.equal(value.isnan(), again.isnan()), name


def a_setting(name, kind, **changes):
    scenario = make_scenario(KINDS_OF_INPUT[kind], **{"steps": STEPS, "points": 2, **changes})
    short = {"ramp_start": 0.0, "ramp_end": 1.0, "every": 2} if name == "pseudo-label-interleaved" else {}
    return make_method(name, scenario, **short), scenario


def assert_resumes(method, scenario, folder, at):
    folder.mkdir()
    (before, after, whole) = (files_in(folder, [name]) for name in ("before", "after", "whole"))
    stopped(method, scenario, [0], at, before)
    heard = []
    last = STEPS - 1
    resume = KilledAt(last, after, [before[0].load()], heard, dies=False)
    (outcome,) = run(method, scenario, [rng_of(0)], CPU, saver=resume)
    (expected,) = run(method, scenario, [rng_of(0)], CPU, saver=KilledAt(last, whole, dies=False))
    assert heard == [("resumed", at, STEPS)]
    assert outcome.resumed_at == (at,)
    assert expected.resumed_at == ()
    assert outcome.timing["steps"] == STEPS
    assert_same(outcome, expected)
    assert_same_tensors(after[0].load(), whole[0].load())


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_every_method_goes_on_bit_for_bit(name, kind, tmp_path):
    """Stopped between two points of the curve, where sums are half-way."""
    assert_resumes(*a_setting(name, kind), tmp_path / "a", at=3)


@pytest.mark.parametrize(("kind", "at"), [("images", 4), ("points", 1), ("points", 4), ("points", 5)])
def test_it_goes_on_from_any_step_with_any_optimizer(kind, at, tmp_path):
    """After the first step, at a point of the curve, late; momentum and a schedule."""
    changes = {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "lr": 0.05}
    assert_resumes(*a_setting("vat", kind, **changes), tmp_path / "a", at)


def test_it_can_be_stopped_again_and_time_adds_up(tmp_path):
    method, scenario = a_setting("vat", "points")
    files = files_in(tmp_path, [0])
    stopped(method, scenario, [0], 2, files)
    first = files[0].load()
    with pytest.raises(Killed):
        run(method, scenario, [rng_of(0)], CPU, saver=KilledAt(5, files, [first]))
    second = files[0].load()
    assert second.notes["train_s"] > first.notes["train_s"] > 0
    (outcome,) = run(method, scenario, [rng_of(0)], CPU, saver=Saver(files, [second]))
    assert outcome.resumed_at == (2, 5)
    assert outcome.timing["train_s"] > second.notes["train_s"]
    assert outcome.timing["eval_s"] > second.notes["eval_s"] > 0
    assert_same(outcome, run(method, scenario, [rng_of(0)], CPU)[0])


@pytest.mark.parametrize("kind", ["points", pytest.param("features", marks=pytest.mark.slow)])
def test_a_seed_of_a_stack_goes_on_in_any_company(kind, tmp_path):
    method, scenario = a_setting("vat", kind)
    seeds = [0, 1, 2]
    files = files_in(tmp_path, seeds)
    stopped(method, scenario, seeds, 3, files)
    expected = run(method, scenario, [rng_of(s) for s in seeds], CPU)
    for together in ([0, 1, 2], [2, 0], [1]):
        saver = Saver([files[s] for s in together], [files[s].load() for s in together])
        outcomes = run(method, scenario, [rng_of(s) for s in together], CPU, saver=saver)
        for s, outcome in zip(together, outcomes, strict=True):
            assert_same(outcome, expected[s])


@dataclasses.dataclass(frozen=True)
class Explodes(LossMethod):
    seed_key: int
    at: int

    def loss(self, model, batch, step, rng):
        bad = (step.index >= self.at) & (rng.key[0] == self.seed_key)
        return Loss(cross_entropy(model, batch, rng) * torch.where(bad, math.nan, 1.0))


@pytest.mark.parametrize("at", [1, 4])
def test_a_seed_that_diverged_before_the_checkpoint_stays_so(at, tmp_path):
    """Seen at a point already, and not yet."""
    method = Explodes(int(rng_of(1).child("train").key[0]), at)
    scenario = make_scenario("two-moons-6", steps=9, points=3)
    files = files_in(tmp_path, [0, 1])
    stopped(method, scenario, [0, 1], 5, files)
    outcomes = run(method, scenario, [rng_of(0), rng_of(1)], CPU, saver=Saver(files, [f.load() for f in files]))
    expected = run(method, scenario, [rng_of(0), rng_of(1)], CPU)
    assert [o.status for o in expected] == ["ok", "diverged"]
    for outcome, other in zip(outcomes, expected, strict=True):
        assert_same(outcome, other)


def test_writing_checkpoints_changes_nothing(tmp_path):
    method, scenario = a_setting("vat", "points")
    files = files_in(tmp_path / "new", [0])
    (with_,) = run(method, scenario, [rng_of(0)], CPU, saver=Saver(files, every_s=0.0))
    assert files[0].load().step == STEPS - 1  # after the last step there is nothing to go on with
    assert [p.name for p in files[0].path.parent.iterdir()] == ["0.npz"]
    (without,) = run(method, scenario, [rng_of(0)], CPU)
    assert_same(with_, without)


def test_a_short_training_writes_none(tmp_path):
    method, scenario = a_setting("vat", "points")
    run(method, scenario, [rng_of(0)], CPU, saver=Saver(files_in(tmp_path / "new", [0]), every_s=60.0))
    assert not (tmp_path / "new").exists()


def test_training_goes_on_where_no_checkpoint_can_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    method, scenario = a_setting("vat", "points")
    heard = []
    saver = Saver(files_in(tmp_path / "file", [0]), every_s=0.0, tell=lambda *m: heard.append(m))
    (outcome,) = run(method, scenario, [rng_of(0)], CPU, saver=saver)
    assert outcome.status == "ok"
    assert [kind for kind, _ in heard] == ["noted"]
    assert "no checkpoint can be written" in heard[0][1]


# Files ----------------------------------------------------------------------------------------------------------------

TENSORS = {
    "float": torch.arange(24.0).reshape(2, 3, 4),
    "channels last": torch.arange(60.0).reshape(1, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "one channel": torch.arange(20.0).reshape(4, 1, 1, 5).contiguous(memory_format=torch.channels_last),
    "bits": torch.tensor([0.1, -0.0, math.nan, math.inf, 1e-45]),
    "number": torch.tensor(7.0),
    "flag": torch.tensor(True),
    "labels": torch.arange(6, dtype=torch.int16).reshape(2, 3),
    "empty": torch.empty(0, 4),
}
CHECKPOINT = Checkpoint(12, TENSORS, {"points": [{"step": 3, "loss": 0.1, "none": None}], "text": "é"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = CheckpointFile(tmp_path_factory.mktemp("checkpoints") / "key.npz", {"key": "key", "machine": None})
    file.save(CHECKPOINT)
    return file


def test_a_file_gives_back_what_was_saved(saved):
    found = saved.load()
    assert (found.step, found.notes) == (CHECKPOINT.step, CHECKPOINT.notes)
    for name, value in TENSORS.items():
        assert found.tensors[name].numpy().tobytes() == value.numpy().tobytes()
        assert (found.tensors[name].dtype, found.tensors[name].stride()) == (value.dtype, value.stride()), name


def test_there_need_not_be_a_file(tmp_path):
    assert CheckpointFile(tmp_path / "none" / "key.npz", {}).load() is None


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_recognised(saved, data):
    content = saved.path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                content[:place],
                content[:place] + bytes([content[place] ^ (1 << data.draw(st.integers(0, 7)))]) + content[place + 1 :],
                content[:place] + data.draw(st.binary(min_size=1, max_size=40)) + content[place:],
                data.draw(st.binary(max_size=200)),
            ]
        )
    )
    file = CheckpointFile(saved.path.with_name("damaged.npz"), saved.identity)
    file.path.write_bytes(damaged)
    with pytest.raises(Unusable, match="is damaged"):
        file.load()


@pytest.mark.parametrize("what", ["key", "machine"])
def test_a_file_of_something_else_is_not_taken_up(saved, what):
    with pytest.raises(Unusable, match=f"another {what}"):
        CheckpointFile(saved.path, {**saved.identity, what: "another"}).load()


def signed(**arrays):
    """A file with the right digest, whatever is in it."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


def header(**changes):
    whole = {
        "format": FORMAT,
        "identity": {"key": "key", "machine": None},
        "step": 1,
        "strides": {"a": [1]},
        "notes": {},
    }
    return np.frombuffer(json.dumps({**whole, **changes}).encode(), dtype=np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        signed(header=header(), a=np.array([object()])),  # a pickle
        signed(a=np.zeros(3)),
        signed(header=np.zeros(3), a=np.zeros(3)),
        signed(header=header(strides={}), a=np.zeros(3)),
        signed(header=header(strides={"a": [1 << 62]}), a=np.zeros(3)),
        signed(header=header(identity=[]), a=np.zeros(3)),
        signed(header=header(step="x"), a=np.zeros(3)),
        signed(header=header(notes=3), a=np.zeros(3)),
        signed(header=header(format=FORMAT + 1), a=np.zeros(3)),
        hashlib.sha256(b"").digest(),
        b"no archive" + hashlib.sha256(b"no archive").digest(),
    ],
)
def test_a_forged_file_is_refused_and_runs_nothing(content, tmp_path):
    file = CheckpointFile(tmp_path / "key.npz", {"key": "key", "machine": None})
    file.path.write_bytes(content)
    with pytest.raises(Unusable):
        file.load()


@pytest.mark.parametrize("change", ["shape", "missing", "notes", "step"])
def test_a_checkpoint_that_does_not_fit_begins_anew(change, tmp_path):
    method, scenario = a_setting("vat", "points")
    files = files_in(tmp_path, [0, 1])
    stopped(method, scenario, [0, 1], 3, files)
    good, other = (f.load() for f in files)
    name = next(n for n in other.tensors if n.startswith("parameter"))
    bad = {
        "shape": dataclasses.replace(other, tensors={**other.tensors, name: torch.zeros(1)}),
        "missing": dataclasses.replace(other, tensors={n: v for n, v in other.tensors.items() if n != name}),
        "notes": dataclasses.replace(other, notes={}),
        "step": dataclasses.replace(other, step=2),
    }[change]
    heard = []
    saver = Saver(files, [good, bad], tell=lambda *m: heard.append(m))
    outcomes = run(method, scenario, [rng_of(0), rng_of(1)], CPU, saver=saver)
    assert heard == [("noted", "its checkpoint does not fit: it begins anew")]
    for outcome, expected in zip(outcomes, run(method, scenario, [rng_of(0), rng_of(1)], CPU), strict=True):
        assert_same(outcome, expected)


@pytest.mark.cuda
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_cuda_goes_on(kind, optimizer, tmp_path):
    """With the state that it had, to the bit; what follows is as exact as CUDA is."""
    cuda = torch.device("cuda")
    method, scenario = a_setting("vat", kind, optimizer=optimizer, momentum=0.9, lr=0.01)
    files, again = files_in(tmp_path, [0, 1]), files_in(tmp_path / "again", [0, 1])
    rngs = [rng_of(0), rng_of(1)]
    with pytest.raises(Killed):
        run(method, scenario, rngs, cuda, saver=KilledAt(3, files))
    saver = KilledAt(4, again, [f.load() for f in files], dies=False)
    outcomes = run(method, scenario, rngs, cuda, saver=saver)
    for outcome, expected in zip(outcomes, run(method, scenario, rngs, cuda), strict=True):
        assert outcome.resumed_at == (3,)
        assert outcome.metrics["nll"] == pytest.approx(expected.metrics["nll"], rel=1e-2)
