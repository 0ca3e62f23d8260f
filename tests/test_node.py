"""What a node of a cluster refuses to compute: anything that would not be the result that the driver planned."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys

import pytest

from sslbench import runner
from sslbench.errors import BadInput
from sslbench.executors.node import Driver, admit, serve
from sslbench.records import Store
from sslbench.registry import load_plugin


@pytest.fixture
def job(mini, tmp_path):
    return runner.make_jobs(runner.make_plan(mini(methods=["supervised"]), Store(tmp_path)), "cpu", 1)[0]


def told(job, **changes):
    """The job with other values in each of its cells."""
    return dataclasses.replace(job, cells=tuple(dataclasses.replace(c, **changes) for c in job.cells))


HERE = Driver.here("cpu", ())


def test_a_job_of_the_same_code_and_data_is_taken(job):
    assert admit(HERE, pickle.dumps(job)).keys == job.keys
    results = pickle.loads(serve(HERE, pickle.dumps(job), lambda *news: None))
    assert [r.record.status for r in results] == ["ok", "ok"]
    assert results[0].record.provenance["versions"] == HERE.versions


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("common", "code of the engine"),
        ("method", "the method 'supervised'"),
        ("scenario", "the scenario 'two-moons-6'"),
    ],
)
def test_other_code_is_refused(job, part, message):
    other = told(job, source=dataclasses.replace(job.cells[0].source, **{part: "0123456789abcdef"}))
    with pytest.raises(BadInput, match=f"{message} is not the driver's: install the same sslbench"):
        admit(HERE, pickle.dumps(other))


def test_other_data_are_refused(job):
    other = dataclasses.replace(job, keys=tuple("0" * 32 for _ in job.keys))
    with pytest.raises(
        BadInput, match="data of the scenario 'two-moons-6' at seed 0 are not the driver's .*SSLBENCH_DATA"
    ):
        serve(HERE, pickle.dumps(other), lambda *news: None)


@pytest.mark.parametrize("package", ["sslbench", "torch", "numpy"])
def test_other_versions_are_refused(job, package):
    driver = dataclasses.replace(HERE, versions={**HERE.versions, package: "0.0.1"})
    with pytest.raises(BadInput, match=rf"it has {package} \S+ \(driver: 0\.0\.1\): install the same versions"):
        admit(driver, pickle.dumps(job))


def test_another_build_of_the_same_torch_will_do(job):
    driver = dataclasses.replace(
        HERE, versions={**HERE.versions, "torch": f"{HERE.versions['torch'].split('+')[0]}+other"}
    )
    assert admit(driver, pickle.dumps(job))


PLUGIN = '''
from dataclasses import dataclass
from sslbench.methods.base import Loss, LossMethod, cross_entropy, method

@method("shipped")
@dataclass(frozen=True)
class Shipped(LossMethod):
    """Known to the driver alone."""

    def loss(self, model, batch, step, rng):
        return Loss(cross_entropy(model, batch, rng))
'''
NODE = """
import pickle, sys
from sslbench.errors import BadInput
from sslbench.executors.node import serve
driver, job = pickle.load(sys.stdin.buffer)
try:
    print([r.record.status for r in pickle.loads(serve(driver, job, print))])
except BadInput as error:
    print(error)
"""


@pytest.mark.slow
def test_a_plugin_comes_by_content_and_leaves_no_file(mini, tmp_path):
    path = tmp_path / "here" / "shipped.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    load_plugin(path)
    job = runner.make_jobs(runner.make_plan(mini(methods=["shipped"]), Store(tmp_path / "out")), "cpu", 1)[0]
    sent = [pickle.dumps((driver, pickle.dumps(job))) for driver in (Driver.here("cpu", (path,)), HERE)]
    path.unlink()
    there = tmp_path / "there"
    there.mkdir()
    with_it, without = (
        subprocess.run(
            [sys.executable, "-c", NODE],
            input=s,
            capture_output=True,
            check=True,
            env={**os.environ, "TMPDIR": str(there)},
        ).stdout.decode()
        for s in sent
    )
    assert "['ok', 'ok']" in with_it
    assert "cannot be had there" in without
    assert list(there.iterdir()) == []
