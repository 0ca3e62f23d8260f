"""A user's own data: a CSV file, an NPZ file or a folder of images, of which some rows may have no label (-1)."""

from __future__ import annotations

import array
import csv
import functools
import hashlib
import io
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench import atomic
from sslbench.data.base import DATA_VARIABLE, Dataset, cache_folder
from sslbench.errors import BadInput

UNLABELLED = ("", "-1")
"""Labels of a row whose label nobody knows: an empty cell, or scikit-learn's -1."""
UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LARGEST = 3e38
"""Largest magnitude of a feature: about the largest float32."""
MOST_BYTES = 4 << 30
"""Pixels of an image folder, at most."""
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass(frozen=True, eq=False)
class Rows:
    """What a file holds, before labels become numbers."""

    where: str
    """The file or folder, as an error names it."""
    x: np.ndarray
    """Features (n, features) float64, or images (n, channels, height, width) uint8, or float32 in [0, 1]."""
    labels: np.ndarray
    """Their labels (n,), str; "" where there is none."""
    columns: tuple[str, ...] = ()
    """Names of the features, where the file has them."""


class OwnDataset(Dataset):
    """A data set of a user's own: `y` is -1 where a row has no label. Its test set may have no rows."""

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the contents, the names of the classes among them."""
        return hashlib.sha256(repr((super().sha256, self.class_names)).encode()).hexdigest()


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
            places += [folder / name for name in _sub_folders(folder)]
    return tuple((s.st_mtime_ns, s.st_size) for s in (p.stat() for p in places))


# Labels to classes --------------------------------------------------------------------------------------------------


def make_dataset(train: Rows, test: Rows | None = None) -> OwnDataset:
    """The data set of these rows. Classes are in numerical order if all are whole numbers, else in alphabetical order.

    Raises:
        BadInput: less than two classes, or a test set that does not go with the training set.
    """
    names = sorted({str(label) for label in train.labels} - {""}, key=_order(train.labels))
    if not names:
        raise BadInput(f"No row of {train.where} has a label: the methods need some (-1 stands for none).")
    if len(names) == 1:
        minus = " (-1 stands for no label: if it is a class of yours, give it another name)" if _gaps(train) else ""
        raise BadInput(f"All labels of {train.where} are '{names[0]}'{minus}: at least two classes are needed.")
    y = _numbers(train.labels, names)
    x = torch.from_numpy(np.ascontiguousarray(train.x))
    if test is None:
        return OwnDataset("own", x, y, x[:0], y[:0], tuple(names))
    if odd := sorted({str(label) for label in test.labels} - {*names, ""}):
        raise BadInput(f"Class '{odd[0]}' of the test set {test.where} has no label in {train.where}.")
    if gaps := _gaps(test):
        raise BadInput(f"{gaps} rows of the test set {test.where} have no label: remove them or label them.")
    if not len(test.x):
        raise BadInput(f"The test set {test.where} is empty: add rows, or leave it out.")
    if test.columns != train.columns:
        if set(test.columns) != set(train.columns):
            odd = sorted(set(test.columns) ^ set(train.columns))
            raise BadInput(f"Column '{odd[0]}' is in only one of {train.where} and {test.where}: give both the same.")
        test = Rows(test.where, test.x[:, [test.columns.index(c) for c in train.columns]], test.labels, train.columns)
    if test.x.shape[1:] != train.x.shape[1:]:
        raise BadInput(
            f"The test set {test.where} has inputs of {_shape(test.x)}, and {train.where} of {_shape(train.x)}: give both "
            "the same shape" + (" (size = 32 resizes images)." if train.x.ndim == 4 else ".")
        )
    if test.x.dtype != train.x.dtype:
        raise BadInput(f"{test.where} holds {test.x.dtype} images and {train.where} {train.x.dtype}: give both alike.")
    x_test = torch.from_numpy(np.ascontiguousarray(test.x))
    return OwnDataset("own", x, y, x_test, _numbers(test.labels, names), tuple(names))


def label_texts(y: np.ndarray, where: str) -> np.ndarray:
    """Labels of any type (n,) as str (n,): whole numbers without a decimal point, "" where there is none.

    Raises:
        BadInput: numbers with fractions, which are no classes.
    """
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind not in "biufUO":
        raise BadInput(f"Labels of {where} are of type {y.dtype}: give whole numbers or strings.")
    texts = [_text(label) for label in y.tolist()]
    numeric = all(_is_number(t) for t in texts if t)
    if numeric and (odd := next((t for t in texts if t and not _WHOLE.fullmatch(t)), None)):
        raise BadInput(f"The label {odd} of {where} is a number with a fraction: classes are whole numbers or names.")
    if numeric:
        texts = [str(int(float(t))) if t else "" for t in texts]
    return np.array(["" if t in UNLABELLED else t for t in texts], dtype=np.str_)


def _text(label: object) -> str:
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    return str(label).strip()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _order(labels: np.ndarray) -> Callable[[str], Any]:
    return int if all(_WHOLE.fullmatch(t) for t in labels.tolist() if t) else str


def _gaps(rows: Rows) -> int:
    return int((rows.labels == "").sum())


def _numbers(labels: np.ndarray, names: Sequence[str]) -> Tensor:
    places: Mapping[str, int] = {"": -1} | {name: i for i, name in enumerate(names)}
    return torch.tensor([places[label] for label in labels.tolist()], dtype=torch.int64)


def _shape(x: np.ndarray) -> str:
    return f"{x.shape[1]} features" if x.ndim == 2 else "×".join(map(str, x.shape[1:]))


# CSV ----------------------------------------------------------------------------------------------------------------


def read_csv(path: Path, label_column: str | None, ignore: Sequence[str] = ()) -> Rows:
    """The rows of a CSV file (`.tsv`: separated by tabs) with a header line.

    Raises:
        BadInput: naming the line and the column, of a cell that is no number, a row that is too short or too long, ….
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=SEPARATORS[path.suffix.lower()], strict=True)
            header = _header(path, next(reader, []), label_column, ignore)
            return _body(path, header, str(label_column), ignore, reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as a CSV file in UTF-8: {error}.") from error


def _header(path: Path, row: Sequence[str], label_column: str | None, ignore: Sequence[str]) -> list[str]:
    names = [name.strip() for name in row]
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    if not names:
        raise BadInput(f"{path} is empty: give a header line with the names of the columns, and rows.")
    if all(_is_number(name) for name in names):
        raise BadInput(
            f"{path} has no header: its first line should name the columns, and it holds numbers ({listed})."
        )
    if len(names) == 1:
        odd = next((f" It seems to be separated by {s!r}: use commas." for s in (";", "\t", "|") if s in names[0]), "")
        raise BadInput(f"{path} has a single column '{names[0]}': give a label column and features.{odd}")
    if "" in names:
        raise BadInput(
            f"Column {names.index('') + 1} of {path} has no name. If it counts the rows, leave it out (pandas: "
            "to_csv(…, index=False)): it is no feature."
        )
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise BadInput(f"{path} has two columns '{twice}': give each a name of its own.")
    if label_column is None:
        raise BadInput(f"Which column of {path} has the labels? Name it as the label column. Columns: {listed}.")
    if odd := next((n for n in (label_column, *ignore) if n not in names), ""):
        raise BadInput(f"{path} has no column '{odd}'. Columns: {listed}.")
    if label_column in ignore:
        raise BadInput(f"'{label_column}' is the label column of {path}: it cannot be ignored.")
    if set(names) == {label_column, *ignore}:
        raise BadInput(f"{path} has no column of features left beside '{label_column}'.")
    return names


def _body(path: Path, names: Sequence[str], label: str, ignore: Sequence[str], rows: Any) -> Rows:
    used = [i for i, name in enumerate(names) if name != label and name not in ignore]
    place = names.index(label)
    values, labels = array.array("d"), []
    for row in rows:
        if not row:  # a blank line
            continue
        if len(row) != len(names):
            raise BadInput(
                f"Line {rows.line_num} of {path} has {len(row)} cells, and the header has {len(names)}: give all lines the same."
            )
        try:
            values.extend([float(row[i]) for i in used])
        except ValueError:
            raise _bad_cell(path, rows.line_num, names, [(i, row[i]) for i in used]) from None
        labels.append(row[place])
    if not labels:
        raise BadInput(f"{path} has a header and no rows.")
    x = np.frombuffer(values, dtype=np.float64).reshape(len(labels), len(used))
    columns = tuple(names[i] for i in used)
    return Rows(str(path), _checked_features(x, str(path), columns), label_texts(np.array(labels), str(path)), columns)


def _bad_cell(path: Path, line: int, names: Sequence[str], cells: Sequence[tuple[int, str]]) -> BadInput:
    place, text = next((i, t) for i, t in cells if not _is_float(t))
    if not text.strip():
        return BadInput(
            f"Line {line} of {path} has no value in column '{names[place]}': fill in what is missing, or remove the row."
        )
    return BadInput(
        f"Line {line} of {path} has {text.strip()!r} in column '{names[place]}', where a number is expected: turn text into "
        f'numbers (such as a column of 0 and 1 for each value), or leave the column out (ignore = ["{names[place]}"]).'
    )


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _checked_features(x: np.ndarray, where: str, columns: Sequence[str] = ()) -> np.ndarray:
    if (bad := ~(np.abs(x) < LARGEST)).any():  # so that NaN is among them
        row, column = (int(i) for i in np.argwhere(bad)[0])
        name = f"'{columns[column]}'" if columns else str(column)
        raise BadInput(
            f"Row {row + 1} of {where} has {x[row, column]} in column {name}: fill in what is missing, and give numbers "
            f"below {LARGEST:g}."
        )
    return x


# NPZ ----------------------------------------------------------------------------------------------------------------


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
        return Rows(where, _images(x, where, size), labels)
    if size is not None:
        raise BadInput(f"size is for images, and {where} holds features: leave it out.")
    return Rows(where, _checked_features(x.astype(np.float64), where), labels)


def _images(x: np.ndarray, where: str, size: int | None) -> np.ndarray:
    """Images of any layout as (n, channels, height, width), uint8 or float32 in [0, 1]."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        x = np.moveaxis(x, -1, 1)
    if x.shape[1] not in (1, 3):
        raise BadInput(f"Images of {where} have shape {x.shape[1:]}: give 1 or 3 channels, first or last.")
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 255:
        raise BadInput(f"Pixels of {where} lie in [{low:g}, {high:g}]: give 0 to 255, or floats from 0 to 1.")
    if x.dtype.kind == "f" and high > 1 and (x != np.floor(x)).any():
        raise BadInput(
            f"Pixels of {where} are fractions up to {high:g}: give whole numbers to 255, or floats from 0 to 1."
        )
    fractions = x.dtype.kind == "f" and high <= 1
    x = np.ascontiguousarray(x.astype(np.float32 if fractions else np.uint8))
    if size is None:
        return x
    resized: np.ndarray = _resized(torch.from_numpy(x), size).clamp(0, 1 if fractions else 255).numpy()
    return resized


def _resized(images: Tensor, size: int) -> Tensor:
    """(…, channels, height, width) -> (…, channels, size, size): the shorter side resized, the middle cut out."""
    from torchvision.transforms.functional import center_crop, resize

    resized: Tensor = center_crop(resize(images, [size], antialias=True), [size, size])
    return resized


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
        try:
            atomic.write(target, content.getbuffer())
        except OSError as error:
            raise BadInput(f"{target} cannot be written: {error.strerror}. Give another file with path.") from error
    return target, dataset


# Image folders ------------------------------------------------------------------------------------------------------


def read_folder(root: Path, size: int | None = None) -> tuple[Rows, Rows | None]:
    """The images of a folder: a sub-folder for each class, perhaps `unlabelled/` and `test/`.

    Raises:
        BadInput: no classes, images out of place, of different sizes, damaged, ….
    """
    train = root / "train" if (root / "train").is_dir() else root
    reserved = {"test", *UNLABELLED_FOLDERS, *(["train"] if train != root else [])}
    if train != root and (odd := [n for n in _sub_folders(root) if n not in reserved]):
        raise BadInput(
            f"{root} has a folder '{odd[0]}' beside train/: move its images into train/, test/ or unlabelled/, or it away."
        )
    classes = [n for n in _sub_folders(train) if n not in reserved]
    if len(classes) < 2:
        raise BadInput(
            f"{train} has {len(classes)} class folders: give one sub-folder of images for each class, at least two, and "
            "unlabelled/ for images without a label."
        )
    if loose := _images_in(train, deep=False):
        raise BadInput(f"{loose[0]} lies beside the class folders: move it into one, or into unlabelled/.")
    files = {name: _class_files(train / name) for name in classes}
    for place in dict.fromkeys((root, train)):
        for name in UNLABELLED_FOLDERS:
            if (place / name).is_dir():
                files[""] = [*files.get("", []), *_class_files(place / name)]
    rows = _read_images(root, files, size)
    if not (root / "test").is_dir():
        return rows, None
    if not (tested := _sub_folders(root / "test")):
        raise BadInput(f"{root / 'test'} has no class folders: give those of {train}, or leave it out.")
    return rows, _read_images(root / "test", {n: _class_files(root / "test" / n) for n in tested}, size, rows)


def image_sizes(root: Path) -> set[tuple[int, int]]:
    """(width, height) of all images in a folder, as their headers have it.

    Raises:
        BadInput: a file that is no image.
    """
    from PIL import Image

    found = set()
    for path in _images_in(root):
        try:
            with Image.open(path) as image:
                found.add(image.size)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadInput(f"{path} cannot be read as an image: {error}.") from error
    return found


def _sub_folders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_files(folder: Path) -> list[Path]:
    files = _images_in(folder)
    if not files:
        raise BadInput(f"{folder} holds no images: add some, or remove it.")
    return files


def _images_in(folder: Path, deep: bool = True) -> list[Path]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    found: Iterator[Path] = folder.rglob("*") if deep else folder.glob("*")
    files = [p for p in found if p.suffix.lower() in IMG_EXTENSIONS and not p.name.startswith(".") and p.is_file()]
    return sorted(files, key=lambda p: p.relative_to(folder).as_posix())


def _read_images(where: Path, files: Mapping[str, list[Path]], size: int | None, like: Rows | None = None) -> Rows:
    paths = [path for group in files.values() for path in group]
    labels = label_texts(np.array([name for name, group in files.items() for _ in group]), str(where))
    images: list[np.ndarray] = []
    for path in paths:
        images.append(_image(path, size))
        if images[-1].shape[:2] != images[0].shape[:2]:
            (h0, w0), (h1, w1) = images[0].shape[:2], images[-1].shape[:2]
            raise BadInput(
                f"The images of {where} are of different sizes: {paths[0].name} is {w0} × {h0}, {path.name} {w1} × {h1}. "
                "Give size = 32 (or another number) to have them resized."
            )
        if images[0].nbytes * len(paths) > MOST_BYTES:
            height, width = images[0].shape[:2]
            raise BadInput(f"{len(paths)} images of {width} × {height} do not fit into memory: give size = 32.")
    channels = max(image.shape[2] for image in images)
    if like is not None:
        channels = max(channels, like.x.shape[1])
    whole = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    return Rows(str(where), np.ascontiguousarray(np.moveaxis(whole, -1, 1)), labels)


def _image(path: Path, size: int | None) -> np.ndarray:
    """(height, width, channels) uint8: grey images have one channel, all others three."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of odd metadata
            if size is not None:
                image.draft(None, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
            upright = ImageOps.exif_transpose(image)
            if upright.mode[0] in "IF":
                raise BadInput(f"{path} has {upright.mode} pixels: give 8 bits a channel.")
            grey = upright.mode in ("1", "L", "LA")
            pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} cannot be read as an image: {error}.") from error
    pixels = pixels[..., None] if grey else pixels
    if size is None:
        return pixels
    tensor = torch.from_numpy(np.moveaxis(pixels, -1, 0).copy())
    return np.moveaxis(_resized(tensor, size).numpy(), 0, -1)
