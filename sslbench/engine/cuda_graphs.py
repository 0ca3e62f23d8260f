"""Training steps as CUDA graphs: one launch a step, where the kernels of a small network would each wait for Python."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sslbench.engine.capture import Replay, Result


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all trainings of a process: libraries keep memory for each stream that they have seen."""
    return torch.cuda.Stream(device)


class CudaGraphs:
    """Records CUDA graphs (torch.cuda.CUDAGraph)."""

    name = "a CUDA graph"

    def __init__(self, device: torch.device) -> None:
        self._stream = _stream(device)

    def run(self, body: Replay) -> Result:
        """On the stream that records: a capture may meet nothing that belongs to another one."""
        with self._aside():
            return body()

    def record(self, body: Replay, changed: Sequence[Tensor]) -> tuple[Result, Replay]:
        """A graph of it, with memory of its own."""
        del changed  # recording does not run
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._stream.device)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                result = body()
        finally:  # torch leaves the thread on the stream of a capture that fails at its end
            torch.cuda.set_stream(current)

        def replay() -> Result:
            graph.replay()
            return result

        return replay(), replay

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)
