"""Records as a benchmark would write them, without training anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sslbench.records import Record, Store

SCENARIOS: dict[str, dict[str, Any]] = {
    "mnist5k-10": {"family": "label-count", "labels": 10},
    "mnist5k-20": {"family": "label-count", "labels": 20},
    "mnist5k-50": {"family": "label-count", "labels": 50},
    "mnist5k-1000": {"family": "label-count", "labels": 1000},
    "mnist5k-1000-no7": {"family": "missing-class", "labels": 1000, "missing": [7]},
    "two-moons-6": {"family": "two-moons", "labels": 6, "class_names": ["upper", "lower"]},
    "mnist5k-1000-logreg": {"family": "logistic-regression", "labels": 1000},
}

TWENTY = SCENARIOS | {
    name.replace("mnist5k", data): about
    for data in ("fashion", "kmnist")
    for name, about in SCENARIOS.items()
    if name.startswith("mnist5k")
}
TWENTY["two-moons-20"] = SCENARIOS["two-moons-6"] | {"labels": 20}
"""The same kinds on further data: what a large suite crosses."""

METHODS = ("supervised", "pseudo-label", "pi-model", "vat")

ACCURACY = {  # mean final accuracy of supervised, and how much each of the others gains
    "mnist5k-10": (0.42, (0.0, -0.02, 0.06, 0.15)),
    "mnist5k-20": (0.55, (0.0, 0.02, 0.08, 0.20)),
    "mnist5k-50": (0.70, (0.0, 0.09, 0.10, 0.20)),
    "mnist5k-1000": (0.940, (0.0, 0.012, 0.015, 0.027)),
    "mnist5k-1000-no7": (0.851, (0.0, 0.015, 0.005, 0.010)),
    "two-moons-6": (0.841, (0.0, -0.011, 0.097, 0.141)),
    "mnist5k-1000-logreg": (0.866, (0.0, 0.013, 0.0, 0.0)),
}


def record(
    method: str = "vat",
    scenario: str = "mnist5k-50",
    seed: int = 0,
    accuracy: float | None = 0.9,
    **changes: Any,
) -> Record:
    """A record without curves or arrays. `changes` replace whole fields; `split` sets the digest of the split."""
    split = changes.pop("split", f"{scenario}-{seed}-" + "0" * 52)
    about = {"missing": [], "class_names": [str(c) for c in range(10)], "params": {"steps": 100}}
    about |= {"family": "label-count", "labels": 50} | TWENTY.get(scenario, {})
    final = {"final": accuracy, "selected": accuracy, "oracle": accuracy}
    given: dict[str, Any] = {
        "cell": {
            "id": f"{method}/{scenario}/seed{seed}",
            "key": re.sub(r"[^A-Za-z0-9.-]+", "-", f"k-{method}-{scenario}-{seed}"),
        },
        "method": {"name": method, "base": method, "params": {"weight": 1.0}},
        "scenario": {"name": scenario, **about},
        "seed": seed,
        "status": "ok",
        "metrics": {"accuracy": final} if accuracy is not None else {},
        "timing": {"train_s": 12.0, "eval_s": 1.0, "steps": 100, "steps_per_s": 8.3},
        "peak_memory_bytes": 300 * 2**20,
        "provenance": {"split_sha256": split, "device": "cpu", "precision": "float32"},
    }
    return Record(**(given | changes))


def lost(method: str, scenario: str, seed: int, status: str, reason: str) -> Record:
    """A record of a cell without a result."""
    return record(method, scenario, seed, None, status=status, reason=reason, timing={}, peak_memory_bytes=0)


def whole(
    seeds: int = 3, methods: tuple[str, ...] = METHODS, points: int = 40, scenarios: Iterable[str] = tuple(SCENARIOS)
) -> list[tuple[Record, dict[str, Any]]]:
    """A realistic benchmark: (record, arrays) of every cell. `scenarios` are some of `TWENTY`."""
    return [
        _cell(method, place, scenario, seed, points)
        for scenario in scenarios
        for place, method in enumerate(methods)
        for seed in range(seeds)
    ]


def write(folder: Path, cells: list[tuple[Record, dict[str, Any]]]) -> Path:
    """A results folder with these records. Written at once, where a run appends with a flush each."""
    store = Store(folder)
    store.prepare()
    for made, arrays in cells:
        if arrays:
            store.append(made, arrays)
        else:
            with store.path.open("a", encoding="utf-8") as file:
                file.write(made.to_json() + "\n")
    return folder


def _cell(method: str, place: int, scenario: str, seed: int, points: int) -> tuple[Record, dict[str, Any]]:
    if scenario.endswith("logreg") and method in ("pi-model", "vat"):
        reason = "the scenario needs a method with fit; a consistency loss has no scikit-learn form"
        return _as_run(lost(method, scenario, seed, "skipped", reason)), {}
    if (method, scenario, seed) == ("pi-model", "mnist5k-10", 1):
        return _as_run(lost(method, scenario, seed, "diverged", "the loss is not finite at step 431")), {}
    rng = np.random.default_rng([len(method), place, len(scenario), seed, TWENTY[scenario]["labels"]])
    base, gains = ACCURACY[
        "two-moons-6" if scenario == "two-moons-20" else re.sub("fashion|kmnist", "mnist5k", scenario)
    ]
    final = base + gains[place % 4] + (0.05 if base < 0.8 else 0.006) * (rng.normal() * 0.5 + np.sin(seed * 2.1))
    final = float(np.clip(final, 0.05, 0.998))
    classes = 2 if scenario.startswith("two-moons") else 10
    confusion = _confusion(final, classes, TWENTY[scenario].get("missing", []), place)
    made = replace(
        _as_run(record(method, scenario, seed)),
        metrics={
            "accuracy": {"final": final, "selected": final - 0.002, "oracle": final + 0.004},
            "nll": 2 * (1 - final),
            "ece": 0.4 * (1 - final),
            "per_class_accuracy": [row[i] / sum(row) for i, row in enumerate(confusion)],
            "confusion": confusion,
        },
        curves={} if scenario.endswith("logreg") else _curves(final, place, points, rng),
        timing={
            "train_s": 11.0 * (1 + place) + rng.random(),
            "eval_s": 0.8,
            "steps": 2000,
            "steps_per_s": 180 / (1 + place),
        },
        arrays=["boundary_x", "boundary_y", "boundary_p", "points", "labelled", "labelled_y"] if classes == 2 else [],
    )
    return made, _moons(final, rng) if classes == 2 else {}


def _as_run(made: Record) -> Record:
    """With the settings and the provenance that a real run would have."""
    method, scenario = made.method["name"], made.scenario["name"]
    return replace(
        made,
        method={"name": method, "base": method, "params": _params(method, scenario)},
        scenario=_about(scenario),
        provenance=_provenance(scenario, made.seed),
    )


def _about(scenario: str) -> dict[str, Any]:
    about = TWENTY[scenario]
    params = {
        "steps": 1500 if about["family"] == "two-moons" else 2000,
        "labelled_batch": 32,
        "unlabelled_batch": 256,
        "optimizer": {"name": "adam", "lr": 0.01 if about["family"] == "two-moons" else 0.002},
        "weak": "shift 2 px",
        "labels": about["labels"],
    }
    names = {"class_names": about.get("class_names", [str(c) for c in range(10)]), "missing": about.get("missing", [])}
    return {"name": scenario, **about, **names, "params": params}


def _params(method: str, scenario: str) -> dict[str, Any]:
    if method == "supervised":
        return {}
    return {"weight": 20.0 if method == "pi-model" else 1.0, "radius": 0.3 if scenario.startswith("two-moons") else 1.5}


def _curves(final: float, place: int, points: int, rng: np.random.Generator) -> dict[str, list[float | None]]:
    t = np.linspace(0, 1, points)
    accuracy = np.clip(final * (1 - 0.8 * np.exp(-6 * t)) + 0.01 * rng.normal(size=points), 0, 1)
    accuracy[-1] = final
    alpha = np.clip((t - 0.1) / 0.5, 0, 1) * (1, 3, 20, 1)[place % 4] * (place > 0)
    none: list[float | None] = [None] * points
    return {
        "step": [int(s) for s in t * 2000],
        "labelled_loss": (2.3 * np.exp(-5 * t)).tolist(),
        "unlabelled_loss": (0.6 * np.exp(-2 * t) + 0.02 * rng.random(points)).tolist() if place else none,
        "unlabelled_weight": alpha.tolist() if place else none,
        "test_accuracy": accuracy.tolist(),
        "validation_accuracy": accuracy.tolist(),
        "pseudo_label_accuracy": (accuracy * 0.98).tolist() if place % 4 == 1 else none,
        "pseudo_label_coverage": np.ones(points).tolist() if place % 4 == 1 else none,
    }


def _confusion(final: float, classes: int, missing: list[int], place: int) -> list[list[int]]:
    wrong = (1 - final) / max(classes - 1, 1)
    table = np.full((classes, classes), round(100 * wrong), dtype=int)
    np.fill_diagonal(table, round(100 * final))
    for c in missing:
        table[c] = 3
        table[c, 9], table[c, 2], table[c, c] = 50 - 10 * place, 20, 12 * place
    return [[int(v) for v in row] for row in table]


def _provenance(scenario: str, seed: int) -> dict[str, Any]:
    return {
        "split_sha256": f"{abs(hash_of(scenario, seed)):064x}",
        "data_sha256": f"{abs(hash_of(scenario, -1)):064x}",
        "versions": {"python": "3.12.3", "torch": "2.11.0", "numpy": "2.4.6", "sslbench": "0.1.0"},
        "device": "cpu",
        "machine": "2 cores, x86_64",
        "git_commit": "6d20d38a9f1c",
        "dirty": False,
        "precision": "float32",
        "command": "sslbench run benchmarks/default.toml --seeds 3",
        "started_at": f"2026-01-{1 + seed:02d}T10:00:00+00:00",
        "finished_at": f"2026-01-{1 + seed:02d}T10:01:00+00:00",
    }


def hash_of(scenario: str, seed: int) -> int:
    """A number that looks like a digest."""
    return pow(7919 * (seed + 2) + sum(map(ord, scenario)), 19, 2**256)


def _moons(final: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    angle = np.pi * rng.random(500)
    upper = np.c_[np.cos(angle), np.sin(angle)]
    lower = np.c_[1 - np.cos(angle), 0.5 - np.sin(angle)]
    points = np.r_[upper, lower] + 0.1 * rng.normal(size=(1000, 2))
    x, y = np.linspace(-1.6, 2.6, 60), np.linspace(-1.1, 1.6, 60)
    bend = max(0.0, (final - 0.8) * 4)
    line = 0.25 - bend * 0.9 * np.sin((x - 0.5) * 1.9)
    p = 1 / (1 + np.exp(6 * (y[:, None] - line[None, :])))
    chosen = np.r_[0:3, 500:503]
    return {
        "boundary_x": x,
        "boundary_y": y,
        "boundary_p": p.astype(np.float32),
        "points": points,
        "labelled": points[chosen],
        "labelled_y": np.array([0, 0, 0, 1, 1, 1]),
    }
