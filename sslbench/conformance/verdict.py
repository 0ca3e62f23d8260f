"""What a check finds."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """Whether a promise is kept; if not, what was expected, what was seen and where to look."""

    status: Status
    expected: str = ""
    seen: str = ""
    where: str = ""
    """A place in the method's own code, as file:line; empty where it makes no sense."""
    reason: str = ""
    """Why a check was skipped."""

    def __str__(self) -> str:
        if self.status != "failed":
            return self.reason or self.status
        return f"expected {self.expected}; seen: {self.seen}" + (f"; look at {self.where}" if self.where else "")


PASSED = Verdict("passed")


def failed(expected: str, seen: str, where: str = "") -> Verdict:
    """The promise is broken."""
    return Verdict("failed", expected, seen, where)


def skipped(reason: str) -> Verdict:
    """The promise does not apply."""
    return Verdict("skipped", reason=reason)


def place(thing: Any, line: int | None = None) -> str:
    """file:line of a class or function, or of a line in its file; empty if it has none (an interactive session)."""
    try:
        file = inspect.getsourcefile(thing)
        if file is None:
            return ""
        return f"{_short(file)}:{line or inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return ""


def raised_at(error: BaseException, thing: Any) -> str:
    """file:line of the last line of a class's own file that an error went through; else of the class."""
    file = source_file(thing)
    line, trace = None, error.__traceback__
    while trace is not None:
        if file and trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = _next(trace)
    return place(thing, line)


def source_file(thing: Any) -> str:
    """The file of a class; empty if it has none."""
    try:
        return inspect.getsourcefile(thing) or ""
    except TypeError:
        return ""


def _next(trace: TracebackType) -> TracebackType | None:
    return trace.tb_next


def _short(file: str) -> str:
    """The path from the working folder, where the file lies below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else os.path.normpath(file)
