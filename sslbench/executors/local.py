"""This machine: one process a worker, each on a thread of its own, so that all cores are busy and a crash stays small."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

from sslbench import preloading
from sslbench.errors import BadInput
from sslbench.executors.jobs import Ended, Event, Job, Started, failure, timed_out, told, work
from sslbench.registry import load_plugin

LAST_CHECKPOINT_S = 10.0
"""Seconds that workers have for a last checkpoint when a run is stopped. A step takes less than one."""

_REGISTERED = "sslbench.data.", "sslbench.methods.", "sslbench.scenarios."
STACK_SIGNAL = signal.SIGUSR1
"""Has a worker tell where it is."""


START_UP_S = 300.0
"""What a worker may take, beside its job's limit, until it has begun with it: it imports torch first."""
LOOK_S = 5.0
"""How often to see whether a worker is dead whose pipe is held open by a process of its own."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    last_words: Connection
    """The Python stack of a worker that crashed or that was asked for it, as `faulthandler` writes it."""
    job: Job | None = None
    deadline: float = math.inf

    def take(self, job: Job) -> None:
        self.job = job
        self.allow(START_UP_S)
        with contextlib.suppress(OSError):  # it died while idle: its end is read from the pipe like any other
            self.pipe.send(job)

    def allow(self, more: float = 0.0) -> None:
        """Count the job's limit from now on."""
        limit = self.job.limit if self.job is not None else None
        self.deadline = math.inf if limit is None else time.monotonic() + limit + more


class LocalExecutor:
    """Runs jobs in worker processes. Closing its iterator stops them."""

    persistent: ClassVar[bool] = False

    def __init__(self, workers: int, plugins: Sequence[Path] = (), device: str = "cpu") -> None:
        """
        Args:
            workers: processes at a time, at least 1.
            plugins: plugin files that each worker loads.
            device: where all jobs run.
        """
        if workers < 1:
            raise BadInput(f"--workers must be at least 1, or 0 for this process, not {workers}.")
        self._workers, self._plugins, self._context = workers, tuple(plugins), _processes(device)
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

    def ahead(self) -> None:
        """Begin to import what workers will need, while their jobs are made."""
        if isinstance(self._context, ForkServerContext):
            used = [name for name in sys.modules if name.startswith(_REGISTERED)]
            preloading.start(used)

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Run jobs, in order as workers come free, and yield what happens."""
        waiting = iter(jobs)
        workers, self._idle = self._idle, []
        try:
            while True:
                yield from self._hand_out(waiting, workers)
                busy = [w for w in workers if w.job is not None]
                if not busy:
                    break
                patience = min(LOOK_S, *(w.deadline - time.monotonic() for w in busy))
                # The pipe of a dead worker is ready too: it has what the worker still said, then its end.
                ready = wait([w.pipe for w in busy], max(0.0, patience))
                for worker in busy:
                    event = _hear(worker) if worker.pipe in ready else _look_after(worker)
                    if isinstance(event, Ended) and (worker.job is not None or _spent(event)):
                        workers.remove(worker)
                        _end([worker], at_once=True)
                    if event is not None:
                        yield event
            if self._warm:
                workers, self._idle = [], workers
        finally:
            _end(workers)

    def _hand_out(self, waiting: Iterator[Job], workers: list[_Worker]) -> Iterator[Event]:
        """Give each free worker a job, and start workers as long as there are jobs for them."""
        while True:
            free = next((w for w in workers if w.job is None), None)
            if free is None and len(workers) == self._workers:
                return
            job = next(waiting, None)
            if job is None:
                return
            if free is None:
                free = self._start()
                workers.append(free)
            free.take(job)
            yield Started(job)

    def _start(self) -> _Worker:
        self.ahead()
        ours, theirs = multiprocessing.Pipe()
        last_words, pen = multiprocessing.Pipe(duplex=False)
        process = self._context.Process(target=_serve, args=(theirs, pen, self._plugins, dict(os.environ)), daemon=True)
        with preloading.ctrl_c_held():
            process.start()
        theirs.close()
        pen.close()
        return _Worker(process, ours, last_words)


def _processes(device: str) -> ForkServerContext | SpawnContext:
    """How workers start: on Linux as forks of a process that has imported what they need, and has no thread and no CUDA device,
    which a fork could not use."""
    if device != "cpu" or not preloading.FORKS:
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")


def _hear(worker: _Worker) -> Event | None:
    """What a worker said. It is rid of its job if that was the results; a worker without an answer keeps it."""
    assert worker.job is not None
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        return _loss(worker)
    if message == "begun":
        worker.allow()
        return None
    if isinstance(message[0], str):
        # It may have said more, and in time.
        late = _look_after(worker) if message[0] == "advanced" and not worker.pipe.poll() else None
        return late or told(worker.job, message)
    job, worker.job, worker.deadline = worker.job, None, math.inf
    return Ended(job, message)


def _look_after(worker: _Worker) -> Event | None:
    """The end of a worker that is dead without its pipe's telling, or that is late."""
    assert worker.job is not None
    if not worker.process.is_alive():
        return _loss(worker)
    if time.monotonic() < worker.deadline:
        return None
    with contextlib.suppress(OSError):
        os.kill(worker.process.pid or 0, STACK_SIGNAL)
        wait([worker.last_words], 1.0)
        time.sleep(0.05)  # for the rest of the stack
    worker.process.kill()
    return Ended(worker.job, timed_out(worker.job, _stack(worker)))


def _loss(worker: _Worker) -> Ended:
    """The end of a job whose worker is gone."""
    assert worker.job is not None
    worker.process.join(timeout=5)
    return Ended(worker.job, failure(worker.job, "failed", _cause_of_death(worker.process.exitcode), _stack(worker)))


def _spent(ended: Ended) -> bool:
    """Whether a worker is not to be used again: after an error on a CUDA device all that follows there may fail."""
    return ended.job.device != "cpu" and ended.cause is not None


def _stack(worker: _Worker) -> str:
    os.set_blocking(worker.last_words.fileno(), False)
    try:
        return os.read(worker.last_words.fileno(), 1 << 16).decode(errors="replace")
    except OSError:
        return ""


def _end(workers: Sequence[_Worker], at_once: bool = False) -> None:
    """Kill them, but let those that train write a checkpoint at the end of their step: SIGTERM asks for it."""
    try:
        asked = [w for w in workers if not at_once and w.job is not None and w.job.checkpoints is not None]
        for worker in asked:
            worker.process.terminate()
        deadline = time.monotonic() + LAST_CHECKPOINT_S
        for worker in asked:
            worker.process.join(timeout=max(0.0, deadline - time.monotonic()))
    finally:  # another Ctrl-C ends the waiting
        for worker in workers:
            worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.pipe.close()
        worker.last_words.close()


def _serve(pipe: Connection, pen: Connection, plugins: Sequence[Path], environment: Mapping[str, str]) -> None:
    """A worker's life: jobs in, progress and results out. Ctrl-C is the driver's business."""
    os.environ.clear()  # what it was when the first worker was started
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_the_driver, daemon=True).start()
    faulthandler.enable(pen.fileno(), all_threads=False)
    faulthandler.register(STACK_SIGNAL, pen.fileno(), all_threads=False)
    keep_freed_memory()
    for plugin in plugins:
        load_plugin(plugin)
    importlib.import_module("torch._dynamo")  # a gradient within a loss imports it: no part of a cell's time
    with contextlib.suppress(EOFError, OSError):  # the driver is gone
        while True:
            job = pipe.recv()
            pipe.send("begun")
            pipe.send(work(job, lambda *come: pipe.send(("advanced", *come)), lambda *message: pipe.send(message)))


def _die_with_the_driver() -> None:
    """A driver that was killed cannot end its workers, and a worker in training reads no pipe."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


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


def _cause_of_death(code: int | None) -> str:
    if code is None:
        return "its process closed the connection"
    if code >= 0:
        return f"its process ended with exit code {code}"
    names = {int(s): s.name for s in signal.Signals}
    hint = ", as the kernel does when memory runs out" if code == -signal.SIGKILL else ""
    return f"its process was ended by signal {names.get(-code, -code)}{hint}"
