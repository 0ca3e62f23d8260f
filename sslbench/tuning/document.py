"""The suite file that a tuning writes: what was found, and every trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslbench import __version__, atomic, toml
from sslbench.methods.base import Range
from sslbench.suite import Params, Suite, make_suite, params, relocated
from sslbench.tuning.plan import Tuning
from sslbench.tuning.sampling import require_optuna
from sslbench.tuning.study import Found
from sslbench.tuning.words import verdict

RULE = (
    "The values of highest validation accuracy after the last step (mean over the seeds; of equals the lowest validation "
    "loss), where they exceed the values in force (trial 0) by more than the noise, one standard error; else the values in "
    "force. lr is found for supervised first, and all methods share it: that favours the baseline. No test accuracy was looked at"
)


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
        "optuna": require_optuna().__version__,
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


def write(path: Path, source: str, content: Params) -> None:
    """Write the suite file, whole or not at all.

    Raises:
        BadInput: it cannot be written.
    """
    head = f"# Written by `sslbench tune` from {source}, whose comments are not here. How it was done: [tuning], at the end.\n\n"
    atomic.save(path, head + toml.dumps(relocated(content, path)), "Give another file with --out.")
