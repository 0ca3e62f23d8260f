"""What runs again, in which parts and how often, with an executor that trains nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench.executors import Ended, InlineExecutor, Job, Retried, failure, persist
from sslbench.executors.jobs import CellResult, blank_record
from sslbench.suite import make_suite

CONTENT = {
    "name": "x",
    "methods": ["supervised"],
    "scenarios": ["two-moons-6"],
    "seeds": 40,
    "scenario": {"*": {"steps": 2}},
}
CELLS = tuple(make_suite(CONTENT).cells())


class Acted:
    """Ends a job as it is told, by the seeds it has."""

    persistent = False

    def __init__(self, cause, eager=False):
        self.cause, self.eager, self.begun = cause, eager, []

    def run(self, jobs):
        for job in list(jobs) if self.eager else jobs:
            seeds = [c.seed for c in job.cells]
            self.begun.append((job.attempt, seeds))
            if cause := self.cause(seeds):
                yield Ended(job, failure(job, "timeout" if cause == "time" else "failed", "so", cause=cause))
            else:
                yield Ended(job, tuple(CellResult(blank_record(c, "", "ok", "")) for c in job.cells))


def stacks(width, count=1):
    return [Job(CELLS[i * width : (i + 1) * width], ("",) * width, "cpu", {}) for i in range(count)]


def outcome(acted, jobs, retries=2):
    """How often each seed ended for good, and which of them failed."""
    ended = [e for e in persist(acted, jobs, retries) if isinstance(e, Ended)]
    results = [r.record for e in ended for r in e.results]
    return Counter(r.seed for r in results), {r.seed for r in results if r.status != "ok"}


@given(
    width=st.integers(1, 16),
    guilty=st.sets(st.integers(0, 31)),
    cause=st.sampled_from(["method", "memory", "time", "process"]),
    retries=st.integers(0, 4),
    eager=st.booleans(),
)
def test_every_cell_ends_once_and_only_the_guilty_fail(width, guilty, cause, retries, eager):
    acted = Acted(lambda seeds: cause if guilty & set(seeds) else None, eager)
    ended, failed = outcome(acted, stacks(width, 2), retries)
    here = set(range(2 * width))
    assert ended == dict.fromkeys(here, 1)
    assert failed == guilty & here
    begun = Counter(seed for _, seeds in acted.begun for seed in seeds)
    assert max(begun.values()) <= 1 + max(retries, 4)
    assert all(seeds for _, seeds in acted.begun)


def test_a_cell_alone_is_run_again_only_after_its_process_was_lost():
    for cause, attempts in (("process", 3), ("method", 1), ("time", 1), ("memory", 1)):
        acted = Acted(lambda seeds, cause=cause: cause)
        assert outcome(acted, stacks(1))[1] == {0}
        assert [attempt for attempt, _ in acted.begun] == list(range(1, attempts + 1))


def test_a_process_that_is_lost_once_costs_nothing():
    lost = iter(["process"])
    acted = Acted(lambda seeds: next(lost, None))
    assert outcome(acted, stacks(4))[1] == set()
    assert acted.begun == [(1, [0, 1, 2, 3]), (2, [0, 1]), (2, [2, 3])]


def test_what_runs_again_comes_first():
    acted = Acted(lambda seeds: "method" if seeds == [0, 1] else None)
    outcome(acted, stacks(2, 2))
    assert [seeds for _, seeds in acted.begun] == [[0, 1], [0], [1], [2, 3]]


def test_after_one_stack_did_not_fit_the_next_of_its_kind_is_narrower_from_the_start():
    acted = Acted(lambda seeds: "memory" if len(seeds) > 3 else None)
    assert outcome(acted, stacks(8, 2))[1] == set()
    widths = [len(seeds) for _, seeds in acted.begun]
    assert widths == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_a_retry_is_told_with_its_reason():
    acted = Acted(lambda seeds: "method" if len(seeds) > 1 else None)
    (told,) = [e for e in persist(acted, stacks(2)) if isinstance(e, Retried)]
    assert (told.reason, [p.name for p in told.parts]) == ("so", [c.id for c in CELLS[:2]])


@pytest.mark.parametrize("cells", [1, 5])
def test_a_limit_is_that_of_a_cell_times_the_cells(cells):
    job = Job(CELLS[:cells], ("",) * cells, "cpu", {}, timeout=3.0)
    assert job.limit == 3.0 * cells
    assert [p.limit for p in job.split(2)] == [6.0] * (cells // 2) + [3.0] * (cells % 2)
    assert Job(CELLS[:1], ("",), "cpu", {}).limit is None


def test_the_events_of_an_executor_pass():
    assert [type(e).__name__ for e in persist(InlineExecutor(), stacks(1))] == ["Started", "Ended"]
