"""An existing Ray cluster: the driver's side. `link.py` talks to the cluster, and `node.py` runs on its nodes."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math
import multiprocessing
import pickle
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sslbench.errors import BadInput
from sslbench.executors.jobs import CellResult, Ended, Event, Job, Started, failure, timed_out, told
from sslbench.executors.link import HOW_TO, KEPT, Order, Packed, Refused, serve, slots
from sslbench.executors.local import LAST_CHECKPOINT_S
from sslbench.executors.node import Driver
from sslbench.executors.retries import RETRIES
from sslbench.preloading import ctrl_c_held

_context = multiprocessing.get_context("spawn")

CONNECT_S = 120.0
"""How long the cluster may take to answer."""
FAREWELL_S = LAST_CHECKPOINT_S + 10.0
"""How long the link may take to end its jobs before it is killed. Ray ends the jobs of a dead driver too."""


@dataclass(frozen=True)
class Cluster:
    """Which Ray cluster, and what a job reserves of a node. It computes on one thread, and on one GPU at most."""

    address: str = "auto"
    """HOST:PORT of its head, ray://HOST:PORT of its client server, or "auto": `$RAY_ADDRESS`, else the one on this machine."""
    cpus: float = 1.0
    gpus: float | None = None
    """By default 0 on a CPU and half a GPU on CUDA, which these networks do not fill."""

    def __post_init__(self) -> None:
        if self.address == "local":
            raise BadInput("--ray-address local would start a cluster: leave out --executor ray to use this machine.")
        if not 0 < self.cpus < math.inf:
            raise BadInput(f"--ray-cpus must be above 0, not {self.cpus}: the CPUs that a job reserves.")
        if self.gpus is not None and not 0 < self.gpus <= 1:
            raise BadInput(
                f"--ray-gpus must be above 0 and at most 1, not {self.gpus}: the share of one GPU that a job reserves."
            )


class RayExecutor:
    """Runs jobs on the nodes of a Ray cluster, as many at a time as have room. Closing its iterator cancels them.

    A job whose node or process dies runs again elsewhere, a bounded number of times; what the training raises is a result.
    """

    persistent: ClassVar[bool] = True

    def __init__(
        self,
        cluster: Cluster,
        device: str = "auto",
        plugins: Sequence[Path] = (),
        retries: int = RETRIES,
        most: int | None = None,
    ) -> None:
        """Connect, and see what room there is.

        Args:
            cluster: which, and what a job reserves.
            device: "cpu", "cuda", or "auto": CUDA if a node has a GPU.
            plugins: plugin files, sent to the nodes by content.
            retries: how often a job runs again whose node or process died.
            most: jobs at a time, at most; by default as many as the nodes have room for.

        Raises:
            BadInput: ray is not installed, there is no such cluster, or no node has room for a job.
        """
        if importlib.util.find_spec("ray") is None:
            raise BadInput('--executor ray: ray is not installed. pip install "sslbench[ray]", here and on the nodes.')
        if most is not None and most < 1:
            raise BadInput(f"--workers {most}: give at least 1 job at a time, or leave it out to fill the cluster.")
        self._address, self._plugins, self._retries, self._most = cluster.address, tuple(plugins), retries, most
        _check_listening(cluster.address)
        self._link = _Link(cluster.address)
        try:
            nodes: list[Mapping[str, float]] = self._link.receive(CONNECT_S)
            self.device = _device(device, nodes)
            """Where the jobs train: "cpu" or "cuda"."""
            self._cpus = cluster.cpus
            self._gpus = 0.0 if self.device == "cpu" else cluster.gpus or 0.5
            self.slots = slots(nodes, self._cpus, self._gpus)
            """Jobs that run at a time, as the cluster is now."""
            if not self.slots:
                raise BadInput(
                    f"No node of the Ray cluster has {self._room}: "
                    f"{_inventory(nodes)}. Start a larger node, or lower --ray-cpus and --ray-gpus."
                )
        except BaseException:
            self.close()
            raise
        self.slots = min(self.slots, most or self.slots)

    def close(self) -> None:
        """Leave the cluster. What still runs there is cancelled."""
        self._link.close()

    @property
    def _room(self) -> str:
        return f"{self._cpus:g} CPU" + (f" and {self._gpus:g} GPU" if self._gpus else "")

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Run each job and yield what happens. A job has started when it has on its node.

        Raises:
            BadInput: a node has other code, versions or data than this process, or the connection is lost.
        """
        jobs = list(jobs)
        if not jobs:
            return
        if self._link.closed:
            self._link = _Link(self._address)
            self._link.receive(CONNECT_S)
        link = self._link
        begun: set[int] = set()
        over: set[int] = set()
        try:
            link.send(self._order(jobs))
            while len(over) < len(jobs):
                kind, number, *said = link.receive()
                job = jobs[number]
                if number not in begun:
                    begun.add(number)
                    yield Started(job)
                if kind != "told":
                    over.add(number)
                    yield Ended(job, _results(job, kind, *said))
                elif said:
                    yield told(job, tuple(said))
        finally:
            link.close()

    def _order(self, jobs: Sequence[Job]) -> Order:
        samples: dict[tuple[str, str], Job] = {}
        for job in jobs:
            first = job.cells[0]
            pair = first.method_name, first.scenario_name
            samples.setdefault(pair, dataclasses.replace(job, cells=job.cells[:1], keys=job.keys[:1]))
        return Order(
            pickle.dumps(Driver.here(self.device, self._plugins)),
            tuple(map(_packed, jobs)),
            tuple(map(pickle.dumps, samples.values())),
            self._cpus,
            self._gpus,
            self._retries,
            self._most,
        )


def _packed(job: Job) -> Packed:
    kept = job.checkpoints
    return Packed(pickle.dumps(job), job.limit, tuple(map(kept.file, job.keys)) if kept else ())


def _results(job: Job, kind: str, *said: Any) -> tuple[CellResult, ...]:
    """Of a job that the link calls "done", "late" or "failed"."""
    if kind == "done":
        results: tuple[CellResult, ...] = pickle.loads(said[0])
        return results
    return timed_out(job, *said) if kind == "late" else failure(job, "failed", *said)


def _device(given: str, nodes: Sequence[Mapping[str, float]]) -> str:
    if given not in ("auto", "cpu", "cuda"):
        raise BadInput(f"Unknown device '{given}': give auto, cpu or cuda.")
    gpus = any(node.get("GPU", 0) for node in nodes)
    if given == "cuda" and not gpus:
        raise BadInput("--device cuda: no node of the Ray cluster has a GPU. Start one that has, or use --device cpu.")
    return "cuda" if gpus and given != "cpu" else "cpu"


def _inventory(nodes: Sequence[Mapping[str, float]]) -> str:
    texts = [f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes[:4]]
    return f"{len(nodes)} nodes with {', '.join(texts)}{', …' if len(nodes) > 4 else ''}" if nodes else "it has no node"


def _check_listening(address: str) -> None:
    """Refuse at once what Ray would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?(\[.+\]|[^:/]+):(\d+)", address)
    if found is None:
        if address == "auto":
            return
        raise BadInput(f"--ray-address {address}: give HOST:PORT, ray://HOST:PORT or auto.")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"No Ray cluster answers at {address} ({error}): {HOW_TO}") from error


class _Link:
    """The process that talks to the cluster."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connected = False
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=serve, args=(theirs, address), daemon=True, name="ray")
        with ctrl_c_held():
            self._process.start()
        theirs.close()

    @property
    def closed(self) -> bool:
        return self._pipe.closed

    def send(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # it died: its end is read from the pipe like any other
            self._pipe.send(order)

    def receive(self, within_s: float | None = None) -> Any:
        """What the cluster says next.

        Raises:
            BadInput: that it cannot be used, or nothing any more, or not within that time.
        """
        try:
            if not self._pipe.poll(within_s):
                raise EOFError
            message = self._pipe.recv()
        except (EOFError, OSError) as error:
            if not self._connected:
                self._process.kill()
                raise BadInput(f"No Ray cluster answers at {self._address}: {HOW_TO}") from error
            raise BadInput(f"The connection to the Ray cluster at {self._address} was lost. {KEPT}") from error
        if isinstance(message, Refused):
            raise BadInput(message.reason)
        self._connected = True
        return message

    def close(self) -> None:
        if self.closed:
            return
        self._pipe.close()  # which tells it to end
        self._process.join(FAREWELL_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
