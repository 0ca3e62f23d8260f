"""The checks of `sslbench check` as pytest tests, for the repository of somebody's own method.

    import pytest
    from sslbench.testing import checks

    @pytest.mark.parametrize("check", checks("my-method"))
    def test_my_method_keeps_its_promises(check):
        check()

Each case is a test of its own, such as `alive-images`: select them with `pytest -k alive`. There is no pytest entry point:
that would be imported by every test run of everybody who has sslbench installed, whatever they test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sslbench.conformance import Case, cases
from sslbench.registry import load_plugin


def checks(method: str, settings: Mapping[str, Any] | None = None, plugin: str | Path | None = None) -> list[Any]:
    """The cases of a method as parameters: each is a function without arguments that passes, fails or is skipped.

    Args:
        method: its registered name.
        settings: hyperparameters other than the defaults, by name.
        plugin: the Python file that registers it, where no entry point does.

    Raises:
        BadInput: no such method or plugin.
    """
    if plugin is not None:
        load_plugin(Path(plugin))
    return [pytest.param(_test(case), id=str(case)) for case in cases(method, settings)]


def _test(case: Case) -> Callable[[], None]:
    def check() -> None:
        found = case.verdict()
        if found.status == "skipped":
            pytest.skip(found.reason)
        if found.status == "failed":
            pytest.fail(f"{case.check.promise}\n{found}", pytrace=False)

    return check
