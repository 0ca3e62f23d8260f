"""The text of a suite file on a user's data, with remarks for whoever changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslbench import toml
from sslbench.new.own_data import TEST_FRACTION, Found
from sslbench.new.words import told

METHODS = ("supervised", "pseudo-label", "pi-model", "vat")


def text_of(name: str, target: Path, data: Path, found: Found, own: Mapping[str, Any]) -> str:
    """The file's text.

    Args:
        name: of the suite.
        target: the file.
        data: what the user gave.
        found: what the data are like.
        own: what the scenario's table says of the data: path, label_column, …
    """
    counts = found.labels
    names = [f"{name}-{count}" for count in counts]
    images = found.dataset.x.dim() == 4
    head = "\n".join(f"# {line}".rstrip() for line in told(Path(data.name), found))
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
