"""`sslbench splits`: which examples are labelled, as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sslbench import atomic
from sslbench.commands.console import out
from sslbench.commands.options import (
    OTHER_FOLDER,
    DataOption,
    PluginOption,
    ScenariosOption,
    SuiteArgument,
    load_plugins,
    names,
    use_data,
)


def splits(
    suite: SuiteArgument,
    scenarios: ScenariosOption = None,
    seeds: Annotated[str | None, typer.Option(help="A count, or names: 3,7,1000-1009.")] = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for one JSON file a scenario and seed.")] = Path(
        "splits"
    ),
    plugin: PluginOption = None,
    data_dir: DataOption = None,
) -> None:
    """Write out which examples are labelled, unlabelled and for validation: indices into the training pool."""
    from sslbench.suite import Overrides, read_suite, seed_rng

    use_data(data_dir)
    load_plugins(plugin)
    chosen = read_suite(suite, Overrides(scenarios=names(scenarios), seeds=seeds))
    files = 0
    for name, (_, scenario) in chosen.scenarios.items():
        for seed in chosen.seeds(name):
            rng = seed_rng(chosen.seed, seed)
            dataset = scenario.dataset(rng.child("data"))
            split = scenario.split(dataset, rng.child("split"))
            content: dict[str, Any] = {"scenario": name, "seed": seed, "suite_seed": chosen.seed}
            content |= {"data_sha256": dataset.sha256, "split_sha256": split.sha256}
            parts = ("labelled", "unlabelled", "validation", *(["test"] if len(split.test) else []))
            content |= {part: getattr(split, part).tolist() for part in parts}
            atomic.save(out_dir / f"{name}-seed{seed}.json", f"{json.dumps(content)}\n", OTHER_FOLDER)
            files += 1
    out.print(f"{files} splits written to {out_dir}/", soft_wrap=True)
