"""Where the time of a whole suite went, all its workers together, from its records and from what `time` said of its run.

    time sslbench run methods
    python -m benchmarks.shares results/local/methods --seconds 2400

`make perf PARTS=shares` says it of smaller suites in one process, and of more parts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sslbench.forks import cores
from sslbench.records import Record, Store, current

PARTS = {"data": "setup_s", "training": "train_s", "evaluation": "eval_s"}
"""What the records have of each cell."""
REST = "start, waiting, records, MLflow and report"


def shares(records: list[Record], seconds: float, workers: int) -> dict[str, float]:
    """The share of each part in `workers` times `seconds`, and of the rest.

    Raises:
        ValueError: the cells alone took more, so that these are not the seconds of their run.
    """
    whole = workers * seconds
    found = {part: sum(r.timing.get(name) or 0.0 for r in records) / whole for part, name in PARTS.items()}
    if (rest := 1 - sum(found.values())) < 0:
        raise ValueError(f"the cells took {sum(found.values()) * whole:,.0f} s, more than {workers} × {seconds:,.0f} s")
    return {**found, REST: rest}


def row(records: list[Record], seconds: float, workers: int) -> str:
    """A table of one row, in Markdown."""
    found = shares(records, seconds, workers)
    around = 1 - found["data"] - found["training"]
    names = ["cells", "workers", "time", *found, "all but data and training"]
    time = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    values = [f"{len(records)}", f"{workers}", time, *(f"{share:.1%}" for share in (*found.values(), around))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---:"] * len(names), values))


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the time of a suite went.")
    parser.add_argument(
        "folder", type=Path, help="the results folder of a suite that one command ran from its first cell"
    )
    parser.add_argument("--seconds", type=float, required=True, help="how long that command took")
    parser.add_argument(
        "--workers", type=int, default=cores(), help="the command's; the cores of this machine by default"
    )
    given = parser.parse_args()
    sys.stdout.write(row(current(Store(given.folder).load()), given.seconds, given.workers) + "\n")


if __name__ == "__main__":
    main()
