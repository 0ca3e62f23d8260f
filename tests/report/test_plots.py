"""Plots: which there are, what they hold, and that a method always looks the same."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from sslbench.records import Record
from sslbench.report import canvas, plots
from sslbench.report.evidence import Ranking, weigh
from sslbench.report.palette import FURTHER, KNOWN, looks
from sslbench.report.plots import boundary, classes, curves, pseudo_labels, ranks
from sslbench.report.tables import compare, frame
from sslbench.stats import critical_difference, mean_interval
from tests.report.factory import lost, record, whole


def drawn(cells: list[tuple[Record, dict[str, Any]]]) -> dict[str, canvas.Plot]:
    records = [made for made, _ in cells]
    arrays = {made.key: stored for made, stored in cells}
    with canvas.style():
        comparison = compare(records)
        evidence = weigh(comparison, frame(records))
        return {p.name: p for p in plots.draw(records, comparison, evidence, lambda r: arrays[r.key])}


@pytest.fixture(scope="module")
def gallery() -> dict[str, canvas.Plot]:
    return drawn(whole(seeds=2, points=8))


def test_every_plot_that_applies_is_drawn(gallery: dict[str, canvas.Plot]) -> None:
    scenarios = ["mnist5k-10", "mnist5k-20", "mnist5k-50", "mnist5k-1000", "mnist5k-1000-no7", "two-moons-6"]
    assert list(gallery) == [
        "ranks",
        "labels-mnist5k",
        "gain-mnist5k",
        "curves",
        *(f"curves-{name}" for name in scenarios),
        "boundary-two-moons-6",
        "cost",
        "recall-mnist5k-1000-no7",
        "confusion-mnist5k-1000-no7",
    ]
    assert all(plot.alt and plot.title for plot in gallery.values())


def test_no_text_of_the_ranks_leaves_the_figure() -> None:
    methods = tuple(f"pseudo-label-interleaved-{word}" for word in "abcdefghijklm")
    scores = np.arange(13.0) + np.zeros((4, 1))
    with canvas.style():
        ranking = Ranking(methods, ("one", "two", "three", "four"), critical_difference(scores, seed=0))
        figure = ranks.ranks_figure(ranking, looks(methods))
        canvas.settle(figure)
        for text in figure.axes[0].texts:
            extent = text.get_window_extent()
            assert figure.bbox.x0 <= extent.x0
            assert extent.x1 <= figure.bbox.x1


def test_plots_that_do_not_apply_are_left_out() -> None:
    assert drawn([(replace(record(), timing={}), {})]) == {}
    assert drawn([(lost("vat", "mnist5k-50", 0, "failed", "x"), {})]) == {}


def test_one_seed_of_one_method_can_be_drawn() -> None:
    found = drawn([cell for cell in whole(seeds=1, points=8) if cell[0].method["name"] == "vat"])
    assert {"labels-mnist5k", "curves-mnist5k-10", "boundary-two-moons-6", "cost"} <= set(found)


def test_boundaries_are_left_out_where_the_arrays_are_gone() -> None:
    moons = [(made, {}) for made, _ in whole(seeds=1, points=8) if made.scenario["name"] == "two-moons-6"]
    assert "boundary-two-moons-6" not in drawn(moons)


def test_only_arrays_that_are_drawn_are_opened() -> None:
    cells = {made.key: (made, arrays) for made, arrays in whole(seeds=5, points=8) if arrays}
    opened: set[str] = set()

    def arrays(record: Record) -> dict[str, Any]:
        opened.add(record.id)
        return cells[record.key][1] if record.id != "vat/two-moons-6/seed0" else {}  # damaged

    records = [made for made, _ in cells.values()]
    (plot,) = boundary.draw(records, arrays)
    assert "seed 1" in plot.title  # the first that all have, as the arrays of one of seed 0 cannot be read
    assert {name.rsplit("/", 1)[1] for name in opened} == {"seed0", "seed1"}


def test_the_boundary_shows_a_seed_that_most_methods_have(gallery: dict[str, canvas.Plot]) -> None:
    cells = [c for c in whole(seeds=2, points=8) if c[0].scenario["name"] == "two-moons-6"]
    cells = [c for c in cells if c[0].id != "vat/two-moons-6/seed0"]
    assert "seed 1" in drawn(cells)["boundary-two-moons-6"].title
    assert "seed 0" in gallery["boundary-two-moons-6"].title


def test_a_class_without_a_recall_is_drawn_as_a_gap() -> None:
    recalls = [None, *[0.5] * 9]
    made = record("vat", "mnist5k-1000-no7", metrics={"accuracy": {"final": 0.9}, "per_class_accuracy": recalls})
    with canvas.style():
        assert canvas.png(drawn([(made, {})])["recall-mnist5k-1000-no7"].figure())


def test_pseudo_labels_over_training_of_methods_that_were_looked_at_less_often() -> None:
    """What all rows have in common is written once; each line begins where its method was looked at first."""
    rng = np.random.default_rng(0)
    points = {"often": 10, "seldom": 6, "once": 1}
    counts = {method: rng.integers(1, 9, (times, 4, 4)) for method, times in points.items()}
    with canvas.style():
        drawn = pseudo_labels.destinations_figure(counts, list("abcd"), [2])
        canvas.settle(drawn)
    panels = np.array(drawn.axes, dtype=object).reshape(3, -1)
    titles = [[axes.get_title() for axes in row[:-1]] for row in panels]
    assert [row[0] for row in titles] == [f"after {share} of training" for share in ("10%", "17%", "100%")]
    assert [bool(row[-1].get_title()) for row in panels] == [True, False, False]
    assert [[bool(axes.get_xticks().size) for axes in row[:-1]] for row in panels] == [[False] * 4] * 2 + [[True] * 4]
    assert [[bool(axes.get_yticks().size) for axes in row[:-1]] for row in panels] == [[True] + [False] * 3] * 3
    begins = [row[-1].collections[0].get_paths()[0].vertices[:, 0].min() for row in panels]
    assert begins == pytest.approx([10, 100 / 6, 10])
    assert {row[-1].get_xlim() for row in panels} == {(10, 100)}


def test_confusion_matrices_name_the_classes_at_the_left_and_below() -> None:
    cells = whole(1, tuple(KNOWN)[:6], points=2, scenarios=["mnist5k-1000-no7"])
    with canvas.style():
        drawn = classes.confusion_figure([r for r, _ in cells])
    named = [(bool(axes.get_yticks().size), bool(axes.get_xticks().size)) for axes in drawn.axes[:6]]
    assert named == [(True, False), (False, False), (False, True), (False, True), (True, True), (False, True)]


def test_curves_with_undefined_steps_are_drawn_without_them() -> None:
    curves = {"step": [0, 1, 2, 3], "test_accuracy": [None, 0.5, None, 0.7], "unlabelled_loss": [None] * 4}
    figure = drawn([(record(curves=curves), {})])["curves-mnist5k-50"].figure()
    assert len(figure.axes) == 1
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 50], [3, 70]]


def test_a_method_without_an_unlabelled_term_has_no_weight_to_draw() -> None:
    curves = {"step": [0, 1], "test_accuracy": [0.5, 0.7], "unlabelled_weight": [1, 1], "unlabelled_loss": [None, None]}
    assert len(drawn([(record(curves=curves), {})])["curves-mnist5k-50"].figure().axes) == 1
    assert (
        len(drawn([(record(curves=curves | {"unlabelled_loss": [1, 2]}), {})])["curves-mnist5k-50"].figure().axes) == 3
    )


def test_accuracy_over_labels_shows_the_means(gallery: dict[str, canvas.Plot]) -> None:
    records = [made for made, _ in whole(seeds=2, points=8)]
    comparison = compare(records)
    lines = [line for line in gallery["labels-mnist5k"].figure().axes[0].lines if len(line.get_xdata()) == 4]
    means = [comparison.entries["vat", s].mean for s in comparison.scenarios[:4]]
    assert any(np.allclose(line.get_ydata(), means) for line in lines)


def test_accuracy_over_labels_has_the_interval_of_the_mean() -> None:
    by_seed = dict(enumerate([0.80, 0.86, 0.82, 0.90, 0.84, 0.88]))
    cells = [(record("vat", f"mnist5k-{n}", seed, value), {}) for n in (20, 50) for seed, value in by_seed.items()]
    figure = drawn(cells)["labels-mnist5k"].figure()
    bar = figure.axes[0].containers[0].lines[2][0].get_segments()[0]
    expected = mean_interval([100 * value for value in by_seed.values()], seed=0)
    assert bar[:, 1] == pytest.approx([expected.low, expected.high])


def test_the_front_is_drawn_through_those_that_no_other_beats() -> None:
    # costs more than pi-model for less accuracy: vat. Quickest: supervised. Best: mixmatch.
    measured = {"supervised": (1, 0.8), "pi-model": (5, 0.9), "vat": (9, 0.85), "mixmatch": (20, 0.95)}
    cells = [(record(m, accuracy=a, timing={"train_s": s}), {}) for m, (s, a) in measured.items()]
    axes = drawn(cells)["cost"].figure().axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 80], [5, 90], [20, 95]]


def test_of_many_seeds_the_mean_is_drawn_and_a_band() -> None:
    points = {"step": [0, 1, 2], "test_accuracy": [0.5, 0.6, 0.7]}
    few, many = (
        drawn([(record(seed=seed, curves=points), {}) for seed in range(count)])["curves-mnist5k-50"].figure().axes[0]
        for count in (curves.MANY, curves.MANY + 1)
    )
    assert (len(few.lines), len(few.collections)) == (curves.MANY + 1, 0)
    assert (len(many.lines), len(many.collections)) == (1, 1)


@pytest.mark.parametrize("others", list(itertools.combinations(["vat", "their-method", "b", "pi-model"], 2)))
def test_a_method_looks_the_same_whichever_others_are_there(others: tuple[str, ...]) -> None:
    alone = looks(["supervised", "my-method"])
    beside = looks([*others, "my-method", "supervised"])
    assert beside["supervised"] == alone["supervised"] == KNOWN["supervised"]
    assert beside["my-method"] == alone["my-method"]


def test_up_to_twelve_methods_from_elsewhere_all_look_different() -> None:
    found = looks(f"method-{n}" for n in range(len(FURTHER)))
    assert len(set(found.values())) == len(FURTHER)
    assert len(looks(f"method-{n}" for n in range(40))) == 40


def test_known_looks_share_no_colour_and_no_marker() -> None:
    assert len({look.colour for look in KNOWN.values()}) == len(KNOWN)
    assert len({look.marker for look in KNOWN.values()}) == len(KNOWN)
    assert not {look.colour for look in KNOWN.values()} & {look.colour for look in FURTHER}


def test_methods_keep_their_colours_in_the_files() -> None:
    with canvas.style():
        figure = canvas.figure(3, 3)
        figure.subplots().imshow(np.random.default_rng(0).random((30, 30, 3)))  # wants all the colours there are
        canvas.legend(figure, KNOWN)
        with Image.open(io.BytesIO(canvas.png(figure))) as picture:
            kept = {colour for _, colour in picture.convert("RGB").getcolors()}
    for look in KNOWN.values():
        assert tuple(round(255 * part) for part in mpl.colors.to_rgb(look.colour)) in kept


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(gallery: dict[str, canvas.Plot]) -> None:
    before = dict(mpl.rcParams)
    with canvas.style():
        assert mpl.rcParams["svg.hashsalt"] == "sslbench"
        canvas.png(gallery["cost"].figure())
    assert dict(mpl.rcParams) == before


def test_file_names_are_plain() -> None:
    assert canvas.slug("../a b/ü<x>.1") == "..-a-b---x-.1"
