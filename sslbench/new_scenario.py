"""A suite file to start from, for a user's own data."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslbench import toml
from sslbench.data import Dataset
from sslbench.data.files import image_sizes, load_own
from sslbench.data.splits import label_counts, tested_of
from sslbench.errors import BadInput
from sslbench.runner import check
from sslbench.suite import make_suite

METHODS = ("supervised", "pseudo-label", "pi-model", "vat")
PER_CLASS = (2, 10, 50)
"""Labels of each class, of the scenarios of data whose labels are known."""
TEST_FRACTION = 0.3
SIDES = range(16, 65)
"""Heights and widths of images that are left as they are."""
SIZE = 32
"""What others are resized to."""
LISTED = 20
"""Classes that are listed, at most."""


@dataclass(frozen=True)
class Written:
    """The file that was written, and what to tell of it."""

    path: Path
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """What the data are like."""

    dataset: Dataset
    size: int | None
    counts: list[int]
    """Rows of each class with a label, the test set's own aside."""

    @property
    def known(self) -> int:
        return sum(self.counts)

    @property
    def gaps(self) -> int:
        return len(self.dataset.y) - self.known

    @property
    def hides(self) -> bool:
        """Whether so many labels are known that most of them are hidden, to compare the methods with few."""
        return self.known > self.gaps

    @property
    def tested(self) -> list[int]:
        return tested_of(self.counts, 0.0 if len(self.dataset.y_test) else TEST_FRACTION)

    @property
    def left(self) -> list[int]:
        """Of each class: labelled rows that are not for testing."""
        return [count - apart for count, apart in zip(self.counts, self.tested, strict=True)]

    @property
    def balanced(self) -> bool:
        """Whether each class gets as many labels: where labels are hidden, and each class has enough."""
        return self.hides and min(self.left) > 2

    @property
    def labels(self) -> list[int]:
        """Label counts worth comparing."""
        classes = len(self.counts)
        if self.balanced:
            return [classes * each for each in PER_CLASS if 2 * each < min(self.left)] or [classes]
        if self.hides:
            return sorted({max(classes, sum(self.left) // part) for part in (20, 5)})
        most = max(sum(self.left) - sum(self.left) // 10, classes)
        return [most // 4, most] if most // 4 >= 2 * classes else [most]

    @property
    def inputs(self) -> str:
        shape = tuple(self.dataset.x.shape[1:])
        return (
            f"{shape[0]} features"
            if len(shape) == 1
            else f"images of {shape[2]} × {shape[1]}, {_plural(shape[0], 'channel')}"
        )


def write_suite(
    data: Path,
    name: str,
    out: Path = Path(),
    label_column: str | None = None,
    *,
    ignore: Sequence[str] = (),
    test: Path | None = None,
    force: bool = False,
) -> Written:
    """Look at the data, and write `out/NAME.toml`: a suite that runs as it is.

    Args:
        data: a CSV or NPZ file, or a folder of images.
        name: of the suite; those of its scenarios are this and a label count.
        out: folder of the file, made if need be.
        label_column: of a CSV file.
        ignore: columns of a CSV file that are no features.
        test: a file or folder with a test set.
        force: replace the file if it is there.

    Raises:
        BadInput: data that cannot be used, a name that cannot be one, or a file that is there already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise BadInput(f"'{name}' cannot name a scenario: give letters, digits, dashes.")
    target = out / f"{name}.toml"
    if target.exists() and not force:
        raise BadInput(f"{target} is there already: give another name or another --out, or --force to replace it.")
    found = _look(data, label_column, test, ignore)
    places = {"path": data} | ({"test": test} if test is not None else {})
    own = {key: _relative(path, out) for key, path in places.items()}
    if label_column is not None:
        own["label_column"] = label_column
    text = _text(name, target, data, found, {**own, **({"ignore": list(ignore)} if ignore else {})})
    suite = make_suite(tomllib.loads(text) | {"folder": str(out)})
    for scenario in suite.scenarios:
        check(scenario, suite)
    try:
        out.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}. Give another folder with --out.") from error
    return Written(target, (*_told(data, found), "", f"suite   {target}", f"next    sslbench run {target} --dry-run",
                            f"then    sslbench run {target}"))  # fmt: skip


def _look(data: Path, label_column: str | None, test: Path | None, ignore: Sequence[str]) -> _Found:
    size = None
    if data.is_dir():
        sizes = image_sizes(data) | (image_sizes(test) if test is not None and test.is_dir() else set())
        size = SIZE if len(sizes) > 1 or any(side not in SIDES for sides in sizes for side in sides) else None
    dataset = load_own(data, label_column, test, size, ignore)
    if size is None and any(side not in SIDES for side in dataset.x.shape[2:]):
        size = SIZE
        dataset = load_own(data, label_column, test, size, ignore)
    return _Found(dataset, size, label_counts(dataset.y, dataset.classes))


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.expanduser(), folder)).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())


def _plural(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}".replace(",", " ")


def _told(data: Path, found: _Found) -> list[str]:
    """What the data are, in lines."""
    d = found.dataset
    width = max(map(len, (*d.class_names[:LISTED], "no label")))
    rows = [(name, str(count)) for name, count in zip(d.class_names, found.counts, strict=True)][:LISTED]
    rows += [("…", f"{d.classes - LISTED} more")] if d.classes > LISTED else []
    rows += [("no label", str(found.gaps))] if found.gaps else []
    number = max(len(count) for _, count in rows)
    lines = [
        f"{data}: {_plural(len(d.y), 'row')}, {found.inputs}, {_plural(d.classes, 'class').replace('classs', 'classes')}"
    ]
    lines += [f"  {name:<{width}}  {count:>{number}}" for name, count in rows]
    return [*lines, *_warnings(found), _plan(found)]


def _plan(found: _Found) -> str:
    """What a scenario makes of the rows."""
    tested = sum(found.tested)
    test = f"{_plural(tested, 'labelled row')} are for testing" if tested else "the test set tests"
    how = (
        "the others' labels are hidden from the methods but for so many"
        if found.hides
        else "the others are learned from"
    )
    counts = ", ".join(map(str, found.labels))
    return f"At each seed {test}; {how}: labels = {counts}."


def _warnings(found: _Found) -> list[str]:
    """What limits what can be learned from a comparison on these data."""
    lines = []
    tested = sum(found.tested) or len(found.dataset.y_test)
    if tested < 100:
        lines.append(
            f"Only {_plural(tested, 'row')} to test on: one is {100 / tested:.1f} points of accuracy. More labelled rows, or "
            "more seeds, tell the methods apart better."
        )
    if min(found.counts) * 10 < max(found.counts):
        lines.append(
            "The classes are of very different sizes, so that accuracy is mostly that of the large ones. records.jsonl has the "
            "recall of each (per_class_accuracy)."
        )
    if found.size is not None:
        lines.append(f"The images are resized to {found.size} × {found.size} (size, in the suite file).")
    return lines


def _text(name: str, target: Path, data: Path, found: _Found, own: Mapping[str, Any]) -> str:
    counts = found.labels
    names = [f"{name}-{count}" for count in counts]
    images = found.dataset.x.dim() == 4
    head = "\n".join(f"# {line}".rstrip() for line in _told(Path(data.name), found))
    table: list[tuple[str, Any, str]] = [("base", "own-images" if images else "own-features", "")]
    table += [(key, value, "relative to this file" if key == "path" else "") for key, value in own.items()]
    if found.size is not None:
        table.append(("size", found.size, "height and width that images are resized to"))
    table.append(
        (
            "labels",
            counts[0],
            "the same number of each class" if found.balanced else "the classes in the shares that they have",
        )
    )
    if found.balanced == bool(found.gaps):  # otherwise it follows from the data
        table.append(("draw", "balanced" if found.balanced else "stratified", "how the labelled rows are drawn"))
    if not len(found.dataset.y_test):
        table.append(("test_fraction", TEST_FRACTION, "of the rows with a label, drawn anew at each seed"))
    table.append(("steps", 350 if images else 500, "training steps, of every method alike; try more"))
    others = "".join(
        f'\n[scenario.{n}]\nbase = "{names[0]}"\nlabels = {count}\n'
        for n, count in zip(names[1:], counts[1:], strict=True)
    )
    return f"""\
# Which semi-supervised method helps on {data.name}? Written by `sslbench new scenario`; all of it may be changed.
#
{head}
#
#     sslbench run {target.name} --dry-run    # the cells, and how long they take
#     sslbench run {target.name}              # then open results/local/{name}/report/report.html

name = "{name}"
seeds = {3 if images else 5}                             # each has splits and initial weights of its own; ten settle more
methods = {_value(list(METHODS))}
scenarios = {_value(names)}

[scenario.{names[0]}]
{_aligned(table)}
{others}
# Hyperparameters: `sslbench tune {target.name}` finds them on validation data, or set them here.
# [method.vat]
# radius = {2.0 if images else 0.5}

# A random forest instead of a network, for the methods that wrap an estimator (supervised, pseudo-label-rounds); name it in
# scenarios to run it:
# [scenario.{name}-forest]
# base = "{names[-1]}"
# model = "random-forest"
"""


def _aligned(table: Sequence[tuple[str, Any, str]]) -> str:
    """Keys and values, the remarks below one another."""
    settings = [(f"{key} = {_value(value)}", remark) for key, value, remark in table]
    width = max(len(setting) for setting, remark in settings if remark)
    return "\n".join(f"{setting:<{width}}  # {remark}" if remark else setting for setting, remark in settings)


def _value(value: Any) -> str:
    return toml.dumps({"v": value}).removeprefix("v = ").rstrip("\n")
