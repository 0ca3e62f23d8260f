"""What another machine does with a job: see that it would compute what the driver planned, then work."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import os
import pickle
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sslbench import atomic, engine
from sslbench.data.base import DATA_VARIABLE
from sslbench.errors import BadInput
from sslbench.executors.jobs import Job, Tell, machine_provenance, versions, work
from sslbench.executors.local import LAST_CHECKPOINT_S, LOOK_S, keep_freed_memory
from sslbench.registry import load_plugin, plugin_name
from sslbench.suite import data_digests, source_of

NEWS_EVERY_S = 1.0
"""Progress goes over the network no more often."""


@dataclass(frozen=True)
class Plugin:
    """A plugin file by its content: another machine need not have it."""

    module: str
    file: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> Plugin:
        return cls(plugin_name(path), path.name, path.read_bytes())


@dataclass(frozen=True)
class Driver:
    """What a node has to agree on with the process that planned the run."""

    device: str
    """Of the jobs: "cpu" or "cuda"."""
    versions: Mapping[str, str]
    plugins: tuple[Plugin, ...] = ()
    data: str | None = None
    """The driver's data folder, for a node that has none of its own and sees the same file system."""

    @classmethod
    def here(cls, device: str, plugins: tuple[Path, ...]) -> Driver:
        return cls(device, versions(), tuple(map(Plugin.read, plugins)), os.environ.get(DATA_VARIABLE))


def admit(driver: Driver, packed: bytes, alone: bool = False) -> Job:
    """Unpack a job, after a look at whether this machine would compute the very result that the driver planned.

    Args:
        packed: the pickled job.
        alone: let no other process of this machine load data meanwhile: they may have to be downloaded first.

    Raises:
        BadInput: other versions, code or data than the driver's, a method that is not installed here.
    """
    _check_versions(driver)
    _settle_in(driver)
    try:
        job: Job = pickle.loads(packed)
    except (ImportError, AttributeError) as error:
        raise BadInput(
            f"a method or scenario cannot be had there ({error}): install its package on all nodes."
        ) from error
    with _one_at_a_time() if alone else contextlib.nullcontext():
        _check_results(job)
    return job


def serve(
    driver: Driver,
    packed: bytes,
    tell: Tell,
    alone: bool = False,
    lost: int = 0,
    found: Mapping[str, bytes] | None = None,
) -> bytes:
    """Run a packed job here: its results, packed.

    Args:
        tell: has the driver hear an event without its job, and also `"begun"`, when the time starts to run; `"late", stack`,
            when it is over; `"checkpoint", name, content`, and has then taken it. Raises `OSError` where it cannot be heard.
        lost: how often it was begun before, by processes that were lost.
        found: the checkpoints that the driver has, by the names of their files.

    Raises:
        BadInput: see `admit`. What goes wrong within the training is in the results.
    """
    job = admit(driver, packed, alone)
    keep_freed_memory()
    importlib.import_module("torch._dynamo")  # a gradient within a loss imports it: no part of a cell's time
    provenance = {**job.provenance, **machine_provenance(job.device)}
    job = dataclasses.replace(job, provenance=provenance, attempt=job.attempt + lost)

    def courteously(*message: Any) -> None:
        with contextlib.suppress(OSError):
            tell(*message)

    def open_file(path: Path, identity: Mapping[str, Any]) -> engine.CheckpointFile:
        send = functools.partial(tell, "checkpoint", path.name)
        return engine.CheckpointAfar(path, identity, (found or {}).get(path.name), send)

    courteously("begun")
    with _stoppable(job), _timed(job, courteously):
        # Ray ends a process whose node is lost by SystemExit: no failure of the job, which runs again elsewhere.
        return pickle.dumps(work(job, _now_and_then(courteously), courteously, (Exception,), open_file))


@contextlib.contextmanager
def _stoppable(job: Job) -> Iterator[None]:
    """SIGTERM, by which Ray ends a process whose node is lost, has training write a last checkpoint. Let that hold for SIGINT,
    by which it cancels, and see that a step that never ends does not outlive its node."""
    if job.checkpoints is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    over, node = threading.Event(), os.getppid()

    def watch() -> None:
        while os.getppid() == node:
            if over.wait(LOOK_S):
                return
        if not over.wait(LAST_CHECKPOINT_S):
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    before = signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _timed(job: Job, tell: Tell) -> Iterator[None]:
    """When the job's time is over, say where it is: the driver ends this process."""
    if job.limit is None:
        yield
        return
    worker = threading.get_ident()
    timer = threading.Timer(
        min(job.limit, threading.TIMEOUT_MAX),
        lambda: tell("late", "".join(traceback.format_stack(sys._current_frames().get(worker)))),
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _check_versions(driver: Driver) -> None:
    """Builds of a version may differ: a driver without a GPU has another torch than the machines with one."""

    def public(versions: Mapping[str, str]) -> dict[str, str]:
        python = ".".join(versions["python"].split(".")[:2])
        return {name: version.partition("+")[0] for name, version in versions.items()} | {"python": python}

    ours, theirs = public(versions()), public(driver.versions)
    if other := [f"{name} {ours[name]} (driver: {theirs[name]})" for name in ours if ours[name] != theirs.get(name)]:
        raise BadInput(f"it has {', '.join(other)}: install the same versions on the driver and on all nodes.")
    if driver.device == "cuda" and not torch.backends.cuda.is_built():
        raise BadInput("its torch is a build without CUDA: install one with CUDA, or give --device cpu.")


def _settle_in(driver: Driver) -> None:
    for plugin in driver.plugins:
        _load(plugin)
    if DATA_VARIABLE not in os.environ and driver.data and Path(driver.data).is_dir():
        os.environ[DATA_VARIABLE] = driver.data


@functools.cache
def _load(plugin: Plugin) -> None:
    # A file, as its source is hashed and shown in tracebacks; by its content, as Ray kills its processes before they tidy up.
    path = _own_folder() / hashlib.sha256(plugin.content).hexdigest()[:16] / plugin.file
    atomic.write(path, plugin.content)
    load_plugin(path, plugin.module)


def _own_folder() -> Path:
    """A folder of this user for temporary files, which no other user can write."""
    folder = Path(tempfile.gettempdir()) / f"sslbench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise BadInput(f"{folder} there belongs to somebody else, or others can write it: remove it.")
    return folder


def _check_results(job: Job) -> None:
    """The same key here as there: same parameters, same code, same data."""
    first = job.cells[0]
    here = source_of(first.method, first.scenario)
    for what, ours, theirs in (
        ("the engine", here.common, first.source.common),
        (f"the method '{first.method_name}'", here.method, first.source.method),
        (f"the scenario '{first.scenario_name}'", here.scenario, first.source.scenario),
    ):
        if ours != theirs:
            raise BadInput(f"its code of {what} is not the driver's: install the same sslbench on all nodes.")
    for cell, key in zip(job.cells, job.keys, strict=True):
        digest = data_digests(cell.scenario, cell.suite_seed, [cell.seed])[cell.seed]
        if cell.key(digest) != key:
            raise BadInput(
                f"its data of the scenario '{cell.scenario_name}' at seed {cell.seed} are not the driver's "
                f"(sha256 {digest[:16]}… there): put the driver's files in that node's ${DATA_VARIABLE}."
            )


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    import fcntl

    handle = os.open(_own_folder() / "data.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _now_and_then(tell: Tell) -> Callable[[int, int, float], None]:
    last = -NEWS_EVERY_S

    def progress(*come: float) -> None:
        nonlocal last
        if time.monotonic() - last >= NEWS_EVERY_S:
            last = time.monotonic()
            tell("advanced", *come)

    return progress
