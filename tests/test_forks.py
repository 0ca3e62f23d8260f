"""Work shared with forks: each place is taken once, and nothing that a fork meets is lost silently."""

import os
import signal
import sys

import pytest

from sslbench import forks
from sslbench.forks import in_turns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux alone")
PLACES = 40


def taken(places):
    """The places below PLACES that one process takes, and which process it is."""
    found = []
    while (place := next(places)) < PLACES:
        found.append(place)
    return found, os.getpid()


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_each_place_is_taken_once_and_in_order(processes):
    shares = in_turns(taken, processes)
    assert len({process for _, process in shares}) == processes
    assert all(found == sorted(found) for found, _ in shares)
    assert sorted(place for found, _ in shares for place in found) == list(range(PLACES))


def test_what_is_raised_in_a_fork_is_raised_here():
    here = os.getpid()

    def work(places):
        if os.getpid() != here:
            raise OSError(28, "No space left on device")
        return next(places)

    with pytest.raises(OSError, match="No space left"):
        in_turns(work, 2)


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), signal.pause], ids=["lost", "stuck"])
def test_the_share_of_a_fork_that_does_not_answer_is_missing(end, monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE_S", 0.2)
    here = os.getpid()

    def work(places):
        if os.getpid() != here:
            end()
        return os.getpid()

    assert in_turns(work, 3) == [here]
