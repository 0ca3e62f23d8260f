"""An existing Ray cluster. The only file that imports ray.

Ray ends a process whose cluster is gone, without a word. So the process that talks to the cluster is one of its own, the
link: the driver, which has the store and the terminal, outlives it.

    driver ── pipe ── link ── Ray ── nodes
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import math
import multiprocessing
import os
import pickle
import re
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from sslbench.errors import BadInput
from sslbench.executors.jobs import Advanced, Ended, Event, Job, Started, failure
from sslbench.executors.local import ctrl_c_ignored
from sslbench.executors.node import Driver
from sslbench.executors.retries import RETRIES

_context = multiprocessing.get_context("spawn")

CONNECT_S = 120.0
"""How long the cluster may take to answer."""
POLL_S = 0.5
"""How often the link looks for progress, and whether it is still wanted."""
LOOK_S = 10.0
"""How often it looks at what nodes there are."""
PATIENCE_S = 300.0
"""How long it waits for a node where there is none left that has room for a job."""
FAREWELL_S = 10.0
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


@dataclass(frozen=True)
class _Order:
    """What the link has to do."""

    driver: bytes
    jobs: tuple[bytes, ...]
    samples: tuple[bytes, ...]
    """One cell of each method on each scenario, to check nodes with."""
    cpus: float
    gpus: float
    retries: int
    most: int | None


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
            self.slots = _slots(nodes, self._cpus, self._gpus)
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
        """Run each job once and yield what happens. A job has started when it has on its node.

        Checkpoints are not written, as a node need not see the folder, and time limits are not kept.

        Raises:
            BadInput: a node has other code, versions or data than this process, or the connection is lost.
        """
        jobs = [dataclasses.replace(job, checkpoints=None) for job in jobs]
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
                kind, number, *told = link.receive()
                job = jobs[number]
                if number in over:
                    continue
                if number not in begun:
                    begun.add(number)
                    yield Started(job)
                if kind == "told" and told:
                    yield Advanced(job, *told)
                elif kind == "done":
                    over.add(number)
                    yield Ended(job, pickle.loads(told[0]))
                elif kind == "failed":
                    over.add(number)
                    reason, trace = told
                    yield Ended(job, failure(job, "failed", reason, trace))
        finally:
            link.close()

    def _order(self, jobs: Sequence[Job]) -> _Order:
        samples: dict[tuple[str, str], Job] = {}
        for job in jobs:
            first = job.cells[0]
            pair = first.method_name, first.scenario_name
            samples.setdefault(pair, dataclasses.replace(job, cells=job.cells[:1], keys=job.keys[:1]))
        return _Order(
            pickle.dumps(Driver.here(self.device, self._plugins)),
            tuple(map(pickle.dumps, jobs)),
            tuple(map(pickle.dumps, samples.values())),
            self._cpus,
            self._gpus,
            self._retries,
            self._most,
        )


def _device(given: str, nodes: Sequence[Mapping[str, float]]) -> str:
    if given not in ("auto", "cpu", "cuda"):
        raise BadInput(f"Unknown device '{given}': give auto, cpu or cuda.")
    gpus = any(node.get("GPU", 0) for node in nodes)
    if given == "cuda" and not gpus:
        raise BadInput("--device cuda: no node of the Ray cluster has a GPU. Start one that has, or use --device cpu.")
    return "cuda" if gpus and given != "cpu" else "cpu"


def _slots(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """How many jobs the nodes have room for."""

    def fit(node: Mapping[str, float]) -> int:
        by_cpu = node.get("CPU", 0) / cpus
        return int(min(by_cpu, node.get("GPU", 0) / gpus if gpus else by_cpu) + 1e-6)

    return sum(map(fit, nodes))


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
        raise BadInput(f"No Ray cluster answers at {address} ({error}): {_HOW_TO}") from error


# The driver's side of the link ----------------------------------------------------------------------------------------


class _Link:
    """The process that talks to the cluster."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connected = False
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, address), daemon=True, name="ray")
        with ctrl_c_ignored():
            self._process.start()
        theirs.close()

    @property
    def closed(self) -> bool:
        return self._pipe.closed

    def send(self, order: _Order) -> None:
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
                raise BadInput(f"No Ray cluster answers at {self._address}: {_HOW_TO}") from error
            raise BadInput(f"The connection to the Ray cluster at {self._address} was lost. {_KEPT}") from error
        if isinstance(message, _Refused):
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


_HOW_TO = (
    "start one with `ray start --head` and join nodes with `ray start --address=HOST:6379`, "
    "or name one by --ray-address HOST:6379."
)
_KEPT = "What was finished is stored: when the cluster is back, the same command goes on from there."


# The link's own side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Refused:
    reason: str


def _serve(pipe: Connection, address: str) -> None:
    """The link's life: connect, take an order, carry it out. It ends when the driver does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Ray's own lines, some of them from its C++ core; its log files have them too
        os.dup2(null, stream)
    # Ray would run a job that its nodes have no memory for again and again, for ever.
    os.environ.setdefault("RAY_task_oom_retries", "3")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            detail = " ".join(str(error).split())
            pipe.send(_Refused(f"No Ray cluster can be had at {address} ({detail[:300]}): {_HOW_TO}"))
            return
        pipe.send([node["Resources"] for node in _alive(ray)])
        order = pipe.recv()
        if refused := _check_nodes(ray, order):
            pipe.send(_Refused(refused))
            return
        _carry_out(ray, order, pipe)
        ray.shutdown()
    except (EOFError, OSError):
        return  # the driver has ended, or closed its iterator; or the cluster is lost, which the driver reads from our end


def _alive(ray: ModuleType) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _check_nodes(ray: ModuleType, order: _Order) -> str:
    """Have each node look at a cell of every method on every scenario: why one cannot be used, if one cannot.

    It also has each node fetch its data once, before many processes want them.
    """
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Tasks are functions within functions, so that Ray sends their code: a node without sslbench can then say so.
    @ray.remote(num_cpus=0, max_retries=0)
    def check(driver: bytes, samples: Sequence[bytes]) -> None:
        import pickle

        from sslbench.executors.node import admit

        for sample in samples:
            admit(pickle.loads(driver), sample, alone=True)

    checks = {}
    for node in _alive(ray):
        if _slots([node["Resources"]], order.cpus, order.gpus):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            checks[node["NodeManagerAddress"], node["NodeID"]] = check.options(scheduling_strategy=there).remote(
                order.driver, order.samples
            )
    for (ip, name), ref in checks.items():
        try:
            ray.get(ref)
        except RayTaskError as error:
            return f"The Ray node {ip} ({name[:8]}) cannot be used: {_reason(error)}"
        except RayError:
            continue  # it died meanwhile
    return ""


def _carry_out(ray: ModuleType, order: _Order, pipe: Connection) -> None:
    """Keep the cluster full until all jobs are over, and tell the driver what happens."""
    checked = {node["NodeID"] for node in _alive(ray)}

    @ray.remote(num_cpus=order.cpus, num_gpus=order.gpus, max_retries=order.retries)
    def work(driver: bytes, job: bytes, board: Any, number: int, checked: set[str]) -> bytes:
        import pickle

        import ray

        board.tell.remote(number)
        from sslbench.executors.node import serve

        alone = ray.get_runtime_context().get_node_id() not in checked
        return serve(pickle.loads(driver), job, lambda *news: board.tell.remote(number, *news), alone)

    driver, known = ray.put(order.driver), ray.put(checked)
    board = _board(ray)
    news = board.read.remote()
    waiting, running = deque(enumerate(order.jobs)), dict[Any, int]()
    room = roomy = looked = 0.0
    while waiting or running:
        now = time.monotonic()
        if not looked or now - looked > LOOK_S:
            looked, room = now, _slots([n["Resources"] for n in _alive(ray)], order.cpus, order.gpus)
            roomy = now if room else roomy
            if now - roomy > PATIENCE_S:
                pipe.send(
                    _Refused(f"The Ray cluster has had no node with room for a job for {PATIENCE_S:g} s. {_KEPT}")
                )
                return
        # More than there is room for: no CPU then waits for the driver, and a cluster that grows by demand sees one.
        while waiting and len(running) < (order.most or 2 * room + 1):
            number, job = waiting.popleft()
            running[work.remote(driver, job, board, number, known)] = number
        ended, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
        if ended:
            ended, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
        for ref in ended:
            pipe.send(_ending(ray, ref, running.pop(ref), order.retries))
        if ray.wait([news], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):  # progress is a courtesy
                for number, told in ray.get(news).items():
                    pipe.send(("told", number, *told))
            news = board.read.remote()
        if pipe.poll():
            return  # the driver says nothing more but its end


def _board(ray: ModuleType) -> Any:
    """Where jobs leave how far they are: only the latest of each is kept. It lives with the link, which asks for it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Board:
        def __init__(self) -> None:
            self.news: dict[int, tuple[Any, ...]] = {}

        def tell(self, number: int, *told: Any) -> None:
            self.news[number] = told

        def read(self) -> dict[int, tuple[Any, ...]]:
            news, self.news = self.news, {}
            return news

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Board).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()


def _ending(ray: ModuleType, ref: Any, number: int, retries: int) -> tuple[Any, ...]:
    """What the driver is told of a job that is over.

    Raises:
        ConnectionError: the cluster cannot be reached any more.
    """
    try:
        return "done", number, ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        return "failed", number, _reason(error), str(error)
    except ray.exceptions.LocalRayletDiedError as error:  # of this machine: Ray would now fail one job after the other
        raise ConnectionError("Ray's own process on this machine has ended") from error
    except ray.exceptions.RayError as error:
        line = (str(error).strip().splitlines() or [""])[0]
        tries = f" ({retries + 1} tries)" if retries else ""
        return (
            "failed",
            number,
            f"its process or its Ray node died{tries}: {type(error).__name__}: {line}"[:500],
            str(error),
        )


def _reason(error: Any) -> str:
    """What a task raised, in one line."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    if isinstance(cause, BadInput):
        return text
    hint = ". Install the driver's sslbench there" if isinstance(cause, ImportError) else ""
    return f"{type(cause).__name__}: {text[:300]}{hint}"
