"""`sslbench new scenario`: a suite file to start from, for a user's own data."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.new.own_data import look
from sslbench.new.suite_file import text_of
from sslbench.new.words import told
from sslbench.runner import check
from sslbench.suite import make_suite


@dataclass(frozen=True)
class Written:
    """The file that was written, and what to tell of it."""

    path: Path
    lines: tuple[str, ...]


def write_suite(
    data: Path,
    name: str,
    out: Path = Path(),
    label_column: str | None = None,
    *,
    ignore: Sequence[str] = (),
    test: Path | None = None,
    force: bool = False,
) -> Written:
    """Look at the data, and write `out/NAME.toml`: a suite that runs as it is.

    Args:
        data: a CSV or NPZ file, or a folder of images.
        name: of the suite; those of its scenarios are this and a label count.
        out: folder of the file, made if need be.
        label_column: of a CSV file.
        ignore: columns of a CSV file that are no features.
        test: a file or folder with a test set.
        force: replace the file if it is there.

    Raises:
        BadInput: data that cannot be used, a name that cannot be one, or a file that is there already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise BadInput(f"'{name}' cannot name a scenario: give letters, digits, dashes.")
    target = out / f"{name}.toml"
    if target.exists() and not force:
        raise BadInput(f"{target} is there already: give another name or another --out, or --force to replace it.")
    found = look(data, label_column, test, ignore)
    places = {"path": data} | ({"test": test} if test is not None else {})
    own = {key: _relative(path, out) for key, path in places.items()}
    if label_column is not None:
        own["label_column"] = label_column
    text = text_of(name, target, data, found, {**own, **({"ignore": list(ignore)} if ignore else {})})
    suite = make_suite(tomllib.loads(text) | {"folder": str(out)})
    for scenario in suite.scenarios:
        check(scenario, suite)
    atomic.save(target, text, "Give another folder with --out.")
    return Written(target, (*told(data, found), "", f"suite   {target}", f"next    sslbench run {target} --dry-run",
                            f"then    sslbench run {target}"))  # fmt: skip


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.expanduser(), folder)).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())
