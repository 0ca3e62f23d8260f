"""One Chromium for all the tests that are marked `browser`; without one they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import driving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if reason := driving.obstacle():
        pytest.skip(reason)
    with driving.browser() as opened:
        yield opened


@pytest.fixture
def desk(chromium: Any) -> Iterator[Any]:
    """A wide window that no page's rules keep a test from looking into."""
    with driving.window(chromium, 1900) as opened:
        yield opened
