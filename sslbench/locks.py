"""Who may write to a folder: one process at a time, and a killed one never stands in the way of the next.

The operating system keeps the lock on an open file. It ends with the process, however that ends: a kill -9, a crash, a reboot.
The file's text only says who holds it, for the message to others.

- Linux and macOS: `flock`. It holds between machines on NFS (version 4, or 3 with its lock daemon; not where it is mounted with
  `nolock`), and on cluster file systems where these are mounted with it.
- Windows: `msvcrt.locking`.
- A file system without locks: the text decides. A holder on this machine is asked for by its process id, and one from before
  the last boot is gone; one on another machine cannot be seen, counts as alive, and is cleared by deleting the file. Two that
  start within the same moment are not told apart there.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from sslbench.errors import BadInput

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

UNSUPPORTED = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL})
_BEYOND = 1 << 30
"""The byte that is locked on Windows, where a locked byte cannot be read: one behind the text."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock, or died with it."""

    pid: int
    host: str
    since: str
    """ISO 8601, UTC."""
    boot: str = ""
    """Which start of the machine it belongs to, where the system says."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @classmethod
    def here(cls) -> Holder:
        """This process, now."""
        return cls(
            os.getpid(), socket.gethostname(), datetime.datetime.now(datetime.UTC).isoformat(" ", "seconds"), _boot()
        )

    def may_live(self) -> bool:
        """Whether it may still run, as far as can be seen from here."""
        if self.host != socket.gethostname():
            return True
        if self.boot != _boot():
            return False
        if sys.platform == "win32":  # where locks work, so that nobody asks
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True


class Lock:
    """A lock by a file, which is there as long as it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> Holder | None:
        """Take the lock, at once or not at all.

        Returns:
            The process that died with it, if one did.

        Raises:
            BadInput: another process holds it (named with its machine and since when).
            OSError: the file cannot be made or written.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                before = _read(descriptor)
                if not _locked(descriptor, before):
                    raise BadInput(
                        f"{self.path.parent} is being written by another sslbench"
                        + (f" ({before})" if before else "")
                        + ": wait until it ends, or give another --out folder."
                    )
                if self._is_still_there(descriptor):
                    _write(descriptor, Holder.here())
                    self._descriptor = descriptor
                    _HELD.add(self)
                    return before
            finally:
                if self._descriptor != descriptor:
                    os.close(descriptor)

    def release(self) -> None:
        """Give the lock back and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        _HELD.discard(self)
        if descriptor is None:
            return
        with contextlib.suppress(OSError):  # on Windows an open file stays; a text without a lock says nothing
            self.path.unlink()
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()

    def forget(self) -> None:
        """In a forked child: the lock is its parent's and must end with that."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_still_there(self, descriptor: int) -> bool:
        """Whether the file is the one of that name: its last holder may have removed it while we waited to lock it."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False


_HELD: set[Lock] = set()


def _forget_all() -> None:
    for lock in list(_HELD):
        lock.forget()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _locked(descriptor: int, before: Holder | None) -> bool:
    """Lock an open file. False if somebody else has."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _BEYOND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        if error.errno in UNSUPPORTED:
            return before is None or not before.may_live()
        raise
    return True


def _read(descriptor: int) -> Holder | None:
    """Who the text names; None where it names nobody, or is damaged."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        given = json.loads(os.read(descriptor, 4096))
        return Holder(int(given["pid"]), str(given["host"]), str(given["since"]), str(given["boot"]))
    except (ValueError, KeyError, TypeError):
        return None


def _write(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(asdict(holder)).encode() + b"\n")


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
