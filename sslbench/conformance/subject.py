"""A method under examination, and its trainings on the small problems."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor

from sslbench.conformance.settings import Probed, Setting, probe, rng_of, setting
from sslbench.engine import obstacle, run
from sslbench.engine.capture import Result
from sslbench.engine.training import Training
from sslbench.methods.base import LossMethod, method
from sslbench.networks import initial_parameters
from sslbench.scenarios.base import Problem, Scenario
from sslbench.suite import changed

CPU = torch.device("cpu")
BUDGETS = (60, 300)
"""Training steps, from the first that uses unlabelled examples on, within which their term must come alive."""
AFTER = 5
"""Steps that a training goes on after that."""
PATIENCE = 2000
"""Steps within which a method must come to its unlabelled examples."""
ALIVE = ("unlabelled_loss", "unlabelled_weight", "unlabelled_gradient")
"""Terms of a step, none of which is 0 while the unlabelled examples teach something."""

Values = Mapping[str, Tensor]
"""What a training left, by name: two are held against each other bit for bit."""


@dataclass(frozen=True)
class Rehearsal:
    """A first training, with the gradient of each term measured at every step."""

    total: int
    """Steps that the schedules of the method were told."""
    steps: int
    """Steps that were taken: some more than it took until the unlabelled term was alive."""
    alive: bool
    """Whether a step had an unlabelled term, a weight and a gradient that were not 0."""
    losses: tuple[Tensor, ...]
    """Of each step, as the engine had it: (1,) if the method gives one number."""
    terms: tuple[Mapping[str, Tensor], ...]
    first_unlabelled: int | None
    """The first step that uses unlabelled examples."""
    still: tuple[str, ...]
    """Parameters of the network that no step has moved."""

    @property
    def enough(self) -> int:
        """Steps of another training after which it has shown what it does: of one that stays dead, a few."""
        return self.steps if self.alive else min(self.steps, 2 * AFTER)

    def largest(self, term: str) -> float:
        """The largest magnitude of a term over the steps that have it; 0 if none has."""
        return max(_magnitude(terms, term) for terms in self.terms)


@dataclass(frozen=True)
class Subject:
    """A registered method with the hyperparameters that it is checked with."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters other than the defaults, by name."""

    @functools.cached_property
    def cls(self) -> Any:
        """The registered class; Any, as it is looked at before it is known to be one."""
        return method.get(self.name).thing

    def method(self, kind: str) -> Any:
        """An instance, with the values that suit the scenario where it names some.

        Raises:
            BadInput: a setting that the class does not take.
        """
        suited = setting(kind).scenario.hyperparameters.get(self.name, {})
        return changed(self.cls(**{**method.get(self.name).preset, **suited}), self.settings)

    def obstacle(self, kind: str) -> str | None:
        """Why the method cannot run on that kind of input; None if it can."""
        return obstacle(self.method(kind), setting(kind).scenario)

    def descends(self, kind: str) -> bool:
        """Whether the engine descends the method's loss there, and does not call its `fit`."""
        return issubclass(self.cls, LossMethod) and setting(kind).scenario.estimator() is None

    # Trainings ------------------------------------------------------------------------------------------------------

    def rehearsal(self, kind: str) -> Rehearsal:
        """The rehearsal on that kind of input, held once. Raises what the method raises."""
        known = self._rehearsals
        if kind not in known:
            try:
                known[kind] = rehearsed(self.method(kind), setting(kind))
            except Exception as error:
                known[kind] = error
        found = known[kind]
        if isinstance(found, Exception):
            raise found
        return found

    @functools.cached_property
    def _rehearsals(self) -> dict[str, Rehearsal | Exception]:
        return {}

    def training(self, kind: str, problems: Sequence[Problem], seeds: Sequence[int], stack: bool = False) -> Training:
        """A training as long as the rehearsal, before its first step.

        Args:
            stack: as one stacked program, even where a CPU would not train this network so.
        """
        scenario = setting(kind).with_steps(self.rehearsal(kind).total).scenario
        return (Stack if stack else Training)(
            self.method(kind), scenario, problems, [rng_of(seed) for seed in seeds], CPU
        )

    def clean(self, kind: str) -> Values:
        """What a training on the problem as it is leaves, held once; by the instance `used`."""
        if kind not in self._clean:
            self._clean[kind] = self.trained(kind, setting(kind).problem(), self.used(kind))
        return self._clean[kind]

    def again(self, kind: str) -> Values:
        """What a second training of the same instance leaves."""
        if kind not in self._again:
            self.clean(kind)
            self._again[kind] = self.trained(kind, setting(kind).problem(), self.used(kind))
        return self._again[kind]

    def trains(self, kind: str) -> bool:
        """Whether a training comes to its end without an error."""
        try:
            self.clean(kind)
        except Exception:
            return False
        return True

    @functools.cached_property
    def _clean(self) -> dict[str, Values]:
        return {}

    @functools.cached_property
    def _again(self) -> dict[str, Values]:
        return {}

    def used(self, kind: str) -> Any:
        """One instance, held: a second training with it must be as the first."""
        if kind not in self._used:
            self._used[kind] = self.method(kind)
        return self._used[kind]

    @functools.cached_property
    def _used(self) -> dict[str, Any]:
        return {}

    def trained(self, kind: str, problem: Problem, instance: Any = None) -> Values:
        """What a training on a problem leaves: losses, weights, state and predictions; of a fit method, predictions.

        Args:
            instance: a method other than `self.method(kind)`.
        """
        if self.descends(kind):
            training = self.training(kind, [problem], [0])
            training.method = instance or training.method
            return descended(training, self.rehearsal(kind).enough, problem)
        return predictions(instance or self.method(kind), setting(kind).scenario, problem)


class Stack(Training):
    """A training that is stacked whatever the network and the device."""

    stacked = property(lambda self: True, lambda self, value: None)


def descended(
    training: Training, steps: int, problem: Problem, advance: Callable[..., Result] | None = None
) -> dict[str, Tensor]:
    """What so many steps leave, taken by the training's own `advance` or by another."""
    advance = advance or training.advance
    losses = [advance(step, rows)[0].clone() for step, rows in islice(training.steps(), steps)]
    kept = {f"loss of step {i}": loss for i, loss in enumerate(losses)}
    kept |= {f"parameter {name}": value.detach().clone() for name, value in training.parameters.items()}
    kept |= {f"state {name}": value.clone() for name, value in training.state.items()}
    return kept | {"predictions": training.predict(probe(problem).unsqueeze(0))[0]}


def predictions(instance: Any, scenario: Scenario, problem: Problem) -> dict[str, Tensor]:
    """What a method, trained by the engine from end to end, predicts: (n, classes)."""
    (outcome,) = run(instance, cast(Scenario, Probed(scenario, problem)), [rng_of(0)], CPU)
    if outcome.status != "ok":
        raise ArithmeticError(outcome.reason)
    return {"predictions": torch.from_numpy(outcome.arrays["probe"])}


def difference(a: Values, b: Values) -> str | None:
    """The first value in which two trainings differ by a bit, in words; None if they do not."""
    for name in a:
        if a[name].shape != b[name].shape:
            return f"{name} has shape {tuple(a[name].shape)} and then {tuple(b[name].shape)}"
        if not torch.equal(a[name].nan_to_num(), b[name].nan_to_num()):
            return f"{name} differs by up to {float((a[name] - b[name]).abs().max()):.2g}"
    return None


def rehearsed(instance: LossMethod, on: Setting) -> Rehearsal:
    """Train until the unlabelled term is alive, and a little on; if it stays dead, once more with a larger budget."""
    sizes = on.scenario.sizes(on.problem())
    kinds = enumerate(islice(instance.order(sizes), PATIENCE))
    first = next((i for i, kind in kinds if kind != "labelled"), None)
    for budget in BUDGETS:
        found = _rehearsed(instance, on.with_steps((first or 0) + budget), first)
        if found.alive or first is None:
            break
    return found


def _rehearsed(instance: LossMethod, on: Setting, first: int | None) -> Rehearsal:
    problem = on.problem()
    training = Training(instance, on.scenario, [problem], [rng_of(0)], CPU)
    start = initial_parameters(training.network, rng_of(0).child("initial weights"))
    losses, terms, alive_at = [], [], None
    for step, rows in _until(training, first):
        loss, found = training.advance(step, rows, measured=True)
        losses.append(loss)
        terms.append(found)
        if alive_at is None and all(_magnitude(found, name) > 0 for name in ALIVE):
            alive_at = len(losses)
        if alive_at is not None and len(losses) >= alive_at + AFTER:
            break
    ends = {name: p.detach()[0] if training.stacked else p.detach() for name, p in training.parameters.items()}
    still = tuple(name for name, value in ends.items() if torch.equal(value, start[name]))
    return Rehearsal(on.scenario.steps, len(losses), alive_at is not None, tuple(losses), tuple(terms), first, still)


def _magnitude(terms: Mapping[str, Tensor], name: str) -> float:
    return float(terms[name].abs().max()) if name in terms else 0.0


def _until(training: Training, first: int | None) -> Iterator[Any]:
    """All steps; of a training that never uses an unlabelled example some."""
    return islice(training.steps(), None if first is not None else 2 * AFTER)
