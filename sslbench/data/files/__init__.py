"""A user's own data: a CSV file, an NPZ file or a folder of images, of which some rows may have no label (-1)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sslbench.data.base import DATA_VARIABLE, Dataset
from sslbench.data.files.arrays import read_npz, save_arrays
from sslbench.data.files.folders import image_sizes, read_folder, sub_folders
from sslbench.data.files.rows import Rows, make_dataset
from sslbench.data.files.tables import SEPARATORS, read_csv
from sslbench.errors import BadInput

__all__ = ["SEPARATORS", "image_sizes", "load_own", "read", "save_arrays"]


def load_own(
    path: str | Path,
    label_column: str | None = None,
    test: str | Path | None = None,
    size: int | None = None,
    ignore: Sequence[str] = (),
) -> Dataset:
    """A user's own data set, loaded once a process as long as it does not change on the disk.

    - `.csv`, `.tsv`: a header line, a label column, and numbers in all other columns.
    - `.npz`: `x` and `y`, perhaps `x_test` and `y_test`. `x` is (n, features), (n, height, width) or
      (n, height, width, channels), with 1 or 3 channels, first or last.
    - a folder: a sub-folder of images for each class, perhaps one `unlabelled/`, perhaps `test/` with classes again. The
      classes may also lie in `train/`.

    Args:
        path: looked for in `$SSLBENCH_DATA` (`--data-dir`) by its name alone, if it is not where it should be.
        label_column: of a CSV file.
        test: a file or folder of the same kind with the test set.
        size: height and width that images are brought to: the shorter side resized, the middle cut out.
        ignore: columns of a CSV file that are no features.

    Raises:
        BadInput: the data are missing, malformed, or of less than two classes.
    """
    found = _found(Path(path))
    found_test = None if test is None else _found(Path(test))
    stamps = _stamp(found), None if found_test is None else _stamp(found_test)
    return _load_own(found, label_column, found_test, size, tuple(ignore), stamps)


@functools.lru_cache(maxsize=4)
def _load_own(
    path: Path, label_column: str | None, test: Path | None, size: int | None, ignore: tuple[str, ...], stamps: Any
) -> Dataset:
    del stamps  # only part of the cache's key
    train, inside = read(path, label_column, size, ignore)
    if test is None:
        return make_dataset(train, inside)
    if inside is not None:
        raise BadInput(f"{path} has a test set of its own: leave out test, or remove it there.")
    if _kind(test) is not _kind(path):
        raise BadInput(f"test = {str(test)!r} is not of the same kind as {path}: give both in one format.")
    apart, more = read(test, label_column, size, ignore)
    if more is not None:
        raise BadInput(f"The test data {test} have a test set of their own: give a file with rows or classes alone.")
    return make_dataset(train, apart)


def read(
    path: Path, label_column: str | None = None, size: int | None = None, ignore: Sequence[str] = ()
) -> tuple[Rows, Rows | None]:
    """The rows of a file or folder, and those of the test set that is in it.

    Raises:
        BadInput: it cannot be read as what it seems to be.
    """
    reader = _kind(path)
    if reader is not read_csv:
        if label_column is not None or ignore:
            raise BadInput(f"label_column and ignore are for CSV files, and {path} is none: leave them out.")
        return read_npz(path, size) if reader is read_npz else read_folder(path, size)
    if size is not None:
        raise BadInput(f"size is for images, and {path} holds features: leave it out.")
    return read_csv(path, label_column, ignore), None


def _kind(path: Path) -> Callable[..., Any]:
    if path.is_dir():
        return read_folder
    if path.suffix.lower() in SEPARATORS:
        return read_csv
    if path.suffix.lower() == ".npz":
        return read_npz
    raise BadInput(f"{path} is of no known type: give a .csv, .tsv or .npz file, or a folder of images.")


def _found(path: Path) -> Path:
    path = path.expanduser()
    if path.exists():
        return path
    if (given := os.environ.get(DATA_VARIABLE)) and (other := Path(given).expanduser() / path.name).exists():
        return other
    raise BadInput(
        f"No data file or folder {path}. A relative path starts at the suite file's folder; a record has the name alone: "
        f"say with --data-dir (or {DATA_VARIABLE}) in which folder it lies now."
    )


def _stamp(path: Path) -> tuple[tuple[int, int], ...]:
    """What changes when a file, or the list of files in a class folder, does. Quick, as it is asked for often."""
    places = [path]
    for folder in (path, path / "train", path / "test"):
        if folder.is_dir():
            places += [folder / name for name in sub_folders(folder)]
    return tuple((s.st_mtime_ns, s.st_size) for s in (p.stat() for p in places))
