"""Measure, a part after the other, each into a file of its own; then write the page of all that is measured.

python -m benchmarks.perf results/perf-cpu [--device cpu] [--quick] [PART …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.perf import summary
from benchmarks.perf.parts import PARTS


def main(words: list[str] | None = None) -> int:
    """The exit code: 1 if a part failed, whose earlier measurement then stays."""
    lines = [f"{name}: {what}" for name, what in PARTS.items()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perf", epilog="; ".join(lines))
    parser.add_argument("folder", type=Path, help="where the measurements and the page go")
    parser.add_argument("parts", nargs="*", metavar="PART", help="all, if none is named")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="only to see that it works")
    given = parser.parse_intermixed_args(words)  # parts may stand after options
    if odd := [part for part in given.parts if part not in PARTS]:
        parser.error(f"unknown part '{odd[0]}': give {', '.join(PARTS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    failed = [p for p in given.parts or PARTS if not measured(p, given.folder, given.device, given.quick)]
    if any(given.folder.glob("perf-*.json")):
        sys.stdout.write(f"{summary.write(given.folder)}\n")
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def measured(part: str, folder: Path, device: str, quick: bool) -> bool:
    """Measure a part; whether all of it worked."""
    sys.stdout.write(f"{part}: {PARTS[part]}\n")
    sys.stdout.flush()
    file, fresh = folder / f"perf-{part}.json", folder / f"perf-{part}.partial"
    command = [sys.executable, "-m", "pytest", "benchmarks/perf", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    command += ["--part", part, "--device", device, *(["--quick"] if quick else [])]
    command += ["--benchmark-columns=median,rounds", f"--benchmark-json={fresh}"]
    code = subprocess.run(command, cwd=Path(__file__).parent.parent.parent, check=False).returncode
    if code == 0 and fresh.exists() and fresh.stat().st_size:
        fresh.replace(file)
    fresh.unlink(missing_ok=True)  # of what failed; or a part that this device does not have
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
