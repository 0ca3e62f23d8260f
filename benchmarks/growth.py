"""What a suite costs as it grows: 100, 1,000 and 10,000 cells that do next to nothing, through the real runner.

    python -m benchmarks.growth --sizes 100,1000        # make growth; what is measured already stays: --again for anew
    python -m benchmarks.growth --sizes 10000

A cell is one training step of `supervised` on two moons with a dozen points, its record and its arrays. Each run, and each plan
of a finished suite, is a process of its own, one thread each. Writes growth.json, growth.md and growth.png.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OUT = Path("results/reliability")
EXECUTORS = ("inline", "local")
WORKERS = 2
TENTHS = 10


def suite_content(cells: int) -> dict[str, Any]:
    """A suite of so many cells, as light as two moons can be."""
    return {
        "name": "growth",
        "methods": ["supervised"],
        "scenarios": ["two-moons-6"],
        "seeds": cells,
        "scenario": {
            "two-moons-6": {
                "steps": 1,
                "points": 1,
                "training_points": 12,
                "test_points": 10,
                "unlabelled_batch": 6,
                "hidden": [2],
            }
        },
    }


def resident() -> int:
    """Bytes of memory that this process holds now."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale  # the most it held


def measure_run(cells: int, executor: str, folder: Path) -> dict[str, Any]:
    """Run the suite here: seconds, CPU seconds and memory of the driver at each tenth, and what was stored."""
    from sslbench import runner
    from sslbench.executors import InlineExecutor, LocalExecutor
    from sslbench.records import Store
    from sslbench.suite import make_suite

    _warm_up(folder)
    store, workers = Store(folder), WORKERS if executor == "local" else 1
    engine = InlineExecutor() if executor == "inline" else LocalExecutor(WORKERS)
    with store.lock():
        begin = time.process_time()
        plan = runner.make_plan(make_suite(suite_content(cells)), store)
        planned = time.process_time() - begin
        store.prepare()
        points = [(time.perf_counter(), time.process_time(), resident())]
        for number, record in enumerate(runner.run(plan, store, engine, "cpu", workers), 1):
            assert record.status == "ok", record.reason
            if number * TENTHS % cells < TENTHS:
                points.append((time.perf_counter(), time.process_time(), resident()))
    return {
        "plan_cpu_s": planned,
        "seconds": [wall - points[0][0] for wall, *_ in points],
        "cpu_s": [cpu - points[0][1] for _, cpu, _ in points],
        "memory": [held for *_, held in points],
        "records_bytes": store.path.stat().st_size,
        "arrays_bytes": sum(p.stat().st_size for p in (folder / "arrays").iterdir()),
    }


def measure_plan(cells: int, folder: Path) -> dict[str, Any]:
    """See that the suite is finished: CPU seconds, and the memory that it takes."""
    from sslbench import runner
    from sslbench.records import Store
    from sslbench.suite import make_suite

    _warm_up(folder)
    before, begin = resident(), time.process_time()
    plan = runner.make_plan(make_suite(suite_content(cells)), Store(folder))
    spent = time.process_time() - begin
    assert len(plan.finished) == cells
    assert not plan.pending
    return {"finished_plan_cpu_s": spent, "finished_plan_bytes": resident() - before}


def _warm_up(folder: Path) -> None:
    """Import what a plan and a run import, so that it is in no number."""
    from sslbench import runner
    from sslbench.executors import InlineExecutor
    from sslbench.records import Store
    from sslbench.suite import make_suite

    store = Store(folder.with_name("warm-up"))
    for _ in runner.run(runner.make_plan(make_suite(suite_content(1)), store), store, InlineExecutor(), "cpu"):
        pass


def measure(cells: int, executor: str) -> dict[str, Any]:
    """Both, each in a process of its own, on a store that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"cells": cells, "executor": executor, "load": os.getloadavg()[0]}
        for part in ("run", "plan"):
            words = [sys.executable, "-m", "benchmarks.growth", "--part", part, "--sizes", str(cells)]
            words += ["--executors", executor, "--out", str(Path(folder) / "store")]
            done = subprocess.run(
                words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            found |= json.loads(done.stdout)
        return found


def rows(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """The table, a row a run."""
    for f in found:
        n, cpu, memory = f["cells"], f["cpu_s"], f["memory"]
        tenth = n / TENTHS
        yield [
            f"{n:,}",
            f["executor"],
            f"{1000 * f['seconds'][-1] / n:.1f}",
            f"{1000 * cpu[-1] / n:.1f}",
            f"{1000 * (cpu[1] - cpu[0]) / tenth:.1f} / {1000 * (cpu[-1] - cpu[-2]) / tenth:.1f}",
            f"{memory[0] / 1e6:.0f} / {memory[1] / 1e6:.0f} / {memory[-1] / 1e6:.0f}",
            f"{f['records_bytes'] / n / 1e3:.1f} + {f['arrays_bytes'] / n / 1e3:.1f}",
            f"{f['plan_cpu_s']:.2f} / {f['finished_plan_cpu_s']:.2f}",
            f"{f['finished_plan_bytes'] / 1e6:.1f}",
        ]


HEADER = (
    "cells",
    "executor",
    "ms a cell",
    "CPU ms a cell of the driver",
    "in the first / last tenth",
    "memory of the driver, before / after a tenth / at the end (MB)",
    "store a cell, records + arrays (kB)",
    "plan, new / finished (CPU s)",
    "memory of the finished plan (MB)",
)


def page(found: Sequence[dict[str, Any]], machine: str) -> str:
    """The measurements as Markdown."""
    lines = [
        "# What a suite costs as it grows",
        "",
        f"Measured by `python -m benchmarks.growth` (`make growth`) on {machine}; executor local: {WORKERS} workers.",
        "A cell is one training step of `supervised` on two moons with a dozen points, its record and its arrays: next to",
        "nothing, so that what is left is the house. With inline the driver trains, with local it does not, and starts the",
        "workers first. CPU times say more than the others where a machine is shared; its load is in growth.json.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---:|" * len(HEADER),
        *("| " + " | ".join(row) + " |" for row in rows(found)),
        "",
        "![CPU, memory, size and planning over the number of cells](growth.png)",
        "",
    ]
    return "\n".join(lines)


def picture(found: Sequence[dict[str, Any]]) -> bytes:
    """CPU of the driver, its memory, size of the store and time of a plan over the number of cells."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    from sslbench.report import canvas

    panels = (
        ("CPU of the driver a cell (ms)", lambda f: 1000 * f["cpu_s"][-1] / f["cells"]),
        ("memory of the driver (MB)", lambda f: f["memory"][-1] / 1e6),
        ("store a cell (kB)", lambda f: (f["records_bytes"] + f["arrays_bytes"]) / f["cells"] / 1e3),
        ("finished plan, CPU a cell (ms)", lambda f: 1000 * f["finished_plan_cpu_s"] / f["cells"]),
    )
    with canvas.style():
        drawn = canvas.figure(9, 6.4)
        for axes, (label, value) in zip(drawn.subplots(2, 2).flat, panels, strict=True):
            for executor, colour, marker in zip(EXECUTORS, ("#0b5cad", "#c2571a"), "os", strict=True):
                own = [f for f in found if f["executor"] == executor]
                axes.plot(
                    [f["cells"] for f in own], [value(f) for f in own], marker + "-", color=colour, label=executor
                )
            axes.set(xscale="log", xlabel="cells", ylabel=label, ylim=(0, 1.15 * max(map(value, found))))
            axes.xaxis.set_major_locator(FixedLocator(sorted({f["cells"] for f in found})))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
        drawn.axes[0].legend(frameon=False)
        return canvas.png(drawn)


def write(found: Sequence[dict[str, Any]], out: Path) -> None:
    """The measurements, the page and the plot."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "growth.md").write_text(page(found, f"{os.cpu_count()} cores, Python {platform.python_version()}"))
    (out / "growth.png").write_bytes(picture(found))


def known(out: Path) -> list[dict[str, Any]]:
    """What was measured before."""
    with contextlib.suppress(FileNotFoundError):
        found: list[dict[str, Any]] = json.loads((out / "growth.json").read_text())
        return found
    return []


def main() -> None:
    """Measure what is not measured yet, the small ones first, and write after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="100,1000,10000", help="numbers of cells, comma-separated")
    parser.add_argument("--executors", default=",".join(EXECUTORS), help="inline, local")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of growth.json, growth.md and growth.png")
    parser.add_argument("--again", action="store_true", help="measure anew what is in growth.json")
    parser.add_argument("--part", choices=("run", "plan"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes, executors = [int(size) for size in given.sizes.split(",")], given.executors.split(",")
    if given.part == "run":
        json.dump(measure_run(sizes[0], executors[0], given.out), sys.stdout)
        return
    if given.part == "plan":
        json.dump(measure_plan(sizes[0], given.out), sys.stdout)
        return
    found = known(given.out)
    for cells, executor in ((n, e) for n in sizes for e in executors):
        done = [f for f in found if (f["cells"], f["executor"]) == (cells, executor)]
        if done and not given.again:
            continue
        found = [f for f in found if f not in done] + [measure(cells, executor)]
        found.sort(key=lambda f: (f["cells"], EXECUTORS.index(f["executor"])))
        write(found, given.out)
        sys.stderr.write(
            "  ".join(next(rows([found[[(f["cells"], f["executor"]) for f in found].index((cells, executor))]]))) + "\n"
        )


if __name__ == "__main__":
    main()
