"""Options of the speed benchmarks, and the fixture that has two sides take turns."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.perf.parts import PARTS, part_of
from benchmarks.perf.sides import Player, Ratio, Side, Turn, ratio
from sslbench.executors.jobs import common_provenance

torch.set_num_threads(1)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    quick: bool
    turn_s: float
    """A turn of the slower side is made to last about so long."""
    steps: int
    """A turn takes at least so many: in a few of them, what begins a turn counts more than in a cell of hundreds."""
    budget_s: float
    """Both sides' turns together, where `least` allows."""
    least: int
    """Rounds."""
    most: int


FULL = Size(False, turn_s=0.5, steps=10, budget_s=10.0, least=3, most=15)
QUICK = Size(True, turn_s=0.02, steps=1, budget_s=0.2, least=2, most=3)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="A look at whether everything works, in two minutes.")
    parser.addoption("--part", choices=list(PARTS), help="Only the benchmarks of this part.")
    parser.addoption("--device", choices=["cpu", "cuda"], default="cpu", help="Where both sides train.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("--part")
    if part is None:
        return
    kept, others = [], []
    for item in items:
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        (kept if part_of(item.path.stem, item.originalname, parameters) == part else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    return QUICK if request.config.getoption("--quick") else FULL


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.exit("--device cuda: torch finds no CUDA device here.", returncode=2)
    return name


@dataclass(frozen=True)
class Measured:
    """Both sides' turns of each round."""

    engine: list[Turn]
    reference: list[Turn]

    @property
    def seconds(self) -> tuple[list[float], list[float]]:
        return [t.seconds for t in self.engine], [t.seconds for t in self.reference]

    @property
    def ratio(self) -> Ratio:
        """The reference's time over the engine's: above 1 the engine is faster."""
        engine, reference = self.seconds
        return ratio(reference, engine)


class Turns:
    """Has an engine and a reference take turns, and keeps what they say."""

    def __init__(self, benchmark: Any, size: Size, device: str) -> None:
        self._benchmark, self.size, self._device = benchmark, size, device
        self._sides: list[Side] = []
        self.info: dict[str, Any] = benchmark.extra_info

    def side(self, make: Callable[..., Any], *args: Any, engine: bool = False, threads: int | None = 1) -> Side:
        self._sides.append(Side(make, *args, device=self._device, engine=engine, threads=threads))
        return self._sides[-1]

    def steps_a_turn(self, *sides: Player) -> int:
        """How many steps (the work's argument) make a turn of at least the wanted length, after one to warm up."""
        times = []
        for side in sides:
            side.turn(1)
            some = side.turn(2)
            times.append(some.seconds / 2)
        return max(self.size.steps, min(2000, round(self.size.turn_s / max(times))))

    def measure(
        self, group: str, name: str, engine: Player, reference: Player, *args: Any, rounds: int = 0, warm: bool = True
    ) -> Measured:
        """Alternate the two: first the reference, then the engine, in each round.

        Args:
            args: of the work at each turn.
            rounds: as many as the time allows, if not given.
            warm: have each take a turn before, which is not counted.
        """
        turns: tuple[list[Turn], list[Turn]] = ([], [])
        if warm or not rounds:
            both = sum(side.turn(*args).seconds for side in (reference, engine))
            rounds = rounds or round(min(self.size.most, max(self.size.least, self.size.budget_s / both)))
        self._benchmark.group = group
        self._benchmark.pedantic(
            lambda: turns[0].append(engine.turn(*args)),
            setup=lambda: turns[1].append(reference.turn(*args)),
            rounds=rounds,
        )
        made = Measured(turns[0], turns[1])
        found = made.ratio
        self.info.update(
            name=name,
            device=self._device,
            ratio=found.median,
            low=found.low,
            high=found.high,
            rounds=found.rounds,
            engine_s=made.seconds[0],
            reference_s=made.seconds[1],
        )
        if isinstance(engine, Side) and isinstance(reference, Side):
            ours, theirs = engine.close(), reference.close()
            self._sides = [s for s in self._sides if s not in (engine, reference)]
            self.info.update(engine_bytes=ours.own, reference_bytes=theirs.own)
        return made

    def once(self, group: str, name: str, work: Callable[[], Turn], rounds: int = 1) -> list[Turn]:
        """Something that has no counterpart, or brings its own."""
        turns: list[Turn] = []
        self._benchmark.group = group
        self._benchmark.pedantic(lambda: turns.append(work()), rounds=rounds)
        self.info.update(name=name, device=self._device, seconds=[t.seconds for t in turns], rounds=rounds)
        return turns

    def end(self) -> None:
        for side in self._sides:
            side.kill()


@pytest.fixture
def turns(benchmark: Any, size: Size, device: str) -> Iterator[Turns]:
    made = Turns(benchmark, size, device)
    try:
        yield made
    finally:
        made.end()


MEASURED_ON = pytest.StashKey[dict[str, Any]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """What the machine and the source are before anything is measured: pytest-benchmark asks afterwards."""
    about = common_provenance(session.config.getoption("--device"))
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "sslbench", "benchmarks", "baselines"],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    session.config.stash[MEASURED_ON] = {
        "machine": about["machine"],
        "device": about["device"],
        "versions": about["versions"],
        "commit": about["git_commit"],
        "dirty": bool(changed.stdout),
        "threads": 1,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "started": time.strftime("%Y-%m-%d"),
        "quick": bool(session.config.getoption("--quick")),
    }


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """What says how fast it is; no host's name."""
    machine_info.clear()
    machine_info.update(config.stash[MEASURED_ON])
