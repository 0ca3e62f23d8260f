"""Files from the templates in templates/, with a name in place of `$name` and its like."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from sslbench import atomic
from sslbench.errors import BadInput

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
UI = "mlflow ui --backend-store-uri sqlite:///results/local/mlflow.db"


@dataclass(frozen=True)
class Made:
    """The files that were written, and what to type next, by what it does."""

    files: tuple[Path, ...]
    then: Mapping[str, str]


def write_templates(made: Mapping[Path, str], words: Mapping[str, str]) -> None:
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


def check_name(name: str, kind: str, taken: Container[str]) -> None:
    """Whether a thing of that kind may have this name.

    Raises:
        BadInput: it is taken, or cannot stand in file names, Python and suites alike.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise BadInput(
            f"'{name}' is no name for a {kind}: give lower-case letters and digits in parts between dashes, such as "
            f"my-{kind}, at most {LONGEST} of them."
        )
    if name in taken:
        raise BadInput(f"There is a {kind} '{name}' already: choose another name.")


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
