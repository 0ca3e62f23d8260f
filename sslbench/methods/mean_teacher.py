"""Mean teacher (Tarvainen and Valpola 2017, "Mean teachers are better role models", NeurIPS)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sslbench.methods.base import (
    Around,
    Batch,
    Fraction,
    Loss,
    LossMethod,
    Model,
    NonNegative,
    Search,
    Step,
    cross_entropy,
    method,
    softmax,
)
from sslbench.methods.pi_model import rise
from sslbench.rng import Rng

AVERAGED = "parameters averaged"
"""Name in the state of how many times the teacher was averaged. No parameter is called so."""


@method("mean-teacher")
@dataclass(frozen=True)
class MeanTeacher(LossMethod):
    """The network should agree with a running average of its own parameters, the teacher, which is what is evaluated.

        L = CE(f(x; θ_t), y) + w(t) · mean |softmax f(u'; θ_t) − softmax f(u''; θ̄_t)|²
        θ̄_t = α_t θ̄_{t−1} + (1 − α_t) θ_t,   α_t = min(1 − 1 / (t + 1), α)      (Tarvainen and Valpola 2017, section 2)

    Each pass has its own view and dropout. w(t) is that of the Π-model, and the mean is over examples and classes. The
    paper averages after the step: so θ̄_t has the parameters that step t begins with, and once more those of the end, before
    they are evaluated. α is the paper's value of its ramp-up phase; its later 0.999 averages over thousands of steps, and
    budgets here have hundreds. In its 40,000 steps the ramp-up ends at 40,000 or later; here it is a share of the training.
    The paper applies the consistency to the labelled examples as well, here it is the unlabelled ones alone, as for all.
    """

    views: ClassVar[tuple[str, ...]] = ("weak",)
    search: ClassVar[Search] = {"weight": Around(10), "decay": (0.9, 0.97, 0.99, 0.997)}

    weight: NonNegative = 20.0
    """w_max: the final weight of the consistency term, per unit of cross-entropy (the paper: 100, over many more steps)."""
    ramp: Fraction = 0.4
    """Share of the training over which w(t) rises to w_max."""
    decay: Fraction = 0.99
    """α: share of the teacher that a step keeps, once it has averaged 1 / (1 − α) of them."""

    def init(self, model: Model) -> Mapping[str, Tensor]:
        start = next(iter(model.parameters.values()))
        return {**model.frozen().parameters, AVERAGED: torch.zeros((), device=start.device)}

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        labelled = cross_entropy(model, batch, rng)
        student = softmax(model(batch.u, rng))
        state = self.averaged(model, step.state)
        with torch.no_grad():
            teacher = softmax(self.teacher(model, state)(batch.views[0], rng))
        return Loss(
            labelled,
            unlabelled=(student - teacher).square().mean(),
            weight=self.weight * rise(step, self.ramp),
            diagnostics={"agreement": (student.argmax(dim=-1) == teacher.argmax(dim=-1)).to(student.dtype).mean()},
            state=state,
        )

    def evaluated(self, model: Model, state: Mapping[str, Tensor]) -> Model:
        return self.teacher(model, self.averaged(model, state))

    def averaged(self, model: Model, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state after one more average: θ̄_t from θ̄_{t−1} and the model's θ_t."""
        t = state[AVERAGED]
        new = 1 - (t / (t + 1)).clamp(max=self.decay)
        moved = {n: state[n] + new * (p - state[n]) for n, p in model.frozen().parameters.items()}
        return {**moved, AVERAGED: t + 1}

    @staticmethod
    def teacher(model: Model, state: Mapping[str, Tensor]) -> Model:
        """The network with the averaged parameters of the state."""
        return model.at({name: state[name] for name in model.parameters})
