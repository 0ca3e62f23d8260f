"""What a method is: the two protocols, and what a loss is given.

A *loss method* is a frozen dataclass whose fields are its hyperparameters and whose `loss` is a pure function. A *fit
method* trains an estimator by itself. A class may be both; the scenario says which it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.func import functional_call, grad

from sslbench.errors import BadInput
from sslbench.networks import Network
from sslbench.networks.base import Part
from sslbench.registry import METHODS, Registry
from sslbench.rng import Rng

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Range:
    """Values of a hyperparameter that `sslbench tune` may try: from `low` to `high`; whole numbers if both are."""

    low: float
    high: float
    log: bool = False
    """Evenly over the logarithm, as suits a weight or a length."""

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise BadInput(f"{self} is no range: give low < high, and low > 0 where log is set.")


@dataclass(frozen=True)
class Around:
    """The same, relative to the value in force: from value / factor to value · factor, evenly over the logarithm.

    For what has another scale on every scenario, as the radius of VAT has (0.02 to 2 over the scenarios here).
    """

    factor: float = 10.0

    def __post_init__(self) -> None:
        if not self.factor > 1:
            raise BadInput(f"{self} spans nothing: give a factor above 1.")


Search = Mapping[str, Range | Around | tuple[Any, ...]]
"""By hyperparameter: the values that `sslbench tune` may try, as a range or as choices. It changes no result by itself."""

Kind = Literal["joint", "labelled", "unlabelled"]
"""Which parts of a batch a training step uses."""


class Model:
    """A network with its parameters: `model(x)` gives logits without dropout, `model(x, rng)` with dropout."""

    def __init__(self, network: nn.Module, parameters: Mapping[str, Tensor], stacked: bool = True) -> None:
        """
        Args:
            stacked: it may be that of a stack of seeds, under `vmap`. If not, the network is given images as channels_last, which
                convolutions on a CPU like better.
        """
        self._network, self.parameters, self._stacked = network, dict(parameters), stacked
        self._seen: tuple[Tensor, Tensor] | None = None  # the last input without dropout, and what the stem made of it

    def __call__(self, x: Tensor, rng: Rng | None = None) -> Tensor:
        """(n, *features) -> logits (n, classes).

        `model(x)` and then `model(x, rng)`, of the same tensor, share what comes before the first dropout.
        """
        if not isinstance(self._network, Network):
            return self._pass(x, rng)
        if self._seen is None or self._seen[0] is not x:
            if rng is not None:
                return self._pass(x, rng)
            with torch.enable_grad():  # the pass without dropout often wants no gradient, but the one that follows does
                self._seen = x, self._pass(x, None, part="stem")
        logits = self._pass(self._seen[1], rng, part="head")
        return logits if torch.is_grad_enabled() else logits.detach()

    def _pass(self, x: Tensor, rng: Rng | None, **part: Part) -> Tensor:
        if not self._stacked and x.dim() == 4 and part.get("part") != "head":
            # With one channel, strides do not tell this format from the default, and oneDNN then takes the slow way: 0.083 ms
            # an image of the article's network instead of 0.035. A clone has the strides that say it.
            x = x.clone(memory_format=torch.channels_last)
        logits: Tensor = functional_call(self._network, self.parameters, (x, rng), part, tie_weights=False)
        return logits

    def at(self, parameters: Mapping[str, Tensor]) -> Model:
        """The same network with other parameters, of the same names and shapes."""
        return Model(self._network, parameters, self._stacked)

    def frozen(self) -> Model:
        """The same model with constant parameters: what passes through it has no gradient in them, and keeps nothing for one.

        For a target, say. (`torch.no_grad()` does not keep `model(x)` from preparing for the `model(x, rng)` that may follow.)
        """
        return self.at({name: p.detach() for name, p in self.parameters.items()})

    def gradient(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The gradient at x of a function that goes through this model and gives a 0-d tensor: of the shape of x, a constant.

        `torch.func.grad` does so everywhere, but keeps all that a second derivative would need: half as slow again.
        """
        if self._stacked:
            return grad(function)(x).detach()
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(function(x), x)[0]


@dataclass(frozen=True)
class Batch:
    """What a loss may see. It has no label of an unlabelled example and nothing of the test set."""

    x: Tensor
    """Labelled inputs (labelled batch, *features), each through the scenario's weak view."""
    y: Tensor
    """Their labels (labelled batch,), int64."""
    u: Tensor
    """Unlabelled inputs (unlabelled batch, *features), each through the scenario's weak view."""
    views: tuple[Tensor, ...] = ()
    """Further views of the same unlabelled inputs, one for each name in the method's `views`, drawn independently."""


@dataclass(frozen=True)
class Step:
    """Where training stands. The tensors are 0-d, so that a step can be compiled or captured once for all."""

    index: Tensor
    """Steps done before this one, int64."""
    epoch: Tensor
    """Passes over the labelled set done before this step, float32."""
    total: int
    """Steps in the whole training."""
    kind: Kind = "joint"
    state: Mapping[str, Tensor] = field(default_factory=dict)
    """What the step before left in `Loss.state`, at the first step `LossMethod.init`; without gradient."""

    @property
    def progress(self) -> Tensor:
        """Share of the training that is done, in [0, 1), float32."""
        # Not by a number of the host: CUDA would multiply by its reciprocal, which rounds otherwise.
        return self.index / torch.full((), self.total, dtype=torch.float32, device=self.index.device)


@dataclass(frozen=True)
class Loss:
    """labelled + weight * unlabelled, kept apart so that each can be drawn over training."""

    labelled: Tensor | float
    """The labelled term, usually the cross-entropy in nats."""
    unlabelled: Tensor | float = 0.0
    """The unlabelled term before its weight."""
    weight: Tensor | float = 1.0
    """α(t), λ or w(t): what multiplies the unlabelled term at this step."""
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)
    """Further 0-d tensors to draw over training, by name."""
    state: Mapping[str, Tensor] | None = None
    """What the next step finds in `Step.state`, of the same names and shapes; None leaves it as it was."""

    @property
    def total(self) -> Tensor:
        """The loss that is descended."""
        total = self.labelled + self.weight * self.unlabelled
        assert isinstance(total, Tensor), "a loss must depend on the model"
        return total


@dataclass(frozen=True)
class Sizes:
    """How many examples there are and how many make a batch."""

    labelled: int
    unlabelled: int
    labelled_batch: int
    unlabelled_batch: int

    @property
    def labelled_steps(self) -> int:
        """Labelled batches in a pass over the labelled set."""
        return -(-self.labelled // self.labelled_batch)

    @property
    def unlabelled_steps(self) -> int:
        """Unlabelled batches in a pass over the unlabelled pool."""
        return -(-self.unlabelled // self.unlabelled_batch)


class LossMethod:
    """A method given by a loss that the engine descends."""

    views: ClassVar[tuple[str, ...]] = ()
    """Views of the unlabelled batch that the loss needs beside `batch.u`: names that the scenario defines ("weak", …)."""

    unlabelled: ClassVar[bool] = True
    """Whether the method uses unlabelled examples at all."""

    search: ClassVar[Search] = {}
    """What `sslbench tune` may change. The learning rate is not among it: that is the scenario's, for all methods alike."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """The check of `sslbench check` that contradicts the method ("weight zero"), and why: its labelled term is another one, …"""

    def order(self, sizes: Sizes) -> Iterator[Kind]:
        """What each training step uses, from the first on; as many as are asked for. Joint steps, if not overridden."""
        del sizes
        return repeat("joint")

    def init(self, model: Model) -> Mapping[str, Tensor]:
        """What a method remembers from step to step, at the start of the training of one seed. Nothing, if not overridden."""
        del model
        return {}

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        """The loss of one seed on one batch: pure, and every draw from `rng`."""
        raise NotImplementedError

    def evaluated(self, model: Model, state: Mapping[str, Tensor]) -> Model:
        """What is evaluated: the trained model, if not overridden. `state` is what the last step left."""
        del state
        return model


Predictor = Callable[[Tensor], Tensor]
"""Inputs (n, *features) to class probabilities (n, classes)."""


@dataclass(frozen=True)
class Task:
    """What a fit method may see: arrays, no hidden label, nothing of the test set."""

    x: np.ndarray
    """Labelled inputs (labelled, *features), float32."""
    y: np.ndarray
    """Their labels (labelled,), int64."""
    u: np.ndarray
    """Unlabelled inputs (unlabelled, *features), float32."""
    classes: int
    estimator: Callable[[int], Any] | None = None
    """Makes the scenario's scikit-learn classifier from a random state, where the scenario has one."""


class FitMethod:
    """A method that trains an estimator by itself."""

    needs_estimator: ClassVar[bool] = False
    """Whether it wraps the scenario's scikit-learn classifier (`task.estimator`), so that it runs only where there is one."""

    search: ClassVar[Search] = {}
    """What `sslbench tune` may change."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """As that of a loss method."""

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        """Train on the task. `watch` may be called with the predictor so far, for a learning curve."""
        raise NotImplementedError


method: Registry[type[LossMethod] | type[FitMethod]] = METHODS
"""Registers a method class under a name: `@method("vat")`."""


def cross_entropy(model: Model, batch: Batch, rng: Rng) -> Tensor:
    """The labelled term of every method here: mean cross-entropy of the labelled batch in nats, with dropout."""
    return nll(model(batch.x, rng), batch.y).mean()


def rows_of(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows] of x (n, *features): as whole rows, where indexing takes them value by value in four times the time."""
    return F.embedding(rows, x.flatten(1)).view(*rows.shape, *x.shape[1:])


def softmax(logits: Tensor) -> Tensor:
    """Class probabilities of each row: (n, classes) -> (n, classes).

    As `F.softmax(logits, dim=-1)`, which with few classes is many times slower than along the rows.
    """
    return F.softmax(logits.mT, dim=-2).mT


def log_softmax(logits: Tensor) -> Tensor:
    """Their logarithms: (n, classes) -> (n, classes)."""
    return F.log_softmax(logits.mT, dim=-2).mT


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each row in nats: (n, classes), (n,) -> (n,)."""
    return -log_softmax(logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


def kl(target: Tensor, logits: Tensor) -> Tensor:
    """KL(target ‖ softmax(logits)) of each row in nats: (n, classes), (n, classes) -> (n,)."""
    return (torch.xlogy(target, target) - target * log_softmax(logits)).sum(dim=-1)
