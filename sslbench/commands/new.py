"""`sslbench new …`: something to start from, as files."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from sslbench import shipped
from sslbench.commands.common import PLAIN, escaped, names, out
from sslbench.errors import BadInput
from sslbench.registry import METHODS

new_app = typer.Typer(
    no_args_is_help=True, help="Write something to start from: a method, a suite, or a suite on your own data."
)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
UI = "mlflow ui --backend-store-uri sqlite:///results/local/mlflow.db"


@new_app.callback()
def _root() -> None:
    """Write something to start from: a method, a suite, or a suite on your own data."""


@new_app.command(
    epilog="Examples: `sslbench new method my-method`, `sslbench new method my-method --package --out plugins`"
)
def method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in suites and reports, such as my-method.")],
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write it.")] = Path(),
    package: Annotated[
        bool, typer.Option("--package", help="An installable package with a test, and not a single file.")
    ] = False,
) -> None:
    """Write a method to start from: it runs at once, and keeps what `sslbench check` asks for.

    One file with the equation, the hyperparameters and the loss, and a small suite that holds it against supervised.
    """
    _check_name(name, "method", taken=name in METHODS)
    words = _words(name)
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
    tell(made, {**then, "ui": UI})


@new_app.command(epilog="Examples: `sslbench new suite mine`, `sslbench new suite mine --out suites`")
def suite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of its results folder: mine.")],
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write NAME.toml.")] = Path(),
) -> None:
    """Write a suite to start from: methods, scenarios and seeds, and how variants of them are written."""
    _check_name(name, "suite", taken=name in shipped.suites())
    path = folder / f"{name}.toml"
    write_templates({path: "new_suite.toml"}, _words(name))
    tell([path], {"cells": f"sslbench run {path} --dry-run", "run": f"sslbench run {path}", "ui": UI})


@new_app.command(
    epilog="Examples: `sslbench new scenario my-data --data my.csv --label-column class`, "
    "`sslbench new scenario shots --data shots/ --out suites`",
)
def scenario(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the suite and its scenarios are to be called.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="CSV file, NPZ file (x, y), or folder with a sub-folder of images for each class and unlabelled/.",
        ),
    ],
    label_column: Annotated[
        str | None, typer.Option(help="Column of a CSV file with the labels; -1 or nothing where there is none.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(help="Columns that are no features, comma-separated.")] = None,
    test: Annotated[
        Path | None, typer.Option(help="Test set, of the same kind. Default: drawn from the labelled rows.")
    ] = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for NAME.toml.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Look at your own data, and write a suite file that compares the methods on them."""
    from sslbench.new_scenario import write_suite

    written = write_suite(data, name, out_dir, label_column, ignore=names(ignore) or (), test=test, force=force)
    for line in written.lines:
        out.print(escaped(line), **PLAIN)


# What every `new` needs ----------------------------------------------------------------------------------------------


def write_templates(made: Mapping[Path, str], words: Mapping[str, str]) -> None:
    """Write each file from the template of that name in `sslbench/templates`, `$word` replaced.

    Raises:
        BadInput: one of them is there already (nothing is written then), or cannot be written.
    """
    if there := next((path for path in made if path.exists()), None):
        raise BadInput(f"{there} is there already, and nothing is overwritten: choose another name or --out FOLDER.")
    templates = files("sslbench") / "templates"
    texts = {path: Template((templates / f"{name}.template").read_text()) for path, name in made.items()}
    for path, template in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(template.substitute(words))
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}. Give another folder with --out.") from error


def tell(made: Iterable[Path], then: Mapping[str, str]) -> None:
    """Which files there are now, and what to type next."""
    for path in made:
        out.print(f"wrote    {escaped(str(path))}", **PLAIN)
    for what, command in then.items():
        out.print(f"{what:<8} {escaped(command)}", **PLAIN)


def _check_name(name: str, kind: str, *, taken: bool) -> None:
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise BadInput(
            f"'{name}' is no name for a {kind}: give lower-case letters and digits in parts between dashes, such as "
            f"my-{kind}, at most {LONGEST} of them."
        )
    if taken:
        raise BadInput(f"There is a {kind} '{name}' already: choose another name.")


def _words(name: str) -> dict[str, str]:
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
