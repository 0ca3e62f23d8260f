"""What a file holds, as rows; and the labels of rows, as classes."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslbench.data.base import Dataset
from sslbench.errors import BadInput

UNLABELLED = ("", "-1")
"""Labels of a row whose label nobody knows: an empty cell, or scikit-learn's -1."""
LARGEST = 3e38
"""Largest magnitude of a feature: about the largest float32."""
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
    numeric = all(is_number(t) for t in texts if t)
    if numeric and (odd := next((t for t in texts if t and not _WHOLE.fullmatch(t)), None)):
        raise BadInput(f"The label {odd} of {where} is a number with a fraction: classes are whole numbers or names.")
    if numeric:
        texts = [str(int(t.partition(".")[0])) if t else "" for t in texts]
    return np.array(["" if t in UNLABELLED else t for t in texts], dtype=np.str_)


def _text(label: object) -> str:
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    return str(label).strip()


def is_number(text: str) -> bool:
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


def checked_features(x: np.ndarray, where: str, columns: Sequence[str] = ()) -> np.ndarray:
    if (bad := ~(np.abs(x) < LARGEST)).any():  # so that NaN is among them
        row, column = (int(i) for i in np.argwhere(bad)[0])
        name = f"'{columns[column]}'" if columns else str(column)
        raise BadInput(
            f"Row {row + 1} of {where} has {x[row, column]} in column {name}: fill in what is missing, and give numbers "
            f"below {LARGEST:g}."
        )
    return x
