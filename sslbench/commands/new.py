"""`sslbench new …`: something to start from, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sslbench.commands.console import PLAIN, escaped, out
from sslbench.commands.options import names

if TYPE_CHECKING:
    from sslbench.new.from_template import Made

new_app = typer.Typer(
    no_args_is_help=True, help="Write something to start from: a method, a suite, or a suite on your own data."
)


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
    from sslbench.new.method import write_method

    _tell(write_method(name, folder, package))


@new_app.command(epilog="Examples: `sslbench new suite mine`, `sslbench new suite mine --out suites`")
def suite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of its results folder: mine.")],
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write NAME.toml.")] = Path(),
) -> None:
    """Write a suite to start from: methods, scenarios and seeds, and how variants of them are written."""
    from sslbench.new.suite import write_suite

    _tell(write_suite(name, folder))


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
    from sslbench.new.scenario import write_suite

    written = write_suite(data, name, out_dir, label_column, ignore=names(ignore) or (), test=test, force=force)
    for line in written.lines:
        out.print(escaped(line), **PLAIN)


def _tell(made: Made) -> None:
    """Which files there are now, and what to type next."""
    for path in made.files:
        out.print(f"wrote    {escaped(str(path))}", **PLAIN)
    for what, command in made.then.items():
        out.print(f"{what:<8} {escaped(command)}", **PLAIN)
