"""TOML text is read back as what it was written from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench.toml import dumps

SUITES = sorted(Path(__file__).parent.parent.glob("benchmarks/*.toml"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=12)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_any_document_comes_back(document):
    assert tomllib.loads(dumps(document)) == document


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_the_suites_here_come_back(path):
    document = tomllib.loads(path.read_text())
    assert tomllib.loads(dumps(document)) == document


def test_an_array_is_one_line_and_a_table_has_a_head():
    document = {"a": [1, 2.5], "grid": [{"x": "y"}], "method": {"vat": {"on": {"two-moons-6": {"radius": 1e-5}}}}}
    assert dumps(document).split("\n") == [
        "a = [1, 2.5]",
        "",
        "[[grid]]",
        'x = "y"',
        "",
        "[method.vat.on.two-moons-6]",
        "radius = 1e-05",
        "",
    ]


def test_what_toml_has_not_is_refused():
    with pytest.raises(TypeError, match="TOML has no NoneType"):
        dumps({"a": None})
