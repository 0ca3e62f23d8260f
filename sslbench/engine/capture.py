"""Training steps recorded once and replayed: where a step is small, Python and autograd cost more than its arithmetic.

What replays a step reads and writes fixed places in memory. So a step's number and rows are copied to where it reads them, and
the state that it leaves is copied to where the next one finds it. Parameters and the optimizer's state are changed in place as
it is. Each kind of step is recorded by itself. The first steps of a kind run as they are, since libraries set themselves up in
them, and so do the steps whose gradients are measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from sslbench.engine.training import Training
from sslbench.methods.base import Kind, Step

WARM_UP = 3
"""Steps of a kind that run before it is recorded."""

Rows = tuple[Tensor, Tensor]
Result = tuple[Tensor, dict[str, Tensor]]
Replay = Callable[[], Result]


class Recorder(Protocol):
    """Runs and records what reads and writes fixed places."""

    name: str
    """What it makes of a step, as a user is told of it."""

    def run(self, body: Replay) -> Result:
        """Run it once, as it is."""
        ...

    def record(self, body: Replay, changed: Sequence[Tensor]) -> tuple[Result, Replay]:
        """Run it and record it. What is returned beside its result runs it again; that result holds until the next call.

        Args:
            changed: what the body changes in place.

        Raises:
            OutOfMemoryError: of the device.
            RuntimeError: it cannot be recorded, or (by what is returned, at its first call) not be replayed. Nothing was changed.
        """
        ...


class Captured:
    """A training whose steps are replayed. `advance` is that of the training, and its results hold until the next call."""

    def __init__(self, training: Training, recorder: Recorder, tell: Callable[..., None]) -> None:
        """
        Args:
            tell: hears `"noted", text, "method"` of what cannot be recorded and so runs as it is.
        """
        self._training, self._recorder, self._tell = training, recorder, tell
        self._state = training.state
        self._inputs: dict[Kind, tuple[Step, Rows]] = {}
        self._replays: dict[Kind, Replay] = {}
        self._warm: Counter[Kind] = Counter()
        self._refused = False

    def advance(self, step: Step, rows: Rows, measured: bool = False) -> Result:
        """One step of every seed, as `Training.advance`."""
        kind = step.kind
        body = partial(self._body, kind, measured)
        self._take(step, rows)
        if measured or self._refused or self._warm[kind] < WARM_UP:
            self._warm[kind] += not measured
            return self._recorder.run(body)
        try:
            if kind in self._replays:
                return self._replays[kind]()
            result, self._replays[kind] = self._recorder.record(
                body, [*self._training.changed(), *self._state.values()]
            )
        except torch.OutOfMemoryError:  # a narrower stack may fit
            raise
        except RuntimeError as error:
            self._refused, self._training.state = True, self._state
            why = str(error.__context__ or error).strip().partition("\n")[0]
            text = f"its steps cannot be recorded as {self._recorder.name} ({why}): they run one by one"
            self._tell("noted", text, "method")
            return self._recorder.run(body)
        return result

    def _take(self, step: Step, rows: Rows) -> None:
        """Put a step's inputs where what replays it reads them."""
        if step.kind not in self._inputs:
            own = replace(step, index=step.index.clone(), epoch=step.epoch.clone())
            self._inputs[step.kind] = own, (rows[0].clone(), rows[1].clone())
            return
        place, into = self._inputs[step.kind]
        place.index.copy_(step.index)
        place.epoch.copy_(step.epoch)
        for target, source in zip(into, rows, strict=True):
            target.copy_(source)

    def _body(self, kind: Kind, measured: bool) -> Result:
        loss, terms = self._training.advance(*self._inputs[kind], measured)
        # Cloned, as a term may be a part of the state, and a part of it what another was: {"last": state["this"], "this": …}.
        terms = {name: value.clone() for name, value in terms.items()}
        left = {name: value.clone() for name, value in self._training.state.items()}
        for name, value in left.items():
            self._state[name].copy_(value)
        self._training.state = self._state
        return loss, terms
