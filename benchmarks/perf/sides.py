"""Two sides that take turns, and what the turns say.

Each side is a process of its own, made by a fork server that has imported the libraries and done nothing else; only one works
at a time, on one thread. Absolute times drift on a shared machine, so the sides alternate and each round gives one ratio.

They are not one process because a side is measured as it is used: the engine's workers have glibc keep freed memory
(`sslbench.executors.local`), which holds for a whole process. A person's own loop does not do that, and would gain from it
here. It also keeps the peak memory of the two apart.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
import threadpoolctl
import torch
from scipy.stats import binom

from sslbench.engine.seeds import arithmetic, peak_memory, reset_peak_memory
from sslbench.executors.local import keep_freed_memory

Work = Callable[..., Any]
Make = Callable[..., Work]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["sslbench.runner", "sklearn.linear_model", "sklearn.decomposition"])


@dataclass(frozen=True)
class Turn:
    seconds: float
    result: Any


@dataclass(frozen=True)
class Memory:
    """Bytes: what a side held before it prepared its work, and the most that it held since."""

    before: int
    peak: int

    @property
    def own(self) -> int:
        return max(0, self.peak - self.before)


class Player(Protocol):
    """Whoever can take a turn."""

    def turn(self, *args: Any) -> Turn: ...


class Side:
    """A process that prepares a piece of work and does it whenever it is its turn."""

    def __init__(
        self, make: Make, *args: Any, device: str = "cpu", engine: bool = False, threads: int | None = 1
    ) -> None:
        """
        Args:
            make: prepares, and returns the work; both run in the process. `args` are its arguments.
            engine: treat the process as the engine treats its workers.
            threads: of the arithmetic; torch's default if None.
        """
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, make, args, device, engine, threads))
        self._process.start()
        theirs.close()
        self._answer()

    def turn(self, *args: Any) -> Turn:
        """Do the work once; the seconds are the process's own."""
        self._pipe.send(args)
        return self._answer()

    def close(self) -> Memory:
        """End the process."""
        self._pipe.send(None)
        memory: Memory = self._answer()
        self._process.join()
        return memory

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"a side's process ended with exit code {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise RuntimeError(f"a side failed:\n{answer}")
        return answer


def _serve(pipe: Connection, make: Make, args: Sequence[Any], device: str, engine: bool, threads: int | None) -> None:
    if engine:
        keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with threadpoolctl.threadpool_limits(threads), arithmetic("float32"):  # on CUDA, too, on both sides
            where = torch.device(device)
            reset_peak_memory(where)
            before = peak_memory(where)
            work = make(*args)
            pipe.send(Turn(0.0, None))
            while (given := pipe.recv()) is not None:
                start = time.perf_counter()
                result = work(*given)
                if device == "cuda":
                    torch.cuda.synchronize()
                pipe.send(Turn(time.perf_counter() - start, result))
            pipe.send(Memory(before, peak_memory(where)))
    except Exception:
        pipe.send(traceback.format_exc())


@dataclass(frozen=True)
class Command:
    """A command line that is run anew at each turn."""

    words: tuple[str, ...]

    def turn(self, *args: Any) -> Turn:
        start = time.perf_counter()
        ran = subprocess.run([*self.words, *args], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if ran.returncode:
            raise RuntimeError(f"{' '.join(self.words)} ended with exit code {ran.returncode}:\n{ran.stderr}")
        return Turn(seconds, ran.stdout)


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and an interval for it."""

    median: float
    low: float
    high: float
    rounds: int


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Round by round, over / under. The interval is that of the order statistics which hold the median with 95 %; with fewer
    than six rounds no pair of them does, and it is the whole range."""
    values = np.sort(np.asarray(over) / np.asarray(under))
    n = len(values)
    # Ranks k and n + 1 - k hold the median with probability 1 - 2 P(Binomial(n, 1/2) < k).
    k = max([1, *(k for k in range(1, n // 2 + 1) if 1 - 2 * binom.cdf(k - 1, n, 0.5) >= 0.95)])
    return Ratio(float(np.median(values)), float(values[k - 1]), float(values[n - k]), n)
