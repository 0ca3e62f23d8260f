"""`sslbench new method`: a method to start from, as a file or as a package."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.registry import METHODS

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40


@dataclass(frozen=True)
class Made:
    """The files that were written, and what to type next, by what it does."""

    files: tuple[Path, ...]
    then: Mapping[str, str]


def write_method(name: str, folder: Path = Path(), package: bool = False) -> Made:
    """Write a method to start from, and a small suite that holds it against supervised.

    Args:
        name: in suites and reports; my-method.
        folder: where to write it.
        package: an installable package with a test, and not a single file.

    Raises:
        BadInput: a name that cannot be one, or a file that is there already or cannot be written.
    """
    _check_name(name)
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
    _write_templates(made, words)
    return Made(tuple(made), {**then, "ui": "mlflow ui --backend-store-uri sqlite:///results/local/mlflow.db"})


def _write_templates(made: Mapping[Path, str], words: Mapping[str, str]) -> None:
    """Write each file from the template of that name in `sslbench/new/templates`, `$word` replaced.

    Raises:
        BadInput: one of them is there already (nothing is written then), or cannot be written.
    """
    if there := next((path for path in made if path.exists()), None):
        raise BadInput(f"{there} is there already, and nothing is overwritten: choose another name or --out FOLDER.")
    templates = files("sslbench.new") / "templates"
    for path, name in made.items():
        template = Template((templates / f"{name}.template").read_text("utf-8"))
        atomic.save(path, template.substitute(words), "Give another folder with --out.")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise BadInput(
            f"'{name}' is no name for a method: give lower-case letters and digits in parts between dashes, such as "
            f"my-method, at most {LONGEST} of them."
        )
    if name in METHODS:
        raise BadInput(f"There is a method '{name}' already: choose another name.")


def words_of(name: str) -> dict[str, str]:
    """What stands in a template for a name: my-method, my_method, MyMethod, …"""
    module = name.replace("-", "_")
    cls = "".join(part.capitalize() for part in name.split("-"))
    if keyword.iskeyword(cls) or cls in _TAKEN:
        cls = f"My{cls}"
    return {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "module": module,
        "cls": cls,
        "distribution": f"sslbench-{name}",
        "package": f"sslbench_{module}",
    }


_TAKEN = {
    "Around",
    "Batch",
    "ClassVar",
    "F",
    "Loss",
    "LossMethod",
    "Model",
    "NonNegative",
    "Rng",
    "Search",
    "Step",
    "Tensor",
}
"""Names that the template uses itself."""
