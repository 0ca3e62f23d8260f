"""The numbers, marks, notes and sentences, held against values worked out by hand."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pandas as pd
import pytest

from sslbench.records import Record
from sslbench.report import grids, render, words
from sslbench.report.evidence import weigh
from sslbench.report.tables import compare, frame, long_table, number
from tests.report.factory import lost, record, whole


def three(method: str, scenario: str, *accuracies: float) -> list:
    return [record(method, scenario, seed, accuracy) for seed, accuracy in enumerate(accuracies)]


@pytest.fixture
def duel() -> list:
    return [*three("supervised", "mnist5k-50", 0.70, 0.72, 0.80), *three("vat", "mnist5k-50", 0.90, 0.71, 0.94)]


def test_mean_and_standard_deviation_are_those_worked_out_by_hand(duel: list) -> None:
    entry = compare(duel).entries["supervised", "mnist5k-50"]
    # mean 74; deviations −4, −2, 6; squares 16 + 4 + 36 = 56; 56 / 2 = 28
    assert entry.mean == pytest.approx(74)
    assert entry.sd == pytest.approx(math.sqrt(28))
    assert (entry.n, entry.min, entry.max) == (3, pytest.approx(70), pytest.approx(80))
    assert entry.text == "74.00 ± 5.29"


def test_paired_differences_are_taken_seed_by_seed(duel: list) -> None:
    comparison = compare(duel)
    paired = comparison.entries["vat", "mnist5k-50"].paired
    assert paired is not None
    assert list(paired.differences.values()) == pytest.approx([20, -1, 14])
    assert (paired.mean, paired.min, paired.max) == pytest.approx((11, -1, 20))
    assert (paired.wins, paired.losses, paired.n) == (2, 1, 3)
    assert comparison.entries["supervised", "mnist5k-50"].paired is None


def test_the_best_of_a_scenario_is_marked(duel: list) -> None:
    comparison = compare(duel)
    assert [e.best for e in comparison.row("mnist5k-50")] == [False, True]


def test_equal_at_the_printed_digits_is_a_tie_and_both_are_marked() -> None:
    comparison = compare([record("supervised", accuracy=0.90001), record("vat", accuracy=0.90003)])
    assert [e.best for e in comparison.row("mnist5k-50")] == [True, True]
    assert "ties included" in words.verdict(comparison)


def test_a_lone_method_is_not_called_the_best() -> None:
    comparison = compare([record("vat")])
    assert not comparison.entries["vat", "mnist5k-50"].best
    assert words.verdict(comparison) == "Only vat has results, so there is nothing to compare it with."


def test_a_mean_over_the_seeds_that_survived_is_never_marked(duel: list) -> None:
    duel[4] = lost("vat", "mnist5k-50", 1, "diverged", "the loss is not finite at step 7")
    comparison = compare(duel)
    entry = comparison.entries["vat", "mnist5k-50"]
    assert entry.text == "92.00 ± 2.83, diverged 1/3"
    assert not entry.best
    assert comparison.entries["supervised", "mnist5k-50"].best
    assert comparison.footnotes == {"a": "diverged: the loss is not finite at step 7"}
    assert any("fewer seeds" in note for note in comparison.notes)


def test_every_seed_diverged_says_so() -> None:
    records = [record("supervised"), lost("vat", "mnist5k-50", 0, "diverged", "at step 7")]
    assert compare(records).entries["vat", "mnist5k-50"].text == "diverged 1/1"


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_broken_cells_keep_their_place_and_their_reason(status: str) -> None:
    comparison = compare([record("supervised"), lost("vat", "mnist5k-50", 0, status, "out of memory")])
    assert comparison.entries["vat", "mnist5k-50"].text == f"{status} 1/1"
    assert comparison.footnotes == {"a": f"{status}: out of memory"}


def test_skipped_is_a_dash_with_its_reason() -> None:
    comparison = compare([record("supervised"), lost("vat", "mnist5k-50", 0, "skipped", "needs a network")])
    entry = comparison.entries["vat", "mnist5k-50"]
    assert (entry.text, entry.footnotes) == ("—", ("a",))
    assert comparison.footnotes["a"] == "skipped: needs a network"


def test_a_pair_without_any_record_is_a_dash_that_a_note_explains() -> None:
    comparison = compare([record("supervised"), record("vat", "two-moons-6")])
    entry = comparison.entries["vat", "mnist5k-50"]
    assert (entry.text, entry.footnotes) == ("—", ())
    assert any("does not cross" in note for note in comparison.notes)
    assert grids.failures_grid(comparison) is None


def test_repetitions_on_one_split_count_once() -> None:
    accuracies = {
        ("supervised", 0): (0.7, 0.8),
        ("vat", 0): (0.8, 0.9),
        ("supervised", 1): (0.6, 0.6),
        ("vat", 1): (0.5, 0.9),
    }
    records = [
        record(method, seed=seed, accuracy=accuracy, training_seed=t)
        for (method, seed), runs in accuracies.items()
        for t, accuracy in enumerate(runs)
    ]
    entry = compare(records).entries["vat", "mnist5k-50"]
    assert entry.accuracies == pytest.approx({0: 85.0, 1: 70.0})
    assert entry.paired is not None
    assert entry.paired.differences == pytest.approx({0: 10.0, 1: 10.0})


def test_ten_reasons_of_one_pair_are_one_footnote_and_ten_rows() -> None:
    records = [lost("vat", "mnist5k-50", seed, "diverged", f"at step {seed}") for seed in range(10)]
    comparison = compare(records)
    assert comparison.footnotes == {"a": "diverged: at step 0 (and 9 other reasons)"}
    failures = grids.failures_grid(comparison)
    assert failures is not None
    assert len(failures.rows) == 10


def test_equal_reasons_are_one_row_with_a_range_of_seeds() -> None:
    comparison = compare([lost("vat", "mnist5k-50", seed, "skipped", "no fit") for seed in (0, 1, 2, 7)])
    failures = grids.failures_grid(comparison)
    assert failures is not None
    assert [cell.text for cell in failures.rows[0].cells] == ["vat", "skipped", "0–2, 7", "no fit"]


def test_a_record_called_ok_without_an_accuracy_counts_as_failed() -> None:
    comparison = compare([record("vat", accuracy=None)])
    assert comparison.entries["vat", "mnist5k-50"].lost == {"failed": 1}


def test_methods_on_different_splits_are_not_paired_and_the_table_says_so(duel: list) -> None:
    duel[3] = record("vat", "mnist5k-50", 0, 0.9, split="another split")
    comparison = compare(duel)
    paired = comparison.entries["vat", "mnist5k-50"].paired
    assert paired is not None
    assert set(paired.differences) == {1, 2}
    assert any("mnist5k-50 is not paired at seed 0" in note for note in comparison.notes)


def test_one_seed_has_no_standard_deviation() -> None:
    comparison = compare([record("supervised", accuracy=0.7), record("vat", accuracy=0.9)])
    assert comparison.entries["vat", "mnist5k-50"].text == "90.00"
    assert any("One seed" in note for note in comparison.notes)


def test_times_from_different_devices_are_flagged() -> None:
    there = record("vat", provenance={"split_sha256": "0", "device": "cuda"})
    assert any("times do not compare" in note for note in compare([record("supervised"), there]).notes)


def test_methods_and_scenarios_keep_the_order_of_their_first_appearance() -> None:
    comparison = compare([record("vat", "two-moons-6"), record("supervised", "mnist5k-50"), record("vat")])
    assert comparison.methods == ("vat", "supervised")
    assert comparison.scenarios == ("two-moons-6", "mnist5k-50")


def test_a_variant_of_supervised_is_the_baseline_where_supervised_is_not_there() -> None:
    variant = replace(record("plain"), method={"name": "plain", "base": "supervised", "params": {}})
    assert compare([record("vat"), variant]).baseline == "plain"
    assert compare([record("vat")]).baseline is None


def test_recall_of_the_classes_without_labels() -> None:
    recalls = [1.0] * 10
    recalls[7] = 0.25
    made = record("vat", "mnist5k-1000-no7", metrics={"accuracy": {"final": 0.9}, "per_class_accuracy": recalls})
    cells = frame([made])
    assert cells["missing_recall"].tolist() == [25.0]
    grid = grids.missing_grid(compare([made]), cells)
    assert grid is not None
    assert grid.rows[0].cells[0].text == "25.00"
    assert grids.missing_grid(compare([record()]), frame([record()])) is None


def test_frame_has_a_row_a_cell_with_accuracies_in_percent(duel: list) -> None:
    cells = frame(duel)
    assert len(cells) == 6
    assert cells["final"].tolist() == pytest.approx([70, 72, 80, 90, 71, 94])
    assert frame([]).empty


def test_csv_reads_back_as_it_was_written(duel: list) -> None:
    written = long_table(compare([*duel, lost("pi-model", "mnist5k-50", 0, "skipped", 'a "quoted", reason')]))
    read = pd.read_csv(io.StringIO(written.to_csv(index=False)))
    pd.testing.assert_frame_equal(read.fillna({"reasons": ""}), written, check_dtype=False)
    row = read.set_index("method").loc["vat"]
    assert (row["mean"], row["paired_difference_mean"], row["wins"], row["losses"]) == (85.0, 11.0, 2, 1)
    assert read.set_index("method").loc["pi-model", "skipped"] == 1


def test_scenarios_go_down_where_they_are_more_than_methods(duel: list) -> None:
    few = compare([*duel, record("vat", "two-moons-6")])
    assert grids.comparison_grid(few).corner == "scenario"
    assert grids.comparison_grid(few, down="methods").header == ("mnist5k-50", "two-moons-6")
    assert grids.comparison_grid(compare(duel)).corner == "method"


def test_markdown_table_marks_the_best_and_notes_the_skipped(duel: list) -> None:
    comparison = compare([*duel, lost("pi-model", "mnist5k-50", 0, "skipped", "a|b")])
    text = render.markdown(grids.comparison_grid(comparison, down="scenarios"))
    # pi-model has one record of three seeds: skipped once, not run twice
    assert "| mnist5k-50 | 50 | 3 | 74.00 ± 5.29 | **85.00 ± 12.29** | —<sup>a,b</sup> |" in text
    assert "<sup>a</sup> skipped: a\\|b" in text


def test_markdown_escapes_what_would_be_markup() -> None:
    assert render.escape_markdown("a|b\n<script>*x*_y_`") == r"a\|b \<script\>\*x\*\_y\_\`"


def test_latex_is_booktabs_with_everything_escaped() -> None:
    comparison = compare([record("my_method&co", "100%_scenario", accuracy=0.5), record("vat", "100%_scenario")])
    text = render.latex(grids.comparison_grid(comparison, down="scenarios"), "tab:x")
    assert r"\toprule" in text
    assert r"scenario & labels & seeds & my\_method\&co & vat \\" in text
    assert r"100\%\_scenario & 50 & 1 & 50.00 & \textbf{90.00} \\" in text


def test_latex_escapes_every_special_character() -> None:
    assert render.escape_latex("\\{}$&#^_~%") == (r"\textbackslash{}\{\}\$\&\#\textasciicircum{}\_\textasciitilde{}\%")
    assert render.escape_latex("α ± 0.3, λ ≥ 1") == r"$\alpha$ $\pm$ 0.3, $\lambda$ $\geq$ 1"


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (1.005, False, "1.00"),
        (-2.5, False, "−2.50"),
        (2.5, True, "+2.50"),
        (-0.001, True, "0.00"),
        (math.nan, True, "—"),
    ],
)
def test_numbers_have_a_true_minus_and_no_signed_zero(value: float, sign: bool, text: str) -> None:
    assert number(value, sign=sign) == text


def cautions(records: list[Record]) -> list[str]:
    comparison = compare(records)
    return words.cautions(comparison, weigh(comparison, frame(records)))


def test_verdict_counts_scenarios_and_names_the_seeds() -> None:
    records = [
        r for s in ("mnist5k-10", "mnist5k-20") for r in (*three("supervised", s, 0.5, 0.6), *three("vat", s, 0.7, 0.8))
    ]
    comparison = compare(records)
    assert words.verdict(comparison) == "vat has the highest mean accuracy on 2 of 2 scenarios (2 seeds each)."
    assert cautions(records)[0].startswith(
        "vat against supervised: better on none, worse on none, undecided on 2 of 2 scenarios; "
    )
    assert cautions(records)[0].endswith("0 of 4 runs end below it.")


def test_harm_is_named() -> None:
    records = [*three("supervised", "mnist5k-10", 0.5, 0.6), *three("vat", "mnist5k-10", 0.4, 0.55)]
    assert cautions(records)[0].endswith("2 of 2 runs end below it, by up to 10.00 points.")


def test_what_enough_seeds_decide_is_named() -> None:
    records = [
        *three("supervised", "mnist5k-10", *(0.5 + 0.01 * i for i in range(8))),
        *three("vat", "mnist5k-10", *(0.6 + 0.012 * i for i in range(8))),
    ]
    assert "better on mnist5k-10, worse on none, undecided on 0 of 1 scenario" in cautions(records)[0]


@pytest.mark.parametrize(("seeds", "others", "fewest"), [(1, 1, 6), (5, 1, 6), (6, 1, None), (6, 2, 7), (7, 2, None)])
def test_too_few_seeds_for_a_test_of_so_many_comparisons_are_told(seeds: int, others: int, fewest: int | None) -> None:
    methods = ["supervised", "vat", "pi-model"][: others + 1]
    records = [r for m in methods for r in three(m, "mnist5k-10", *[0.5] * seeds)]
    told = [text for text in cautions(records) if "can be told from chance" in text]
    assert [f"; {fewest} seeds are the fewest that can." in text for text in told] == [True] * (fewest is not None)


def test_scenarios_with_too_few_seeds_are_told_beside_those_with_enough() -> None:
    records = [
        r
        for m in ("supervised", "vat")
        for n in (10, 4)
        for r in three(m, f"mnist5k-{n}", *[0.5 + i / 50 for i in range(n)])
    ]
    (told,) = (text for text in cautions(records) if "told from chance" in text)
    assert told.startswith("With 4 seeds no difference on the scenarios with fewest seeds")


def test_seeds_that_nothing_is_compared_at_do_not_count() -> None:
    records = [r for m in ("supervised", "vat") for r in three(m, "mnist5k-10", *[0.5 + i / 50 for i in range(10)])]
    alone = three("supervised", "mnist5k-50", 0.5)
    assert not any("told from chance" in text for text in cautions([*records, *alone]))
    few = [*three("supervised", "mnist5k-50", *[0.5] * 10), *three("vat", "mnist5k-50", 0.5, 0.6)]
    (told,) = (text for text in cautions([*records, *few]) if "told from chance" in text)
    assert told.startswith("With 2 seeds no difference on the scenarios with fewest seeds")


def test_verdict_without_results() -> None:
    assert words.verdict(compare([lost("vat", "mnist5k-50", 0, "failed", "x")])) == "No cell has a result yet."


def test_verdict_where_no_scenario_is_complete() -> None:
    records = [
        record("supervised", seed=0),
        lost("supervised", "mnist5k-50", 1, "failed", "x"),
        record("vat", seed=1),
        lost("vat", "mnist5k-50", 0, "failed", "x"),
    ]
    assert words.verdict(compare(records)).startswith("On no scenario")


def test_a_whole_benchmark_has_an_entry_for_every_pair() -> None:
    comparison = compare([made for made, _ in whole()])
    assert len(comparison.entries) == 4 * 7
    assert all(e.n or e.footnotes for e in comparison.entries.values())
