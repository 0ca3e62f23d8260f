"""The training of a stack from its first step to its last: steps, points of the learning curve, checkpoints.

Nothing here waits for the device between two points: losses are summed there and read at the points.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sslbench.engine.capture import Captured, Recorder
from sslbench.engine.checkpoints import UNFIT, Checkpoint, Saver
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.outcome import Outcome
from sslbench.engine.sums import TERMS, Reading
from sslbench.engine.training import Training
from sslbench.methods.base import LossMethod
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario

_PSEUDO_LABELS = "pseudo-labels"

Progress = Callable[[int, int, float], None]
"""Steps done, steps in all, mean training loss of late."""


@dataclass
class Course:
    """How far the training of a stack has come, beside its tensors."""

    done: int = 0
    """Steps."""
    train_s: float = 0.0
    """Of the whole stack, over all attempts; likewise the next."""
    eval_s: float = 0.0
    diverged: dict[int, str] = field(default_factory=dict)
    """By place in the stack: why."""
    resumed_at: list[int] = field(default_factory=list)
    """Steps at which it went on from a checkpoint."""


def train(
    method: LossMethod,
    scenario: Scenario,
    problems: Sequence[Problem],
    evaluations: Sequence[Evaluation],
    rngs: Sequence[Rng],
    device: torch.device,
    progress: Progress,
    saver: Saver | None = None,
    recorder: Recorder | None = None,
) -> list[Outcome]:
    """Train every seed and evaluate it at the points of its learning curve. Timing and memory are the caller's.

    Args:
        saver: has the checkpoints to go on from, and writes new ones.
        recorder: records the steps, so that they are replayed.
    """
    saver = saver or Saver()
    training = Training(method, scenario, problems, rngs, device)
    course = Course()
    if saver.found:
        try:
            course = _resume(training, evaluations, saver.found)
        except UNFIT:  # half of it may have been taken up
            saver.tell("noted", "its checkpoint does not fit: it begins anew")
            training = Training(method, scenario, problems, rngs, device)
            for evaluation in evaluations:
                evaluation.restore([], torch.empty(0, len(evaluation.watched)))
        else:
            saver.tell("resumed", course.done, scenario.steps)
    advance = training.advance if recorder is None else Captured(training, recorder, saver.tell).advance
    indices = torch.stack([e.indices + o for e, o in zip(evaluations, training.offsets, strict=True)]).to(device)
    stack, points, measured = len(problems), set(training.points()), training.measured()
    readings: list[dict[str, float | None]] = []
    clock = time.perf_counter()
    with saver:
        for step, rows in training.steps(course.done):
            training.schedule(course.done)
            loss, terms = advance(step, rows, course.done in measured)
            training.sums.add(step.kind, terms, loss)
            course.done += 1
            if course.done in points:
                reading = training.sums.read(stack)
                course.train_s, clock = course.train_s + time.perf_counter() - clock, time.perf_counter()
                readings = reading.values
                _evaluate(training, evaluations, indices, reading, course)
                progress(course.done, scenario.steps, _mean(readings))
                course.eval_s, clock = course.eval_s + time.perf_counter() - clock, time.perf_counter()
                if len(course.diverged) == stack:
                    break
            if saver.due() and course.done < scenario.steps:
                if device.type == "cuda":
                    torch.cuda.synchronize(device)  # what still runs there is training, not saving
                course.train_s += time.perf_counter() - clock
                saver.save(checkpoints_of(training, evaluations, course))
                clock = time.perf_counter()
    timing = {
        "train_s": course.train_s / stack,
        "eval_s": course.eval_s / stack,
        "steps": course.done,
        "steps_per_s": course.done * stack / course.train_s,
        "stack": stack,
    }
    outcomes = []
    for i, (evaluation, problem) in enumerate(zip(evaluations, problems, strict=True)):
        resumed_at = tuple(course.resumed_at)
        if i in course.diverged:
            reason = course.diverged[i]
            outcomes.append(Outcome("diverged", reason, curves=evaluation.curves, timing=timing, resumed_at=resumed_at))
            continue

        def predict(x: Tensor, i: int = i) -> Tensor:
            everyone = x.to(device).expand(stack, *x.shape)
            return training.predict(everyone)[i].cpu()

        own = {name: value for name, value in readings[i].items() if name not in TERMS}
        outcomes.append(
            Outcome(
                "ok",
                metrics=evaluation.metrics(),
                diagnostics=own,
                curves=evaluation.curves,
                timing=timing,
                arrays={**evaluation.arrays, **scenario.arrays(problem, predict)},
                resumed_at=resumed_at,
            )
        )
    return outcomes


def _evaluate(
    training: Training, evaluations: Sequence[Evaluation], indices: Tensor, reading: Reading, course: Course
) -> None:
    """One point of the learning curve of every seed that has not diverged."""
    probabilities = training.probabilities(indices)
    for i, evaluation in enumerate(evaluations):
        if reading.diverged[i] or not bool(probabilities[i].isfinite().all()):
            steps = training.scenario.steps
            course.diverged.setdefault(i, f"the loss became NaN or infinite by step {course.done} of {steps}")
        if i not in course.diverged:
            evaluation.add(course.done, probabilities[i], {**reading.values[i], **training.epochs()})


def checkpoints_of(training: Training, evaluations: Sequence[Evaluation], course: Course) -> list[Checkpoint]:
    """The checkpoint of each seed of a stack."""
    seeds, counts = training.saved()
    made = []
    for i, (tensors, evaluation) in enumerate(zip(seeds, evaluations, strict=True)):
        points, pseudo_labels = evaluation.saved()
        notes = {
            "points": points,
            "counts": counts,
            "diverged": course.diverged.get(i),
            "train_s": course.train_s / len(seeds),
            "eval_s": course.eval_s / len(seeds),
            "resumed_at": course.resumed_at,
        }
        made.append(Checkpoint(course.done, {**tensors, _PSEUDO_LABELS: pseudo_labels}, notes))
    return made


def _resume(training: Training, evaluations: Sequence[Evaluation], found: Sequence[Checkpoint]) -> Course:
    """Take up the checkpoints of all seeds of a stack, all at the same step.

    Raises:
        One of UNFIT: they are of something else.
    """
    course = Course(found[0].step, resumed_at=[*found[0].notes["resumed_at"], found[0].step])
    if any(c.step != course.done for c in found) or not 0 < course.done < training.scenario.steps:
        raise ValueError(f"checkpoints at steps {[c.step for c in found]}")
    for i, (checkpoint, evaluation) in enumerate(zip(found, evaluations, strict=True)):
        course.train_s += checkpoint.notes["train_s"]
        course.eval_s += checkpoint.notes["eval_s"]
        if checkpoint.notes["diverged"] is not None:
            course.diverged[i] = str(checkpoint.notes["diverged"])
        evaluation.restore(checkpoint.notes["points"], checkpoint.tensors[_PSEUDO_LABELS])
    tensors = [{n: v for n, v in c.tensors.items() if n != _PSEUDO_LABELS} for c in found]
    training.restore(tensors, found[0].notes["counts"])
    return course


def _mean(readings: list[dict[str, float | None]]) -> float:
    losses = [r.get("labelled_loss") for r in readings]
    known = [value for value in losses if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
