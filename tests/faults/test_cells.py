"""One bad cell never takes others down: it becomes a record that says why, and the others are as they would be without it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from sslbench import runner
from sslbench.executors import InlineExecutor, LocalExecutor
from sslbench.preloading import ctrl_c_held
from sslbench.records import Record, Store, current
from sslbench.registry import load_plugin
from sslbench.suite import Suite, make_suite

PLUGIN = Path(__file__).parent / "plugin.py"
SCENARIO = "two-moons-6"


@pytest.fixture(scope="module", autouse=True)
def plugin():
    return load_plugin(PLUGIN)


def a_suite(*what: str, **changes) -> Suite:
    """The faulty method once for each way in which it goes wrong, at two seeds that train together."""
    content = {
        "name": "faults",
        "seeds": 2,
        "methods": list(what),
        "scenarios": [SCENARIO],
        "method": {w: {"base": "faulty", "what": w} for w in what},
        "scenario": {SCENARIO: {"steps": 6, "points": 2, "training_points": 60, "test_points": 40}},
    }
    return make_suite(content | changes)


def sweep(suite: Suite, folder: Path, executor=None, retry_failed=False, **more) -> list[str]:
    """Run a suite; the ids of the cells that were run."""
    store = Store(folder)
    store.prepare()
    plan = runner.make_plan(suite, store, retry_failed)
    for _ in runner.run(plan, store, executor or InlineExecutor(), "cpu", **more):
        pass
    return [p.cell.id for p in plan.pending]


def records(folder: Path) -> dict[tuple[str, int], Record]:
    return {(r.method["name"], r.seed): r for r in current(Store(folder).load())}


def numbers(record: Record):
    return record.status, record.metrics, record.diagnostics, record.curves


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[int, Record]:
    """What the method gives where nothing goes wrong, by seed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweep(a_suite("nothing"), folder)
    return {seed: r for (_, seed), r in records(folder).items()}


def assert_only_the_culprit(found, undisturbed, what, status, reason):
    assert numbers(found[what, 0]) == numbers(undisturbed[0])
    bad = found[what, 1]
    assert bad.status == status
    assert reason in bad.reason
    assert "\n" not in bad.reason
    assert not bad.metrics


def trace(folder: Path, record: Record) -> str:
    path = folder / "tracebacks" / f"{record.key}.txt"
    return path.read_text() if path.exists() else ""


# In this process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "status", "reason", "cause"),
    [
        ("raise", "failed", "ArithmeticError: [bold]no such thing[/]", "method"),
        ("leave", "failed", "SystemExit: enough", "method"),
        ("nan", "diverged", "the loss became NaN or infinite", None),
        ("too much", "failed", "out of memory: try fewer --workers, smaller batches", "memory"),
    ],
)
def test_the_other_seed_of_its_stack_is_what_it_would_be(tmp_path, undisturbed, what, status, reason, cause):
    sweep(a_suite(what), tmp_path)
    found = records(tmp_path)
    assert_only_the_culprit(found, undisturbed, what, status, reason)
    assert found[what, 1].provenance.get("cause") == cause
    if cause is not None:
        assert "in strike" in trace(tmp_path, found[what, 1])
    assert trace(tmp_path, found[what, 0]) == ""


def test_a_stack_that_is_too_wide_is_halved(tmp_path, undisturbed):
    sweep(a_suite("too wide", seeds=4), tmp_path)
    found = records(tmp_path)
    assert [r.status for r in found.values()] == ["ok"] * 4
    # The culprit trains alone; what comes after it of its kind is no wider than what fitted.
    assert {seed: (r.provenance["attempts"], r.timing["stack"]) for (_, seed), r in found.items()} == {
        0: (3, 1),
        1: (3, 1),
        2: (2, 1),
        3: (2, 1),
    }
    assert numbers(found["too wide", 1]) == numbers(undisturbed[1])


def test_a_method_failure_is_told_and_left_alone_until_it_is_asked_for(tmp_path):
    suite = a_suite("raise", "nothing")
    assert len(sweep(suite, tmp_path)) == 4
    assert sweep(suite, tmp_path) == []
    plan = runner.make_plan(suite, Store(tmp_path))
    assert [r.id for r in plan.failed] == [f"raise/{SCENARIO}/seed1"]
    assert len(plan.finished) == 3
    assert records(tmp_path)["raise", 1].status == "failed"
    assert sweep(suite, tmp_path, retry_failed=True) == [f"raise/{SCENARIO}/seed1"]
    assert len(sweep(a_suite("raise", method={"raise": {"base": "faulty", "what": "nothing"}}), tmp_path)) == 2


def test_too_little_memory_lies_in_the_machine_and_is_tried_again(tmp_path):
    suite = a_suite("too much")
    sweep(suite, tmp_path)
    assert sweep(suite, tmp_path) == [f"too much/{SCENARIO}/seed1"]


def test_a_failure_comes_back_with_its_settings(tmp_path):
    bad, good = a_suite("raise"), a_suite("raise", method={"raise": {"base": "faulty", "what": "nothing"}})
    sweep(bad, tmp_path)
    sweep(good, tmp_path)
    assert records(tmp_path)["raise", 1].status == "ok"
    assert sweep(bad, tmp_path) == []
    assert records(tmp_path)["raise", 1].status == "failed"


def test_a_result_that_cannot_be_stored_is_a_failure_of_its_cell(tmp_path, monkeypatch, undisturbed):
    add = Store.append

    def append(self, record, arrays=None, traceback=""):
        bad = record.seed == 1 and record.status == "ok"
        add(self, record, {**arrays, "bad": np.array([object()])} if bad else arrays, traceback)

    monkeypatch.setattr(Store, "append", append)
    sweep(a_suite("nothing"), tmp_path)
    assert_only_the_culprit(records(tmp_path), undisturbed, "nothing", "failed", "its result cannot be stored")


# In worker processes --------------------------------------------------------------------------------------------------

ENDS = [
    ("exit", "failed", "its process ended with exit code 3", "process"),
    ("kill", "failed", "its process was ended by signal SIGKILL, as the kernel does when memory runs out", "process"),
    ("crash", "failed", "its process was ended by signal SIGSEGV", "process"),
    ("hang", "timeout", "it took longer than its limit of 0.1 min", "time"),
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Path:
    """A run in which worker processes end in every way."""
    folder = tmp_path_factory.mktemp("ended")
    suite = a_suite("hang", "exit", "kill", "crash", "nothing", timeout=0.1)
    sweep(suite, folder, LocalExecutor(2, [PLUGIN]), workers=2, retries=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("what", "status", "reason", "cause"), ENDS)
def test_a_cell_that_ends_its_process_takes_no_other_down(ended, undisturbed, what, status, reason, cause):
    found = records(ended)
    assert_only_the_culprit(found, undisturbed, what, status, reason)
    assert numbers(found["nothing", 1]) == numbers(undisturbed[1])
    provenance = found[what, 1].provenance
    assert (provenance["cause"], provenance["attempts"]) == (cause, 2)
    assert found[what, 0].provenance["attempts"] == 2
    assert found["nothing", 0].provenance["attempts"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["crash", "hang"])
def test_a_process_says_where_it_was(ended, what):
    assert "in strike" in trace(ended, records(ended)[what, 1])


@pytest.mark.slow
def test_lost_processes_are_tried_again_and_a_limit_only_where_it_is_longer(ended):
    def pending(timeout):
        suite = a_suite("hang", "exit", "kill", "crash", "nothing", **({"timeout": timeout} if timeout else {}))
        return [p.cell.method_name for p in runner.make_plan(suite, Store(ended)).pending]

    assert pending(0.1) == pending(0.05) == ["exit", "kill", "crash"]
    assert pending(0.2) == pending(None) == ["hang", "exit", "kill", "crash"]


def deaf(pen) -> None:
    pen.send((signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.getpid()))


def test_ctrl_c_while_a_process_starts_is_heard_by_this_one_alone_and_after():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=deaf, args=(theirs,))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start():
        with ctrl_c_held():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            process.start()

    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ours.recv() == (True, process.pid)
    process.join()
