"""Training steps recorded as CUDA graphs: one launch a step, where the kernels of a small network would each wait for Python.

A graph reads and writes fixed places in memory. So a step's number and rows are copied to where its graph reads them, and the
state that it leaves is copied to where the next one finds it. Parameters and the optimizer's state are changed in place as it
is. Each kind of step has its own graph. The first steps of a kind run as they are, since libraries set themselves up in them,
and so do the steps whose gradients are measured.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
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

    def run(self, body: Replay) -> Result:
        """Run it once, as it is."""
        ...

    def record(self, body: Replay) -> Replay:
        """Record it without running it. What is returned runs it, and writes to the same tensors each time.

        Raises:
            RuntimeError: it cannot be recorded.
        """
        ...


class CudaGraphs:
    """Records CUDA graphs (torch.cuda.CUDAGraph)."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def run(self, body: Replay) -> Result:
        """On the stream that records: a capture may meet nothing that belongs to another one."""
        with self._aside():
            return body()

    def record(self, body: Replay) -> Replay:
        """A graph of it, with memory of its own."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            result = body()

        def replay() -> Result:
            graph.replay()
            return result

        return replay

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This instance was constructed with capturable=True")
            yield
        current.wait_stream(self._stream)


class Captured:
    """A training whose steps are replayed. `advance` is that of the training, and its results hold until the next call."""

    def __init__(self, training: Training, recorder: Recorder, tell: Callable[..., None]) -> None:
        """
        Args:
            tell: hears `"noted", text` of what cannot be recorded and so runs as it is.
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
        if kind not in self._replays:
            try:
                self._replays[kind] = self._recorder.record(body)
            except RuntimeError as error:
                self._refused, self._training.state = True, self._state
                why = str(error.__context__ or error).strip().partition("\n")[0]
                self._tell("noted", f"its steps cannot be recorded as a CUDA graph ({why}): they run one by one")
                return self._recorder.run(body)
        return self._replays[kind]()

    def _take(self, step: Step, rows: Rows) -> None:
        """Put a step's inputs where its graph reads them."""
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
