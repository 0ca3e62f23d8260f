"""The process that talks to a Ray cluster. The only file that imports ray.

Ray ends a process whose cluster is gone, without a word. So the process that talks to the cluster is one of its own, the
link: the driver, which has the store and the terminal, outlives it.

    driver ── pipe ── link ── Ray ── nodes

What a node says goes through the board, an actor beside the link. A checkpoint goes there as bytes; the link writes it into
the results folder, and sends it along where the job runs next: nodes need not see that folder.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.executors.local import LAST_CHECKPOINT_S, START_UP_S

POLL_S = 0.5
"""How often the link looks for progress, and whether it is still wanted."""
LOOK_S = 10.0
"""How often it looks at what nodes there are."""
PATIENCE_S = 300.0
"""How long it waits for a node where there is none left that has room for a job."""
NEWS_S = 10.0
"""How long the board may take to say its news, before other things are looked after."""
UNHEARD = 3
"""After a job's end, how often the board may take longer than that, before it ends without its last news."""
TAKEN_S = 60.0
"""How long it may take to take what a node says; the node then goes on without."""
LATE_S = 5.0
"""After a job's limit, how long its node may take to say where it is, before it is ended without."""


@dataclass(frozen=True)
class Packed:
    """A job for a node, and what the link must know of it."""

    job: bytes
    limit: float | None
    """Seconds that it may take."""
    checkpoints: tuple[Path, ...]
    """Files of its cells on this machine; none if it writes none."""


@dataclass(frozen=True)
class Order:
    """What the link has to do."""

    driver: bytes
    jobs: tuple[Packed, ...]
    samples: tuple[bytes, ...]
    """One cell of each method on each scenario, to check nodes with."""
    cpus: float
    gpus: float
    retries: int
    most: int | None


@dataclass(frozen=True)
class Refused:
    """Why the cluster cannot be used."""

    reason: str


HOW_TO = (
    "start one with `ray start --head` and join nodes with `ray start --address=HOST:6379`, "
    "or name one by --ray-address HOST:6379."
)
KEPT = "What was finished is stored: when the cluster is back, the same command goes on from there."


def serve(pipe: Connection, address: str) -> None:
    """The link's life: connect, take an order, carry it out. It ends when the driver does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Ray's own lines, some of them from its C++ core; its log files have them too
        os.dup2(null, stream)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            detail = " ".join(str(error).split())
            pipe.send(Refused(f"No Ray cluster can be had at {address} ({detail[:300]}): {HOW_TO}"))
            return
        pipe.send([node["Resources"] for node in _alive(ray)])
        order = pipe.recv()
        if refused := _check_nodes(ray, order):
            pipe.send(Refused(refused))
            return
        _Errand(ray, order, pipe).carry_out()
        ray.shutdown()
    except (EOFError, OSError):
        return  # the driver has ended, or closed its iterator; or the cluster is lost, which the driver reads from our end


def slots(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """How many jobs the nodes have room for."""

    def fit(node: Mapping[str, float]) -> int:
        by_cpu = node.get("CPU", 0) / cpus
        return int(min(by_cpu, node.get("GPU", 0) / gpus if gpus else by_cpu) + 1e-6)

    return sum(map(fit, nodes))


def _alive(ray: ModuleType) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


# Tasks and actors are functions and classes within functions, so that Ray sends their code: a node without sslbench can
# then say so.


def _check_nodes(ray: ModuleType, order: Order) -> str:
    """Have each node look at a cell of every method on every scenario: why one cannot be used, if one cannot.

    It also has each node fetch its data once, before many processes want them.
    """
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @ray.remote(num_cpus=0, max_retries=0)
    def check(driver: bytes, samples: Sequence[bytes]) -> None:
        import pickle

        from sslbench.executors.node import admit

        for sample in samples:
            admit(pickle.loads(driver), sample, alone=True)

    checks = {}
    for node in _alive(ray):
        if slots([node["Resources"]], order.cpus, order.gpus):
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


def _worker(ray: ModuleType, order: Order) -> Any:
    """The task that runs a job. Ray itself never runs it again: the link does, with the checkpoints that there are by then."""
    patience = TAKEN_S

    @ray.remote(num_cpus=order.cpus, num_gpus=order.gpus, max_retries=0)
    def work(
        driver: bytes, job: bytes, board: Any, ticket: int, checked: set[str], lost: int, found: Mapping[str, bytes]
    ) -> bytes:
        import pickle

        import ray

        def tell(kind: str, *what: Any) -> None:
            sent = board.tell.remote(ticket, kind, *what)
            if kind == "advanced":
                return
            try:
                sent.future().result(patience)  # ray.get would lend this job's CPU to another one meanwhile
            except (ray.exceptions.RayError, TimeoutError) as error:
                raise OSError(0, "the driver cannot be reached") from error

        board.tell.remote(ticket, "taken")
        from sslbench.executors.node import serve

        alone = ray.get_runtime_context().get_node_id() not in checked
        return serve(pickle.loads(driver), job, tell, alone, lost, found)

    return work


def _board(ray: ModuleType) -> Any:
    """Where jobs leave what they have to say, until the link asks. It is as large as the last checkpoints of what runs."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Board:
        def __init__(self) -> None:
            self.news: dict[tuple[Any, ...], tuple[Any, ...]] = {}

        def tell(self, ticket: int, kind: str, *what: Any) -> None:
            # Of progress, and of a checkpoint of this name, the latest alone counts.
            about = (ticket, kind) if kind == "advanced" else (ticket, kind, *what[:1])
            self.news.pop(about, None)
            self.news[about] = (ticket, kind, *what)

        def read(self) -> list[tuple[Any, ...]]:
            news, self.news = list(self.news.values()), {}
            return news

    # Not soft: Ray would place it on a node that has CPUs, and what jobs have said would die with that.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Board).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()


@dataclass
class _Try:
    """A job on the cluster, for the first time or after a loss."""

    number: int
    ref: Any
    deadline: float = math.inf
    unheard: int = 0
    """How often the board was too slow to say what it last said, since it is over."""


class _Errand:
    """The jobs of an order, from the first to the last."""

    def __init__(self, ray: ModuleType, order: Order, pipe: Connection) -> None:
        self._ray, self._order, self._pipe = ray, order, pipe
        self._waiting, self._lost = deque(range(len(order.jobs))), Counter[int]()
        self._tickets, self._running = itertools.count(), dict[int, _Try]()
        self._work, self._board = _worker(ray, order), _board(ray)
        self._driver = ray.put(order.driver)
        self._checked = ray.put({node["NodeID"] for node in _alive(ray)})
        self._room, self._roomy, self._looked = 0, 0.0, -math.inf
        self._news: Any = None
        self._warned = False

    def carry_out(self) -> None:
        """Keep the cluster full until all jobs are over, and tell the driver what happens."""
        while self._waiting or self._running:
            self._look()
            if time.monotonic() - self._roomy > PATIENCE_S:
                self._tell_driver(
                    Refused(f"The Ray cluster has had no node with room for a job for {PATIENCE_S:g} s. {KEPT}")
                )
                return
            # More than there is room for: no CPU then waits for the driver, and a cluster that grows by demand sees one.
            while self._waiting and len(self._running) < (self._order.most or 2 * self._room + 1):
                self._submit(self._waiting.popleft())
            over = self._over(POLL_S)
            heard = self._hear(over)
            for ticket in over:
                each = self._running[ticket]
                each.unheard += not heard
                if heard or each.unheard > UNHEARD:
                    self._end(self._running.pop(ticket).number, over[ticket])
            for ticket in [t for t, each in self._running.items() if time.monotonic() > each.deadline]:
                self._stop_late(ticket, "")
            if self._is_left():
                self._have_checkpoints_written()
                return

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked, nodes = now, [node["Resources"] for node in _alive(self._ray)]
            self._room = slots(nodes, self._order.cpus, self._order.gpus)
            self._roomy = now if self._room or not self._roomy else self._roomy

    def _submit(self, number: int) -> None:
        packed, ticket = self._order.jobs[number], next(self._tickets)
        found = dict(_contents(packed.checkpoints))
        ref = self._work.remote(self._driver, packed.job, self._board, ticket, self._checked, self._lost[number], found)
        self._running[ticket] = _Try(number, ref)

    def _over(self, within_s: float) -> dict[int, Any]:
        """What has ended, by ticket."""
        tickets = {each.ref: ticket for ticket, each in self._running.items()}
        ended, _ = self._ray.wait(list(tickets), num_returns=1, timeout=within_s)
        if ended:
            ended, _ = self._ray.wait(list(tickets), num_returns=len(tickets), timeout=0)
        return {tickets[ref]: ref for ref in ended}

    def _hear(self, over: Mapping[int, Any]) -> bool:
        """Take what jobs have said. The board may be lost: then nothing was.

        Returns:
            Whether that is all that those said that are over: their last checkpoints may be on a board that is slow.
        """
        asked_now = self._news is None
        if asked_now:
            self._news = self._board.read.remote()
        if not self._ray.wait([self._news], timeout=NEWS_S)[0]:
            return False
        said, self._news = self._news, None
        with contextlib.suppress(self._ray.exceptions.RayError):
            for ticket, kind, *what in self._ray.get(said):
                if ticket in self._running:  # and not of a node that was given up, and is there after all
                    self._take(ticket, kind, what, ticket in over)
        return asked_now or self._hear(over)

    def _take(self, ticket: int, kind: str, what: Sequence[Any], over: bool) -> None:
        each = self._running[ticket]
        packed = self._order.jobs[each.number]
        if kind in ("taken", "begun"):
            start_up = START_UP_S if kind == "taken" else LATE_S
            each.deadline = math.inf if packed.limit is None else time.monotonic() + packed.limit + start_up
            self._tell_driver(("told", each.number))
        elif kind == "late":
            if not over:
                self._stop_late(ticket, what[0])
        elif kind == "checkpoint":
            self._keep(packed, each.number, *what)
        else:
            self._tell_driver(("told", each.number, kind, *what))

    def _keep(self, packed: Packed, number: int, name: str, content: bytes) -> None:
        path = next(path for path in packed.checkpoints if path.name == name)
        try:
            atomic.write(path, content)
        except OSError as error:
            if not self._warned:
                line = f"no checkpoint can be written ({error.strerror}): it goes on without"
                self._tell_driver(("told", number, "noted", line))
            self._warned = True

    def _stop_late(self, ticket: int, stack: str) -> None:
        each = self._running.pop(ticket)
        self._ray.cancel(each.ref, force=True)
        self._tell_driver(("late", each.number, stack))

    def _end(self, number: int, ref: Any) -> None:
        """Tell the driver of a job that is over, or have it run again.

        Raises:
            ConnectionError: the cluster cannot be reached any more.
        """
        exceptions, retries = self._ray.exceptions, self._order.retries
        try:
            self._tell_driver(("done", number, self._ray.get(ref)))
        except exceptions.RayTaskError as error:
            self._tell_driver(("failed", number, _reason(error), str(error)))
        except exceptions.LocalRayletDiedError as error:  # of this machine: Ray would now fail one job after the other
            raise ConnectionError("Ray's own process on this machine has ended") from error
        except exceptions.RayError as error:
            self._lost[number] += 1
            if self._lost[number] <= retries:
                self._waiting.append(number)
                return
            line = (str(error).strip().splitlines() or [""])[0]
            tries = f" ({retries + 1} tries)" if retries else ""
            reason = f"its process or its Ray node died{tries}: {type(error).__name__}: {line}"[:500]
            self._tell_driver(("failed", number, reason, str(error)))

    def _have_checkpoints_written(self) -> None:
        """The run is stopped: what trains writes a last checkpoint at the end of its step."""
        refs = [each.ref for each in self._running.values() if self._order.jobs[each.number].checkpoints]
        if refs:
            for ref in refs:
                self._ray.cancel(ref)
            self._ray.wait(refs, num_returns=len(refs), timeout=LAST_CHECKPOINT_S)
            self._hear({})

    def _is_left(self) -> bool:
        """Whether the driver has ended, or wants no more: it says nothing else."""
        try:
            return self._pipe.poll()
        except OSError:
            return True

    def _tell_driver(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it has left: that is seen at the next look
            self._pipe.send(message)


def _contents(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """What there is of files, by name. One that cannot be read is as none."""
    for path in paths:
        with contextlib.suppress(OSError):
            yield path.name, path.read_bytes()


def _reason(error: Any) -> str:
    """What a task raised, in one line."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    if isinstance(cause, BadInput):
        return text
    hint = ". Install the driver's sslbench there" if isinstance(cause, ImportError) else ""
    return f"{type(cause).__name__}: {text[:300]}{hint}"
