"""Training: steps, cells and suites, the engine against plain loops on the same steps and batches."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest

from benchmarks.perf import work
from benchmarks.perf.replay import on_the_same_draws
from benchmarks.perf.settings import NETWORKS, Setting, seeds, setting
from benchmarks.perf.sides import Command, Turn
from sslbench.methods.base import LossMethod, method
from sslbench.records import load_records

pytestmark = pytest.mark.timeout(0)  # a measurement takes as long as it takes

LOSS_METHODS = [name for name in method.names() if issubclass(method.get(name).thing, LossMethod)]
ROOT = Path(__file__).parent.parent.parent
QUICK = ROOT / "benchmarks" / "quick.toml"


@pytest.mark.parametrize("kind", ["matrix product", "convolution"])
def test_peak(turns, device, kind):
    """What the shares of the machine's peak are shares of."""
    side = turns.side(work.peak, kind, device, engine=True)
    found = turns.once("peak", kind, side.turn, rounds=5)
    turns.info["flops"] = max(turn.result for turn in found)


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_step(turns, size, device, name, network, count):
    """A training step: batches, augmentation, loss, gradient, optimiser, log."""
    a_step(turns, size, device, name, network, count)


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", LOSS_METHODS)
def test_step_as_a_graph(turns, size, device, name, network, count):
    """The same as a CUDA graph."""
    if device == "cpu":
        pytest.skip("a CPU has no CUDA graphs")
    a_step(turns, size, device, name, network, count, graphs=True)


def a_step(turns, size, device, name, network, count, graphs=False):
    if (
        count > 1
        and device == "cpu"
        and (network == "convolution 50 + 128" or (size.quick and "convolution" in network))
    ):
        pytest.skip("takes minutes, and a CPU trains these seeds one by one anyway")
    given = setting(name, network)
    same = on_the_same_draws(given, 2, [seeds(count)[-1]])
    assert same.agree(1e-4), f"the sides differ: {same}"
    engine = turns.side(work.engine_steps, given, count, device, graphs, engine=True)
    reference = turns.side(work.plain_steps, given, count, device)
    steps = turns.steps_a_turn(engine, reference)
    label = f"{name}, {network}, {count} seed{'s' * (count > 1)}{', graphs' * graphs}"
    measured = turns.measure("step", label, engine, reference, steps)
    assert {turn.result for turn in measured.engine + measured.reference} == {steps * count}
    turns.info.update(method=name, network=network, seeds=count, steps=steps)
    if count == 1 and not graphs:
        turns.info["flops"] = work.engine_flops(given, min(steps, 52))


@pytest.mark.parametrize("network", ["convolution 32 + 256", "two moons 6 + 1000", "linear 32 + 64"])
def test_cell(turns, size, device, network):
    """A whole cell of VAT, with its data, its split, its evaluation at 20 points and its metrics."""
    scenario, _ = NETWORKS[network]
    given = Setting("vat", scenario, {"steps": 40, "points": 4} if size.quick else {})
    assert on_the_same_draws(given, 2, seeds(1)).agree(1e-4)
    engine = turns.side(work.engine_cell, given, device, engine=True)
    reference = turns.side(work.plain_cell, given, device)
    measured = turns.measure("cell", f"vat, {scenario}", engine, reference, rounds=2 if size.quick else 3, warm=False)
    turns.info["final"] = [measured.engine[0].result["final"], measured.reference[0].result["final"]]
    for part in ("steps", "points"):
        assert {turn.result[part] for turn in measured.engine + measured.reference} == {getattr(given.posed(), part)}


def test_vat_over_supervised(turns, device):
    """A step of VAT on 32 + 256 rows over a supervised step on as many labelled rows: both by the engine.

    A supervised row is passed forward once and back once to inputs and weights. An unlabelled row of VAT is passed forward three
    times (for the target, the direction and the loss), back to the input twice and back to the weights once.
    """
    vat = Setting("vat", "mnist5k-1000", {"labelled_batch": 32, "unlabelled_batch": 256})
    supervised = Setting("supervised", "mnist5k-1000", {"labelled_batch": 288})
    one = turns.side(work.engine_steps, vat, 1, device, engine=True)
    other = turns.side(work.engine_steps, supervised, 1, device, engine=True)
    steps = turns.steps_a_turn(one, other)
    turns.measure("multiple", "supervised step / vat step, 288 rows each", one, other, steps)
    flops = [work.engine_flops(given, 2) for given in (vat, supervised)]
    turns.info.update(steps=steps, flops=flops, floor=flops[0] / flops[1])


SUITE = """\
name = "perf"
seeds = 1
methods = ["supervised", "pseudo-label", "pi-model", "vat"]
scenarios = ["mnist5k-50", "two-moons-6", "mnist5k-1000-logreg"]
[scenario."*"]
"""


@pytest.mark.parametrize("name", ["12 cells, 1 seed", "make bench, 84 cells"])
def test_suite(turns, size, device, tmp_path, name):
    """Methods × scenarios from the command line, with all it writes, against a script of plain loops: one process,
    torch's default threads."""
    small = name.startswith("12")
    if size.quick and not small:
        pytest.skip("takes a quarter of an hour")
    path = tmp_path / "perf.toml"
    path.write_text(SUITE + ("steps = 20\npoints = 2\n" if size.quick else "") if small else QUICK.read_text())
    python, number = sys.executable, iter(range(99))
    folders, tables = [], []

    class Engine:
        def turn(self) -> Turn:
            folders.append(tmp_path / "engine" / str(next(number)))
            words = (python, "-m", "sslbench", "run", str(path), "--device", device, "--out", str(folders[-1]))
            return Command(words).turn()

    class Reference:
        def turn(self) -> Turn:
            tables.append(tmp_path / f"{next(number)}.csv")
            return Command((python, "-m", "benchmarks.perf.plain_suite", str(path), device, str(tables[-1]))).turn()

    rounds = 1 if size.quick or not small else 2
    measured = turns.measure("suite", name, Engine(), Reference(), rounds=rounds, warm=False)
    cells = {record.id: record.metrics["accuracy"]["final"] for record in load_records(folders[0])}
    with tables[0].open() as file:
        plain = {row["cell"]: float(row["final"]) for row in csv.DictReader(file)}
    assert cells.keys() == plain.keys()
    engine_s, reference_s = (min(part) for part in measured.seconds)
    turns.info.update(
        cells=len(cells),
        cells_per_minute=[60 * len(cells) / engine_s, 60 * len(cells) / reference_s],
        mean_final=[sum(part.values()) / len(part) for part in (cells, plain)],
    )


def test_logistic_rounds(turns, size, device):
    """The article's logistic pseudo-labelling: pixels to 25 rounds of fits, on the same split, slices and random states.

    scikit-learn's classifier against the one in batches. On full MNIST where `$SSLBENCH_DATA` has it.
    """
    if device != "cpu":
        pytest.skip("scikit-learn's classifier runs on a CPU")
    full = bool(os.environ.get("SSLBENCH_DATA")) and not size.quick
    given = Setting("pseudo-label-rounds", "mnist-1000-sgd-batched" if full else "mnist5k-1000-sgd-batched")
    rounds = 2 if size.quick else 25
    engine = turns.side(work.engine_logistic, given, rounds, engine=True)
    reference = turns.side(work.plain_logistic, given, rounds)
    label = f"{rounds} rounds, {given.scenario}"
    measured = turns.measure("logistic", label, engine, reference, rounds=1 if full else 3, warm=not full)
    ours, theirs = measured.engine[0].result, measured.reference[0].result
    assert len(ours) == len(theirs) == rounds + 1
    # On the same features scikit-learn's own classifier would give the same (tests/baselines); in batches it is another descent.
    assert ours == pytest.approx(theirs, abs=0.02)
    turns.info.update(final=[ours[-1], theirs[-1]], mean=[sum(side) / len(side) for side in (ours, theirs)])
