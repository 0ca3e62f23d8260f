"""A training step: the seeds of one loss method on one scenario, as one program.

It never waits for the device, and copies nothing to it but the rows of the steps up to the next point of the learning curve.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import vmap

from sslbench.engine.batches import Stream
from sslbench.engine.descent import SGD, Adam, Descent, joined
from sslbench.engine.sums import Sums
from sslbench.methods.base import Batch, Kind, LossMethod, Model, Step, rows_of
from sslbench.networks import initial_parameters
from sslbench.rng import Rng
from sslbench.scenarios.base import Problem, Scenario

EVALUATION_ROWS = 192
"""Examples evaluated at once on a CPU: so many stay in its cache."""
CUDA_EVALUATION_ROWS = 2048
"""Likewise of each seed on CUDA: so many of a whole stack fit its memory."""

# Lanes of the draws within a step. The augmentation of a batch must not depend on what the method draws.
_WEAK_LABELLED, _WEAK_UNLABELLED, _METHOD, _FIRST_VIEW = 0, 1, 2, 3

_PARTS: tuple[Kind, Kind] = "labelled", "unlabelled"


def inputs_on(device: torch.device, problems: Sequence[Problem]) -> tuple[Tensor, Tensor, list[int]]:
    """Inputs and labels of all problems on the device, once where they share a tensor, and where each one's begin."""
    distinct: list[Problem] = []
    offsets, starts = [], {}
    for problem in problems:
        storage = problem.data_sha256, problem.x.shape, problem.x.data_ptr()
        if storage not in starts:
            starts[storage] = sum(len(p.x) for p in distinct)
            distinct.append(problem)
        offsets.append(starts[storage])
    x = torch.cat([p.x for p in distinct]) if len(distinct) > 1 else distinct[0].x
    y = torch.cat([p.y for p in distinct]) if len(distinct) > 1 else distinct[0].y
    return x.to(device), y.to(device), offsets


class Training:
    """One stack of seeds in training."""

    def __init__(
        self,
        method: LossMethod,
        scenario: Scenario,
        problems: Sequence[Problem],
        rngs: Sequence[Rng],
        device: torch.device,
    ) -> None:
        """
        Args:
            problems: one for each seed.
            rngs: likewise; initial weights, batches and everything drawn in a step come from it.
        """
        self.method, self.scenario, self.device = method, scenario, device
        self.sizes = scenario.sizes(problems[0])
        self.network = scenario.network(problems[0])
        self.stacked = stacks(self.network, device)
        if not self.stacked and len(problems) > 1:
            raise ValueError("this network trains one seed at a time on this device")
        self.x, self.y, offsets = inputs_on(device, problems)
        self.keys = torch.stack([rng.child("train").key for rng in rngs]).to(device)
        self.labelled = [
            Stream(p.labelled + o, self.sizes.labelled_batch, rng.child("labelled batches"))
            for p, o, rng in zip(problems, offsets, rngs, strict=True)
        ]
        self.unlabelled = [
            Stream(p.unlabelled + o, self.sizes.unlabelled_batch, rng.child("unlabelled batches"))
            for p, o, rng in zip(problems, offsets, rngs, strict=True)
        ]
        self.offsets = offsets
        self.parameters, self.optimizer = self.descending(self._initial(rngs))
        self.state = self._initial_state()
        self.sums = Sums()
        self.kinds = list(islice(method.order(self.sizes), scenario.steps))
        self._weak = scenario.view("weak")
        self._views = [scenario.view(name) for name in method.views]
        self._steps_done: Counter[Kind] = Counter()

    # One step -------------------------------------------------------------------------------------------------------

    def objective(
        self,
        parameters: dict[str, Tensor],
        key: Tensor,
        rows: tuple[Tensor, Tensor],
        step: Step,
        state: dict[str, Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Of one seed at one step, 0-d each (under `vmap`, of each seed of the stack): the loss; its labelled and its weighted
        unlabelled part; its terms, without gradient; and the state that it leaves, likewise.
        """
        labelled, unlabelled = rows
        u = rows_of(self.x, unlabelled)
        batch = Batch(
            x=self._weak(rows_of(self.x, labelled), Rng(key, step.index, _WEAK_LABELLED)),
            y=self.y[labelled],
            u=self._weak(u, Rng(key, step.index, _WEAK_UNLABELLED)) if len(unlabelled) else u,
            views=tuple(view(u, Rng(key, step.index, _FIRST_VIEW + i)) for i, view in enumerate(self._views)),
        )
        step = replace(step, state=state)
        loss = self.method.loss(self._model(parameters), batch, step, Rng(key, step.index, _METHOD))
        total = loss.total
        terms = {
            "labelled_loss": loss.labelled,
            "unlabelled_loss": loss.unlabelled,
            "unlabelled_weight": loss.weight,
            **loss.diagnostics,
        }

        def tensor(value: Tensor | float) -> Tensor:
            return value.to(total.dtype) if isinstance(value, Tensor) else total.new_full((), value)

        parts = tensor(loss.labelled), tensor(loss.weight * loss.unlabelled)
        left = _detached(state if loss.state is None else loss.state)
        assert left.keys() == state.keys(), f"a step must leave the state that it found: {set(left) ^ set(state)}"
        return total, parts, {name: tensor(value).detach() for name, value in terms.items()}, left

    def advance(
        self, step: Step, rows: tuple[Tensor, Tensor], measured: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One step of every seed.

        Args:
            rows: (stack, batch) labelled and unlabelled.
            measured: also measure the length of the gradient of each part of the loss.

        Returns:
            Loss and terms, each (stack,).
        """
        if self.stacked:
            stacked = vmap(self.objective, in_dims=(0, 0, 0, None, 0))
            losses, parts, terms, self.state = stacked(self.parameters, self.keys, rows, step, self.state)
        else:
            rows_of_one = rows[0][0], rows[1][0]
            loss, both, single, self.state = self.objective(
                self.parameters, self.keys[0], rows_of_one, step, self.state
            )
            losses, parts = loss.unsqueeze(0), (both[0].unsqueeze(0), both[1].unsqueeze(0))
            terms = {name: value.unsqueeze(0) for name, value in single.items()}
        self.optimizer.zero_grad()
        if measured:
            terms |= self._backward_by_parts(parts)
        else:
            losses.sum().backward()  # seeds share no parameter, so each gets its own gradient
        self.optimizer.step()
        return losses.detach(), terms

    def _backward_by_parts(self, parts: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The gradient of the whole loss as that of one part and then of the other; and the length of each (stack,)."""
        lengths = {}
        parameters = list(self.parameters.values())
        names = ("labelled_gradient", "unlabelled_gradient") if self.method.unlabelled else ("labelled_gradient",)
        for name, part in zip(names, parts, strict=False):
            length = torch.zeros(len(self.keys), device=self.device)
            if part.requires_grad:
                gradients = torch.autograd.grad(part.sum(), parameters, retain_graph=True, allow_unused=True)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
                        length = length + gradient.square().reshape(len(self.keys), -1).sum(dim=1)
            lengths[name] = length.sqrt()
        return lengths

    def steps(self, done: int = 0) -> Iterator[tuple[Step, tuple[Tensor, Tensor]]]:
        """Each step with its rows, to the last, after so many that are done."""
        total = self.scenario.steps
        bounds = self.points()
        self._steps_done = Counter({k: sum(of in (k, "joint") for of in self.kinds[:done]) for k in _PARTS})
        for begin, stop in zip([0, *bounds[:-1]], bounds, strict=True):
            start = max(begin, done)
            part = self.kinds[start:stop]
            labelled = self._rows(self.labelled, [k != "unlabelled" for k in part], "labelled")
            unlabelled = self._rows(self.unlabelled, [k != "labelled" for k in part], "unlabelled")
            for index, kind in enumerate(part, start):
                epoch = self._steps_done["labelled"] / self.sizes.labelled_steps
                yield (
                    Step(
                        index=torch.full((), index, device=self.device),
                        epoch=torch.full((), epoch, dtype=torch.float32, device=self.device),
                        total=total,
                        kind=kind,
                    ),
                    (next(labelled), next(unlabelled)),
                )

    def measured(self) -> set[int]:
        """Indices of the last step before each point of the learning curve that has a labelled and an unlabelled part."""
        found = set()
        for kind in ("labelled", "unlabelled"):
            bounds = self.points()
            for start, stop in zip([0, *bounds[:-1]], bounds, strict=True):
                found |= set([i for i in range(start, stop) if self.kinds[i] in (kind, "joint")][-1:])
        return found

    def epochs(self) -> dict[str, float]:
        """Passes over the labelled set and over the unlabelled pool so far; 0 over a pool that the method does not use."""
        return {
            "labelled_epochs": self._steps_done["labelled"] / self.sizes.labelled_steps,
            "unlabelled_epochs": self._steps_done["unlabelled"] / self.sizes.unlabelled_steps,
        }

    def points(self) -> list[int]:
        """Steps done at each point of the learning curve, the last at the end."""
        total, points = self.scenario.steps, min(self.scenario.points, self.scenario.steps)
        return [round(total * (k + 1) / points) for k in range(points)]

    def probabilities(self, indices: Tensor) -> Tensor:
        """Class probabilities of inputs (stack, m) without dropout: (stack, m, classes)."""
        rows = EVALUATION_ROWS if self.device.type == "cpu" else CUDA_EVALUATION_ROWS
        return torch.cat([self.predict(self.x[part]) for part in indices.split(rows, dim=1)], dim=1)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Inputs of each seed (stack, n, *features) to class probabilities (stack, n, classes)."""

        def one(parameters: dict[str, Tensor], state: dict[str, Tensor], x: Tensor) -> Tensor:
            model = self.method.evaluated(self._model(parameters), state)
            return torch.softmax(model.frozen()(x), dim=-1)

        if self.stacked:
            return vmap(one)(self.parameters, self.state, x)
        return one(self.parameters, self.state, x[0]).unsqueeze(0)

    def _model(self, parameters: dict[str, Tensor]) -> Model:
        return Model(self.network, parameters, self.stacked)

    def changed(self) -> list[Tensor]:
        """What a step changes in place."""
        return [*self.parameters.values(), *self.optimizer.state.values()]

    # Stopping and going on ------------------------------------------------------------------------------------------

    def saved(self) -> tuple[list[dict[str, Tensor]], dict[str, int]]:
        """All that the steps so far have changed: tensors of each seed, on the CPU; and the counts of the sums."""
        sums, counts = self.sums.saved()
        own = {f"parameter {n}": p.detach() for n, p in self.parameters.items()}
        own |= {f"state {n}": v for n, v in self.state.items()}
        shared: dict[str, Tensor] = {}
        for name, value in self.optimizer.state.items():
            (own if value.dim() else shared)[f"optimizer {name}"] = value
        if not self.stacked:
            own = {name: value.unsqueeze(0) for name, value in own.items()}
        own |= {f"sums {n}": v for n, v in sums.items()}
        shared = {f"shared {n}": v.cpu() for n, v in shared.items()}
        everyone = {name: value.cpu() for name, value in own.items()}
        return [shared | {n: v[i] for n, v in everyone.items()} for i in range(len(self.keys))], counts

    def restore(self, seeds: Sequence[Mapping[str, Tensor]], counts: dict[str, int]) -> None:
        """Go on from what `saved` gave, each tensor with the strides it had.

        Raises:
            LookupError, ValueError, RuntimeError: it is of another training.
        """
        own = {n: self._together([s[n] for s in seeds]) for n in seeds[0] if not n.startswith("shared ")}
        sums = {n.removeprefix("sums "): v for n, v in own.items() if n.startswith("sums ")}
        if not self.stacked:
            own = {n: v[0] for n, v in own.items()}
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(_of_shape(own[f"parameter {name}"], parameter))
            for name, value in self.optimizer.state.items():
                of = own[f"optimizer {name}"] if value.dim() else seeds[0][f"shared optimizer {name}"]
                value.copy_(_of_shape(of, value))
        self.state = {name: _of_shape(own[f"state {name}"], value) for name, value in self.state.items()}
        self.sums.restore(sums, counts)

    def _together(self, values: Sequence[Tensor]) -> Tensor:
        """A tensor of each seed -> (stack, …), on the device."""
        first = values[0]
        shape, strides = (len(values), *first.shape), (max(1, first.numel()), *first.stride())
        together = torch.empty_strided(shape, strides, dtype=first.dtype, device=self.device)
        for place, value in zip(together, values, strict=True):
            place.copy_(_of_shape(value, first))
        return together

    # Setting up -----------------------------------------------------------------------------------------------------

    def _rows(self, streams: list[Stream], used: list[bool], kind: Kind) -> Iterator[Tensor]:
        """For each step the rows (stack, batch) that it uses, none (stack, 0) where it uses none; counts the used ones."""
        start = self._steps_done[kind]
        rows = torch.stack([s.batches(start, start + sum(used)) for s in streams], dim=1).to(self.device)
        none = rows.new_empty(len(streams), 0)
        taken = iter(rows)
        for use in used:
            self._steps_done[kind] += use  # before the rows are handed on: nothing may run after the last of them
            yield next(taken) if use else none

    def _initial(self, rngs: Sequence[Rng]) -> dict[str, Tensor]:
        seeds = [initial_parameters(self.network, rng.child("initial weights")) for rng in rngs]
        values = {n: torch.stack([p[n] for p in seeds]) if self.stacked else seeds[0][n] for n in seeds[0]}
        return {name: value.to(self.device) for name, value in values.items()}

    def descending(self, values: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Descent]:
        """Parameters that have these values, and what descends them."""
        whole, parts = joined(list(values.values()), self.stacked)
        parameters, s = dict(zip(values, parts, strict=True)), self.scenario
        if s.optimizer == "adam":
            return parameters, Adam(whole, parts, self.stacked, s.lr, s.weight_decay)
        return parameters, SGD(whole, parts, self.stacked, s.lr, s.weight_decay, s.momentum)

    def _initial_state(self) -> dict[str, Tensor]:
        def one(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
            return _detached(self.method.init(self._model(parameters)))

        state = vmap(one)(self.parameters) if self.stacked else one(self.parameters)
        return {name: value.clone() for name, value in state.items()}

    def schedule(self, index: int) -> None:
        """Set the learning rate of a step."""
        if self.scenario.schedule != "constant":
            self.optimizer.rate.fill_(self.learning_rate(index))

    def learning_rate(self, index: int) -> float:
        """Learning rate of a step, by the scenario's schedule."""
        if self.scenario.schedule == "constant":
            return self.scenario.lr
        return self.scenario.lr * 0.5 * (1 + math.cos(math.pi * index / self.scenario.steps))


def _detached(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in state.items()}


def _of_shape(value: Tensor, like: Tensor) -> Tensor:
    if value.shape != like.shape or value.dtype != like.dtype:
        raise ValueError(f"a tensor {tuple(value.shape)} of {value.dtype} for {tuple(like.shape)} of {like.dtype}")
    return value


def stacks(network: nn.Module, device: torch.device) -> bool:
    """Whether seeds train as one stacked program.

    On a CPU convolutions do not: a step of the article's network at batch 256 took 75 ms a seed alone in
    channels_last, and 198 ms a seed in a stack of four. Whether a network stacks never depends on how many seeds there are, so
    that a cell computes the same bits in any company.
    """
    return device.type != "cpu" or not any(isinstance(layer, nn.Conv2d) for layer in network.modules())
