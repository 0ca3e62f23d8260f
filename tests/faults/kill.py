"""Kill sslbench at random moments, start it again until it is done, and count what is lost, doubled or different.

    python -m tests.faults.kill --kills 100

Each round runs a miniature suite in a fresh folder. A kill (SIGKILL) hits the driver, one of its workers or all of them, while it
starts, trains, stores or reports; then the same command is given again. At the end of a round the records are held against those
of an undisturbed run in one process.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import sslbench
from sslbench.records import Record, Store

SUITE = """
name = "kill"
seeds = 6
methods = ["supervised", "pseudo-label", "pi-model", "vat"]
scenarios = ["two-moons-6", "noisy", "noisier"]
[scenario."*"]
steps = {steps}
points = 5
training_points = 60
test_points = 40
[scenario.noisy]
base = "two-moons-6"
noise = 0.2
[scenario.noisier]
base = "two-moons-6"
noise = 0.3
"""
VICTIMS = ("driver", "worker", "all")
PHASES = {"start-up": 2, "training": 3, "storing": 2, "report": 1}
"""How often each is chosen: what comes late costs a whole run."""
REPORTS = 2
"""Kills in the report, at most, of a round: it has nothing but that left."""
PATIENCE_S = 600.0
"""After which a run or an orphan is taken for stuck."""


@dataclass
class Tally:
    """What was done and what came of it. All but the kills and the rounds must be 0."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (phase, victim)."""
    rounds: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    """Processes that outlived their driver."""
    odd: list[str] = field(default_factory=list)
    """Runs that ended otherwise than they should, and MLflow runs that are not as they should be."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.differing or self.orphans or self.odd)

    def lines(self) -> Iterator[str]:
        yield f"| killed | {' | '.join(PHASES)} |"
        yield "|---|" + "---:|" * len(PHASES)
        for victim in VICTIMS:
            yield f"| {victim} | {' | '.join(str(self.kills[phase, victim]) for phase in PHASES)} |"
        yield f"{self.kills.total()} kills in {self.rounds} rounds: " + ", ".join(
            f"{len(found)} {what}"
            for what, found in (
                ("cells lost", self.lost),
                ("doubled", self.doubled),
                ("differing", self.differing),
                ("orphans", self.orphans),
                ("odd ends", self.odd),
            )
        )
        for found in (self.lost, self.doubled, self.differing, self.orphans, self.odd):
            yield from found


class Run:
    """One start of `sslbench run`, watched from outside."""

    def __init__(self, suite: Path, folder: Path, mlflow: bool, plugin: Path | None = None) -> None:
        words = ["run", suite, "--out", folder, "--workers", "2", "--device", "cpu"] + (
            [] if mlflow else ["--no-mlflow"]
        )
        words += ["--plugin", plugin] if plugin else []
        self.log = folder.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sslbench", *map(str, words)], stdout=log, stderr=log, start_new_session=True
            )
        self.records = folder / "records.jsonl"
        self.begun = time.monotonic()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def workers(self) -> list[int]:
        """They are children of a process of its own that forks them."""
        found = list(_processes())
        servers = {pid for pid, parent, words in found if parent == self.process.pid and "forkserver" in words}
        return [pid for pid, parent, _ in found if parent in servers]

    def everybody(self) -> list[int]:
        """All processes of its session that are alive."""
        return [pid for pid, *_ in _processes() if _session(pid) == self.process.pid]

    def size(self) -> int:
        return self.records.stat().st_size if self.records.exists() else 0

    def lines(self) -> int:
        return self.records.read_bytes().count(b"\n") if self.records.exists() else 0

    def kill(self, victim: str, rng: random.Random) -> str:
        """Returns whom it hit: where there is no worker, the driver."""
        workers = self.workers() if victim == "worker" else []
        with contextlib.suppress(ProcessLookupError):
            if workers:
                os.kill(rng.choice(workers), signal.SIGKILL)
                return "worker"
            if victim == "all":
                os.killpg(self.process.pid, signal.SIGKILL)
                return "all"
            self.process.kill()
        return "driver"

    def is_gone(self) -> bool:
        """Whether all its processes end, now that the driver has. Ends them otherwise."""
        self.process.wait()
        gone = _soon(lambda: not self.everybody())
        if not gone:
            os.killpg(self.process.pid, signal.SIGKILL)
        return gone


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, command) of everything that is no zombie."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                if state != "Z":
                    yield int(entry.name), int(parent), (entry / "cmdline").read_bytes().decode(errors="replace")


def _session(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return -1


def _soon(condition) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Killer:
    """Kills runs of one suite, and judges what they left."""

    def __init__(self, home: Path, seed: int, steps: int, mlflow: bool) -> None:
        self.home, self.rng, self.mlflow, self.tally = home, random.Random(seed), mlflow, Tally()
        self.suite = home / "kill.toml"
        self.suite.write_text(SUITE.format(steps=steps))
        self.reference = {r.id: r for r in sslbench.run(self.suite, out=home / "reference", workers=0, device="cpu")}
        self.store = Store(home / "reference")
        self.lasts = {"start-up": 3.0, "training": 3.0, "storing": 0.02, "report": 4.0}
        """Seconds that a phase takes, as far as was seen."""

    def round(self, kills: int) -> None:
        """Run the suite in a fresh folder with so many kills, until it is done."""
        folder = self.home / f"round{self.tally.rounds}" / "kill"
        folder.parent.mkdir()
        seen: dict[tuple[str, str], Record] = {}
        reports = self._reports() + REPORTS
        for start in itertools.count():
            run = Run(self.suite, folder, self.mlflow)
            while kills and not run.ended and self._reports() < reports:
                kills -= self._strike(run)
            if not run.ended and not _soon(lambda run=run: run.ended):
                self.tally.odd.append(f"{folder}: stuck: {run.log.read_text()}")
                run.kill("all", self.rng)
            if not run.is_gone():
                self.tally.orphans.append(f"{folder}: start {start}")
            seen |= {(r.id, r.key): r for r in Store(folder).load() if r.finished}
            code = run.process.returncode
            if code not in (0, 1, -signal.SIGKILL):  # 1: a cell whose process was killed too often
                self.tally.odd.append(f"{folder}: exit code {code}: {run.log.read_text()}")
            if code == 0 or start > 100:
                break
        self._judge(folder, seen)
        if self.mlflow:
            self._judge_mlflow(folder.parent / "mlflow.db", run)
        self.tally.rounds += 1
        if self.tally.clean:
            shutil.rmtree(folder.parent)

    def _reports(self) -> int:
        return sum(count for (phase, _), count in self.tally.kills.items() if phase == "report")

    def _strike(self, run: Run) -> bool:
        """Wait for a random moment of a random phase and kill a random victim. Says whether the moment came."""
        open_ = {p: w for p, w in PHASES.items() if p == "report" or run.lines() < len(self.reference)}
        phase = self.rng.choices(list(open_), list(open_.values()))[0]
        if not self._wait_for(phase, run):
            return False
        began = time.monotonic()
        delay = self.rng.uniform(0.0, self.lasts[phase])
        while time.monotonic() < began + delay and not run.ended:
            time.sleep(0.001)
        if run.ended:
            self.lasts[phase] = min(self.lasts[phase], time.monotonic() - began)
            return False
        victim = run.kill(self.rng.choice(VICTIMS), self.rng)
        self.tally.kills[phase, victim] += 1
        return True

    def _wait_for(self, phase: str, run: Run) -> bool:
        """Wait until a phase begins. Says whether it did: a start has no second beginning, and a run may end before."""
        size = run.size()
        signs = {
            "start-up": lambda: True,
            "training": lambda: bool(run.workers()),
            "storing": lambda: run.size() > size,
            "report": lambda: run.lines() >= len(self.reference),
        }
        if phase == "start-up" and time.monotonic() - run.begun > self.lasts[phase]:
            return not run.ended
        while not signs[phase]():
            if run.ended or time.monotonic() > run.begun + PATIENCE_S:
                return False
            time.sleep(0.001 if phase == "storing" else 0.01)
        return not run.ended

    def _judge(self, folder: Path, seen: dict[tuple[str, str], Record]) -> None:
        store = Store(folder)
        history = [r for r in store.load() if r.finished]
        counts = Counter((r.id, r.key) for r in history)
        found = {(r.id, r.key): r for r in history}
        wanted = {(r.id, r.key) for r in self.reference.values()}
        self.tally.lost += [f"{folder}: {i}" for i, k in (wanted | seen.keys()) - found.keys()]
        self.tally.doubled += [f"{folder}: {i}" for (i, _), count in counts.items() if count > 1]
        for (name, _), record in found.items():
            if not self._same(self.reference[name], record, store):
                self.tally.differing.append(f"{folder}: {name}")

    def _same(self, one: Record, other: Record, store: Store) -> bool:
        parts = ("cell", "status", "reason", "metrics", "diagnostics", "curves", "arrays", "method", "scenario", "seed")
        ours, theirs = self.store.arrays(one), store.arrays(other)
        return all(getattr(one, part) == getattr(other, part) for part in parts) and all(
            np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours
        )

    def _judge_mlflow(self, path: Path, run: Run) -> None:
        """Every cell one finished run, no point twice, and nobody was warned in the last start."""
        with contextlib.closing(sqlite3.connect(path)) as database:
            # A half run of a tracker that was killed is deleted, and keeps its status.
            runs = database.execute("select name, status from runs where lifecycle_stage = 'active'").fetchall()
            twice = database.execute(
                "select run_uuid, key, step from metrics group by run_uuid, key, step having count(*) > 1"
            ).fetchall()
        names = Counter(name for name, _ in runs)
        half = [name for name, status in runs if status == "RUNNING"]
        wrong = [name for name in self.reference if names[name] != 1]
        if wrong or half or twice or "Warning" in run.log.read_text() or len(names) != len(self.reference) + 1:
            self.tally.odd.append(f"{path}: {wrong} {half} {twice} {run.log.read_text()}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--a-round", type=int, default=12, help="kills before the suite may finish")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument("--steps", type=int, default=300, help="training steps of a cell")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no round after that")
    parser.add_argument("--mlflow", action="store_true", help="log to MLflow, and judge its database, too")
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="sslbench-kill-"))
    tally = kill(home, given.kills, given.a_round, given.seed, given.steps, given.mlflow, given.minutes)
    sys.stdout.write("\n".join([*tally.lines(), ""]))
    if tally.clean:
        shutil.rmtree(home)
    sys.exit(not tally.clean)


def kill(
    home: Path,
    kills: int,
    a_round: int = 12,
    seed: int = 0,
    steps: int = 300,
    mlflow: bool = False,
    minutes: float = 60.0,
) -> Tally:
    """Rounds in a folder until so many kills were given, or the time is up. What is not clean is kept there."""
    killer = Killer(home, seed, steps, mlflow)
    tally, began = killer.tally, time.monotonic()
    while tally.kills.total() < kills and time.monotonic() < began + 60 * minutes:
        killer.round(min(a_round, kills - tally.kills.total()))
        sys.stderr.write(f"{time.monotonic() - began:5.0f} s: {list(tally.lines())[5]}\n")
    return tally


if __name__ == "__main__":
    main()
