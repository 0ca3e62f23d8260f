"""Splits: balanced, disjoint, nested, hashed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslbench.data import balanced_split
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
