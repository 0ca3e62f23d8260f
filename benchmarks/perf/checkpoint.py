"""What a checkpoint of the article's network costs: its size, and the time to write and to read it.

python -m benchmarks.perf.checkpoint
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from sslbench.engine import CheckpointFile
from sslbench.engine.course import Course, checkpoints_of
from sslbench.engine.evaluation import Evaluation
from sslbench.engine.training import Training
from sslbench.methods.base import method
from sslbench.rng import Rng
from sslbench.scenarios.base import scenario

ROUNDS = 30


def measure(optimizer: str, folder: Path) -> str:
    """A line: after one step of pseudo-labelling with that optimizer."""
    entry, rng = scenario.get("mnist5k-1000"), Rng.root(0)
    posed = entry.thing(**{**entry.preset, "steps": 1, "points": 1, "optimizer": optimizer})
    problem = posed.problem(rng)
    training = Training(method.get("pseudo-label").thing(), posed, [problem], [rng], torch.device("cpu"))
    for step, rows in training.steps():
        training.sums.add(step.kind, *reversed(training.advance(step, rows)))
    evaluation, file = Evaluation(problem, posed.watched, rng), CheckpointFile(folder / f"{optimizer}.npz", {})
    written, read = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        file.save(checkpoints_of(training, [evaluation], Course(1))[0])
        written.append(time.perf_counter() - start)
        start = time.perf_counter()
        file.load()
        read.append(time.perf_counter() - start)
    parameters = sum(p.numel() for p in training.parameters.values())
    to_write, to_read = (1000 * statistics.median(times) for times in (written, read))
    size = file.path.stat().st_size / 1e6
    return f"{optimizer}: {parameters} parameters, {size:.2f} MB, {to_write:.0f} ms to write, {to_read:.0f} ms to read"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for optimizer in ("sgd", "adam"):
            sys.stdout.write(f"{measure(optimizer, Path(folder))}\n")
