"""Plots of pseudo-labels over training: where those of a class without labels go, and how they move on a map."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslbench.metrics import Ints
from sslbench.records import Record
from sslbench.report.canvas import Arrays, Plot, as_given, figure, gif, slug
from sslbench.report.plots.matrix import matrix

MOMENTS = 4
"""Matrices of a row, evenly spread over training."""

FRAMES = 60
"""Pictures of an animation, at most."""


def draw(records: Sequence[Record], arrays: Arrays) -> Iterator[Plot]:
    """The plots of records that are ok and have watched pseudo-labels."""
    known = [r for r in records if "pseudo_labels" in r.arrays]
    yield from _destinations(known, arrays)
    yield from _maps(known, arrays)


# Where the pseudo-labels of each class go


def destinations(found: Sequence[Mapping[str, np.ndarray]], classes: int) -> Ints:
    """(points, classes, classes): counts of the watched examples by true class and pseudo-label, over all seeds given.

    Examples whose label nobody knows (-1) are left out.
    """
    points = min(len(arrays["pseudo_labels"]) for arrays in found)
    counts: Ints = np.zeros((points, classes, classes), dtype=np.int64)
    for arrays in found:
        pseudo, true = arrays["pseudo_labels"][:points].astype(np.int64), arrays["watched_y"].astype(np.int64)
        known = true >= 0
        for point in range(points):
            np.add.at(counts[point], (true[known], pseudo[point, known]), 1)
    return counts


def destinations_figure(counts: Mapping[str, Ints], names: Sequence[str], missing: Sequence[int]) -> Figure:
    """A row a method: matrices over training, and what the classes without labels are taken for, as shares of them.

    What all rows have in common stands above and below: each word would take a hundredth of a second to draw.
    """
    columns = min(MOMENTS, max(map(len, counts.values())))
    drawn = figure(2.15 * columns + 3.6, 2.25 * len(counts) + 0.5)
    panels = drawn.subplots(len(counts), columns + 1, squeeze=False, width_ratios=[1] * columns + [1.5])
    begin = 100 / max(2, *map(len, counts.values()))
    above: list[str] = []
    for place, (row, (method, matrices)) in enumerate(zip(panels, counts.items(), strict=True), 1):
        last = place == len(panels)
        moments = np.linspace(0, len(matrices) - 1, columns).round().astype(int)
        titles = [f"after {(moment + 1) / len(matrices):.0%} of training" for moment in moments]
        for axes, moment, title in zip(row, moments, titles, strict=False):
            matrix(axes, matrices[moment], names, missing, left=axes is row[0], below=last)
            axes.tick_params(length=0)
            if titles != above:
                axes.set_title(title, fontsize=9)
        row[0].set_ylabel(f"{method}\ntrue class")
        _shares(row[-1], matrices[:, list(missing)].sum(axis=1), names, begin)
        row[-1].tick_params(labelbottom=last)
        above = titles
    panels[0, -1].set_title(f"class {', '.join(names[c] for c in missing)} is taken for", fontsize=9)
    panels[-1, -1].set_xlabel("% of training")
    return drawn


def _shares(axes: Axes, counts: Ints, names: Sequence[str], begin: float) -> None:
    """Stacked shares over training of the classes that at least one in thirty is taken for; the rest in grey.

    Args:
        begin: percent of training at which the axis begins.
    """
    first = 100 / len(counts)
    if len(counts) == 1:  # a method that is fitted once: the same throughout
        first, counts = begin, counts.repeat(2, axis=0)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (points, classes)
    shown = [c for c in np.argsort(-shares.mean(axis=0)) if shares[:, c].max() >= 100 / 30]
    rest = 100 - shares[:, shown].sum(axis=1)
    x = np.linspace(first, 100, len(shares))
    colours = [*(class_colours(len(names))[c] for c in shown), "#cccccc"]
    labels = [*(names[c] for c in shown), "others"]
    axes.stackplot(x, *(shares[:, c] for c in shown), rest, colors=colours, labels=labels, lw=0)
    axes.set(xlim=(begin, 100), ylim=(0, 100), ylabel="% of its pseudo-labels")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, reverse=True)
    axes.grid(False)


def _destinations(records: Sequence[Record], arrays: Arrays) -> Iterator[Plot]:
    missing = [r for r in records if r.scenario.get("missing")]
    for scenario in dict.fromkeys(r.scenario["name"] for r in missing):
        own = [r for r in missing if r.scenario["name"] == scenario]
        names = [str(n) for n in own[0].scenario["class_names"]]
        found: dict[str, list[Mapping[str, np.ndarray]]] = {}
        for record in own:
            if "pseudo_labels" in (opened := arrays(record)):
                found.setdefault(record.method["name"], []).append(opened)
        if not found:
            continue
        counts = {method: destinations(watched, len(names)) for method, watched in found.items()}
        gone = ", ".join(names[c] for c in own[0].scenario["missing"])
        yield Plot(
            f"pseudo-labels-{slug(scenario)}",
            "classes",
            f"{scenario}: where the pseudo-labels go over training",
            "Of the watched unlabelled examples, all seeds together. Rows of a matrix: the true class; columns: the "
            f"pseudo-label; darker: a larger share; right ones (the diagonal) are left pale; framed: class {gone}, "
            "which has no labels.",
            f"Matrices of true class against pseudo-label over training on {scenario}, a row a "
            f"method, and what class {gone} is taken for over training.",
            functools.partial(destinations_figure, counts, names, own[0].scenario["missing"]),
            scenario,
            wide=True,
        )


# Pseudo-labels on a map


def map_figure(arrays: Mapping[str, np.ndarray], first: int, last: int, names: Sequence[str]) -> Figure:
    """The watched examples on the map at two points of training, side by side, those that changed for good or ill ringed."""
    drawn = figure(11, 5.4)
    left, right = drawn.subplots(1, 2, sharex=True, sharey=True)
    known = arrays["watched_y"] >= 0
    before, after = (_right(arrays, point) for point in (first, last))
    _map(left, arrays, first, names)
    _map(right, arrays, last, names)
    places = arrays["map_watched"]
    if not known.any():  # nobody knows which ones are right
        left.set_title("before")
        right.set_title("at the end")
        return drawn
    for chosen, colour, what in ((~before & after, "#111111", "corrected"), (before & ~after, "#d40000", "spoilt")):
        for axes in (left, right):
            axes.plot(
                *places[chosen & known].T, "o", ms=9, mfc="none", mec=colour, mew=1.3,
                label=f"{what}: {int((chosen & known).sum())}",
            )  # fmt: skip
    drawn.legend(*right.get_legend_handles_labels(), loc=as_given("outside lower center"), ncols=2, frameon=False)
    left.set_title(f"before: {100 * before[known].mean():.1f} % of the pseudo-labels are right")
    right.set_title(f"at the end: {100 * after[known].mean():.1f} %")
    return drawn


def map_animation(record: Record, arrays: Mapping[str, np.ndarray], first: int, names: Sequence[str]) -> bytes:
    """The same over training, as a GIF; a ring around every example whose pseudo-label is wrong."""
    points = len(arrays["pseudo_labels"])
    shown = np.unique(np.linspace(first, points - 1, min(FRAMES, points - first)).round().astype(int))
    drawn = figure(6.2, 6.0)
    axes = drawn.subplots()

    def show(frame: int) -> None:
        point = int(shown[frame])
        axes.clear()
        _map(axes, arrays, point, names)
        known = arrays["watched_y"] >= 0
        wrong = ~_right(arrays, point) & known
        axes.plot(*arrays["map_watched"][wrong].T, "o", ms=8, mfc="none", mec="#d40000", mew=1.2)
        share = 100 * (1 - wrong[known].mean()) if known.any() else None
        right = f": {share:.1f} % of the pseudo-labels are right (wrong ones ringed)" if share is not None else ""
        axes.set_title(
            f"step {_value(record, 'step', point):,.0f}, α = {_value(record, 'unlabelled_weight', point):.2f}{right}",
            fontsize=9,
        )

    return gif(drawn, show, len(shown))


def class_colours(classes: int) -> list[str]:
    """A colour for each class, the same everywhere."""
    palette = mpl.colormaps["tab10" if classes <= 10 else "tab20"]
    return [mpl.colors.to_hex(palette(c % palette.N)) for c in range(classes)]


def _map(axes: Axes, arrays: Mapping[str, np.ndarray], point: int, names: Sequence[str]) -> None:
    colours = np.array(class_colours(len(names)))
    labelled, true = arrays["map_labelled"], arrays["labelled_y"]
    axes.scatter(labelled[:, 0], labelled[:, 1], s=7, c=colours[true], alpha=0.25, lw=0)
    pseudo = arrays["pseudo_labels"][point].astype(int)
    watched = arrays["map_watched"]
    axes.scatter(watched[:, 0], watched[:, 1], s=17, c=colours[pseudo], lw=0.4, edgecolors="white")
    short = max(map(len, names)) <= 2
    shape = "circle,pad=0.15" if short else "round,pad=0.25"
    for c, name in enumerate(names):
        if (own := labelled[true == c]).size:
            axes.annotate(name, np.median(own, axis=0), fontsize=15 if short else 10, weight="bold", ha="center", va="center",
                          bbox={"boxstyle": shape, "fc": "white", "ec": colours[c], "lw": 1.5})  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def _right(arrays: Mapping[str, np.ndarray], point: int) -> np.ndarray:
    right: np.ndarray = arrays["pseudo_labels"][point] == arrays["watched_y"]
    return right


def _rings(true: np.ndarray) -> str:
    """What the rings of a map stand for, with the true labels (watched,) as far as they are known."""
    unknown = int((true < 0).sum())
    if unknown == len(true):
        return "Nobody knows their labels. "
    of = f" (of {unknown} of them nobody knows the label: no ring)" if unknown else ""
    return f"Black ring: wrong before and right at the end; red ring: the other way round{of}. "


def _value(record: Record, curve: str, point: int) -> float:
    values = record.curves.get(curve) or []
    value = values[point] if point < len(values) else None
    return math.nan if value is None else float(value)


def _first(record: Record) -> int:
    """The last point of training before the unlabelled examples had a weight."""
    weights = record.curves.get("unlabelled_weight") or []
    begun = next((i for i, w in enumerate(weights) if w), 0)
    return max(begun - 1, 0)


def _maps(records: Sequence[Record], arrays: Arrays) -> Iterator[Plot]:
    mapped = [r for r in records if "map_watched" in r.arrays and any(r.curves.get("unlabelled_loss") or [])]
    for scenario, method in dict.fromkeys((r.scenario["name"], r.method["name"]) for r in mapped):
        pair = [r for r in mapped if (r.scenario["name"], r.method["name"]) == (scenario, method)]
        by_seed = ((r, arrays(r)) for r in sorted(pair, key=lambda r: r.seed))
        record, own = next(((r, opened) for r, opened in by_seed if "map_watched" in opened), (pair[0], {}))
        if not own:
            continue
        first = _first(record)
        names = [str(n) for n in record.scenario["class_names"]]
        yield Plot(
            f"map-{slug(scenario)}-{slug(method)}",
            "pseudo-labels",
            f"{scenario}: the pseudo-labels of {method} on a map",
            f"t-SNE of the inputs, seed {record.seed}. Small and pale: labelled examples; larger: watched unlabelled ones in "
            "the colour of their pseudo-label, just before unlabelled data have a weight and at the end. "
            f"{_rings(own['watched_y'])}map-{slug(scenario)}-{slug(method)}.gif moves.",
            f"Two maps of the watched examples of {scenario}, coloured by pseudo-label before and after {method} used them.",
            functools.partial(map_figure, own, first, len(own["pseudo_labels"]) - 1, names),
            scenario,
            wide=True,
            moving=functools.partial(map_animation, record, own, first, names),
        )
