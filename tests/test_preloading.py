"""What workers import, begun with the command."""

import os
import signal
import subprocess
import sys

import pytest

from sslbench.preloading import named_in


def test_the_modules_of_what_a_suite_names_are_known_before_it_is_read(tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'methods = ["supervised", "mine", "theirs"]\nscenarios = ["two-moons-6"]\n'
        '[method.mine]\nbase = "vat"\n[[grid]]\nscenarios = ["mnist5k-50"]\n'
    )
    assert set(named_in(suite)) == {
        "sslbench.methods.supervised",
        "sslbench.methods.vat",
        "sslbench.scenarios.two_moons",
        "sslbench.scenarios.label_count",
    }


@pytest.mark.parametrize("content", [None, b"methods = [", b"\xff"])
def test_what_is_wrong_with_a_suite_is_told_by_who_reads_it(tmp_path, content):
    suite = tmp_path / "suite.toml"
    if content is not None:
        suite.write_bytes(content)
    assert named_in(suite) == []


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")
def test_it_ends_with_the_process_that_started_it(tmp_path):
    """Also in the middle of an import, where it would hear of that only later."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    code = (
        "from multiprocessing import forkserver\nfrom sslbench import preloading\npreloading.start(['slow'])\n"
        "print(forkserver._forkserver._forkserver_pid)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    # It would hold the pipe open for ten minutes.
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    try:
        os.kill(int(ended.stdout), signal.SIGKILL)
    except ProcessLookupError:
        return
    with open(f"/proc/{int(ended.stdout)}/stat") as file:  # dead, and nobody has asked for its exit code
        assert file.read().rsplit(")", 1)[1].split()[0] == "Z"
