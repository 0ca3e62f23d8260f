"""What must be seen in training: one pure function a promise, for a method and a kind of input."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sslbench.conformance.settings import (
    other_pool,
    poisoned,
    poisoned_dataset,
    rng_of,
    setting,
    without_classes,
)
from sslbench.conformance.subject import CPU, PATIENCE, Subject, descended, difference, predictions
from sslbench.conformance.verdict import PASSED, Verdict, failed, place, raised_at, skipped, source_file
from sslbench.engine import recorder
from sslbench.engine.capture import Captured
from sslbench.engine.training import Training
from sslbench.methods.base import method
from sslbench.scenarios.base import Problem

STEPS = 8
"""Steps of a training that is done from end to end."""
CLOSE = 1e-4
"""How far a loss in a stack may be from the same loss alone, absolutely and relatively: rounding, and nothing else."""
REPLAYS = 6
"""Steps beyond a rehearsal's: the first few of each kind are not replayed."""
NOT_REPEATABLE = "it is not repeatable, so that a difference tells nothing"
NO_END = "its training ends with an error: see runs"
GONE = (3, 9)
"""Classes whose labels are taken away: one in the middle, and the last."""


def runs(subject: Subject, kind: str) -> Verdict:
    """Every step has one finite number for a loss, and the predictor gives every class a probability."""
    if subject.descends(kind):
        where = _loss(subject)
        rehearsal = subject.rehearsal(kind)
        if (shape := tuple(rehearsal.losses[0].shape[1:])) != ():
            return failed("one number for the loss of a step", f"a tensor of shape {shape}: is a mean missing?", where)
        for name, value in rehearsal.terms[0].items():
            if value.shape != (1,):
                return failed("one number for each diagnostic", f"{name} of shape {tuple(value.shape[1:])}", where)
        for step, loss in enumerate(rehearsal.losses):
            if not bool(loss.isfinite().all()):
                return failed("a finite loss", f"{float(loss[0])} at step {step}", where)
    return _probable(subject, kind, setting(kind).problem())


def alive(subject: Subject, kind: str) -> Verdict:
    """The unlabelled term, its weight and its gradient are not 0, and other unlabelled examples give another result."""
    if not getattr(subject.cls, "unlabelled", True):
        return skipped("it uses no unlabelled examples")
    where = _loss(subject)
    if subject.descends(kind) and (dead := _dead(subject, kind)):
        return failed("an unlabelled term that teaches: loss, weight and gradient not 0", dead, where)
    problem = setting(kind).problem()
    if difference(subject.clean(kind), subject.trained(kind, other_pool(problem))) is None:
        return failed("another result from other unlabelled examples", "the same, bit for bit", where)
    return PASSED


def _dead(subject: Subject, kind: str) -> str:
    """Why the unlabelled term teaches nothing; empty if it does."""
    rehearsal = subject.rehearsal(kind)
    if rehearsal.alive:
        return ""
    if rehearsal.first_unlabelled is None:
        return f"`order` names no step of the first {PATIENCE} that uses unlabelled examples"
    steps = f"in each of {rehearsal.steps} steps"
    if rehearsal.largest("unlabelled_loss") == 0:
        return f"Loss.unlabelled is 0 {steps}: does it compare a tensor with itself, or keep no example?"
    if rehearsal.largest("unlabelled_weight") == 0:
        return f"Loss.weight is 0 {steps}"
    return f"Loss.unlabelled has no gradient {steps}: is all of it under no_grad, detached or an argmax?"


def blind(subject: Subject, kind: str) -> Verdict:
    """Other hidden labels and another test set change nothing, bit for bit."""
    problem, dataset = setting(kind).problem(), setting(kind).dataset()
    clean = subject.clean(kind)
    if difference(clean, subject.again(kind)):
        return skipped(NOT_REPEATABLE)
    with poisoned_dataset(dataset, problem.labelled):
        other = subject.trained(kind, poisoned(problem))
    if seen := difference(clean, other):
        expected = "the same training with other hidden labels and another test set, bit for bit"
        return failed(expected, f"{seen}: it sees what it may not", _loss(subject))
    return PASSED


def repeatable(subject: Subject, kind: str) -> Verdict:
    """Trained twice, the same instance gives the same bits, and keeps nothing from the first time."""
    first, second = subject.clean(kind), subject.again(kind)
    used, fresh = subject.used(kind), vars(subject.method(kind))
    kept = [name for name, value in vars(used).items() if name not in fresh or repr(value) != repr(fresh[name])]
    if kept:
        return failed(
            "nothing kept on the method: state belongs in `init` and Loss.state", f"self.{kept[0]}", _loss(subject)
        )
    if seen := difference(first, second):
        expected = "the same bits from the same seed"
        return failed(
            expected, f"{seen}: a draw that is not from `rng`, or something kept between calls", _loss(subject)
        )
    return PASSED


def own_draws(subject: Subject, kind: str) -> Verdict:
    """Nothing is drawn from the global generators of torch, NumPy and random: every draw is from `rng`."""
    expected = "every draw from `rng`, such as rng.normal(*u.shape)"
    try:
        work = _work(subject, kind)
    except Exception:
        return skipped(NO_END)
    before = _generators()
    with Draws(source_file(subject.cls)) as draws:
        try:
            work()
        except Exception as error:
            if "random operation" not in str(error):  # torch's own refusal, under vmap
                return skipped(NO_END)
            return failed(expected, "a draw from the global generator of torch", raised_at(error, subject.cls))
    for library, state in _generators().items():
        if state != before[library]:
            where = place(subject.cls, draws.line) if draws.line else _loss(subject)
            return failed(expected, f"a draw from the global generator of {library}", where)
    return PASSED


def _work(subject: Subject, kind: str) -> Callable[[], object]:
    """A training that is ready to begin: making a network, or reading data, is not the method's doing."""
    instance, problem = subject.method(kind), setting(kind).problem()
    if not subject.descends(kind):
        return lambda: predictions(instance, setting(kind).scenario, problem)
    try:
        rehearsal = subject.rehearsal(kind)
        steps, total = rehearsal.enough, rehearsal.total
    except Exception:  # perhaps for the very reason that is looked for here
        steps = total = STEPS
    training = Training(instance, setting(kind).with_steps(total).scenario, [problem], [rng_of(0)], CPU)
    return lambda: descended(training, steps, problem)


class Draws(TorchFunctionMode):
    """Finds the line of a file that draws from torch's global generator."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.line: int | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        before = torch.random.get_rng_state() if self.line is None else None
        result = func(*args, **(kwargs or {}))
        if before is not None and not torch.equal(before, torch.random.get_rng_state()):
            frame = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename != self.file:
                frame = frame.f_back  # type: ignore[assignment]
            self.line = frame.f_lineno if frame is not None else None
        return result


def _generators() -> dict[str, Any]:
    """The states of the global generators."""
    _, words, place_, *_ = np.random.get_state()  # noqa: NPY002
    assert isinstance(words, np.ndarray)
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "NumPy": (words.tobytes(), place_),
        "random": random.getstate(),
    }


def stacked(subject: Subject, kind: str) -> Verdict:
    """Seeds as one program compute what each computes alone, step for step from the same weights."""
    seeds = (0, 1)
    problems = [setting(kind).problem(seed) for seed in seeds]
    together = subject.training(kind, problems, seeds, stack=True)
    alone = [subject.training(kind, [p], [s]) for p, s in zip(problems, seeds, strict=True)]
    steps = zip(together.steps(), *(training.steps() for training in alone), strict=True)
    for (step, rows), *singles in islice(steps, subject.rehearsal(kind).enough):
        for place_, training in enumerate(alone):
            _take(training, together, place_)
        losses = together.advance(step, rows)[0]
        expected = torch.cat([t.advance(s, r)[0] for t, (s, r) in zip(alone, singles, strict=True)])
        if not torch.allclose(losses, expected, rtol=CLOSE, atol=CLOSE, equal_nan=True):
            numbers = ", ".join(f"{float(a):.6g} for {float(b):.6g}" for a, b in zip(losses, expected, strict=True))
            promise = "the losses of seeds alone from the same seeds in a stack"
            return failed(promise, f"at step {int(step.index)}: {numbers}", _loss(subject))
    return PASSED


def _take(training: Training, stack: Training, place_: int) -> None:
    """Give a training of one seed the weights and the state of a seed of a stack, so that no rounding adds up."""
    with torch.no_grad():
        for mine, theirs in ((training.parameters, stack.parameters), (training.state, stack.state)):
            for name, value in mine.items():
                value.copy_(theirs[name][place_] if not training.stacked else theirs[name][place_ : place_ + 1])


def replayed(subject: Subject, kind: str) -> Verdict:
    """Its steps can be recorded, and replayed without Python between them they compute the same, bit for bit."""
    if difference(subject.clean(kind), subject.again(kind)):
        return skipped(NOT_REPEATABLE)
    problem, told = setting(kind).problem(), list[str]()
    plain, training = (subject.training(kind, [problem], [0]) for _ in range(2))
    recording = recorder(CPU, graphs=False)
    assert recording is not None
    captured = Captured(training, recording, lambda _, text, *__: told.append(text))
    steps = subject.rehearsal(kind).enough + REPLAYS
    expected = descended(plain, steps, problem)
    seen = difference(expected, descended(training, steps, problem, captured.advance))
    if told:
        return skipped(f"{told[0]}, which takes longer")
    if seen:
        promise = "the same bits from replayed steps: what changes from step to step is in `step`, `rng` or Loss.state"
        return failed(promise, seen, _loss(subject))
    return PASSED


def gradients(subject: Subject, kind: str) -> Verdict:
    """Every parameter of the network is trained."""
    rehearsal = subject.rehearsal(kind)
    if rehearsal.still:
        seen = f"{', '.join(rehearsal.still)} did not move in {rehearsal.steps} steps"
        return failed("a gradient in every parameter", seen, _loss(subject))
    return PASSED


def missing_class(subject: Subject, kind: str) -> Verdict:
    """Without labels of some classes the loss stays finite, and these classes have probabilities all the same."""
    problem = setting(kind).problem()
    if problem.classes <= len(GONE) + 1:
        return skipped(f"of {problem.classes} classes none can be missing")
    found = _probable(subject, kind, without_classes(problem, GONE))
    return (
        dataclasses.replace(found, expected=f"{found.expected}, with no labels of classes {GONE}")
        if found.expected
        else found
    )


def weight_zero(subject: Subject, kind: str) -> Verdict:
    """With `weight` 0 it is supervised training, bit for bit: the baseline is the same, and only the term differs."""
    instance = subject.method(kind)
    if reason := subject.cls.exempt.get("weight zero"):
        return skipped(f"exempt: {reason}")
    if not hasattr(instance, "weight"):
        return skipped("it has no field `weight`")
    on, problem, steps = setting(kind), setting(kind).problem(), subject.rehearsal(kind).enough
    order = list(islice(instance.order(on.scenario.sizes(problem)), steps))
    if set(order) != {"joint"}:
        return skipped("its steps are labelled or unlabelled, so it has fewer labelled ones")
    mine = subject.trained(kind, problem, dataclasses.replace(instance, weight=0.0))
    scenario = on.with_steps(subject.rehearsal(kind).total).scenario
    baseline: Any = method.get("supervised").thing()
    plain = Training(baseline, scenario, [problem], [rng_of(0)], CPU)
    supervised = descended(plain, steps, problem)
    shared = {name: value for name, value in mine.items() if name in supervised and name != "predictions"}
    if seen := difference(shared, supervised):
        return failed("supervised training where weight = 0, bit for bit", seen, _loss(subject))
    return PASSED


def _probable(subject: Subject, kind: str, problem: Problem) -> Verdict:
    """The method, trained from end to end by the engine, gives probabilities of every class."""
    scenario = setting(kind).with_steps(STEPS).scenario
    try:
        found = predictions(subject.method(kind), scenario, problem)["predictions"]
    except ArithmeticError as error:
        return failed("a finite loss", str(error), _loss(subject))
    return _distribution(found, problem, _loss(subject))


def _distribution(found: Tensor, problem: Problem, where: str) -> Verdict:
    wanted = len(problem.labelled), problem.classes
    if found.shape != wanted:
        return failed(f"probabilities of shape {wanted}, a column a class", f"shape {tuple(found.shape)}", where)
    if not bool(found.isfinite().all()):
        return failed("finite probabilities", f"{int((~found.isfinite()).sum())} that are NaN or infinite", where)
    sums = found.sum(dim=1)
    if bool((found < 0).any()) or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return failed("rows that add up to 1", f"sums from {float(sums.min()):.4g} to {float(sums.max()):.4g}", where)
    return PASSED


def _loss(subject: Subject) -> str:
    """Where the method's loss, or its fit, begins."""
    for name in ("loss", "fit"):
        if name in vars(subject.cls):
            return place(getattr(subject.cls, name))
    return place(subject.cls)
