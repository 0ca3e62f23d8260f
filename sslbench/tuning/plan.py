"""What is to be tuned: everything that can be wrong is found here, before anything is trained."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslbench import runner
from sslbench.errors import BadInput
from sslbench.suite import (
    Cell,
    Overrides,
    Params,
    Suite,
    make_suite,
    parse_seeds,
    read_content,
    seed_rng,
    with_settings,
)
from sslbench.tuning.sampling import require_optuna
from sslbench.tuning.spaces import LEARNING_RATE, space_of
from sslbench.tuning.study import Study

SEEDS = "1000-1002"
TRIALS = 20


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
    digests: Mapping[str, Mapping[int, str]]
    """By scenario and tuning seed: what the key of a cell has of the data."""
    passed_over: tuple[str, ...]
    """A line for each method that has nothing to tune on a scenario, and why."""

    @property
    def studies(self) -> tuple[Study, ...]:
        return self.rates + self.others


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
    require_optuna()
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
    digests = {name: runner.check(name, suite) for name in suite.scenarios}
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
    return Tuning(content, suite, trials, tuning_seeds, rates, others, digests, tuple(passed_over))


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
    """Validation examples of a seed."""
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
        return Study(cells, "method", space_of(first.method_name, first.method, first.method.search), validation)
    if first.scenario.estimator() is not None:
        return "a scikit-learn estimator has no learning rate here, and it has nothing else to tune"
    if has_rate:
        return "another variant of supervised looks for the learning rate"
    return Study(cells, "scenario", space_of(first.scenario_name, first.scenario, LEARNING_RATE), validation)


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
