"""CSV files."""

from __future__ import annotations

import array
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslbench.data.files.rows import Rows, checked_features, is_number, label_texts
from sslbench.errors import BadInput

SEPARATORS = {".csv": ",", ".tsv": "\t"}


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
    if all(is_number(name) for name in names):
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
    return Rows(str(path), checked_features(x, str(path), columns), label_texts(np.array(labels), str(path)), columns)


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
