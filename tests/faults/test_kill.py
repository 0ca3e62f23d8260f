"""A few kills of each kind; `python -m tests.faults.kill --kills 100` is the long version."""

from __future__ import annotations

import pytest

from tests.faults.kill import kill


@pytest.mark.slow
def test_kills_at_random_moments_lose_double_and_change_nothing(tmp_path):
    tally = kill(tmp_path, kills=3, seed=7, steps=100)
    assert tally.kills.total() == 3
    assert tally.clean, "\n".join(tally.lines())
