"""What the terminal and the file say of what was found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from sslbench.stats import examples_to_tell
from sslbench.suite import Params
from sslbench.tuning.plan import Tuning
from sslbench.tuning.study import Found


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
