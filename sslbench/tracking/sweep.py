"""What a results folder is called in MLflow, kept in its `sweep.json`."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from sslbench import atomic
from sslbench.errors import BadInput

SWEEP_FILE = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """What a results folder is called in MLflow."""

    id: str
    """Names the parent run, whenever and wherever the sweep is resumed."""
    suite: str
    """Names the experiment."""


def sweep_of(folder: Path, suite: str | None = None) -> Sweep:
    """The sweep of a results folder, kept in its `sweep.json`; made where there is none.

    Args:
        folder: the results folder.
        suite: name of the suite of a new sweep; by default the folder's. A sweep that exists keeps its suite.

    Raises:
        BadInput: the file is damaged, or cannot be read or written.
    """
    path = folder / SWEEP_FILE
    try:
        return _read_sweep(path)
    except FileNotFoundError:
        sweep = Sweep(uuid.uuid4().hex, suite or folder.resolve().name)
        _write_sweep(path, sweep)
        return sweep
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _read_sweep(path: Path) -> Sweep:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        sweep = Sweep(given["sweep"], given["suite"])
        if not (re.fullmatch(r"[\w-]+", sweep.id) and sweep.suite):
            raise ValueError("an empty name, or one of odd characters")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f'{path} is not {{"sweep": ID, "suite": NAME}}: mend it, or delete it to begin a new parent run in MLflow.'
        ) from error
    return sweep


def _write_sweep(path: Path, sweep: Sweep) -> None:
    atomic.save(
        path,
        json.dumps({"sweep": sweep.id, "suite": sweep.suite}) + "\n",
        "MLflow needs it to know the sweep again; make the folder writable, or pass --no-mlflow.",
    )
