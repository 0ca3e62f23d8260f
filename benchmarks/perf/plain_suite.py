"""A suite by plain loops, one cell after the other in one process, with torch's default threads.

python -m benchmarks.perf.plain_suite SUITE.toml DEVICE TABLE.csv
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path

from benchmarks.perf.work import plain_result
from sslbench.engine.seeds import arithmetic
from sslbench.suite import read_suite


def main(suite: str, device: str, table: str) -> None:
    with Path(table).open("w", newline="") as file, arithmetic("float32"):  # as the suite says
        rows = csv.writer(file)
        rows.writerow(["cell", "final"])
        for cell in read_suite(Path(suite)).cells():
            assert dataclasses.is_dataclass(cell.method)
            given = dataclasses.asdict(cell.method)
            rows.writerow([cell.id, plain_result(cell.method_base, cell.scenario, given, cell.rng, device)["final"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
