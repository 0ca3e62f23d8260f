"""Files that are written whole or not at all, whatever stops the process or the machine meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

from sslbench.errors import BadInput

PARTIAL = ".part"
"""What the name of a file ends with that is not whole yet. After a kill it may stay: its folder's owner clears it away."""


def write(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file so that its name has all of it or what it had before, also after a power failure.

    Folders above it are made. Text is written as UTF-8, its line ends as they are.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    flush_folder(path.parent)


def save(path: Path, content: bytes | memoryview | str, remedy: str) -> None:
    """As `write`, a file that the user asked for.

    Args:
        remedy: what to do where it cannot be written, as a sentence.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        write(path, content)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. {remedy}") from error


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: the name of a new file is not part of the file."""
    if sys.platform == "win32":  # where a folder cannot be opened, and a name is written with its file
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)
