"""What the commands share of their words: arguments and options, and what becomes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sslbench.errors import BadInput

PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file that registers methods or scenarios. Repeatable.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder with data sets in torchvision's layout (MNIST/raw/…), else $SSLBENCH_DATA."
    ),
]
MethodsOption = Annotated[str | None, typer.Option(help="Only these, comma-separated.")]
ScenariosOption = Annotated[str | None, typer.Option(help="Only these, comma-separated.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
WorkersOption = Annotated[
    int | None, typer.Option(help="Processes. Default: one a CPU core; one on CUDA. 0: this process, for a debugger.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="Change a parameter. Repeatable.")
]
SuiteArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SUITE.toml",
        help="Suite file, or the name of one that comes with sslbench: quick (`sslbench list suites`).",
    ),
]
PublishedOption = Annotated[
    Path | None,
    typer.Option(help="Published numbers to set ours beside in the report, such as baselines/published.toml."),
]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Results folder of a run, such as results/local/quick.")
]

OTHER_FOLDER = "Give another folder with --out."
"""What to do where a file of `--out` cannot be written."""


def names(given: str | None) -> list[str] | None:
    """A comma-separated list."""
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def load_plugins(given: list[Path] | None) -> tuple[Path, ...]:
    """Load plugin files; where they are, absolutely."""
    if given:
        from sslbench.registry import load_plugin

        for path in given:
            load_plugin(path)
    return tuple(path.resolve() for path in given or ())


def use_data(folder: Path | None) -> None:
    """Have data sets looked for in this folder, here and in the worker processes."""
    if folder is not None:
        if not folder.is_dir():
            raise BadInput(f"--data-dir {folder} is no folder.")
        os.environ["SSLBENCH_DATA"] = str(folder.resolve())
