"""Decision boundaries on points in the plane."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from sslbench.records import Record
from sslbench.report.canvas import Arrays, Plot, panels, slug

CLASSES = ("#c2571a", "#2b6cb0")
"""Colours of the two classes of two moons."""

_BOUNDARY = LinearSegmentedColormap.from_list("boundary", ["#f3b98a", "#ffffff", "#93bfe8"])


def boundary_figure(records: Sequence[Record], arrays: Arrays) -> Figure:
    """Where each method draws the line between the moons, for records of one scenario and seed, a panel a method."""
    drawn, places = panels(len(records), (2.7, 2.6), shared=True)
    for axes, record in zip(places, records, strict=False):
        _boundary(axes, arrays(record))
        axes.set_title(f"{record.method['name']}\n{100 * record.metrics['accuracy']['final']:.1f} %")
    return drawn


def draw(records: Sequence[Record], arrays: Arrays) -> Iterator[Plot]:
    drawn = [r for r in records if "boundary_p" in r.arrays]
    for scenario in dict.fromkeys(r.scenario["name"] for r in drawn):
        shown = _same_seed([r for r in drawn if r.scenario["name"] == scenario], lambda r: "boundary_p" in arrays(r))
        if not shown:
            continue
        seed = shown[0].seed
        names = ", ".join(f"{r.method['name']} {100 * r.metrics['accuracy']['final']:.1f} %" for r in shown)
        yield Plot(
            f"boundary-{slug(scenario)}",
            "boundaries",
            f"{scenario}, seed {seed}: the boundaries that were learned",
            f"Seed {seed}, the first that most methods finished; other seeds may look different. Shade: probability of"
            " a class; line: where both are equal; large points: the labelled examples; title: final accuracy at this"
            " seed.",
            f"Decision boundaries on {scenario} at seed {seed}, a panel a method: {names}.",
            functools.partial(boundary_figure, shown, arrays),
            scenario,
            wide=True,
        )


def _same_seed(records: Sequence[Record], usable: Callable[[Record], bool]) -> list[Record]:
    """The usable records at the lowest of the seeds that have most: chosen before looking at any accuracy.

    `usable` opens a file, and so it is asked only about seeds that may be the one.
    """
    by_seed: dict[int, list[Record]] = {}
    for record in records:
        by_seed.setdefault(record.seed, []).append(record)
    best: list[Record] = []
    for seed in sorted(by_seed, key=lambda s: (-len(by_seed[s]), s)):
        if len(by_seed[seed]) <= len(best):
            break
        if len(found := list(filter(usable, by_seed[seed]))) > len(best):
            best = found
    return best


def _boundary(axes: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    x, y, p = arrays["boundary_x"], arrays["boundary_y"], arrays["boundary_p"]
    axes.imshow(
        p, extent=(x[0], x[-1], y[0], y[-1]), origin="lower", cmap=_BOUNDARY, vmin=0, vmax=1, aspect="auto",
        interpolation="bilinear",
    )  # fmt: skip
    if p.min() < 0.5 < p.max():
        axes.contour(x, y, p, levels=[0.5], colors="#333333", linewidths=1.4)
    if "points" in arrays:
        axes.plot(*arrays["points"].T, ".", color="#555555", ms=2, alpha=0.45, mew=0, rasterized=True)
    if "labelled" in arrays:
        for label, colour in enumerate(CLASSES):
            chosen = arrays["labelled"][arrays["labelled_y"] == label]
            axes.plot(*chosen.T, "os"[label], color=colour, ms=8, mec="white", mew=1.2)
    axes.set(xticks=[], yticks=[], xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
