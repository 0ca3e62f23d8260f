"""A report that keeps up with the records of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path

from sslbench import atomic
from sslbench.errors import BadInput
from sslbench.records import RECORDS_FILE, load_records
from sslbench.report import Report, write_report
from sslbench.report.page import RELOAD

POLL = 1.0
"""Seconds between looks at the file."""

PATIENCE = 10
"""Looks after which records that never come to rest are drawn all the same."""

State = tuple[int, int, int] | None


def watch(
    folder: Path, *, published: Path | None = None, wait: Callable[[float], None] = time.sleep
) -> Generator[Report, None, None]:
    """Write the report of `folder` at once and whenever its records have changed and come to rest, until it is closed.

    An open page loads itself again meanwhile; closing the generator takes that from the page. A folder without records is
    waited for.

    Args:
        published: as in `write_report`.
        wait: sleeps for so many seconds.

    Raises:
        BadInput: the folder is not there, or the report cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"No folder {folder}: give the results folder of a run, such as results/local/quick.")
    report: Report | None = None
    drawn: State = None
    try:
        while True:
            state = _rest(folder / RECORDS_FILE, drawn, wait)
            if load_records(folder):
                report = write_report(folder, published=published, reload=True)
                yield report
            drawn = state
    finally:
        if report is not None:
            page = report.html.read_text(encoding="utf-8")
            atomic.write(report.html, page.replace(RELOAD, ""))


def _rest(path: Path, drawn: State, wait: Callable[[float], None]) -> State:
    """Wait until the file is another than the one drawn and stays as it is for a look, or has changed for long enough."""
    while (state := _state(path)) == drawn:
        wait(POLL)
    for _ in range(PATIENCE if drawn is not None else 0):  # the first time there is nothing to see yet: at once
        wait(POLL)
        before, state = state, _state(path)
        if state == before:
            break
    return state


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
