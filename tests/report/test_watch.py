"""The report that keeps up with its records. Time is what the test says it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sslbench.errors import BadInput
from sslbench.report.watch import PATIENCE, watch
from tests.report.factory import record, write


class Clock:
    """Does the next thing at each wait, and then interrupts as Ctrl-C would."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self.left: Iterator[Callable[[], object]] = iter(happenings)
        self.waits = 0

    def __call__(self, seconds: float) -> None:
        self.waits += 1
        happening = next(self.left, None)
        if happening is None:
            raise KeyboardInterrupt
        happening()


def results(folder: Path, clock: Clock) -> list[int]:
    """Of each report that was made: how many results it has."""
    counts = []
    with contextlib.suppress(KeyboardInterrupt):
        for made in watch(folder, wait=clock):
            assert "location.reload" in made.html.read_text(encoding="utf-8")
            counts.append(sum(entry.n for entry in made.comparison.entries.values()))
    return counts


def adding(folder: Path, seed: int) -> Callable[[], object]:
    return lambda: write(folder, [(record(seed=seed), {})])


def nothing() -> None:
    pass


def test_it_draws_at_once_and_again_when_records_have_come_to_rest(tmp_path: Path) -> None:
    write(tmp_path, [(record(seed=0), {})])
    clock = Clock(nothing, adding(tmp_path, 1), adding(tmp_path, 2), nothing)
    assert results(tmp_path, clock) == [1, 3]  # two cells in a row are drawn once
    assert "location.reload" not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_records_that_never_rest_are_drawn_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, [(record(seed=0), {})])
    assert results(tmp_path, Clock(*(adding(tmp_path, seed + 1) for seed in range(PATIENCE + 1)))) == [1, PATIENCE + 2]


def test_a_folder_without_records_is_waited_for(tmp_path: Path) -> None:
    assert results(tmp_path, Clock(nothing, adding(tmp_path, 0), nothing)) == [1]


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No folder"):
        next(watch(tmp_path / "nowhere"))
