"""Each check fails for its reason: methods that are wrong on purpose, and the good ones that they are derived from."""

from __future__ import annotations

import inspect
import re

import pytest
import torch

from sslbench.conformance import CHECKS, Verdict, cases
from sslbench.conformance.settings import poisoned, poisoned_dataset, setting
from sslbench.data import load
from sslbench.errors import BadInput
from sslbench.methods.base import method
from sslbench.registry import METHODS
from tests.conformance import broken


@pytest.fixture
def checked(monkeypatch):
    """Registers a class and checks it on some kinds of input: verdicts by case, as `alive-points`."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    def check(cls, kinds=("points",), settings=None):
        broken.CALLS.clear()
        method("under-test")(cls)
        return {str(case): case.verdict() for case in cases("under-test", settings, kinds)}

    return check


def failures(found: dict[str, Verdict]) -> dict[str, Verdict]:
    return {name: verdict for name, verdict in found.items() if verdict.status == "failed"}


@pytest.mark.parametrize("cls", [broken.Good, broken.GoodFit])
def test_a_good_method_passes_every_check(cls, checked):
    found = checked(cls, ("points", "features"))
    assert not failures(found)
    passed = {name for name, verdict in found.items() if verdict.status == "passed"}
    assert {"form", "docstrings", "source", "runs-points", "alive-points", "blind-features"} <= passed
    assert ("stacked-points" in passed) == (cls is broken.Good)


# class, kind of input, the checks that fail and no others, and what the first of them says
MISTAKES = [
    (broken.ComparesWithItself, "points", ["alive"], "compare a tensor with itself"),
    (broken.Detached, "points", ["alive"], "no gradient in each of"),
    (broken.NeverRises, "points", ["alive"], "Loss.weight is 0"),
    (broken.IgnoresThePool, "points", ["alive"], "the same, bit for bit"),
    (broken.NeverUnlabelled, "points", ["alive"], "`order` names no step"),
    (broken.ReadsTheDataSet, "features", ["blind"], "it sees what it may not"),
    (broken.LooksAtItsCaller, "points", ["blind"], "it sees what it may not"),
    (broken.DrawsFromTorch, "points", ["runs", "own draws"], "random operation"),
    (broken.DrawsFromTorch, "images", ["own draws", "repeatable", "stacked"], "torch"),
    (broken.DrawsFromNumPy, "points", ["own draws", "repeatable", "stacked"], "NumPy"),
    (broken.CountsOutside, "points", ["repeatable", "stacked"], "something kept between calls"),
    (broken.KeepsState, "points", ["repeatable"], r"self\.calls"),
    (broken.KeepsAList, "points", ["repeatable"], r"self\.seen"),
    (broken.FreezesTheBiases, "points", ["gradients", "weight zero"], r"layers\.0\.bias"),
    (broken.DividesByClassCounts, "features", ["missing class"], "NaN"),
    (broken.ForgetsTheMean, "points", ["runs", "weight zero"], "is a mean missing"),
    (broken.Explodes, "points", ["runs", "weight zero"], "inf at step 3"),
    (broken.AsksForItems, "points", ["runs"], "calling .item()"),
    (broken.CountsItsStack, "points", ["stacked"], "at step 0: "),
    (broken.CountsItsSteps, "images", ["replayed", "stacked"], "differs by"),
    (broken.OtherBaseline, "points", ["weight zero"], "loss of step 0 differs"),
    (broken.NoSuchView, "points", ["runs"], "upside-down"),
    (broken.FitIgnoresThePool, "features", ["alive"], "the same, bit for bit"),
    (broken.FitDrawsFromNumPy, "features", ["own draws", "repeatable"], "NumPy"),
    (broken.FitReadsTheDataSet, "features", ["blind"], "it sees what it may not"),
    (broken.FitForgetsColumns, "features", ["missing class"], "out of bounds"),
    (broken.FitNotNormalised, "features", ["runs", "missing class"], "sums from 2 to 2"),
]


@pytest.mark.parametrize(("cls", "kind", "checks", "words"), MISTAKES, ids=lambda v: getattr(v, "__name__", None))
def test_a_mistake_is_found_for_its_reason_and_at_its_place(cls, kind, checks, words, checked):
    found = failures(checked(cls, (kind,)))
    assert {name.removesuffix(f"-{kind}").replace("-", " ") for name in found} == set(checks)
    verdict = found[f"{checks[0].replace(' ', '-')}-{kind}"]
    assert re.search(words, verdict.seen)
    assert verdict.expected
    file, line = verdict.where.split(":")
    assert file.endswith("tests/conformance/broken.py")
    start = inspect.getsourcelines(cls)[1]
    if not issubclass(cls, broken.Good) or "loss" in vars(cls):
        assert int(line) >= start


@pytest.mark.parametrize(
    ("cls", "check", "words"),
    [
        (broken.Undocumented, "docstrings", "none"),
        (broken.FieldUndocumented, "docstrings", "none"),
        (broken.Sourceless, "source", "none"),
        (broken.Mutable, "form", "can be assigned"),
        (broken.Plain, "form", "a plain class"),
        (broken.NoDefault, "form", "none"),
        (broken.WrongDefault, "form", "greater than or equal to 0"),
        (broken.SearchesNothing, "form", "wieght"),
        (broken.UnknownType, "form", "'Fraktion' is not defined: import it"),
        (broken.ExemptsItself, "form", "blind"),
        (broken.NoMethod, "form", "NoMethod"),
    ],
)
def test_what_is_wrong_before_any_training_is_found_there(cls, check, words, checked):
    found = checked(cls, ())
    assert re.search(words, found[check].seen)
    assert found[check].where.endswith(f"broken.py:{line_of(cls)}")


def line_of(cls: type) -> int:
    """Of the field that is wrong, where it is one; else of the class."""
    lines, start = inspect.getsourcelines(cls)
    fields = {
        broken.FieldUndocumented: "power",
        broken.Undocumented: None,
        broken.NoDefault: "weight",
        broken.UnknownType: "share",
    }
    field = fields.get(cls)
    return next((start + i for i, text in enumerate(lines) if field and text.strip().startswith(f"{field}:")), start)


def test_what_has_no_right_form_is_not_trained(checked):
    found = checked(broken.NoDefault, ("points",))
    assert found["form"].status == "failed"
    assert all(v.status == "skipped" for name, v in found.items() if name.endswith("points"))


def test_that_steps_cannot_be_recorded_is_told_and_no_failure_of_its_own(checked):
    found = checked(broken.ReadsValues, ("images",))
    assert set(failures(found)) == {"stacked-images"}  # which reads no value either
    assert found["replayed-images"].status == "skipped"
    assert re.search(r"cannot be recorded .*reads a tensor's value", found["replayed-images"].reason)


def test_an_exemption_is_told(checked):
    found = checked(broken.OtherBaselineAndSaysSo)
    assert not failures(found)
    assert found["weight-zero-points"].reason == "exempt: its labelled term is scaled"


def test_settings_are_what_is_checked(checked):
    found = failures(checked(broken.Good, settings={"weight": 0.0}))
    assert set(found) == {"alive-points"}
    with pytest.raises(BadInput, match="weight = -1"):
        list(cases("under-test", {"weight": -1}))
    with pytest.raises(BadInput, match="Unknown key of Good 'wait'. Did you mean 'weight'"):
        list(cases("under-test", {"wait": 1}))


def test_the_poison_reaches_every_hidden_label_and_leaves_the_data_as_they_were():
    problem, dataset = setting("images").problem(), setting("images").dataset()
    assert dataset is load("mnist5k")
    other = poisoned(problem)
    rows = torch.ones(len(problem.y), dtype=torch.bool)
    rows[problem.labelled] = False
    assert (problem.y != other.y).equal(rows)
    assert torch.equal(problem.x[problem.unlabelled], other.x[problem.unlabelled])
    before = dataset.y.clone(), dataset.x_test.clone()
    with poisoned_dataset(dataset, problem.labelled):
        assert (dataset.y != before[0]).sum() == len(dataset.y) - len(problem.labelled)
    assert torch.equal(dataset.y, before[0])
    assert torch.equal(dataset.x_test, before[1])


def test_every_check_promises_something():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.promise.endswith(".")
