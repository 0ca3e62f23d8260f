"""Splits: balanced, disjoint, nested, hashed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.data import balanced_split, stratified_split
from sslbench.errors import BadInput
from sslbench.rng import Rng


def labels(classes: int, each: int) -> torch.Tensor:
    return torch.arange(classes).repeat(each)


@given(
    classes=st.integers(2, 6),
    labelled=st.integers(1, 5),
    validation=st.integers(0, 5),
    spare=st.integers(1, 5),
    seed=st.integers(0, 50),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_split_is_balanced_disjoint_and_complete(classes, labelled, validation, spare, seed, data):
    y = labels(classes, labelled + validation + spare)
    missing = data.draw(st.sets(st.integers(0, classes - 1), max_size=classes - 1))
    split = balanced_split(y, classes, labelled * classes, validation * classes, Rng.root(seed), missing)
    counts = torch.bincount(y[split.labelled], minlength=classes)
    assert counts.tolist() == [0 if c in missing else labelled for c in range(classes)]
    held_out = torch.bincount(y[split.validation], minlength=classes).tolist()
    assert held_out == [0 if c in missing else validation for c in range(classes)]
    everything = torch.cat([split.labelled, split.unlabelled, split.validation])
    assert sorted(everything.tolist()) == list(range(len(y)))


def test_a_smaller_labelled_set_lies_in_a_larger_one():
    y = labels(10, 40)
    small, large = (balanced_split(y, 10, n, 20, Rng.root(0)) for n in (10, 50))
    assert set(small.labelled.tolist()) < set(large.labelled.tolist())
    assert torch.equal(small.validation, large.validation)


def test_a_missing_class_leaves_the_other_labels_as_they_are():
    y = labels(10, 40)
    whole, gap = balanced_split(y, 10, 50, 20, Rng.root(0)), balanced_split(y, 10, 50, 20, Rng.root(0), missing=[7])
    kept = whole.labelled[y[whole.labelled] != 7]
    assert torch.equal(gap.labelled, kept)
    assert len(gap.unlabelled) == len(whole.unlabelled) + 5 + 2
    assert len(gap.validation) <= len(gap.labelled)


def test_seeds_differ_and_a_seed_repeats():
    y = labels(10, 40)
    digests = [balanced_split(y, 10, 50, 20, Rng.root(seed)).sha256 for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": 15}, "labels = 15 cannot be shared out evenly over 10 classes"),
        ({"labels": 0}, "labels = 0 cannot be shared"),
        ({"labels": 400}, "but the pool has 40"),
        ({"labels": 200, "validation": 300}, "but the pool has 40"),
        ({"missing": [10]}, "missing = 10 is no class of this data set: valid are 0 to 9"),
        ({"missing": [-1]}, "missing = -1 is no class"),
        ({"missing": range(10)}, "at least one must keep its labels"),
    ],
)
def test_what_cannot_be_had_is_refused(arguments, message):
    with pytest.raises(BadInput, match=message):
        balanced_split(labels(10, 40), 10, **{"labels": 50, "validation": 20, "rng": Rng.root(0), **arguments})


# Data of one's own: rows without a label, and tests drawn from the pool


@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=5),
    gaps=st.integers(0, 20),
    test=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    seed=st.integers(0, 20),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_a_stratified_split_is_disjoint_complete_and_hides_rows_without_a_label(counts, gaps, test, seed, data):
    y = torch.tensor([c for c, n in enumerate(counts) for _ in range(n)] + [-1] * gaps)
    y = y[Rng.root(1000 + seed).permutation(len(y))]
    left = sum(counts) - sum(min(max(round(test * n), 1), n - 1) if test else 0 for n in counts)
    labels = data.draw(st.integers(len(counts), left))
    split = stratified_split(y, len(counts), labels, left - labels, Rng.root(seed), test=test)
    assert (len(split.labelled), len(split.validation)) == (labels, left - labels)
    everything = torch.cat([split.labelled, split.unlabelled, split.validation, split.test])
    assert sorted(everything.tolist()) == list(range(len(y)))
    assert set((y == -1).nonzero().flatten().tolist()) <= set(split.unlabelled.tolist())
    assert int(y[split.test].min()) >= 0 if test else not len(split.test)
    chosen = torch.bincount(y[split.labelled], minlength=len(counts))
    assert int(chosen.min()) >= 1
    if labels > len(counts):
        fewer = stratified_split(y, len(counts), labels - 1, 0, Rng.root(seed), test=test)
        assert set(fewer.labelled.tolist()) < set(split.labelled.tolist())
        assert torch.equal(fewer.test, split.test)


def test_a_stratified_split_keeps_the_shares_of_the_classes():
    y = torch.tensor([0] * 900 + [1] * 90 + [2] * 10 + [-1] * 100)
    split = stratified_split(y, 3, 100, 50, Rng.root(0), test=0.2)
    assert torch.bincount(y[split.test]).tolist() == [180, 18, 2]
    assert torch.bincount(y[split.labelled]).tolist() == [90, 9, 1]
    assert torch.bincount(y[split.validation], minlength=3).tolist() == [45, 5, 0]


def test_a_balanced_split_may_draw_its_test_set_and_hides_rows_without_a_label():
    y = torch.cat([labels(3, 20), torch.full((7,), -1)])
    split = balanced_split(y, 3, 6, 3, Rng.root(0), test=0.3)
    assert [torch.bincount(y[part]).tolist() for part in (split.labelled, split.validation, split.test)] == [
        [2] * 3,
        [1] * 3,
        [6] * 3,
    ]
    assert set(range(60, 67)) <= set(split.unlabelled.tolist())


def test_the_digest_of_a_split_has_its_test_set():
    y = labels(3, 20)
    with_test, without = (balanced_split(y, 3, 6, 3, Rng.root(0), test=t).sha256 for t in (0.3, 0.0))
    assert with_test != without


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        ([0, 0, 0, 1, 1, 1], {"labels": 1}, "labels = 1 are fewer than the 2 classes"),
        ([0, 0, 0, 1, 1, 1, -1], {"labels": 7}, "of 6 rows with a label all are taken. Give at most 6"),
        ([0] * 10 + [1] * 10, {"labels": 15, "validation": 2, "test": 0.2}, "and 2 for validation. Give at most 14"),
        ([0, 0, 0, 1, -1], {"labels": 2, "test": 0.2}, "Class rare has 1 row with a label: at least 2"),
    ],
)  # fmt: skip
def test_a_stratified_split_that_cannot_be_had_is_refused(y, arguments, message):
    arguments = {"validation": 0, "rng": Rng.root(0), "names": ("common", "rare"), **arguments}
    with pytest.raises(BadInput, match=message):
        stratified_split(torch.tensor(y), 2, **arguments)
