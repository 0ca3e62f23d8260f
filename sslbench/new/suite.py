"""`sslbench new suite`: a suite file to start from."""

from __future__ import annotations

from pathlib import Path

from sslbench import shipped
from sslbench.new.from_template import UI, Made, check_name, words_of, write_templates


def write_suite(name: str, folder: Path = Path()) -> Made:
    """Write `folder/NAME.toml`: methods, scenarios and seeds, and how variants of them are written.

    Raises:
        BadInput: a name that cannot be one, or a file that is there already or cannot be written.
    """
    check_name(name, "suite", shipped.suites())
    path = folder / f"{name}.toml"
    write_templates({path: "new_suite.toml"}, words_of(name))
    return Made((path,), {"cells": f"sslbench run {path} --dry-run", "run": f"sslbench run {path}", "ui": UI})
