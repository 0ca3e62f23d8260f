"""A suite, and the cells that it consists of."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sslbench.engine import Precision, descends, obstacle
from sslbench.records import SCHEMA
from sslbench.rng import Rng
from sslbench.scenarios.base import Scenario
from sslbench.suite.code import Source, source_of
from sslbench.suite.parameters import Method, Params, params_text


@dataclass(frozen=True)
class Cell:
    """One method on one scenario at one seed, all parameters settled."""

    method_name: str
    method_base: str
    method: Method
    scenario_name: str
    scenario_base: str
    scenario: Scenario
    suite_seed: int
    seed: int
    source: Source
    precision: Precision
    training_seed: int | None = None
    """What weights, batches and the method's draws come from, where it is not the seed."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each of the method's parameters was set: "default", "scenario", "suite" or "--set"."""

    @property
    def id(self) -> str:
        training = "" if self.training_seed is None else f"-training{self.training_seed}"
        return f"{self.method_name}/{self.scenario_name}/seed{self.seed}{training}"

    @property
    def obstacle(self) -> str | None:
        """Why the method cannot run on the scenario, if it cannot."""
        return obstacle(self.method, self.scenario)

    @property
    def descends(self) -> bool:
        """Whether the engine trains it, a step at a time, and not the method itself."""
        return descends(self.method, self.scenario)

    @property
    def rng(self) -> Rng:
        """What the cell's problem is drawn from: the same for every method and scenario at this seed."""
        return seed_rng(self.suite_seed, self.seed)

    @property
    def training_rng(self) -> Rng:
        """What its training draws from: likewise, and where there are training seeds the same for every split."""
        if self.training_seed is None:
            return self.rng
        return Rng.root(self.suite_seed).child("training seed", self.training_seed)

    def key(self, data_digest: str) -> str:
        """Hash over everything that could change the result. The split follows from what is in it.

        Args:
            data_digest: of its seed, by `data_digests`.
        """
        content = (
            SCHEMA,
            (self.method_base, params_text(self.method)),
            (self.scenario_base, params_text(self.scenario)),
            (self.suite_seed, self.seed, self.training_seed),
            (self.source.common, self.source.method, self.source.scenario),
            self.precision,
            data_digest,
        )
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Grid:
    """A part of a suite: some of its methods on some of its scenarios at some seeds."""

    methods: tuple[str, ...]
    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]
    training_seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Suite:
    """A validated suite file: every name known, every parameter of the right type and range."""

    name: str
    methods: Mapping[str, tuple[str, Mapping[str, Method]]]
    """Name -> (registered name, instance for each scenario)."""
    scenarios: Mapping[str, tuple[str, Scenario]]
    """Name -> (registered name, instance)."""
    grids: tuple[Grid, ...]
    precision: Precision = "float32"
    """Arithmetic of matrix products and convolutions; tf32 is CUDA's faster and coarser one."""
    seed: int = 0
    description: str = ""
    origins: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """By (method, scenario): where each of the method's parameters was set."""
    tuning: Params = field(default_factory=dict)
    """How the hyperparameters were found, if `sslbench tune` wrote the file."""
    timeout: float | None = None
    """Minutes that a cell may take; None: as long as it takes."""
    checkpoint_every: float = 5.0
    """Minutes from one checkpoint of a running cell to the next; 0: none. No part of a cell's key."""
    cuda_graphs: bool = False
    """On a CUDA device: record training steps once and replay them. No part of a cell's key: but for rounding (of Adam in the
    form that can be recorded, and of a learning rate that moves), the steps are the same. A record says that it was asked for."""

    def seeds(self, scenario: str) -> tuple[int, ...]:
        """The seeds at which a scenario's problem is posed."""
        return tuple(dict.fromkeys(s for g in self.grids if scenario in g.scenarios for s in g.seeds))

    def methods_on(self, scenario: str) -> tuple[str, ...]:
        """The methods that run on a scenario."""
        return tuple(dict.fromkeys(m for g in self.grids if scenario in g.scenarios for m in g.methods))

    def cells(self) -> Iterator[Cell]:
        """Every method on every scenario at every seed, grid by grid and scenario by scenario, each cell once."""
        seen: set[str] = set()
        for grid in self.grids:
            for scenario_name, method_name in itertools.product(grid.scenarios, grid.methods):
                scenario_base, instance = self.scenarios[scenario_name]
                method_base, instances = self.methods[method_name]
                chosen = instances[scenario_name]
                source = source_of(chosen, instance)
                for seed, training_seed in itertools.product(grid.seeds, grid.training_seeds or (None,)):
                    cell = Cell(
                        method_name,
                        method_base,
                        chosen,
                        scenario_name,
                        scenario_base,
                        instance,
                        self.seed,
                        seed,
                        source,
                        self.precision,
                        training_seed,
                        self.origins.get((method_name, scenario_name), {}),
                    )
                    if cell.id not in seen:
                        seen.add(cell.id)
                        yield cell


def seed_rng(suite_seed: int, seed: int) -> Rng:
    """The generator of one seed of a suite."""
    return Rng.root(suite_seed).child("seed", seed)


def data_digests(scenario: Scenario, suite_seed: int, seeds: Iterable[int]) -> dict[int, str]:
    """What a cell's key has of its data, by seed: their SHA-256; of data that are drawn that of seed 0, for all seeds.

    Raises:
        BadInput: data that cannot be had.
    """
    first = scenario.dataset(seed_rng(suite_seed, 0).child("data"))
    if first.drawn:
        return dict.fromkeys(seeds, first.sha256)
    return {seed: scenario.dataset(seed_rng(suite_seed, seed).child("data")).sha256 for seed in seeds}
