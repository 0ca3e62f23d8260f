"""The process of which workers are forks: it imports what they need, once, and may do so while other things are made ready.

Nothing here imports torch, so that it can be started before this process does.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import tomllib
from collections.abc import Collection, Iterator
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from sslbench import shipped
from sslbench.registry import METHODS, SCENARIOS

FORKS = sys.platform == "linux"
"""Whether workers that train on a CPU are forks. (On CUDA they are not: a fork cannot use its parent's device.)"""


def start(modules: Collection[str]) -> None:
    """Start that process, unless it runs already. It ends with this one."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([*modules, "sslbench.executors.preloaded"])
    with ctrl_c_held():
        forkserver.ensure_running()
    atexit.unregister(_end)
    atexit.register(_end)


def named_in(suite: Path) -> list[str]:
    """Modules of the built-in methods and scenarios whose names stand in a suite file, none if it cannot be read."""
    try:
        words = set(_words(tomllib.loads(shipped.located(suite).read_text())))
    except (OSError, ValueError):
        return []
    found = (registry.module(word) for registry in (SCENARIOS, METHODS) for word in sorted(words))
    return list(dict.fromkeys(module for module in found if module is not None))


@contextlib.contextmanager
def ctrl_c_held() -> Iterator[None]:
    """A process started here hears no Ctrl-C from its first moment, for importing torch takes seconds; this one does after."""
    resource_tracker.ensure_running()  # else the first process to be started starts it, which would let Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _words(content: Any) -> Iterator[str]:
    """All strings in a TOML document, keys among them."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        yield from content
        yield from _words(list(content.values()))
    elif isinstance(content, list):
        for part in content:
            yield from _words(part)


def _end() -> None:
    """Kill it where it stands: while it imports it does not notice that this process ended, and holds its output open."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
