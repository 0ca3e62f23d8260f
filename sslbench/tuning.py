"""Tuning: hyperparameters from validation data alone, with the same number of trials for every method.

A *study* looks for values of one method on one scenario. Every study has the same number of trials, and every trial trains at
the same seeds, which are none of the suite's: with the same steps, batches and augmentation, whatever the method.

- The learning rate belongs to the scenario and is shared by all methods. `supervised` looks for it, before the others; they
  then look for their own hyperparameters at that rate. This favours the baseline, deliberately: a method that is found ahead
  of it is ahead at the baseline's own learning rate (Oliver et al. 2018, arXiv:1804.09170, ask for a baseline tuned as well).
- Trial 0 is the values in force. The others come from Optuna's TPE sampler, seeded.
- What counts is the validation accuracy after the last step, mean over the seeds. It is coarse where validation sets are as
  small as they must be (no larger than the labelled set), so equal accuracies are told apart by the mean validation loss. A
  trial with a diverged seed counts as accuracy 0.
- The best trial is chosen if it exceeds the values in force by more than one standard error of such an accuracy. Otherwise
  the values in force stay: the best of many trials exceeds them by chance alone, so a change must be earned. (The
  one-standard-error rule of Breiman et al. 1984, with the values in force in the place of the simplest tree.) The trials
  are all in the file: who wants the best at any rate finds it there.

Test accuracies are not looked at. A tuning seed is a draw of labelled and validation examples of its own from the training
pool, so that several seeds together see more labels than one user with one labelled set has: the file says how many.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sslbench import __version__, atomic, runner, toml
from sslbench.errors import BadInput, unknown
from sslbench.executors import Ended, Executor, InlineExecutor, LocalExecutor, persist
from sslbench.methods.base import Around, Range
from sslbench.records import Record
from sslbench.stats import accuracy_noise, examples_to_tell
from sslbench.suite import (
    Cell,
    Overrides,
    Params,
    Suite,
    changed,
    make_suite,
    params,
    parse_seeds,
    read_content,
    relocated,
    seed_rng,
    with_settings,
)

SEEDS = "1000-1002"
TRIALS = 20
LEARNING_RATE = {"lr": Around(10)}
RULE = (
    "The values of highest validation accuracy after the last step (mean over the seeds; of equals the lowest validation "
    "loss), where they exceed the values in force (trial 0) by more than the noise, one standard error; else the values in "
    "force. lr is found for supervised first, and all methods share it: that favours the baseline. No test accuracy was looked at"
)
_DRAWS = 1000
"""Draws from a search space for values that the class takes, before it is given up."""

Space = Mapping[str, Range | tuple[Any, ...]]


class TrialFailed(RuntimeError):
    """A trial ended by an exception. It says which, and with which values."""


@dataclass(frozen=True)
class Trial:
    """Values that were tried, and what came of them."""

    values: Params
    accuracies: tuple[float, ...]
    """Final validation accuracy of each tuning seed, in [0, 1]; 0 for all where one diverged."""
    nll: float
    """Mean final validation loss in nats; infinite where a seed diverged."""

    @property
    def accuracy(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)

    def score(self, examples: int) -> float:
        """Higher is better: the accuracy, less up to half an example of `examples` by the loss, so that it breaks ties."""
        return self.accuracy - (1 - 1 / (1 + self.nll)) / (2 * examples)


@dataclass(frozen=True)
class Study:
    """The search for values of one method on one scenario."""

    cells: tuple[Cell, ...]
    """With the values in force, one for each tuning seed."""
    of: Literal["method", "scenario"]
    """Whose fields are looked for: the method's, or (the learning rate) the scenario's."""
    space: Space
    validation: int
    """Validation examples of a seed."""

    @property
    def method_name(self) -> str:
        return self.cells[0].method_name

    @property
    def scenario_name(self) -> str:
        return self.cells[0].scenario_name

    @property
    def in_force(self) -> Params:
        return {name: getattr(getattr(self.cells[0], self.of), name) for name in self.space}

    @property
    def examples(self) -> int:
        """Validation examples of all seeds."""
        return self.validation * len(self.cells)

    @property
    def seed(self) -> int:
        """What the sampler draws from: it depends on the names and the suite's seed, not on what else is tuned."""
        name = f"{self.cells[0].suite_seed}/{self.method_name}/{self.scenario_name}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")

    def with_values(self, values: Params) -> tuple[Cell, ...]:
        """The cells with other values.

        Raises:
            BadInput: values that the class does not take.
        """
        thing: Any = changed(getattr(self.cells[0], self.of), values)
        return tuple(dataclasses.replace(cell, **{self.of: thing}) for cell in self.cells)


@dataclass(frozen=True)
class Found:
    """What a study found."""

    study: Study
    trials: tuple[Trial, ...]

    @property
    def in_force(self) -> Trial:
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """Of the highest score, the earliest."""
        return max(self.trials, key=lambda t: t.score(self.study.examples))

    @property
    def noise(self) -> float:
        """Standard error of the validation accuracy of the values in force, at this number of examples."""
        return accuracy_noise(self.in_force.accuracy, self.study.examples)

    @property
    def chosen(self) -> Trial:
        """The best trial, if it exceeds the values in force by more than the noise; else these."""
        return self.best if self.best.accuracy - self.in_force.accuracy > self.noise else self.in_force


@dataclass(frozen=True)
class Tuning:
    """What is to be tuned, all of it checked."""

    content: Params
    """The suite's document."""
    suite: Suite
    """The chosen methods and scenarios of it, at the tuning seeds."""
    trials: int
    seeds: tuple[int, ...]
    rates: tuple[Study, ...]
    """Looked for first: the learning rates."""
    others: tuple[Study, ...]
    passed_over: tuple[str, ...]
    """A line for each method that has nothing to tune on a scenario, and why."""

    @property
    def studies(self) -> tuple[Study, ...]:
        return self.rates + self.others


# Before anything is trained ------------------------------------------------------------------------------------------


def make_tuning(
    path: Path,
    methods: Sequence[str] | None = None,
    scenarios: Sequence[str] | None = None,
    trials: int = TRIALS,
    seeds: str = SEEDS,
    settings: Sequence[str] = (),
) -> Tuning:
    """Read a suite file and settle what is to be tuned.

    Args:
        methods, scenarios, settings: as for `sslbench run`.
        trials: of every method on every scenario, the values in force among them.
        seeds: tuning seeds, none of them the suite's.

    Raises:
        BadInput: what cannot be used, in the file or here; Optuna is missing; there is nothing to tune.
    """
    _optuna()
    if trials < 1:
        raise BadInput(f"--trials must be at least 1, not {trials}: the first tries the values in force.")
    try:
        return _make_tuning(read_content(path), Overrides(methods, scenarios, seeds, settings), trials)
    except BadInput as error:
        raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _make_tuning(given: Params, overrides: Overrides, trials: int) -> Tuning:
    make_suite(given, overrides)  # which knows a setting that touches nothing here
    content = _with_names(with_settings(given, overrides.settings), overrides)
    tuning_seeds = parse_seeds(overrides.seeds or SEEDS)
    _check_apart(tuning_seeds, make_suite(content))
    chosen = make_suite(content, dataclasses.replace(overrides, settings=()))
    suite = dataclasses.replace(chosen, grids=tuple(dataclasses.replace(g, training_seeds=None) for g in chosen.grids))
    validation = {name: _validation(name, suite) for name in suite.scenarios}
    studies: list[Study] = []
    passed_over = []
    for (method_name, scenario_name), cells in _pairs(suite).items():
        has_rate = any(s.of == "scenario" and s.scenario_name == scenario_name for s in studies)
        study = _study(cells, validation[scenario_name], has_rate)
        if isinstance(study, str):
            passed_over.append(f"{method_name} on {scenario_name}: {study}")
        else:
            studies.append(study)
    if not studies:
        raise BadInput(f"Nothing to tune here: {'; '.join(passed_over)}.")
    rates, others = (tuple(s for s in studies if s.of == of) for of in ("scenario", "method"))
    return Tuning(content, suite, trials, tuning_seeds, rates, others, tuple(passed_over))


def _with_names(content: Params, overrides: Overrides) -> Params:
    """The document, whose lists also name what is chosen from outside of it; grids name all that they have."""
    if "grid" in content:
        return content
    lists = {"methods": overrides.methods, "scenarios": overrides.scenarios}
    return content | {k: list(dict.fromkeys([*content.get(k, ()), *names])) for k, names in lists.items() if names}


def _check_apart(seeds: Sequence[int], suite: Suite) -> None:
    own = {seed for grid in suite.grids for seed in grid.seeds}
    if shared := sorted(own & set(seeds)):
        listed = ", ".join(map(str, shared[:3])) + (", …" if len(shared) > 3 else "")
        raise BadInput(
            f"--seeds: {listed} are seeds of the suite, whose results must not be tuned for: give others, such as {SEEDS}."
        )


def _validation(name: str, suite: Suite) -> int:
    """Validation examples of a seed, after a look at whether the scenario can be had at every seed."""
    runner.check(name, suite)
    scenario = suite.scenarios[name][1]
    rng = seed_rng(suite.seed, suite.seeds(name)[0])
    count = len(scenario.split(scenario.dataset(rng.child("data")), rng.child("split")).validation)
    if not count:
        raise BadInput(
            f"scenario '{name}' has no validation examples, so nothing can be tuned on it: give it a validation set of at "
            f"most labels = {scenario.labels}, or leave it out with --scenarios."
        )
    return count


def _pairs(suite: Suite) -> dict[tuple[str, str], tuple[Cell, ...]]:
    """By (method, scenario): a cell for each tuning seed."""
    pairs: dict[tuple[str, str], tuple[Cell, ...]] = {}
    for cell in suite.cells():
        pair = cell.method_name, cell.scenario_name
        pairs[pair] = (*pairs.get(pair, ()), cell)
    return pairs


def _study(cells: tuple[Cell, ...], validation: int, has_rate: bool) -> Study | str:
    """The study of a method on a scenario, or why there is none.

    Args:
        has_rate: another study looks for the scenario's learning rate.
    """
    first = cells[0]
    if first.obstacle:
        return first.obstacle
    if first.method_base != "supervised":
        if not first.method.search:
            return "its class declares no `search`"
        return Study(cells, "method", _space(first.method_name, first.method, first.method.search), validation)
    if first.scenario.estimator() is not None:
        return "a scikit-learn estimator has no learning rate here, and it has nothing else to tune"
    if has_rate:
        return "another variant of supervised looks for the learning rate"
    return Study(cells, "scenario", _space(first.scenario_name, first.scenario, LEARNING_RATE), validation)


def _space(name: str, thing: Any, search: Mapping[str, Any]) -> Space:
    """A search space with the values in force in it, and nothing relative any more."""
    known = [f.name for f in dataclasses.fields(thing)]
    if odd := next((key for key in search if key not in known), None):
        raise unknown(f"parameter in the search space of '{name}'", odd, known)
    return {key: widened(f"{name}: {key}", space, getattr(thing, key)) for key, space in search.items()}


def widened(what: str, space: Any, value: Any) -> Range | tuple[Any, ...]:
    """A range or choices that have the value in force.

    Raises:
        BadInput: it cannot be had there (0 on a logarithmic scale), or the space is of no known form.
    """
    if isinstance(space, tuple):
        return space if value in space else (*space, value)
    if not isinstance(space, Range | Around):
        raise BadInput(f"{what} cannot be searched in {space!r}: give a Range, an Around, or a tuple of choices.")
    if not isinstance(value, int | float) or ((isinstance(space, Around) or space.log) and value <= 0):
        raise BadInput(
            f"{what} = {value!r} cannot be searched in {space}: set it to a number above 0, or leave the method out."
        )
    if isinstance(space, Around):
        return Range(value / space.factor, value * space.factor, log=True)
    return dataclasses.replace(space, low=min(space.low, value), high=max(space.high, value))


def check_target(path: Path, force: bool) -> None:
    """See that the file can be written, before anything is trained.

    Raises:
        BadInput: it is there already and `force` is not given, or it cannot be written.
    """
    if path.is_dir():
        raise BadInput(f"--out {path} is a folder: give the name of a file, such as {path / 'tuned.toml'}.")
    if path.exists() and not force:
        raise BadInput(f"{path} is there already: give another file with --out, or replace it with --force.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Give another file with --out.") from error


# Trials --------------------------------------------------------------------------------------------------------------


def tune(
    tuning: Tuning,
    device: str,
    workers: int,
    plugins: Sequence[Path] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> list[Found]:
    """Run every study: the learning rates, then the rest. The same seeds find the same values, with any number of workers.

    Args:
        workers: processes; 0 runs the trials in this one.
        tell: hears a line on progress after each round, which is one trial of every study.

    Raises:
        TrialFailed: a trial ended by an exception.
    """
    with LocalExecutor(workers, plugins).warm() if workers else nullcontext(InlineExecutor()) as executor:

        def run(what: str, studies: Sequence[Study]) -> list[Found]:
            return _run(what, studies, tuning.trials, executor, device, max(workers, 1), tell)

        rates = run("learning rates", tuning.rates)
        lr = {f.study.scenario_name: f.chosen.values for f in rates}
        return rates + run("methods", [_at_rate(s, lr.get(s.scenario_name, {})) for s in tuning.others])


def _at_rate(study: Study, lr: Params) -> Study:
    scenario = changed(study.cells[0].scenario, lr)
    return dataclasses.replace(study, cells=tuple(dataclasses.replace(cell, scenario=scenario) for cell in study.cells))


def _run(
    what: str,
    studies: Sequence[Study],
    trials: int,
    executor: Executor,
    device: str,
    workers: int,
    tell: Callable[[str], None],
) -> list[Found]:
    """Studies in lockstep: each round runs one trial of every one, all their seeds side by side."""
    if not studies:
        return []
    searches = [_Search(study) for study in studies]
    widths = runner.stack_widths([_planned(study.cells) for study in studies], device)
    start = time.monotonic()
    for number in range(1, trials + 1):
        asked = [search.ask() for search in searches]
        groups = [_planned(cells) for _, cells in asked]
        jobs = runner.stacked(groups, widths, device, workers, provenance={})
        ended = [event for event in persist(executor, jobs) if isinstance(event, Ended)]
        records = {result.record.id: result.record for event in ended for result in event.results}
        for search, (values, cells) in zip(searches, asked, strict=True):
            search.tell(_trial(values, [records[cell.id] for cell in cells]))
        spent = time.monotonic() - start
        left = spent / number * (trials - number)
        tell(f"{what}: trial {number} of {trials}, {spent:.0f} s{f', about {left:.0f} s left' if left else ''}")
    return [Found(search.study, tuple(search.trials)) for search in searches]


def _planned(cells: Sequence[Cell]) -> list[runner.Planned]:
    """Cells as jobs have them, evaluated once, at the end. Their records are not kept, so they need no key."""
    scenario = dataclasses.replace(cells[0].scenario, points=1, tsne=False)
    return [runner.Planned(dataclasses.replace(cell, scenario=scenario), "", None) for cell in cells]


def _trial(values: Params, records: Sequence[Record]) -> Trial:
    for record in records:
        if record.status not in ("ok", "diverged"):
            raise TrialFailed(
                f"{record.id} with {shown(values)} {record.status}: {record.reason}. Nothing was written."
            )
    if any(record.status == "diverged" for record in records):
        return Trial(values, (0.0,) * len(records), math.inf)
    accuracy, nll = ([r.curves[f"validation_{of}"][-1] for r in records] for of in ("accuracy", "nll"))
    losses = [math.inf if loss is None else loss for loss in nll]
    return Trial(values, tuple(0.0 if a is None else a for a in accuracy), sum(losses) / len(losses))


class _Search:
    """A study under way: Optuna proposes values and hears what they are worth."""

    def __init__(self, study: Study) -> None:
        self.study, self.trials = study, list[Trial]()
        self._optuna = _optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        sampler = self._optuna.samplers.TPESampler(seed=study.seed)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._study.enqueue_trial(study.in_force)
        self._asked: Any = None

    def ask(self) -> tuple[Params, tuple[Cell, ...]]:
        """The next values and the cells with them. Proposals that the class does not take are not trials."""
        space = {name: _distribution(self._optuna, space) for name, space in self.study.space.items()}
        for _ in range(_DRAWS):
            self._asked = self._study.ask(space)
            if not self.trials:
                return self.study.in_force, self.study.cells
            values = {name: rounded(self._asked.params[name]) for name in space}
            try:
                return values, self.study.with_values(values)
            except BadInput as error:
                refusal = error
                self._study.tell(self._asked, state=self._optuna.trial.TrialState.FAIL)
        raise BadInput(f"The search space of '{self.study.method_name}' has hardly a value that it takes: {refusal}")

    def tell(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._study.tell(self._asked, trial.score(self.study.examples))


def _distribution(optuna: Any, space: Range | tuple[Any, ...]) -> Any:
    kinds = optuna.distributions
    if isinstance(space, tuple):
        return kinds.CategoricalDistribution(space)
    whole = isinstance(space.low, int) and isinstance(space.high, int)
    return (kinds.IntDistribution if whole else kinds.FloatDistribution)(space.low, space.high, log=space.log)


def rounded(value: Any) -> Any:
    """A float at three significant digits: more of them would claim what no trial can tell."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _optuna() -> Any:
    """Optuna, imported when it is needed.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise BadInput(
            '`sslbench tune` needs Optuna, which is not installed here: pip install "sslbench[tune]".'
        ) from error
    return optuna


# What was found ------------------------------------------------------------------------------------------------------


def document(tuning: Tuning, found: Sequence[Found], device: str) -> Params:
    """The suite with what was found, as `sslbench run` takes it: all else in it stays as it was.

    It is named NAME-tuned, so that its results stand beside those of the suite and not among them.
    """
    name = tuning.content["name"]
    content = tuning.content | {"name": name if name.endswith("-tuned") else f"{name}-tuned"}
    wanted = _wanted(make_suite(tuning.content), found)
    for f in found:
        content = _written(content, f.study.of, f.study.method_name, f.study.scenario_name, f.chosen.values)
    settled = _pinned(content, wanted)
    return {k: v for k, v in settled.items() if k != "tuning"} | {"tuning": facts(tuning, found, device)}


def _wanted(suite: Suite, found: Sequence[Found]) -> dict[tuple[str, str], tuple[Params, Params]]:
    """By (method, scenario): the parameters of both, all of them as they are to be."""
    wanted = {
        (method_name, scenario_name): (params(suite.methods[method_name][1][scenario_name]), params(scenario))
        for scenario_name, (_, scenario) in suite.scenarios.items()
        for method_name in suite.methods
    }
    for f in found:
        for (method_name, scenario_name), (of_method, of_scenario) in wanted.items():
            if scenario_name == f.study.scenario_name and f.study.of == "scenario":
                of_scenario.update(f.chosen.values)
            elif (method_name, scenario_name) == (f.study.method_name, f.study.scenario_name):
                of_method.update(f.chosen.values)
    return wanted


def _pinned(content: Params, wanted: Mapping[tuple[str, str], tuple[Params, Params]]) -> Params:
    """Write out what a variant would otherwise take from the tables of its base, now that these have changed."""
    for _ in range(len(wanted) + 1):
        suite = make_suite(content)
        before = content
        for (method_name, scenario_name), (of_method, of_scenario) in wanted.items():
            things = suite.methods[method_name][1][scenario_name], suite.scenarios[scenario_name][1]
            for kind, thing, wish in zip(("method", "scenario"), things, (of_method, of_scenario), strict=True):
                own = params(thing)
                if odd := {key: value for key, value in wish.items() if own[key] != value}:
                    content = _written(content, kind, method_name, scenario_name, odd)
        if content is before:
            return content
    raise AssertionError("the values of a variant and of its base do not settle")


def _written(content: Params, kind: str, method_name: str, scenario_name: str, values: Params) -> Params:
    """The document with values in `[scenario.NAME]`, or in `[method.NAME.on.SCENARIO]`."""
    path = ("scenario", scenario_name) if kind == "scenario" else ("method", method_name, "on", scenario_name)
    return _merged(content, path, values)


def _merged(table: Mapping[str, Any], path: Sequence[str], values: Params) -> Params:
    if not path:
        return {**table, **values}
    return {**table, path[0]: _merged(table.get(path[0], {}), path[1:], values)}


def facts(tuning: Tuning, found: Sequence[Found], device: str) -> Params:
    """The `[tuning]` table: how the values were found, and every trial. It has no date: the same tuning writes the same."""
    studies: dict[str, dict[str, Params]] = {}
    for f in found:
        studies.setdefault(f.study.scenario_name, {})[f.study.method_name] = _facts(f)
    return {
        "sslbench": __version__,
        "optuna": _optuna().__version__,
        "rule": RULE,
        "trials": tuning.trials,
        "seeds": ",".join(map(str, tuning.seeds)),
        "device": device,
        "passed_over": list(tuning.passed_over),
        "study": studies,
    }


def _facts(found: Found) -> Params:
    study = found.study
    first = study.cells[0].scenario
    return {
        "chosen": found.trials.index(found.chosen),
        "best": found.trials.index(found.best),
        "verdict": verdict(found),
        "noise": round(found.noise, 4),
        "validation_examples": study.validation,
        "labelled_and_validation_examples_of_all_seeds": (first.labels + study.validation) * len(study.cells),
        **({"lr": first.lr} if study.of == "method" and first.estimator() is None else {}),
        "space": {name: _in_words(space) for name, space in study.space.items()},
        "tried": {name: [t.values[name] for t in found.trials] for name in study.space},
        "accuracy": [[round(a, 4) for a in t.accuracies] for t in found.trials],
        "nll": [round(t.nll, 4) for t in found.trials],
    }


def _in_words(space: Range | tuple[Any, ...]) -> str:
    if isinstance(space, tuple):
        return f"one of {', '.join(map(str, space))}"
    return f"{space.low:.4g} to {space.high:.4g}{' (logarithmic)' if space.log else ''}"


def verdict(found: Found) -> str:
    """Whether it was worth it, in words that the validation set supports."""
    gain, noise = 100 * (found.best.accuracy - found.in_force.accuracy), f"{100 * found.noise:.1f} points"
    if found.chosen is not found.in_force:
        return f"{gain:.1f} points above the values in force, more than the noise of {noise}"
    if gain <= 0:
        return f"no trial is more accurate than the values in force, which stay; noise {noise}"
    return (
        f"no better than the values in force, within the noise, so these stay: the best ({shown(found.best.values)}) is "
        f"{gain:.1f} points above them, the noise {noise}"
    )


def lines(tuning: Tuning, found: Sequence[Found]) -> Iterator[str]:
    """What the terminal says of it: by scenario and method the choice, its validation accuracy, and the noise."""
    seeds = len(tuning.seeds)
    by_scenario = sorted(found, key=lambda f: list(tuning.suite.scenarios).index(f.study.scenario_name))
    for scenario_name, group in itertools.groupby(by_scenario, lambda f: f.study.scenario_name):
        several = list(group)
        yield f"{scenario_name}: {several[0].study.validation} validation examples, {seeds} seed{'s' * (seeds > 1)}"
        for f in several:
            of_force = f"in force {100 * f.in_force.accuracy:.1f} %"
            yield f"  {f.study.method_name}: {shown(f.chosen.values)}"
            yield f"    validation {100 * f.chosen.accuracy:.1f} %, {of_force}: {verdict(f)}"
    for line in tuning.passed_over:
        yield f"passed over: {line}"
    yield (
        "The noise is one standard error of a validation accuracy at this size. To know one to within a point takes "
        f"{examples_to_tell(0.01):,} validation examples (Hoeffding, 95 %). "
        "That of a chosen trial is too high, being the best of several: it is no result."
    )


def shown(values: Params) -> str:
    """ "radius = 0.3, weight = 1.0"."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def write(path: Path, source: str, content: Params) -> None:
    """Write the suite file, whole or not at all.

    Raises:
        BadInput: it cannot be written.
    """
    head = f"# Written by `sslbench tune` from {source}, whose comments are not here. How it was done: [tuning], at the end.\n\n"
    try:
        atomic.write(path, head + toml.dumps(relocated(content, path)))
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Give another file with --out.") from error
