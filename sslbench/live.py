"""What the terminal shows of a run: cells done and failed, what runs, the time left, and the table as it fills."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sslbench.executors import Advanced, Ended, Event, Job, Noted, Resumed, Retried, Started
from sslbench.records import Record
from sslbench.report.grids import Grid, Shown
from sslbench.runner import Plan
from sslbench.suite import Cell

Run = Callable[..., Iterator[Record]]


class Sweep:
    """What is known of a run while it goes on."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self.total = len(plan.pending)
        self.workers = workers
        self.done = self.failed = 0
        self.running: dict[Job, Advanced | None] = {}
        self.started = time.monotonic()
        self._begun: dict[Job, float] = {}
        self._resumed: dict[Job, Resumed] = {}
        self._waiting = Counter(_pair(p.cell) for p in plan.pending)
        self._steps = {_pair(p.cell): _steps(p.cell) for p in plan.pending}
        self._ended: dict[tuple[str, str], tuple[float, int]] = {}
        self.scores = Scores(plan)
        self._read: set[tuple[str, str]] = set()

    def is_news(self, event: Noted) -> bool:
        """Whether it was not yet told of the method, if it is about that."""
        line = event.job.cells[0].method_name, event.text
        known = event.of == "method" and line in self._read
        self._read.add(line)
        return not known

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Started):
            self.running[event.job] = None
            self._begun[event.job] = time.monotonic()
            self._waiting[_pair(event.job.cells[0])] -= len(event.job.cells)
        elif isinstance(event, Resumed):
            self._resumed[event.job] = event
            self.running[event.job] = Advanced(event.job, event.done, event.total, math.nan)
        elif isinstance(event, Advanced):
            self.running[event.job] = event
        elif isinstance(event, Retried):
            self.running.pop(event.job, None)
            self._begun.pop(event.job, None)
            self._resumed.pop(event.job, None)
            self._waiting[_pair(event.job.cells[0])] += len(event.job.cells)
        elif isinstance(event, Ended):
            self.running.pop(event.job, None)
            spent = time.monotonic() - self._begun.pop(event.job)
            if resumed := self._resumed.pop(event.job, None):
                spent *= resumed.total / (resumed.total - resumed.done)  # as if it had all been done now
            cells, pair = len(event.results), _pair(event.job.cells[0])
            seconds, before = self._ended.get(pair, (0.0, 0))
            self._ended[pair] = seconds + spent, before + cells
            self.done += cells
            self.failed += sum(r.record.status not in ("ok", "skipped") for r in event.results)
            self.scores.add(r.record for r in event.results)

    def job_seconds_left(self, job: Job) -> float | None:
        """What has begun to move goes on as it went so far; what has not takes as long as its like did, if any ended."""
        spent, advanced = time.monotonic() - self._begun[job], self.running[job]
        first = self._resumed[job].done if job in self._resumed else 0
        if advanced is not None and advanced.done > first:
            return spent * (advanced.total - advanced.done) / (advanced.done - first)
        if self._ended:
            return max(0.0, self._cell_seconds(_pair(job.cells[0])) * len(job.cells) - spent)
        return None

    def seconds_left(self) -> float | None:
        """What runs goes on as it went so far; what waits takes as long as its like did. None before the first end."""
        if not self._ended:
            return None
        left = sum(count * self._cell_seconds(pair) for pair, count in self._waiting.items() if count)
        left += sum(self.job_seconds_left(job) or 0.0 for job in self.running)
        return left / self.workers

    def _cell_seconds(self, pair: tuple[str, str]) -> float:
        """Mean time of a cell: of the method on the scenario, else of the method by its steps of such a network, else of the
        method, else of all."""
        ended = dict(self._ended)  # which grows while the display asks
        if pair in ended:
            return _mean({pair: ended[pair]})
        own = {other: found for other, found in ended.items() if other[0] == pair[0]}
        steps, network = self._steps[pair]
        alike = {
            other: (seconds * steps / self._steps[other][0], cells)
            for other, (seconds, cells) in own.items()
            if self._steps[other][1] is network
        }
        return _mean(alike or own or ended)

    def headline(self) -> str:
        """`12/84 cells, 0 failed, about 3:10 left`."""
        left = self.seconds_left()
        rest = "" if left is None or self.done == self.total else f", about {clock(left)} left"
        return f"{self.done}/{self.total} cells, {self.failed} failed, {clock(time.monotonic() - self.started)} so far{rest}"


def _pair(cell: Cell) -> tuple[str, str]:
    return cell.method_name, cell.scenario_name


def _steps(cell: Cell) -> tuple[int, object]:
    """Steps of the training, and what they are steps of: a step of one network says nothing of another's."""
    if cell.descends:
        return cell.scenario.steps, type(cell.scenario).network
    return 1, None


def _mean(ended: Mapping[tuple[str, str], tuple[float, int]]) -> float:
    """Seconds of a cell, of the seconds and the number of cells of some pairs."""
    return sum(seconds for seconds, _ in ended.values()) / sum(cells for _, cells in ended.values())


def clock(seconds: float) -> str:
    """`3:07`, `1:02:03`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def follow(run: Run, plan: Plan, *arguments: Any, console: Console) -> Generator[Record, None, None]:
    """Yield the records of `run(plan, …)` and show how it goes: live on a terminal, else a plain line a job."""
    workers = arguments[-1]
    sweep = Sweep(plan, workers)
    if not console.is_terminal:
        yield from run(plan, *arguments, listen=lambda event: _plain(sweep, event, console))
        return

    def listen(event: Event) -> None:
        sweep.hear(event)
        _tell(sweep, event, console)

    with Live(
        console=console, refresh_per_second=4, transient=True, get_renderable=lambda: picture(sweep, *console.size)
    ):
        yield from run(plan, *arguments, listen=listen)
    console.print(sweep.headline(), highlight=False)


def _plain(sweep: Sweep, event: Event, console: Console) -> None:
    sweep.hear(event)
    _tell(sweep, event, console)
    if isinstance(event, Ended):
        status = ", ".join(sorted({r.record.status for r in event.results}))
        console.print(f"{sweep.headline()}: {event.job.name} {status}", soft_wrap=True, highlight=False, markup=False)


def _tell(sweep: Sweep, event: Event, console: Console) -> None:
    """A line for what is no matter of course."""
    if isinstance(event, Noted) and not sweep.is_news(event):
        return
    if isinstance(event, Resumed):
        line = f"{event.job.name}: goes on at step {event.done} of {event.total}"
    elif isinstance(event, Noted):
        line = f"{event.job.name}: {event.text}"
    elif isinstance(event, Retried):
        how = f"in {len(event.parts)} parts" if len(event.parts) > 1 else f"attempt {event.parts[0].attempt}"
        line = f"{event.job.name}: {event.reason}: runs again, {how}"
    else:
        return
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def picture(sweep: Sweep, width: int = 100, height: int = 40) -> RenderableType:
    """The live display: a headline, a bar, a line for each running job, and the table so far, as much as there is room for.

    Args:
        width, height: of the terminal, in characters.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for job, advanced in sweep.running.items():
        left = sweep.job_seconds_left(job)
        rest = "" if left is None else f"{clock(left)} left"
        if advanced is None:
            table.add_row(Text(job.name), "", Text("starting", style="dim"), rest)
        else:
            share = f"step {advanced.done}/{advanced.total}"
            loss = "" if math.isnan(advanced.loss) else f"loss {advanced.loss:.3f}"
            table.add_row(Text(job.name), share, Text(loss, style="dim"), rest)
    bar = Table.grid()
    bar.add_row(ProgressBar(total=sweep.total, completed=sweep.done, width=min(60, width)))
    scores = sweep.scores.table(width, height - len(sweep.running) - 4)
    below: list[RenderableType] = [Text(), scores] if scores is not None else []
    return Group(Text(sweep.headline()), bar, table, *below)


SO_FAR = "mean so far, %"


class Scores:
    """The mean final accuracy of every method on every scenario, as cells end."""

    def __init__(self, plan: Plan) -> None:
        self._methods = list(dict.fromkeys(p.cell.method_name for p in plan.planned))
        self._scenarios = list(dict.fromkeys(p.cell.scenario_name for p in plan.planned))
        self._planned = Counter(_pair(p.cell) for p in plan.planned if not p.cell.obstacle)
        self._ended: dict[tuple[str, str], dict[str, float | None]] = {}
        """By pair and the cell's id: the accuracy in percent, None without a result."""
        self.add(p.record for p in plan.planned if p.record is not None)

    def add(self, records: Iterable[Record]) -> None:
        """Take note of what became of cells. The scenario of the last one counts as the latest."""
        for record in records:
            accuracy = (record.metrics.get("accuracy") or {}).get("final") if record.status == "ok" else None
            pair = record.method["name"], record.scenario["name"]
            self._ended[pair] = self._ended.pop(pair, {}) | {record.id: None if accuracy is None else 100 * accuracy}

    def table(self, width: int, height: int) -> Table | None:
        """As many scenarios as have room, those first that were heard of last; None if there is room for none.

        Args:
            width, height: room, in characters and lines.
        """
        latest = dict.fromkeys(scenario for _, scenario in reversed(self._ended))
        first = 2 + max(map(len, [*self._scenarios, SO_FAR]))
        if not latest or height < 4:
            return None
        shown = set(list(latest)[: height - 3])
        columns, room = [], width - first
        for method in self._methods:
            room -= 2 + max(len(method), len("100.0 10/10"))
            columns += [method] if room >= 0 else []
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column(SO_FAR, no_wrap=True)
        for method in columns:
            table.add_column(escape(method), justify="right", no_wrap=True)
        for scenario in (s for s in self._scenarios if s in shown):
            table.add_row(escape(scenario), *(self._text((method, scenario)) for method in columns))
        return table

    def _text(self, pair: tuple[str, str]) -> str:
        """ "97.4", and of how many of the planned cells where some are not there yet or have no result."""
        ended, planned = self._ended.get(pair, {}), self._planned[pair]
        known = [accuracy for accuracy in ended.values() if accuracy is not None]
        if not ended or not planned:
            return "[dim]·[/]" if planned else "[dim]—[/]"
        mean = f"{sum(known) / len(known):.1f}" if known else "no result"
        return mean if len(known) == planned else f"{mean} [dim]{len(known)}/{planned}[/]"


def grid_table(grid: Grid) -> Table:
    """A table of the report for the terminal, the best entries marked, its notes below."""
    notes = [f"{letter}: {text}" for letter, text in grid.footnotes] + list(grid.notes)
    table = Table(
        title=escape(grid.caption),
        title_justify="left",
        caption=escape("\n".join(notes)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column(escape(grid.corner), no_wrap=True)
    for column, name in enumerate(grid.header):
        table.add_column(escape(name), justify="right" if grid.numeric(column) else "left", overflow="fold")
    for row in grid.rows:
        table.add_row(escape(row.name), *map(_cell, row.cells))
    return table


def _cell(shown: Shown) -> str:
    text = escape(shown.text + "".join(f" [{letter}]" for letter in shown.footnotes))
    return f"[bold green]{text}*[/]" if shown.best else text
