"""Checkpoints: where the training of a seed stands, in a file, so that a killed cell goes on there.

Draws and batches are functions of keys and counters, so a checkpoint holds what a step changes (parameters, the optimizer's and
the method's state), what was summed since the last point of the learning curve, the curve so far, and the number of steps
done. A cell that goes on has the same bits on a CPU as one that was never stopped.

A file is an NPZ without pickle and, behind it, its SHA-256. It is taken up by the same cell alone: same key (so the same
code, parameters and data), same device, machine and versions. Anything else, and a file that is torn or damaged, is told in a
line, and the cell begins anew. Each seed of a stack has a file of its own, so that another stack can take it up.

One of the article's network (118,220 parameters) is 0.48 MB with SGD and 1.43 MB with Adam; writing it took 30 and 38 ms on two
busy cores, every five minutes (`python -m benchmarks.perf.checkpoint`).

Methods that train an estimator by themselves (scikit-learn's) have none: they begin anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import signal
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench import atomic

FORMAT = 3
_SHA256_BYTES = 32
_HEADER = "header"

UNFIT = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What comes of a file whose digest is right and whose content is not ours: a forgery."""


@dataclass(frozen=True)
class Checkpoint:
    """The training of one seed after some of its steps."""

    step: int
    """Steps done."""
    tensors: Mapping[str, Tensor]
    """By name, on the CPU, with the strides that they had in training: sums may depend on the order in memory."""
    notes: Mapping[str, Any]
    """What JSON can hold: the points of the curve, counters, seconds."""


class Stopped(SystemExit):
    """The process was asked to end and has written its checkpoint."""


class Unusable(Exception):
    """A checkpoint that is not taken up, and why."""


@dataclass(frozen=True)
class CheckpointFile:
    """Where the checkpoint of a cell is kept."""

    path: Path
    identity: Mapping[str, Any]
    """What must agree, in JSON's types: the cell's key, the device, …"""

    def load(self) -> Checkpoint | None:
        """The checkpoint; None where there is none.

        Raises:
            Unusable: it is damaged, or of something else.
        """
        try:
            content = self._content()
            if content is None:
                return None
            header, arrays = _opened(content)
            if other := [what for what, value in self.identity.items() if header["identity"].get(what) != value]:
                raise Unusable(f"is of another {other[0]}")
            tensors = {name: _laid_out(array, header["strides"][name]) for name, array in arrays.items()}
            return Checkpoint(int(header["step"]), tensors, dict(header["notes"]))
        except UNFIT as error:
            raise Unusable("is damaged") from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace what is there, at once or not at all.

        Raises:
            OSError: it cannot be written.
        """
        header = {
            "format": FORMAT,
            "identity": dict(self.identity),
            "step": checkpoint.step,
            "strides": {name: list(_strides(value)) for name, value in checkpoint.tensors.items()},
            "notes": dict(checkpoint.notes),
        }
        arrays = {name: np.asarray(value.numpy(), order="C") for name, value in checkpoint.tensors.items()}
        buffer = io.BytesIO()
        head = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        np.savez(buffer, allow_pickle=False, **{_HEADER: head}, **arrays)
        buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
        self._replace(buffer.getbuffer())

    def _content(self) -> bytes | None:
        return _content(self.path)

    def _replace(self, content: memoryview) -> None:
        atomic.write(self.path, content)


@dataclass(frozen=True)
class CheckpointAfar(CheckpointFile):
    """The checkpoint of a cell that is kept on another machine: by its path there."""

    found: bytes | None
    """What that machine had when the training was sent here; None: nothing."""
    send: Callable[[bytes], None]
    """Has it replace that, and returns when it has taken it. Raises `OSError` if it cannot."""

    def _content(self) -> bytes | None:
        return self.found

    def _replace(self, content: memoryview) -> None:
        self.send(bytes(content))


def identity_of(path: Path) -> Mapping[str, Any] | None:
    """What a checkpoint says it is of; None if it is no whole checkpoint."""
    try:
        content = _content(path)
        return None if content is None else dict(_opened(content)[0]["identity"])
    except (Unusable, *UNFIT):
        return None


def _content(path: Path) -> bytes | None:
    """The bytes of a file; None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from error


def _opened(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a checkpoint whose digest is right."""
    whole, digest = content[:-_SHA256_BYTES], content[-_SHA256_BYTES:]
    if hashlib.sha256(whole).digest() != digest:
        raise Unusable("is damaged")
    try:
        with np.load(io.BytesIO(whole), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except OSError as error:
        raise Unusable("is damaged") from error
    header = json.loads(arrays.pop(_HEADER).tobytes())
    if header["format"] != FORMAT:
        raise Unusable("is of another format")
    return header, arrays


def _strides(value: Tensor) -> tuple[int, ...]:
    """Its strides, or, where it is a part of a larger tensor, those that keep the order of its axes in memory."""
    return tuple(torch.empty_like(value, device="meta").stride())


def _laid_out(array: np.ndarray, strides: Sequence[int]) -> Tensor:
    return torch.empty_strided(array.shape, tuple(strides), dtype=torch.from_numpy(array).dtype).copy_(
        torch.from_numpy(array)
    )


class Saver:
    """Takes up the checkpoints of a stack of seeds and writes new ones: every so often, and when the process is to end.

    While its `with` block runs, SIGTERM means: at the end of this step, write a checkpoint and exit.
    """

    def __init__(
        self,
        files: Sequence[CheckpointFile] = (),
        found: Sequence[Checkpoint] = (),
        every_s: float = math.inf,
        tell: Callable[..., None] = lambda *message: None,
    ) -> None:
        """
        Args:
            files: one for each seed of the stack; none: nothing is ever written.
            found: the checkpoints to go on from, one for each seed and all at the same step; or none.
            every_s: seconds from one to the next.
            tell: hears `"resumed", step, steps` and `"noted", text[, of]`.
        """
        self.found, self.tell = found, tell
        self._files, self._every = files, every_s
        self._next = time.monotonic() + every_s
        self._stop = self._warned = self._listens = False

    def __enter__(self) -> Saver:
        self._listens = bool(self._files) and threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = signal.signal(signal.SIGTERM, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        if self._listens:
            signal.signal(signal.SIGTERM, self._before)
        self._exit_if_asked()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return bool(self._files) and (self._stop or time.monotonic() >= self._next)

    def save(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Write the checkpoint of each seed. Where that fails, training goes on without, and it is told once."""
        try:
            for file, checkpoint in zip(self._files, checkpoints, strict=True):
                file.save(checkpoint)
        except OSError as error:
            if not self._warned:
                self.tell("noted", f"no checkpoint can be written ({error.strerror}): it goes on without")
            self._warned = True
        self._next = time.monotonic() + self._every
        self._exit_if_asked()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True

    def _exit_if_asked(self) -> None:
        if self._stop:
            raise Stopped(128 + signal.SIGTERM)


def tidy(folder: Path, pending: Mapping[str, str], finished: set[str]) -> None:
    """Remove the checkpoints that nobody will take up: of finished cells, and of these cells with other code or parameters.

    What another suite keeps in the same folder stays.

    Args:
        pending: cell by key.
        finished: keys.
    """
    cells = set(pending.values())
    with contextlib.suppress(OSError):  # a folder that cannot be written is told elsewhere
        for path in folder.glob(f"*{atomic.PARTIAL}"):
            path.unlink()
        for path in folder.glob("*.npz"):
            if path.stem in pending:
                continue
            identity = None if path.stem in finished else identity_of(path)
            if identity is None or identity.get("cell") in cells:
                path.unlink()
        folder.rmdir()  # if nothing is left
