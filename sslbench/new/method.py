"""`sslbench new method`: a method to start from, as a file or as a package."""

from __future__ import annotations

from pathlib import Path

from sslbench.new.from_template import UI, Made, check_name, words_of, write_templates
from sslbench.registry import METHODS


def write_method(name: str, folder: Path = Path(), package: bool = False) -> Made:
    """Write a method to start from, and a small suite that holds it against supervised.

    Args:
        name: in suites and reports; my-method.
        folder: where to write it.
        package: an installable package with a test, and not a single file.

    Raises:
        BadInput: a name that cannot be one, or a file that is there already or cannot be written.
    """
    check_name(name, "method", METHODS.names())
    words = words_of(name)
    module = words["module"]
    if package:
        root = folder / words["distribution"]
        made = {
            root / "pyproject.toml": "package.toml",
            root / "README.md": "package.md",
            root / f"{words['package']}.py": "method.py",
            root / "suite.toml": "suite.toml",
            root / "tests" / f"test_{module}.py": "package_test.py",
        }
        then = {
            "install": f"pip install --no-deps --editable {root}",
            "check": f"sslbench check {name}",
            "test": f"pytest {root}",
            "run": f"sslbench run {root / 'suite.toml'}",
        }
    else:
        plugin, suite = folder / f"{module}.py", folder / f"{module}.toml"
        made = {plugin: "method.py", suite: "suite.toml"}
        then = {
            "check": f"sslbench check {name} --plugin {plugin}",
            "run": f"sslbench run {suite} --plugin {plugin}",
        }
    write_templates(made, words)
    return Made(tuple(made), {**then, "ui": UI})
