"""What each side of a pair does. A function prepares, in the side's process, and returns the work."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from baselines import logistic, loops
from benchmarks.perf.replay import engine_trainings, load, resize
from benchmarks.perf.settings import Setting, plain_arguments, plain_network, plain_run, seeds
from sslbench import engine
from sslbench.engine.capture import Captured, Result
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.training import Training
from sslbench.methods.pseudo_label_rounds import PseudoLabelRounds
from sslbench.networks import initial_parameters
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario

# Training steps -----------------------------------------------------------------------------------------------------


def engine_steps(setting: Setting, count: int, device: str, graphs: bool = False) -> Callable[[int], int]:
    """The engine's steps of `count` seeds, as `sslbench.engine.course.train` takes them. Returns the steps taken.

    Args:
        graphs: replay them as CUDA graphs, on a CUDA device.
    """
    where = torch.device(device)
    trainings = engine_trainings(setting, seeds(count), where, 1)
    recorders = [engine.recorder(where, graphs) for _ in trainings]
    advances = [
        Captured(training, recorder, _refused).advance if recorder is not None else training.advance
        for training, recorder in zip(trainings, recorders, strict=True)
    ]

    def work(steps: int) -> int:
        return sum(_advance(training, steps, advance) for training, advance in zip(trainings, advances, strict=True))

    return work


def _refused(*message: str) -> None:
    raise AssertionError(message)


def _advance(training: Training, steps: int, advance: Callable[..., Result]) -> int:
    resize(training, steps)
    for step, rows in training.steps():
        loss, terms = advance(step, rows)
        training.sums.add(step.kind, terms, loss)
    reading = training.sums.read(len(training.keys))
    assert not any(reading.diverged)
    return steps * len(training.keys)


def plain_steps(setting: Setting, count: int, device: str) -> Callable[[int], int]:
    """The plain loop, one seed after the other."""
    posed, given, loop = setting.posed(), setting.hyperparameters(), loops.LOOPS[setting.method]
    runs = []
    for rng in seeds(count):
        problem = posed.problem(rng)
        network = plain_network(posed, problem).to(device)
        runs.append((plain_run(posed, problem, rng, network), plain_arguments(setting.method, posed, network)))

    def work(steps: int) -> int:
        return sum(len(loop(replace(run, steps=steps), **arguments, **given)) for run, arguments in runs)

    return work


def engine_flops(setting: Setting, steps: int) -> float:
    """Floating-point operations of a step of one seed, by torch's counter: those of matrix products and convolutions."""
    (training,) = engine_trainings(setting, seeds(1), torch.device("cpu"), steps)
    with FlopCounterMode(display=False) as counter:
        _advance(training, steps, training.advance)
    return counter.get_total_flops() / steps


# Evaluation ---------------------------------------------------------------------------------------------------------


def engine_evaluation(setting: Setting, device: str) -> Callable[[], list[float]]:
    """The accuracy on the validation, the watched unlabelled and the test examples, as at a point of the learning curve."""
    (rng,), posed = seeds(1), setting.posed()
    (training,) = engine_trainings(setting, [rng], torch.device(device), 1)
    evaluation = Evaluation(posed.problem(rng), posed.watched, rng.child("evaluation"))
    indices = evaluation.indices[None].to(device)

    def work() -> list[float]:
        evaluation.add(1, training.probabilities(indices)[0], {})
        names = ("validation_accuracy", "pseudo_label_accuracy", "test_accuracy")
        return [float(evaluation.curves[name][-1] or 0.0) for name in names]

    return work


def plain_evaluation(setting: Setting, device: str) -> Callable[[], list[float]]:
    """The same of a network with the same weights."""
    (rng,), posed = seeds(1), setting.posed()
    problem = posed.problem(rng)
    network = plain_network(posed, problem).to(device)
    load(network, initial_parameters(posed.network(problem), rng.child("initial weights")).values())
    parts = _parts(posed, problem, rng)
    return lambda: [loops.accuracy(network, part) for part in parts]


def _parts(posed: Scenario, problem: Problem, rng: Rng) -> list[DataLoader[tuple[Tensor, ...]]]:
    watched = Evaluation(problem, posed.watched, rng.child("evaluation")).watched
    return [
        DataLoader(TensorDataset(problem.x[rows], problem.y[rows]), batch_size=256)
        for rows in (problem.validation, watched, problem.test)
    ]


# Whole cells ----------------------------------------------------------------------------------------------------------


def engine_cell(setting: Setting, device: str) -> Callable[[], dict[str, float]]:
    """From the scenario's name to the metrics. Returns steps, points and the final accuracy."""
    (rng,) = seeds(1)
    setting.posed().problem(rng)  # the data set is read from the disk before the first turn, on both sides

    def work() -> dict[str, float]:
        (outcome,) = engine.run(setting.chosen(), setting.posed(), [rng], torch.device(device))
        final = outcome.metrics["accuracy"]["final"]
        return {"steps": outcome.timing["steps"], "points": len(outcome.curves["step"]), "final": final}

    return work


def plain_cell(setting: Setting, device: str) -> Callable[[], dict[str, float]]:
    """The same by the plain loop, evaluated at the same points."""
    (rng,) = seeds(1)
    posed, given = setting.posed(), setting.hyperparameters()
    posed.problem(rng)
    return lambda: plain_result(setting.method, posed, given, rng, device)


def plain_result(name: str, posed: Scenario, given: Mapping[str, Any], rng: Rng, device: str) -> dict[str, float]:
    """The plain loop of a method on a scenario at one seed: steps, points and the final accuracy."""
    problem = posed.problem(rng)
    network = plain_network(posed, problem).to(device)
    arguments = plain_arguments(name, posed, network)
    judged = arguments.get("teacher", network)
    parts = _parts(posed, problem, rng)
    count = min(posed.points, posed.steps)
    points = {round(posed.steps * (k + 1) / count) for k in range(count)}
    curve: list[list[float]] = []

    def watch(step: int, loss: float) -> None:
        if step in points:
            curve.append([loss, *(loops.accuracy(judged, part) for part in parts)])

    run = replace(plain_run(posed, problem, rng, network), watch=watch)
    losses = loops.LOOPS[name](run, **arguments, **given)
    return {"steps": len(losses), "points": len(curve), "final": curve[-1][-1]}


# The machine ------------------------------------------------------------------------------------------------------------


def peak(kind: str, device: str) -> Callable[[], float]:
    """The most floating-point operations a second, of one thread, in float32: of large products, of large convolutions."""
    where = torch.device(device)
    candidates: list[tuple[int, Callable[[], Tensor]]] = []
    if kind == "matrix product":
        for n in (256, 512, 1024) if device == "cpu" else (4096, 8192):
            a, b = torch.randn(n, n, device=where), torch.randn(n, n, device=where)
            candidates.append((2 * n**3, functools.partial(torch.mm, a, b)))
    else:
        channels, side = 64, 56
        for n in (1, 4) if device == "cpu" else (64, 256):
            x = torch.randn(n, channels, side, side, device=where).to(memory_format=torch.channels_last)
            w = torch.randn(channels, channels, 3, 3, device=where).to(memory_format=torch.channels_last)
            operations = 2 * n * channels * channels * 9 * side * side
            candidates.append((operations, functools.partial(F.conv2d, x, w, padding=1)))

    def work() -> float:
        return max(operations / least(once) for operations, once in candidates)

    def least(once: Callable[[], Tensor]) -> float:
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            once()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    return work


# Logistic pseudo-labelling in rounds ------------------------------------------------------------------------------------


def engine_logistic(setting: Setting, rounds: int) -> Callable[[], list[float]]:
    """The engine's `pseudo-label-rounds`. Returns the test accuracy before each round and at the end."""
    (rng,) = seeds(1)
    posed = setting.posed()
    posed.dataset(rng.child("data"))  # read from the disk before the turn, on both sides

    def work() -> list[float]:
        (outcome,) = engine.run(PseudoLabelRounds(rounds=rounds), posed, [rng], torch.device("cpu"))
        return [float(value or 0.0) for value in outcome.curves["test_accuracy"]]

    return work


def plain_logistic(setting: Setting, rounds: int) -> Callable[[], list[float]]:
    """scikit-learn by hand, on the engine's split, with its slices and random states."""
    (rng,) = seeds(1)
    posed = setting.posed()
    dataset = posed.dataset(rng.child("data"))
    draws = rng.child("train")

    def work() -> list[float]:
        split = posed.split(dataset, rng.child("split"))
        pixels = dataset.x.flatten(1).numpy().astype(np.float32)
        test = dataset.x_test.flatten(1).numpy().astype(np.float32)
        labelled, unlabelled = split.labelled.numpy(), split.unlabelled.numpy()
        x, u, x_test = logistic.features(pixels[labelled], pixels[unlabelled], test)
        train = Rng(draws.key)
        order = train.permutation(len(u)).numpy()
        states = [int(train.integers(1 << 31, 1)) for _ in range(rounds + 1)]
        y, y_test = dataset.y[split.labelled].numpy(), dataset.y_test.numpy()
        made = logistic.pseudo_label_rounds(x, y, u, x_test, y_test, rounds, order=order, states=states)
        return made.scores

    return work
