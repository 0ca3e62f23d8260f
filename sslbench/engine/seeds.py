"""From a method, a scenario and seeds to outcomes, whichever kind the method is."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import threadpoolctl
import torch

from sslbench.engine.capture import Recorder
from sslbench.engine.checkpoints import Saver
from sslbench.engine.course import Progress, train
from sslbench.engine.cuda_graphs import CudaGraphs
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.maps import tsne_map
from sslbench.engine.outcome import Outcome
from sslbench.engine.tape import Tapes
from sslbench.engine.training import stacks
from sslbench.methods.base import FitMethod, LossMethod, Predictor, Task
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario

Method = LossMethod | FitMethod
Precision = Literal["float32", "tf32"]

STACK = 16
"""Seeds of a stack, at most."""
STACK_BYTES = 2 << 30
"""Inputs of a stack, at most, where each seed has inputs of its own."""


def obstacle(method: Method, scenario: Scenario) -> str | None:
    """Why the method cannot run on the scenario; None if it can."""
    estimator = scenario.estimator() is not None
    if estimator and not isinstance(method, FitMethod):
        return "it needs a network to descend its loss on, and this scenario trains a scikit-learn estimator"
    if not estimator and not isinstance(method, LossMethod) and method.needs_estimator:
        return "it needs a scenario with a scikit-learn estimator, and this one trains a network"
    return None


def stack_width(method: Method, scenario: Scenario, problems: Iterable[Problem], device: torch.device) -> int:
    """How many seeds train as one program: as many as pay and fit.

    Args:
        problems: of the seeds; up to two are looked at, the second only where it matters whether seeds share their inputs.
    """
    posed = iter(problems)
    problem = next(posed)
    if not descends(method, scenario) or not stacks(scenario.network(problem), device):
        return 1
    fitting = STACK_BYTES // (problem.x.numel() * problem.x.element_size())
    if fitting < STACK and (other := next(posed, None)) is not None and other.x.data_ptr() == problem.x.data_ptr():
        return STACK
    return max(1, min(STACK, fitting))


def run(
    method: Method,
    scenario: Scenario,
    rngs: Sequence[Rng],
    device: torch.device,
    progress: Progress = lambda done, total, loss: None,
    training: Sequence[Rng] | None = None,
    precision: Precision = "float32",
    saver: Saver | None = None,
    graphs: bool = False,
) -> list[Outcome]:
    """Train and evaluate one method on one scenario at several seeds.

    Args:
        rngs: the generator of each seed; the problem (its data and its split) follows from it.
        progress: called at each point of the learning curve.
        precision: of matrix products and convolutions on a CUDA device.
        training: the generators that weights, batches and the method's draws follow from; `rngs` if not given.
        saver: has the checkpoints to go on from and writes new ones. A fit method has none.
        graphs: replay the steps as CUDA graphs, on a CUDA device.
    """
    training = rngs if training is None else training
    where = device if descends(method, scenario) else torch.device("cpu")
    with single_thread(), arithmetic(precision):
        start = time.perf_counter()
        problems = [scenario.problem(rng) for rng in rngs]
        setup_s = (time.perf_counter() - start) / len(rngs)
        reset_peak_memory(where)
        watch = [rng.child("evaluation") for rng in rngs]
        evaluations = [Evaluation(p, scenario.watched, rng) for p, rng in zip(problems, watch, strict=True)]
        if descends(method, scenario):
            assert isinstance(method, LossMethod)
            recording = recorder(device, graphs)
            outcomes = train(method, scenario, problems, evaluations, training, device, progress, saver, recording)
        else:
            assert isinstance(method, FitMethod)
            outcomes = [
                fit(method, scenario, *each, progress) for each in zip(problems, evaluations, training, strict=True)
            ]
        memory = peak_memory(where)
        maps = [
            tsne_map(p, e.watched, rng) if scenario.tsne else {}
            for p, e, rng in zip(problems, evaluations, watch, strict=True)
        ]
    return [
        dataclasses.replace(
            outcome,
            timing={"setup_s": setup_s, **outcome.timing},
            peak_memory_bytes=memory,
            arrays={**outcome.arrays, **map_} if outcome.status == "ok" else {},
            digests={"data_sha256": problem.data_sha256, "split_sha256": problem.split_sha256},
        )
        for outcome, problem, map_ in zip(outcomes, problems, maps, strict=True)
    ]


def fit(
    method: FitMethod, scenario: Scenario, problem: Problem, evaluation: Evaluation, rng: Rng, progress: Progress
) -> Outcome:
    """Run a fit method at one seed. The points of its learning curve are those at which it calls `watch`."""
    x = problem.x[evaluation.indices]
    eval_s = 0.0
    points = 0

    def watch(predict: Predictor) -> None:
        nonlocal eval_s, points
        start = time.perf_counter()
        evaluation.add(points, predict(x), {})
        progress(points, points + 1, float("nan"))
        points += 1
        eval_s += time.perf_counter() - start

    task = Task(
        x=problem.x[problem.labelled].numpy(),
        y=problem.y[problem.labelled].numpy(),
        u=problem.x[problem.unlabelled].numpy(),
        classes=problem.classes,
        estimator=scenario.estimator(),
    )
    start = time.perf_counter()
    predict = method.fit(task, rng.child("train"), watch)
    train_s = time.perf_counter() - start - eval_s
    watch(predict)

    return Outcome(
        "ok",
        metrics=evaluation.metrics(),
        curves=evaluation.curves,
        timing={"train_s": train_s, "eval_s": eval_s, "steps": points, "steps_per_s": points / train_s, "stack": 1},
        arrays={**evaluation.arrays, **scenario.arrays(problem, predict)},
    )


def descends(method: Method, scenario: Scenario) -> bool:
    """Whether the engine trains it, a step at a time, and not the method itself."""
    return isinstance(method, LossMethod) and scenario.estimator() is None


def recorder(device: torch.device, graphs: bool) -> Recorder | None:
    """What training steps are recorded with, so that they are replayed."""
    if device.type == "cpu":
        return Tapes()
    return CudaGraphs(device) if graphs and device.type == "cuda" else None


@contextlib.contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Matrix products and convolutions on CUDA in this precision. (torch's own default is TF32 for convolutions.)"""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """One thread for the arithmetic of a cell: sums then have one order, so that a cell has the same bits beside any other.

    The cores are kept busy by several cells at a time. It holds beside a CUDA device, too: features, tables of noise and what
    scikit-learn fits are made on the CPU, and would depend on its number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring the peak anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # Linux; elsewhere the peak is that of the process so far
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Bytes: allocated on a CUDA device, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
