"""Pseudo-labelling as the article loops it (Shenoy 2019, "Pseudo-Labeling to deal with small datasets")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import ClassVar

import torch

from sslbench.errors import BadInput
from sslbench.methods.base import (
    Around,
    Batch,
    Count,
    Kind,
    Loss,
    LossMethod,
    Model,
    NonNegative,
    Search,
    Sizes,
    Step,
    cross_entropy,
    method,
    nll,
)
from sslbench.methods.pseudo_label import ramp
from sslbench.rng import Rng


@method("pseudo-label-interleaved")
@dataclass(frozen=True)
class PseudoLabelInterleaved(LossMethod):
    """Unlabelled steps on α(t) · CE(f(u), argmax f̄(u)), with a labelled epoch after each 50th of them.

    First `ramp_start` epochs on the labelled set alone. Then, in each pass over the unlabelled pool, the batches
    0, 50, 100, … are each followed by one whole epoch on the labelled set. t counts the labelled epochs; α is Lee's
    ramp in t.
    """

    search: ClassVar[Search] = {"weight": Around(10)}

    weight: NonNegative = 3.0
    """α_f: the final weight of the unlabelled term."""
    ramp_start: NonNegative = 100
    """T1, in labelled epochs: so long the labelled set is trained on alone, and then α begins to rise."""
    ramp_end: NonNegative = 600
    """T2, in labelled epochs: from then on α is α_f (600 in the article's text, 700 in its code)."""
    every: Count = 50
    """Unlabelled batches from one labelled epoch to the next."""

    def __post_init__(self) -> None:
        if self.ramp_end < self.ramp_start:
            raise BadInput(f"ramp_end must be at least ramp_start ({self.ramp_start}), not {self.ramp_end}.")

    def order(self, sizes: Sizes) -> Iterator[Kind]:
        yield from repeat("labelled", round(self.ramp_start * sizes.labelled_steps))
        for batch in chain.from_iterable(repeat(range(sizes.unlabelled_steps))):
            yield "unlabelled"
            if batch % self.every == 0:
                yield from repeat("labelled", sizes.labelled_steps)

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        if step.kind == "labelled":
            return Loss(cross_entropy(model, batch, rng), weight=self.alpha(step))
        with torch.no_grad():
            pseudo = model(batch.u).argmax(dim=-1)
        return Loss(0.0, unlabelled=nll(model(batch.u, rng), pseudo).mean(), weight=self.alpha(step))

    def alpha(self, step: Step) -> torch.Tensor:
        """α(t): 0-d."""
        return self.weight * ramp(step.epoch, self.ramp_start, self.ramp_end)
