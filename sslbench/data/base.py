"""What a data set is, and where its files are."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sslbench.registry import DATASETS, Registry

DATA_VARIABLE = "SSLBENCH_DATA"
"""Environment variable that names the folder with data sets in torchvision's layout (`MNIST/raw/…`)."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set held whole in memory, its test set apart."""

    name: str
    x: Tensor
    """Training pool (n, *features): uint8 for images (n, channels, height, width), floats otherwise."""
    y: Tensor
    """Its labels (n,), int64 in [0, classes); -1 where nobody knows the label, in data of a user's own."""
    x_test: Tensor
    """Test set (m, *features)."""
    y_test: Tensor
    """Its labels (m,), int64."""
    class_names: tuple[str, ...]
    drawn: bool = False
    """Whether it was drawn, so that parameters, seed and code say what it is. One seed's data then stand for those of all in the
    keys of cells, and planning a suite of many seeds does not draw them."""

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the contents: shapes, types and bytes of all four arrays."""
        digest = hashlib.sha256()
        for array in (self.x, self.y, self.x_test, self.y_test):
            digest.update(f"{tuple(array.shape)}{array.dtype}".encode())
            digest.update(array.contiguous().numpy().tobytes())
        return digest.hexdigest()


dataset: Registry[Callable[..., Dataset]] = DATASETS
"""Registers a function that loads a data set: `@dataset("mnist5k")`."""


def load(name: str) -> Dataset:
    """The data set of that name, loaded once a process.

    Raises:
        BadInput: no such data set, or its files are missing, truncated or unreadable.
    """
    return _load(name, os.environ.get(DATA_VARIABLE))


@functools.cache
def _load(name: str, folder: str | None) -> Dataset:
    del folder  # only part of the cache's key: the loaders read it by `data_folder`
    entry = dataset.get(name)
    return entry.thing(**entry.preset)


def data_folder() -> tuple[Path, bool]:
    """Where the data lie, and whether a user named the folder (then nothing is downloaded into it)."""
    if given := os.environ.get(DATA_VARIABLE):
        return Path(given).expanduser(), True
    return cache_folder(), False


def cache_folder() -> Path:
    """Where data are kept that no user named a folder for."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sslbench"
