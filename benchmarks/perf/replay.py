"""Both sides on the same draws: the engine's training of a few steps, and the plain loop's with its draws played back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from baselines.loops import LOOPS
from baselines.losses import predicted
from benchmarks.perf.settings import Setting, plain_network, plain_run, taken
from sslbench.engine.training import _FIRST_VIEW, _METHOD, _WEAK_LABELLED, _WEAK_UNLABELLED, Training, stacks
from sslbench.methods.base import Kind
from sslbench.methods.mixup import beta
from sslbench.networks.dropout import dropout
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Both:
    """Losses of the same steps by the engine and by the plain loop, each (seeds, steps), and the greatest differences at the end:
    of a weight, and of a probability that the labelled examples are given."""

    engine: Tensor
    reference: Tensor
    weights_apart: float
    predictions_apart: float

    def agree(self, tolerance: float = 1e-5) -> bool:
        """Whether losses and weights are the same to a tolerance."""
        close = torch.allclose(self.engine, self.reference, rtol=tolerance, atol=tolerance)
        return close and max(self.weights_apart, self.predictions_apart) <= tolerance


def on_the_same_draws(setting: Setting, steps: int, rngs: list[Rng]) -> Both:
    """Train both, in float64: training amplifies the rounding of float32 until it hides errors.

    Weights, batches, augmentation, dropout masks, random directions and what is mixed are the engine's on both sides.
    """
    posed = setting.posed()
    problems = [posed.problem(rng) for rng in rngs]
    inputs = [problem.x[problem.labelled].double() for problem in problems]
    trainings = engine_trainings(setting, rngs, CPU, steps)
    for training in trainings:
        in_float64(training)
    starts = [weights for training in trainings for weights in weights_of(training)]
    engine = torch.cat([losses_of(training) for training in trainings])
    ends = [weights for training in trainings for weights in weights_of(training)]
    each = iter(inputs)
    predictions = [p for t in trainings for p in t.predict(torch.stack(list(islice(each, len(t.keys)))))]
    losses, apart, predictions_apart = [], 0.0, 0.0
    seeds = zip(rngs, problems, inputs, starts, ends, predictions, strict=True)
    for rng, problem, x, start, end, prediction in seeds:
        replay = Replay(trainings[0], rng)
        network, teacher = (plain_form(posed, problem, start, replay) for _ in range(2))
        played = {
            "strong": replay.augment,
            "direction": replay.direction,
            "shares": replay.shares,
            "partners": replay.partners,
            "teacher": teacher,
        }
        given = {key: value for key, value in played.items() if key in taken(setting.method)}
        run = dataclasses.replace(plain_run(posed, problem, rng, network, replay.augment), steps=steps)
        losses.append(LOOPS[setting.method](run, **given, **setting.hyperparameters()))
        pairs = zip(network.parameters(), end, strict=True)
        apart = max(apart, *(float((ours.detach() - theirs).abs().max()) for ours, theirs in pairs))
        theirs = predicted(given.get("teacher", network), x).softmax(dim=1)
        predictions_apart = max(predictions_apart, float((prediction - theirs).abs().max()))
    return Both(engine, torch.tensor(losses, dtype=engine.dtype), apart, predictions_apart)


# The engine's side ----------------------------------------------------------------------------------------------------


def engine_trainings(setting: Setting, rngs: list[Rng], device: torch.device, steps: int) -> list[Training]:
    """One training of all seeds where the network stacks on the device, else one for each."""
    posed, chosen = setting.posed(), setting.chosen()
    problems = [posed.problem(rng) for rng in rngs]
    if stacks(posed.network(problems[0]), device):
        groups = [(problems, rngs)]
    else:
        groups = [([problem], [rng]) for problem, rng in zip(problems, rngs, strict=True)]
    trainings = [Training(chosen, posed, *group, device) for group in groups]
    for training in trainings:
        resize(training, steps)
    return trainings


def resize(training: Training, steps: int) -> None:
    """Have `training.steps()` give so many steps, in one part."""
    training.scenario = dataclasses.replace(training.scenario, steps=steps, points=1)
    training.kinds = list(islice(training.method.order(training.sizes), steps))


def in_float64(training: Training) -> None:
    training.x = training.x.double()
    weights = {name: parameter.detach().double() for name, parameter in training.parameters.items()}
    training.parameters, training.optimizer = training.descending(weights)
    training.state = {n: s.double() for n, s in training.state.items()}


def losses_of(training: Training) -> Tensor:
    """Advance to the end: (stack, steps)."""
    return torch.stack([training.advance(step, rows)[0] for step, rows in training.steps()], dim=1)


def weights_of(training: Training) -> Iterator[list[Tensor]]:
    """The weights of each seed, in the order of the layers."""
    for i in range(len(training.keys)):
        yield [(p[i] if training.stacked else p).detach().clone() for p in training.parameters.values()]


# The plain side -------------------------------------------------------------------------------------------------------


def load(network: nn.Module, weights: Iterable[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), weights, strict=True):
            parameter.copy_(value)


def plain_form(posed: Scenario, problem: Problem, weights: Iterable[Tensor], replay: Replay) -> nn.Module:
    """The plain network in float64, with these weights and the engine's masks."""
    network = plain_network(posed, problem).double()
    load(network, weights)
    play_masks(network, replay)
    return network


class Replay:
    """The engine's draws, handed out in the order in which a plain loop asks for them."""

    def __init__(self, training: Training, rng: Rng, first: int = 0) -> None:
        """
        Args:
            training: any of the setting; of what kind its steps are and which views it takes is the same for all seeds.
            rng: of the seed that is played.
            first: the step from which on it is played.
        """
        self._key = rng.child("train").key
        views = [training._weak, training._weak, *training._views]
        lanes = [_WEAK_LABELLED, _WEAK_UNLABELLED, *(_FIRST_VIEW + i for i in range(len(training._views)))]
        of_kind: dict[Kind, slice] = {"labelled": slice(0, 1), "unlabelled": slice(1, None), "joint": slice(None)}
        self._asked = iter(
            [
                (step, *pair)
                for step, kind in enumerate(training.kinds[first:], first)
                for pair in list(zip(views, lanes, strict=True))[of_kind[kind]]
            ]
        )
        self.rng = self._mixup = rng
        self._step = -1

    def augment(self, x: Tensor) -> Tensor:
        step, view, lane = next(self._asked)
        if step != self._step:
            self._step, self.rng = step, Rng(self._key, step, _METHOD)
        return view(x.double(), Rng(self._key, step, lane))

    def direction(self, u: Tensor) -> Tensor:
        return self.rng.noise(*u.shape).to(u.dtype)

    def shares(self, alpha: float, n: int) -> Tensor:
        self._mixup = self.rng.child("mixup")
        return beta(alpha, n, self._mixup).double()

    def partners(self, n: int) -> Tensor:
        return self._mixup.permutation(n)


class Mask(nn.Module):
    """Stands in for a dropout module: the engine's masks."""

    def __init__(self, p: float, channels: bool, replay: Replay) -> None:
        super().__init__()
        self.p, self.channels, self.replay = p, channels, replay

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.replay.rng if self.training else None, channels=self.channels)


def play_masks(network: nn.Module, replay: Replay) -> None:
    """Replace the network's dropout modules."""
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            setattr(network, name, Mask(layer.p, isinstance(layer, nn.Dropout2d), replay))
