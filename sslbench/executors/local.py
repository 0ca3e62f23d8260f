"""This machine: one process a worker, each on a thread of its own, so that all cores are busy and a crash stays small."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from sslbench.errors import BadInput
from sslbench.executors.jobs import Advanced, Ended, Event, Job, Started, failure, work
from sslbench.registry import load_plugin

_context = multiprocessing.get_context("spawn")  # a forked torch with threads can hang, and CUDA forbids it


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None


class LocalExecutor:
    """Runs jobs in worker processes. Closing its iterator stops them."""

    def __init__(self, workers: int, plugins: Sequence[Path] = ()) -> None:
        """
        Args:
            workers: processes at a time, at least 1.
            plugins: plugin files that each worker loads.
        """
        if workers < 1:
            raise BadInput(f"--workers must be at least 1, or 0 for this process, not {workers}.")
        self._workers, self._plugins = workers, tuple(plugins)
        self._warm, self._idle = False, list[_Worker]()

    @contextlib.contextmanager
    def warm(self) -> Iterator[LocalExecutor]:
        """Keep the workers from one `run` to the next until the block ends: a new one imports torch for seconds."""
        self._warm = True
        try:
            yield self
        finally:
            self._warm = False
            _end(self._idle)
            self._idle = []

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Run each job once, in order as workers come free, and yield what happens."""
        waiting = deque(jobs)
        workers, self._idle = self._idle, []
        try:
            for worker in workers:
                yield from _give(worker, waiting)
            while waiting and len(workers) < self._workers:
                workers.append(self._start())
                yield from _give(workers[-1], waiting)
            while busy := [w for w in workers if w.job is not None]:
                # The pipe of a dead worker is ready too: it has what the worker still said, then its end.
                for ready in wait([w.pipe for w in busy]):
                    worker = next(w for w in busy if w.pipe is ready)
                    job = worker.job
                    assert job is not None
                    try:
                        message = worker.pipe.recv()
                    except (EOFError, OSError):
                        yield Ended(job, failure(job, "failed", _cause_of_death(worker)))
                        workers.remove(worker)
                        if waiting:
                            workers.append(self._start())
                            yield from _give(workers[-1], waiting)
                        continue
                    if isinstance(message, tuple) and message[0] == "advanced":
                        yield Advanced(job, *message[1:])
                        continue
                    yield Ended(job, message)
                    yield from _give(worker, waiting)
            if self._warm:
                workers, self._idle = [], workers
        finally:
            _end(workers)

    def _start(self) -> _Worker:
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_serve, args=(theirs, self._plugins), daemon=True)
        with ctrl_c_ignored():
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.pipe.close()


@contextlib.contextmanager
def ctrl_c_ignored() -> Iterator[None]:
    """A process started here ignores Ctrl-C from its first moment: importing torch takes seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _give(worker: _Worker, waiting: deque[Job]) -> Iterator[Event]:
    worker.job = waiting.popleft() if waiting else None
    if worker.job is not None:
        with contextlib.suppress(OSError):  # it died while idle: its end is read from the pipe like any other
            worker.pipe.send(worker.job)
        yield Started(worker.job)


def _serve(pipe: Connection, plugins: Sequence[Path]) -> None:
    """A worker's life: jobs in, progress and results out. Ctrl-C is the driver's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    for plugin in plugins:
        load_plugin(plugin)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(job, lambda done, total, loss: pipe.send(("advanced", done, total, loss))))


def keep_freed_memory() -> None:
    """Have glibc reuse the memory of a step's tensors in the next step instead of returning it and faulting it in anew.

    Zeroing the gradient of a pooling layer took 1.2 ms with fresh pages and 0.1 ms with kept ones.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        mmap_threshold, trim_threshold, top_pad = -3, -1, -2  # names of <malloc.h>
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(top_pad, 64 << 20)


def _cause_of_death(worker: _Worker) -> str:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    if code is not None and code < 0:
        return f"its process was ended by signal {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"
