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
REST = "all else"
"""Start, waiting, records, MLflow, report; maps and boundaries; attempts that were lost."""


def shares(records: list[Record], seconds: float, workers: int) -> dict[str, float]:
    """The share of each part in `workers` times `seconds`, and of the rest.

    Args:
        workers: as `--workers`, of which 0 is this process.

    Raises:
        ValueError: the cells alone took more, so that these are not the seconds of their run.
    """
    whole = max(workers, 1) * seconds
    found = {part: sum(r.timing.get(name) or 0.0 for r in records) for part, name in PARTS.items()}
    if not 0 < sum(found.values()) <= whole:
        raise ValueError(
            f"the cells took {sum(found.values()):,.0f} s, which is no part of {workers} × {seconds:,.0f} s"
        )
    found[REST] = whole - sum(found.values())
    return {part: taken / whole for part, taken in found.items()}


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
