"""What `sslbench run` does around the cells."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from sslbench.commands import run

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm signal")


def wait():
    """Until a signal's handler raises."""
    for _ in range(1000):
        time.sleep(0.01)
    pytest.fail("nothing interrupted it")


def test_an_interruption_that_went_unheard_comes_again(monkeypatch):
    monkeypatch.setattr(run, "AGAIN_S", 0.05)

    def drop_the_first():
        with run.interrupted_after(0.001):
            with contextlib.suppress(run.TimeIsUp):
                wait()
            wait()

    with pytest.raises(run.TimeIsUp):
        drop_the_first()


def test_an_alarm_of_the_program_around_it_still_rings():
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    timer = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with contextlib.suppress(run.TimeIsUp), run.interrupted_after(0.001):
            wait()
        assert not rang
        time.sleep(0.5)
        assert rang
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)
