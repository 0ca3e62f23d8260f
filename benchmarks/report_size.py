"""What the report of a large suite costs: 10 methods × 20 scenarios × 20 seeds, as records that nobody trained.

python -m benchmarks.report_size              # says how long it takes, and how large the page is
python -m benchmarks.report_size --keep DIR   # keeps the records and the report, to look at
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from sslbench.report import write_report
from sslbench.report.palette import KNOWN
from tests.report.factory import TWENTY, whole, write

METHODS, SEEDS, POINTS = 10, 20, 30


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cells = whole(given.seeds, tuple(KNOWN)[:METHODS], POINTS, TWENTY)
        stored = write(given.keep or Path(folder), cells)
        begun, cpu = time.monotonic(), time.process_time()
        made = write_report(stored)
        seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
        sizes = [path.stat().st_size for path in made.plots]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        lines = [
            f"{METHODS} methods × {len(TWENTY)} scenarios × {given.seeds} seeds = {len(cells)} cells",
            f"records.jsonl  {(stored / 'records.jsonl').stat().st_size / 1e6:.1f} MB",
            f"report.html    {made.html.stat().st_size / 1e6:.2f} MB",
            f"plots          {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB",
            f"written in     {seconds:.0f} s ({cpu:.0f} s of one core), {memory:.0f} MB of memory at most",
        ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
