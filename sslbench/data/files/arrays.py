"""Arrays, and NPZ files of arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sslbench import atomic
from sslbench.data.base import cache_folder
from sslbench.data.files.images import as_images
from sslbench.data.files.rows import OwnDataset, Rows, checked_features, label_texts, make_dataset
from sslbench.errors import BadInput


def read_npz(path: Path, size: int | None = None) -> tuple[Rows, Rows | None]:
    """The arrays `x`, `y` of an NPZ file (`X` is `x`), and `x_test`, `y_test`. Nothing pickled is ever loaded.

    Raises:
        BadInput: no NPZ file, a missing or unknown array, shapes or types that cannot be used.
    """
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise BadInput(f"{path} holds a single array: save two, np.savez(path, x=…, y=…).")
            arrays = {name.lower(): stored[name] for name in stored.files}
            if len(arrays) < len(stored.files):
                raise BadInput(f"{path} has two arrays whose names differ in case alone: {', '.join(stored.files)}.")
    except BadInput:
        raise
    except Exception as error:  # numpy and zipfile raise all kinds of a damaged file
        if "allow_pickle" in str(error) or "pickled" in str(error):
            raise BadInput(
                f"{path} holds Python objects, which only unpickling could read, and that can run anything: save arrays of "
                "numbers, and labels as numbers or as strings (y.astype(str))."
            ) from error
        raise BadInput(f"{path} cannot be read as an NPZ file: {error}.") from error
    return _from_arrays(arrays, str(path), size)


def _from_arrays(arrays: Mapping[str, np.ndarray], where: str, size: int | None) -> tuple[Rows, Rows | None]:
    known = ("x", "y", "x_test", "y_test")
    for name in arrays:
        if name not in known:
            raise BadInput(f"{where} has an unknown array '{name}'. Known: {', '.join(known)}.")
    for name in ("x", "y", *(n for n in known[2:] if any(m in arrays for m in known[2:]))):
        if name not in arrays:
            raise BadInput(f"{where} has no array '{name}': it has {', '.join(arrays) or 'none'}.")
    train = rows_of(arrays["x"], arrays["y"], where, size)
    if "x_test" not in arrays:
        return train, None
    return train, rows_of(arrays["x_test"], arrays["y_test"], f"{where} (x_test, y_test)", size)


def rows_of(x: np.ndarray, y: np.ndarray, where: str, size: int | None = None) -> Rows:
    """Inputs and labels as rows.

    Args:
        x: features (n, features), or images (n, height, width) or (n, height, width, channels) or (n, channels, height,
            width): uint8, whole numbers in [0, 255] or floats in [0, 1].
        y: labels (n,).

    Raises:
        BadInput: shapes or types that cannot be used.
    """
    if x.dtype.kind not in "biuf":
        raise BadInput(f"x of {where} is of type {x.dtype}: give numbers.")
    if not 2 <= x.ndim <= 4 or 0 in x.shape:
        raise BadInput(
            f"x of {where} has shape {x.shape}: give features (n, features) or images (n, height, width) or (n, height, "
            "width, channels)."
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != x.shape[:1]:
        hint = " (one-hot labels: y.argmax(axis=1))" if y.ndim == 2 else ""
        raise BadInput(
            f"y of {where} has shape {y.shape}, and x has {len(x)} rows: give a label each, -1 for none{hint}."
        )
    labels = label_texts(y, where)
    if x.ndim > 2:
        return Rows(where, as_images(x, where, size), labels)
    if size is not None:
        raise BadInput(f"size is for images, and {where} holds features: leave it out.")
    return Rows(where, checked_features(x.astype(np.float64), where), labels)


def save_arrays(
    x: Any, y: Any, x_test: Any = None, y_test: Any = None, path: str | Path | None = None
) -> tuple[Path, OwnDataset]:
    """Arrays as an NPZ file that `load_own` reads, and what it will read there.

    Args:
        x, y, x_test, y_test: as `rows_of` takes them; labels may also be objects, and anything that numpy turns into an array.
        path: the file; in a cache folder, under a name that follows from the contents, if not given.

    Raises:
        BadInput: arrays that cannot be used, or a file that cannot be written.
    """
    given = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
    arrays = {name: np.asarray(value) for name, value in given.items() if value is not None}
    for name, value in arrays.items():
        if name.startswith("y") and value.dtype.kind == "O" and value.ndim == 1:
            arrays[name] = label_texts(value, name)
        elif name.startswith("x") and value.dtype.kind == "O":
            try:
                arrays[name] = value.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise BadInput(
                    f"{name} holds objects that are no numbers ({error}): give an array of numbers."
                ) from error
    dataset = make_dataset(*_from_arrays(arrays, "the arrays given", None))
    target = Path(path) if path is not None else cache_folder() / "own" / f"{dataset.sha256[:16]}.npz"
    if target.suffix != ".npz":
        raise BadInput(f"path = {str(target)!r} does not end in .npz: give such a name.")
    if path is not None or not target.exists():
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        atomic.save(target, content.getbuffer(), "Give another file with path.")
    return target, dataset
