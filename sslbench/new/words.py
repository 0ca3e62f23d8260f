"""What is told of a user's data, in lines."""

from __future__ import annotations

from pathlib import Path

from sslbench.new.own_data import Found

LISTED = 20
"""Classes that are listed, at most."""


def told(data: Path, found: Found) -> list[str]:
    """What the data are, in lines."""
    d = found.dataset
    width = max(map(len, (*d.class_names[:LISTED], "no label")))
    rows = [(name, str(count)) for name, count in zip(d.class_names, found.counts, strict=True)][:LISTED]
    rows += [("…", f"{d.classes - LISTED} more")] if d.classes > LISTED else []
    rows += [("no label", str(found.gaps))] if found.gaps else []
    number = max(len(count) for _, count in rows)
    lines = [f"{data}: {_plural(len(d.y), 'row')}, {_inputs(found)}, {_plural(d.classes, 'class', 'classes')}"]
    lines += [f"  {name:<{width}}  {count:>{number}}" for name, count in rows]
    return [*lines, *_warnings(found), _plan(found)]


def _plan(found: Found) -> str:
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


def _warnings(found: Found) -> list[str]:
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


def _inputs(found: Found) -> str:
    shape = tuple(found.dataset.x.shape[1:])
    return (
        f"{shape[0]} features"
        if len(shape) == 1
        else f"images of {shape[2]} × {shape[1]}, {_plural(shape[0], 'channel')}"
    )


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}".replace(",", " ")
