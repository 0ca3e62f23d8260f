"""What a validation set can tell."""

from __future__ import annotations

import math

import pytest

from sslbench.stats import accuracy_noise, examples_to_tell


def test_with_many_examples_it_is_the_usual_standard_error():
    assert accuracy_noise(0.9, 10_000) == pytest.approx(math.sqrt(0.9 * 0.1 / 10_000), rel=2e-3)


def test_few_examples_that_are_all_right_are_not_certain():
    assert accuracy_noise(1.0, 6) == pytest.approx(math.sqrt(0.8 * 0.2 / 10))
    assert accuracy_noise(1.0, 6) == pytest.approx(accuracy_noise(0.0, 6))


def test_a_point_takes_eighteen_thousand_examples():
    n = examples_to_tell(0.01)
    assert n == 18_445
    assert 2 * math.exp(-2 * n * 0.01**2) <= 0.05 < 2 * math.exp(-2 * (n - 1) * 0.01**2)


def test_what_makes_no_sense_is_refused():
    for accuracy, examples in ((0.5, 0), (1.1, 5), (float("nan"), 5)):
        with pytest.raises(ValueError, match="give one in"):
            accuracy_noise(accuracy, examples)
    with pytest.raises(ValueError, match="difference"):
        examples_to_tell(0.0)
