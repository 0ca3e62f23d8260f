"""The trials: every study in lockstep, all seeds of a round side by side."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from sslbench import runner
from sslbench.executors import Ended, Executor, InlineExecutor, LocalExecutor, persist
from sslbench.executors.jobs import common_provenance
from sslbench.records import Record, Store
from sslbench.suite import Cell, Params, changed
from sslbench.tuning.plan import Tuning
from sslbench.tuning.sampling import Search
from sslbench.tuning.study import Found, Study, Trial
from sslbench.tuning.trained import USABLE, Trained
from sslbench.tuning.words import shown


class TrialFailed(RuntimeError):
    """A trial ended by an exception. It says which, and with which values."""


def tune(
    tuning: Tuning,
    device: str,
    workers: int,
    plugins: Sequence[Path] = (),
    tell: Callable[[str], None] = lambda line: None,
    store: Store | None = None,
) -> list[Found]:
    """Run every study: the learning rates, then the rest. The same seeds find the same values, with any number of workers.

    Args:
        workers: processes; 0 runs the trials in this one.
        tell: hears a line on progress after each round, which is one trial of every study.
        store: where trainings are kept as they end. Those that are in it already are not run again.

    Raises:
        TrialFailed: a trial ended by an exception.
        BadInput: the store cannot be read or written.
    """
    trained = Trained(device, store)
    with LocalExecutor(workers, plugins, device).warm() if workers else nullcontext(InlineExecutor()) as executor:
        trainer = _Trainer(tuning, device, max(workers, 1), executor, trained)
        rates = _run("learning rates", tuning.rates, tuning.trials, trainer, tell)
        lr = {f.study.scenario_name: f.chosen.values for f in rates}
        others = [_at_rate(s, lr.get(s.scenario_name, {})) for s in tuning.others]
        return rates + _run("methods", others, tuning.trials, trainer, tell)


def _at_rate(study: Study, lr: Params) -> Study:
    scenario = changed(study.cells[0].scenario, lr)
    return dataclasses.replace(study, cells=tuple(dataclasses.replace(cell, scenario=scenario) for cell in study.cells))


def _run(
    what: str, studies: Sequence[Study], trials: int, trainer: _Trainer, tell: Callable[[str], None]
) -> list[Found]:
    """Studies in lockstep: each round runs one trial of every one, all their seeds side by side."""
    if not studies:
        return []
    searches = [Search(study) for study in studies]
    widths = trainer.widths(studies)
    start, rounds = time.monotonic(), 0
    for number in range(1, trials + 1):
        asked = [search.ask() for search in searches]
        records, trainings = trainer.train([cells for _, cells in asked], widths)
        for search, (values, _), of_its in zip(searches, asked, records, strict=True):
            search.tell(_trial(values, of_its))
        rounds += trainings > 0
        spent = time.monotonic() - start
        left = spent / rounds * (trials - number) if rounds else 0
        how = f"{spent:.0f} s{f', about {left:.0f} s left' if left else ''}" if trainings else "trained earlier"
        tell(f"{what}: trial {number} of {trials}, {how}")
    return [Found(search.study, tuple(search.trials)) for search in searches]


@dataclass(frozen=True)
class _Trainer:
    """Trains the cells of trials that are not trained yet."""

    tuning: Tuning
    device: str
    workers: int
    executor: Executor
    trained: Trained

    def widths(self, studies: Sequence[Study]) -> list[int]:
        """How many seeds of each study train together."""
        return runner.stack_widths([self._planned(study.cells) for study in studies], self.device)

    def train(self, trials: Sequence[Sequence[Cell]], widths: Sequence[int]) -> tuple[list[list[Record]], int]:
        """The record of each cell of each trial; and how many trainings that took."""
        planned = [self._planned(cells) for cells in trials]
        missing = [(self.trained.missing(cells), width) for cells, width in zip(planned, widths, strict=True)]
        groups = [(cells, width) for cells, width in missing if cells]
        provenance = common_provenance(self.device) if groups else {}
        jobs = runner.stacked([g for g, _ in groups], [w for _, w in groups], self.device, self.workers, provenance)
        suite = self.tuning.suite
        limit = None if suite.timeout is None else 60 * suite.timeout
        jobs = [dataclasses.replace(job, timeout=limit, cuda_graphs=suite.cuda_graphs) for job in jobs]
        for event in persist(self.executor, jobs):
            if isinstance(event, Ended):
                self.trained.keep(event.results)
        return [self.trained.of(cells) for cells in planned], sum(len(cells) for cells, _ in groups)

    def _planned(self, cells: Sequence[Cell]) -> list[runner.Planned]:
        """Cells as jobs have them, evaluated once, at the end."""
        once = dataclasses.replace(cells[0].scenario, points=1, tsne=False)
        short = [dataclasses.replace(cell, scenario=once) for cell in cells]
        digests = self.tuning.digests[cells[0].scenario_name]
        return [runner.Planned(cell, cell.key(digests[cell.seed]), None) for cell in short]


def _trial(values: Params, records: Sequence[Record]) -> Trial:
    for record in records:
        if record.status not in USABLE:
            raise TrialFailed(f"{record.id} with {shown(values)} {record.status}: {record.reason}.")
    if any(record.status == "diverged" for record in records):
        return Trial(values, (0.0,) * len(records), math.inf)
    accuracy, nll = ([r.curves[f"validation_{of}"][-1] for r in records] for of in ("accuracy", "nll"))
    losses = [math.inf if loss is None else loss for loss in nll]
    return Trial(values, tuple(0.0 if a is None else a for a in accuracy), sum(losses) / len(losses))
