"""Work that this process shares with forks of itself, which have all that it has and need import nothing."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 120.0
"""How long to wait for what a fork still does when there is nothing left to take. It may be stuck: another thread of the process
that it is of may have held, as it was made, what it waits for."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_turns(work: Callable[[Iterator[int]], T], processes: int) -> list[T]:
    """What each of so many processes made of the places that it took: 0, 1, 2, …, of which each takes the next as it is ready.

    This process is the first of them, and the only one where there are no forks. A fork has none of its threads, so the work
    must need none. What a fork has done that is lost, or stuck, is missing.

    Args:
        work: of the places that one process takes, without end, one by one. What it returns is pickled.

    Raises:
        Exception: what the work raised in any of them.
    """
    if sys.platform != "linux" or multiprocessing.current_process().daemon:  # which may have no children
        processes = 1
    context = multiprocessing.get_context("fork")
    taken = context.Value("q", 0)

    def places() -> Iterator[int]:
        while True:
            with taken.get_lock():
                place, taken.value = taken.value, taken.value + 1
            yield place

    forks = []
    try:
        for _ in range(processes - 1):
            ours, theirs = context.Pipe(duplex=False)
            fork = context.Process(target=_work, args=(work, places(), theirs), daemon=True)
            forks.append((fork, ours))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which a fork has not
                fork.start()
            theirs.close()
        results = [work(places())]
        for _, pipe in forks:
            if not pipe.poll(PATIENCE_S):
                continue
            with contextlib.suppress(EOFError):  # it was lost
                error, result = pipe.recv()
                if error is not None:
                    raise error
                results.append(result)
        return results
    finally:
        for fork, pipe in forks:
            pipe.close()
            if fork.pid is not None:
                fork.kill()
                fork.join()


def _work(work: Callable[[Iterator[int]], T], places: Iterator[int], pipe: Connection) -> None:
    """The life of a fork. It leaves alone what it has of the process that it is of: Ctrl-C, and what nothing needs any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    try:
        pipe.send((None, work(places)))
    except Exception as error:
        pipe.send((error, None))
