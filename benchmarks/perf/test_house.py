"""Everything around the training: evaluation, records, report, MLflow, start-up, memory."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.perf import house, work
from benchmarks.perf.settings import setting
from benchmarks.perf.sides import Command
from sslbench.suite import Overrides, read_suite

pytestmark = pytest.mark.timeout(0)  # a measurement takes as long as it takes


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Gives results folders by their number of records. The last test that uses one must not mind what others appended."""
    made: dict[int, Path] = {}

    def of(count: int) -> Path:
        if count not in made:
            made[count] = house.store_of(count, tmp_path_factory.mktemp("store") / str(count))
        return made[count]

    yield of
    for folder in made.values():
        shutil.rmtree(folder)


def enough(size, counts):
    """The smallest count alone where it is to be quick."""
    return counts[:1] if size.quick else counts


@pytest.mark.parametrize("network", ["convolution 32 + 256", "two moons 6 + 1000", "linear 32 + 64"])
def test_evaluation(turns, device, network):
    """A point of a learning curve: probabilities of the validation, the watched unlabelled and the test examples."""
    given = setting("supervised", network)
    engine = turns.side(work.engine_evaluation, given, device, engine=True)
    reference = turns.side(work.plain_evaluation, given, device)
    measured = turns.measure("evaluation", network, engine, reference)
    for turn in measured.engine + measured.reference:
        assert turn.result == pytest.approx(measured.reference[0].result, abs=2e-3)  # an example on the border


COUNTS = [100, 10_000, 100_000]


@pytest.mark.parametrize("count", COUNTS)
def test_append(turns, size, store, count, tmp_path):
    """Records appended one by one, each flushed to the disk, to a store that holds some."""
    if count not in enough(size, COUNTS):
        pytest.skip("minutes")
    folders = [shutil.copytree(store(count), tmp_path / name) for name in ("engine", "reference")]
    engine = turns.side(house.engine_append, folders[0], engine=True)
    reference = turns.side(house.plain_append, folders[1])
    measured = turns.measure("append", f"20 records to {count:,}", engine, reference, 20)
    for turn in measured.engine + measured.reference:
        assert turn.result == measured.reference[0].result


@pytest.mark.parametrize("count", COUNTS)
def test_load(turns, size, store, count):
    """All records of a store, held against `json.loads` of its lines."""
    if count not in enough(size, COUNTS):
        pytest.skip("minutes")
    engine = turns.side(house.engine_load, store(count), engine=True)
    reference = turns.side(house.plain_load, store(count))
    most = count == COUNTS[-1]
    measured = turns.measure("load", f"{count:,} records", engine, reference, rounds=2 if most else 0, warm=not most)
    assert {turn.result for turn in measured.engine + measured.reference} == {count}


def test_plan_of_a_finished_suite(turns, size, store):
    """A suite whose cells are all finished is recognised as such; held against `json.loads` of the lines."""
    count = 1000 if size.quick else 10_000
    engine = turns.side(house.engine_plan, count, store(count), engine=True)
    reference = turns.side(house.plain_load, store(count))
    measured = turns.measure("plan", f"{count:,} finished cells", engine, reference, rounds=3)
    assert {turn.result for turn in measured.engine + measured.reference} == {count}
    turns.info["wanted_s"] = 2.0


def test_report(turns, size, store):
    """Tables, plots and the page, held against the table of means alone, by pandas."""
    count = 100 if size.quick else 10_000
    engine = turns.side(house.engine_report, store(count), engine=True)
    reference = turns.side(house.plain_report, store(count))
    measured = turns.measure("report", f"{count:,} records", engine, reference, rounds=2)
    ours, theirs = measured.engine[0].result, measured.reference[0].result
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_mlflow(turns, size, tmp_path):
    """Cells with all their curves, held against mlflow's own functions."""
    engine = turns.side(house.engine_mlflow, tmp_path / "engine", engine=True)
    reference = turns.side(house.plain_mlflow, tmp_path / "reference")
    cells = 2 if size.quick else 5
    measured = turns.measure("mlflow", f"{cells} cells", engine, reference, cells, rounds=3)
    for ours, theirs in zip(measured.engine, measured.reference, strict=True):
        assert ours.result == theirs.result > 0
    turns.info["cells"] = cells


PLAIN = """
import typer
app = typer.Typer()
@app.command()
def run(): "Run."
@app.command()
def report(): "Report."
app()
"""


@pytest.mark.parametrize("words", ["--help", "list"])
def test_start(turns, words):
    """`sslbench --help` and `sslbench list`, held against the help of a typer program of two empty commands."""
    engine = Command((sys.executable, "-m", "sslbench", words))
    reference = Command((sys.executable, "-c", PLAIN, "--help"))
    measured = turns.measure("start", f"sslbench {words}", engine, reference, rounds=5)
    assert "Usage" in measured.reference[0].result
    assert ("Usage" if words == "--help" else "vat") in measured.engine[0].result


SUITES = Path(__file__).parent.parent
SMALL = ("mnist5k-50", "two-moons-6", "mnist5k-1000-logreg")


@pytest.mark.parametrize(("suite", "scenarios"), [("quick", SMALL), ("methods", None)])
def test_shares_of_a_suite(turns, size, device, tmp_path, suite, scenarios):
    """Where the time of `sslbench run SUITE --seeds 1 --workers 0` goes: of a small suite, and of one as it would be run."""
    overrides = Overrides(scenarios=scenarios, seeds="1")
    if size.quick:  # in so few steps some methods would not come to their unlabelled examples
        overrides = Overrides(house.METHODS, SMALL[1:], "1", ("*.steps=20", "*.points=2"))
    path = SUITES / f"{suite}.toml"
    side = turns.side(house.suite_parts, path, overrides, tmp_path / "shares", device, engine=True)
    (turn,) = turns.once("shares", f"{suite}.toml, 1 seed", side.turn)
    turns.info["parts"] = turn.result
    assert turn.result["cells"] == len(list(read_suite(path, overrides).cells()))


def test_memory_over_many_cells(turns, size, tmp_path):
    """The memory of a process that runs one cell after the other."""
    count = 80 if size.quick else 1000
    side = turns.side(house.memory_over_cells, count, tmp_path / "many", engine=True)
    (turn,) = turns.once("memory", f"{count:,} cells", side.turn)
    turns.info["tenths"] = turn.result
    assert {len(tenths) for tenths in turn.result.values()} == {10}
