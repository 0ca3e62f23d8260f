"""What the terminal shows while a sweep runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sslbench import live, runner
from sslbench.executors import Advanced, Ended, InlineExecutor, Noted, Resumed, Retried, Started, failure
from sslbench.records import Store


@pytest.fixture
def sweep(mini, tmp_path, monkeypatch):
    """A sweep of two jobs of two cells each, on a clock that a test sets."""
    plan = runner.make_plan(mini(), Store(tmp_path))
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    return live.Sweep(plan, workers=1), runner.make_jobs(plan, "cpu", 1), now


def ended(job):
    return list(InlineExecutor().run([job]))[-1]


def test_the_time_left_follows_what_was_seen(sweep):
    seen, (first, second), now = sweep
    assert seen.seconds_left() is None
    seen.hear(Started(first))
    now[0] = 10.0
    seen.hear(ended(first))
    assert seen.seconds_left() == pytest.approx(10.0)  # two cells wait, 5 s each
    seen.hear(Started(second))
    now[0] = 14.0
    assert seen.seconds_left() == pytest.approx(6.0)
    seen.hear(Advanced(second, done=2, total=6, loss=0.5))
    assert seen.seconds_left() == pytest.approx(8.0)  # a third took 4 s
    assert seen.headline() == "2/4 cells, 0 failed, 0:14 so far, about 0:08 left"
    seen.hear(ended(second))
    assert seen.headline() == "4/4 cells, 0 failed, 0:14 so far"


def test_what_was_not_seen_yet_is_expected_to_take_as_long_as_its_like(mini, tmp_path):
    """As long for each step where the network is alike, and not where it is another."""
    scenarios, steps = ["mnist5k-10", "mnist5k-1000-no7", "two-moons-6"], {"steps": 6, "points": 2}
    content = {"*": steps, "mnist5k-1000-no7": {"steps": 30}, "two-moons-6": {"steps": 6000}}
    methods = ["supervised", "vat", "label-spreading"]
    plan = runner.make_plan(mini(scenarios=scenarios, methods=methods, scenario=content), Store(tmp_path))
    seen = live.Sweep(plan, workers=1)
    seen._ended = {("supervised", "mnist5k-10"): (4.0, 2), ("label-spreading", "mnist5k-10"): (1.0, 1)}
    assert seen._cell_seconds(("supervised", "mnist5k-10")) == pytest.approx(2)
    assert seen._cell_seconds(("supervised", "mnist5k-1000-no7")) == pytest.approx(2 * 5)
    assert seen._cell_seconds(("supervised", "two-moons-6")) == pytest.approx(2)
    assert seen._cell_seconds(("label-spreading", "mnist5k-1000-no7")) == pytest.approx(1)
    assert seen._cell_seconds(("vat", "mnist5k-10")) == pytest.approx(5 / 3)  # of a method not seen yet: as all


def test_the_picture_has_a_line_for_each_running_job(sweep):
    seen, (first, second), _ = sweep
    seen.hear(Started(first))
    seen.hear(Started(second))
    seen.hear(Advanced(second, done=2, total=6, loss=0.5))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(live.picture(seen))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0].startswith("0/4 cells")
    assert lines[2].split() == ["supervised/two-moons-6/seed0", "…", "seed1", "starting"]
    assert lines[3].split()[-6:] == ["step", "2/6", "loss", "0.500", "0:00", "left"]


def test_each_running_job_has_its_own_time_left(sweep):
    seen, (first, second), now = sweep
    seen.hear(Started(first))
    assert seen.job_seconds_left(first) is None  # nothing is known of it or its like
    now[0] = 10.0
    seen.hear(ended(first))
    seen.hear(Started(second))
    now[0] = 13.0
    assert seen.job_seconds_left(second) == pytest.approx(7.0)  # its like took 10 s
    seen.hear(Advanced(second, done=1, total=4, loss=0.5))
    assert seen.job_seconds_left(second) == pytest.approx(9.0)  # a quarter took 3 s
    assert "0:09 left" in shown(live.picture(seen))


def test_the_table_fills_as_cells_end(sweep):
    seen, (first, second), _ = sweep
    assert "mean so far" not in shown(live.picture(seen))
    seen.hear(Started(first))
    result = ended(first)
    seen.hear(result)
    mean = 100 * sum(r.record.metrics["accuracy"]["final"] for r in result.results) / 2
    header, _, row = shown(live.picture(seen)).splitlines()[-3:]
    assert header.split() == ["mean", "so", "far,", "%", "supervised", "vat"]
    assert row.split() == ["two-moons-6", f"{mean:.1f}", "·"]
    seen.hear(Started(second))
    seen.hear(Ended(second, failure(second, "failed", "no reason")))
    assert shown(live.picture(seen)).splitlines()[-1].split()[-3:] == ["no", "result", "0/2"]


def test_the_table_leaves_out_what_has_no_room(sweep):
    seen, (first, _), _ = sweep
    seen.hear(Started(first))
    seen.hear(ended(first))
    assert "mean so far" not in shown(live.picture(seen, width=100, height=7))
    narrow = shown(live.picture(seen, width=32, height=40))
    assert "supervised" in narrow
    assert "vat" not in narrow


def test_the_table_begins_with_what_was_finished_before(mini, tmp_path):
    store = Store(tmp_path)
    store.prepare()
    for _ in runner.run(runner.make_plan(mini(methods=["vat"]), store), store, InlineExecutor(), "cpu"):
        pass
    seen = live.Sweep(runner.make_plan(mini(), store), workers=1)
    assert shown(live.picture(seen)).splitlines()[-1].split()[:2] == ["two-moons-6", "·"]


def shown(picture):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture)
    return console.export_text().rstrip()


def test_a_failure_is_counted(sweep):
    seen, (first, _), _ = sweep
    seen.hear(Started(first))
    seen.hear(Ended(first, failure(first, "failed", "no reason")))
    assert "2/4 cells, 2 failed" in seen.headline()


def test_what_runs_again_waits_again_and_is_told(sweep):
    seen, (first, _), now = sweep
    seen.hear(Started(first))
    now[0] = 10.0
    again = Retried(first, "its process was lost", first.split(1))
    seen.hear(again)
    assert not seen.running
    seen.hear(Started(again.parts[0]))
    now[0] = 12.0
    seen.hear(ended(again.parts[0]))
    assert seen.seconds_left() == pytest.approx(6.0)  # its other half and two more cells, 2 s each
    console = Console(width=40, file=io.StringIO())
    live._plain(seen, again, console)
    name = "supervised/two-moons-6/seed0 … seed1"
    assert console.file.getvalue() == f"{name}: its process was lost: runs again, in 2 parts\n"


def test_what_is_true_of_a_method_is_told_once(sweep):
    seen, (first, second), _ = sweep
    console = Console(width=100, record=True, file=io.StringIO())
    text = "its steps cannot be recorded"
    for event in (Started(first), Noted(first, text, "method"), Noted(first, text, "method"), Noted(first, text)):
        live._plain(seen, event, console)
    for event in (Started(second), Noted(second, text, "method")):
        live._plain(seen, event, console)
    assert console.export_text().splitlines() == [
        f"supervised/two-moons-6/seed0 … seed1: {text}",
        f"supervised/two-moons-6/seed0 … seed1: {text}",  # of the job
        f"vat/two-moons-6/seed0 … seed1: {text}",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (187.4, "3:07"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert live.clock(seconds) == text


def test_a_job_that_goes_on_is_told_and_its_time_left_counts_from_there(sweep):
    seen, (first, second), now = sweep
    console = Console(width=100, record=True, file=io.StringIO())
    for event in (Started(first), Noted(first, "the checkpoint F is damaged: it begins anew")):
        live._plain(seen, event, console)
    now[0] = 10.0
    seen.hear(ended(first))
    live._plain(seen, Started(second), console)
    live._plain(seen, Resumed(second, done=4, total=8), console)
    assert console.export_text().splitlines() == [
        "supervised/two-moons-6/seed0 … seed1: the checkpoint F is damaged: it begins anew",
        "vat/two-moons-6/seed0 … seed1: goes on at step 4 of 8",
    ]
    console.print(live.picture(seen))
    assert console.export_text().splitlines()[2].split()[-4:-2] == ["step", "4/8"]
    now[0] = 12.0
    seen.hear(Advanced(second, done=6, total=8, loss=0.5))
    assert seen.seconds_left() == pytest.approx(2.0)  # two steps took 2 s, and two are left
    now[0] = 14.0
    seen.hear(ended(second))
    assert seen._cell_seconds(("vat", "two-moons-6")) == pytest.approx(4.0)  # half of two cells took 4 s
